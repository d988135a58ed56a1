//! The trading vocabulary that all services share: ids, exact numbers, instruments, orders, the closed set of error
//! codes, and the messages that the account and matching stages exchange.
//!
//! Pure: no clock, no randomness, no I/O, no floating point, no wire format. Money and quantities
//! are `i64` minor units, prices `i64` ticks; every operation that can leave their range is checked.

#![deny(clippy::float_arithmetic)]

pub mod ascii;
pub mod code;
pub mod day;
pub mod decimal;
pub mod field;
#[cfg(any(test, feature = "fixture"))]
pub mod fixture;
pub mod id;
pub mod instrument;
pub mod machine;
pub mod market;
pub mod message;
pub mod order;
pub mod reject;
pub mod session;
pub mod text;
pub mod time;
pub mod update;
pub mod view;

pub use ascii::{Asset, Symbol};
pub use code::Code;
pub use field::FieldError;
pub use id::{AccountId, ExecutionId, InstrumentId, OrderId, Slot, TradeId};
pub use instrument::{AssetClass, Instrument, SessionCalendar};
pub use machine::Machine;
pub use order::{OrderKind, OrderStatus, Side, TimeInForce};
pub use reject::Reject;
pub use session::{Hours, SessionPhase, TradingDay};
pub use time::Micros;
