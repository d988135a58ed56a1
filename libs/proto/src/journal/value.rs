//! The values that messages are made of: ids, names, enums, times, order kinds.

use std::sync::Arc;

use prepx_domain::message::CancelReason;
use prepx_domain::reject::{Contradiction, Field};
use prepx_domain::{
    AccountId, Asset, AssetClass, ExecutionId, InstrumentId, Micros, OrderId, OrderKind,
    OrderStatus, SessionCalendar, SessionPhase, Side, Slot, Symbol, TimeInForce, TradeId,
};
use uuid::Uuid;

use super::{Error, Part, v1};

macro_rules! numbers {
    ($($number:ident)*) => {$(
        impl Part for $number {
            type Wire = $number;

            fn to_wire(&self) -> Self::Wire {
                *self
            }

            fn from_wire(wire: Self::Wire, _name: &'static str) -> Result<Self, Error> {
                Ok(wire)
            }
        }
    )*};
}

numbers! { bool i64 u32 u64 }

macro_rules! texts {
    ($($text:ty)*) => {$(
        impl Part for $text {
            type Wire = String;

            fn to_wire(&self) -> Self::Wire {
                String::from(&**self)
            }

            fn from_wire(wire: Self::Wire, _name: &'static str) -> Result<Self, Error> {
                Ok(wire.into())
            }
        }
    )*};
}

texts! { Arc<str> Box<str> }

impl Part for String {
    type Wire = String;

    fn to_wire(&self) -> Self::Wire {
        self.clone()
    }

    fn from_wire(wire: Self::Wire, _name: &'static str) -> Result<Self, Error> {
        Ok(wire)
    }
}

macro_rules! ids {
    ($($id:ident)*) => {$(
        impl Part for $id {
            type Wire = i64;

            fn to_wire(&self) -> Self::Wire {
                self.raw()
            }

            fn from_wire(wire: Self::Wire, name: &'static str) -> Result<Self, Error> {
                $id::new(wire).ok_or(Error::OutOfRange {
                    field: name,
                    number: i128::from(wire),
                })
            }
        }
    )*};
}

ids! { AccountId ExecutionId InstrumentId OrderId TradeId }

macro_rules! choices {
    ($($name:ident { $($variant:ident)* })*) => {$(
        /// The number of its enum; never 0.
        impl Part for $name {
            type Wire = i32;

            fn to_wire(&self) -> Self::Wire {
                match self {
                    $($name::$variant => v1::$name::$variant as i32,)*
                }
            }

            fn from_wire(wire: Self::Wire, name: &'static str) -> Result<Self, Error> {
                match v1::$name::try_from(wire) {
                    $(Ok(v1::$name::$variant) => Ok($name::$variant),)*
                    Ok(v1::$name::Unspecified) | Err(_) => Err(Error::Unknown {
                        field: name,
                        number: wire,
                    }),
                }
            }
        }
    )*};
}

choices! {
    AssetClass { UsEquity Crypto }
    CancelReason { Requested Unfilled NotWhole SelfTrade ProtectPrice }
    Contradiction {
        ClientOrderIdLength PostOnlyType PostOnlyTimeInForce ExtendedHours StopTimeInForce Expired
        StopSetOff ForeignSlot NegativeLimit
    }
    Field { Qty LimitPrice StopPrice Amount }
    OrderStatus {
        New PartiallyFilled Filled Canceled Expired Replaced PendingCancel PendingReplace PendingNew
        Rejected Accepted
    }
    SessionCalendar { Always Nyse }
    SessionPhase { Closed Extended Regular }
    Side { Buy Sell }
    TimeInForce { Day GoodTilCanceled ImmediateOrCancel FillOrKill }
}

/// Microseconds since 1970, UTC.
impl Part for Micros {
    type Wire = i64;

    fn to_wire(&self) -> Self::Wire {
        self.0
    }

    fn from_wire(wire: Self::Wire, _name: &'static str) -> Result<Self, Error> {
        Ok(Micros(wire))
    }
}

impl Part for Slot {
    type Wire = u32;

    fn to_wire(&self) -> Self::Wire {
        self.number().into()
    }

    fn from_wire(wire: Self::Wire, name: &'static str) -> Result<Self, Error> {
        let number = u16::try_from(wire).ok();
        number.and_then(Slot::new).ok_or(Error::OutOfRange {
            field: name,
            number: i128::from(wire),
        })
    }
}

impl Part for Symbol {
    type Wire = String;

    fn to_wire(&self) -> Self::Wire {
        self.as_str().to_owned()
    }

    fn from_wire(wire: Self::Wire, name: &'static str) -> Result<Self, Error> {
        let symbol = wire.parse();
        symbol.map_err(|source| Error::Name {
            field: name,
            source,
        })
    }
}

impl Part for Uuid {
    type Wire = v1::Uuid;

    fn to_wire(&self) -> Self::Wire {
        let (high, low) = self.as_u64_pair();
        v1::Uuid { high, low }
    }

    fn from_wire(wire: Self::Wire, _name: &'static str) -> Result<Self, Error> {
        Ok(Uuid::from_u64_pair(wire.high, wire.low))
    }
}

/// A name as one number in base 40, its first character the lowest digit.
impl Part for Asset {
    type Wire = u64;

    fn to_wire(&self) -> Self::Wire {
        let name = self.as_str().bytes().rev();
        name.fold(0, |packed, byte| packed * BASE + digit(byte))
    }

    fn from_wire(wire: Self::Wire, name: &'static str) -> Result<Self, Error> {
        let (mut rest, mut text, mut len) = (wire, [0; 13], 0);
        while rest > 0 {
            text[len] = character(rest % BASE);
            rest /= BASE;
            len += 1;
        }
        let text = std::str::from_utf8(&text[..len]).expect("only ASCII was put in");
        text.parse().map_err(|source| Error::Name {
            field: name,
            source,
        })
    }
}

/// An order's kind as the type and the limit and stop prices that are written.
pub fn kind_parts(kind: OrderKind) -> (i32, i64, i64) {
    let order_type = match kind {
        OrderKind::Market => v1::OrderType::Market,
        OrderKind::Limit { .. } => v1::OrderType::Limit,
        OrderKind::Stop { .. } => v1::OrderType::Stop,
        OrderKind::StopLimit { .. } => v1::OrderType::StopLimit,
    };
    (
        order_type as i32,
        kind.limit().unwrap_or(0),
        kind.stop().unwrap_or(0),
    )
}

/// The order's kind that was written as a type, a limit and a stop price. A price that the type
/// does not have must be absent.
pub fn kind(field: &'static str, number: i32, limit: i64, stop: i64) -> Result<OrderKind, Error> {
    let kind = match v1::OrderType::try_from(number) {
        Ok(v1::OrderType::Market) => OrderKind::Market,
        Ok(v1::OrderType::Limit) => OrderKind::Limit { limit },
        Ok(v1::OrderType::Stop) => OrderKind::Stop { stop },
        Ok(v1::OrderType::StopLimit) => OrderKind::StopLimit { stop, limit },
        Ok(v1::OrderType::Unspecified) | Err(_) => return Err(Error::Unknown { field, number }),
    };
    let unread = if kind.limit().is_none() { limit } else { 0 };
    let unread = if kind.stop().is_none() && stop != 0 {
        stop
    } else {
        unread
    };
    if unread == 0 {
        Ok(kind)
    } else {
        Err(Error::OutOfRange {
            field,
            number: i128::from(unread),
        })
    }
}

/// The digits of packed names. Its size is such that twelve digits just fit 64 bits.
const BASE: u64 = 40;

const fn digit(byte: u8) -> u64 {
    match byte {
        b'A'..=b'Z' => (byte - b'A') as u64 + 1,
        b'0'..=b'9' => (byte - b'0') as u64 + 27,
        b'.' => 37,
        b'-' => 38,
        b'/' => 39,
        _ => unreachable!(),
    }
}

const fn character(digit: u64) -> u8 {
    match digit {
        1..=26 => b'A' + (digit - 1) as u8,
        27..=36 => b'0' + (digit - 27) as u8,
        37 => b'.',
        38 => b'-',
        39 => b'/',
        // No name has this character, so that reading fails.
        _ => b' ',
    }
}
