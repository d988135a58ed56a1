//! The text and enums of clients' and operators' requests, checked as far as possible without knowing accounts, and
//! converted into the exact numbers of a command.
//!
//! Owns what all requests have in common. Refuses what contradicts itself, what is not supported, and numbers finer than the
//! asset. The account stage judges the rest: steps, limits, collar, balance.

mod instrument;
mod order;
mod replace;

use prepx_domain::{FieldError, Instrument, Micros, Side, TimeInForce, decimal, text};

pub use self::instrument::{InstrumentForm, ambiguous_asset};
pub use self::order::{Intent, OrderForm, Type};
pub use self::replace::{ReplaceForm, check_changes};
use crate::domain::calendar::Nyse;

/// The longest name that a client may give an order.
const CLIENT_ORDER_ID_CHARS_MAX: usize = 128;

fn wrong<T>(field: &'static str, message: impl Into<String>) -> Result<T, FieldError> {
    Err(FieldError::new(field, message))
}

/// An order is for an instrument; which there are is not known here.
pub fn check_symbol(symbol: &str) -> Result<(), FieldError> {
    match symbol {
        "" => wrong("symbol", "symbol is required, such as AAPL or BTC/USD"),
        _ => Ok(()),
    }
}

/// How long an order lives, as clients say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// One that the book knows.
    Known(TimeInForce),
    /// For an auction; not taken yet.
    Auction(&'static str),
}

impl Lifetime {
    /// The time in force that the book knows by this.
    pub fn known(self) -> Result<TimeInForce, FieldError> {
        match self {
            Lifetime::Known(time_in_force) => Ok(time_in_force),
            Lifetime::Auction(name) => wrong(
                "time_in_force",
                format!("time_in_force {name} is not taken here: use day, gtc, ioc or fok"),
            ),
        }
    }
}

/// The side of an order, which has no default.
pub fn check_side(side: Option<Side>) -> Result<Side, FieldError> {
    side.map_or_else(|| wrong("side", "side is required: buy or sell"), Ok)
}

/// A positive number of at most `scale` decimal places, as minor units.
pub fn positive(field: &'static str, text: &str, scale: u32) -> Result<i64, FieldError> {
    match decimal::parse(text, scale) {
        Ok(minor) if minor > 0 => Ok(minor),
        Ok(_) => wrong(field, format!("{field} is {text}: it must be above 0")),
        Err(error) => wrong(field, format!("{field}: {error}")),
    }
}

/// A name that a client gives an order, or one that was drawn.
pub fn check_name(client_order_id: &str) -> Result<(), FieldError> {
    match text::check(client_order_id, 0..=CLIENT_ORDER_ID_CHARS_MAX) {
        Ok(()) => Ok(()),
        Err(error) => wrong("client_order_id", format!("client_order_id {error}")),
    }
}

/// When an order of this time in force ends by itself.
pub fn expiry(
    tif: TimeInForce,
    extended: bool,
    instrument: &Instrument,
    nyse: &Nyse,
    now: Micros,
) -> Option<Micros> {
    (tif == TimeInForce::Day).then(|| nyse.day_end(instrument.calendar, extended, now))
}
