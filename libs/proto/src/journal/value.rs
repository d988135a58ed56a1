//! The parts that messages are made of: ids, names, enums, order kinds.
//!
//! Every function that reads takes the name of the field, as `Message.field`, for its error.

use prepx_domain::ascii;
use prepx_domain::message::CancelReason;
use prepx_domain::reject::{Contradiction, Field};
use prepx_domain::{
    AccountId, Asset, AssetClass, ExecutionId, InstrumentId, Micros, OrderId, OrderKind,
    OrderStatus, SessionCalendar, SessionPhase, Side, Slot, Symbol, TimeInForce, TradeId,
};

use super::{Error, v1};

/// An id as its 63 bits.
pub trait Id: Copy {
    /// The id with these bits; `None` when negative.
    fn from_raw(raw: i64) -> Option<Self>;
    /// The 63 bits.
    fn into_raw(self) -> i64;
}

/// A closed choice that is written as the number of a protobuf enum.
pub trait Choice: Sized {
    /// The number that is written; never 0.
    fn number(self) -> i32;
    /// The choice with this number, if this version knows it.
    fn from_number(number: i32) -> Option<Self>;
}

macro_rules! ids {
    ($($id:ident)*) => {$(
        impl Id for $id {
            fn from_raw(raw: i64) -> Option<Self> {
                $id::new(raw)
            }

            fn into_raw(self) -> i64 {
                self.raw()
            }
        }
    )*};
}

ids! { AccountId ExecutionId InstrumentId OrderId TradeId }

macro_rules! choices {
    ($($name:ident { $($variant:ident)* })*) => {$(
        impl Choice for $name {
            fn number(self) -> i32 {
                match self {
                    $($name::$variant => v1::$name::$variant as i32,)*
                }
            }

            fn from_number(number: i32) -> Option<Self> {
                match v1::$name::try_from(number) {
                    $(Ok(v1::$name::$variant) => Some($name::$variant),)*
                    Ok(v1::$name::Unspecified) | Err(_) => None,
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

/// The id that was written as `raw`.
pub fn id<T: Id>(field: &'static str, raw: i64) -> Result<T, Error> {
    T::from_raw(raw).ok_or(Error::OutOfRange {
        field,
        number: i128::from(raw),
    })
}

/// The id that was written as `raw`, if one was.
pub fn optional_id<T: Id>(field: &'static str, raw: Option<i64>) -> Result<Option<T>, Error> {
    raw.map(|raw| id(field, raw)).transpose()
}

/// Ids as they are written.
pub fn raw_ids<T: Id>(ids: &[T]) -> Vec<i64> {
    ids.iter().map(|&id| id.into_raw()).collect()
}

/// The ids that were written as `raw`.
pub fn ids<T: Id>(field: &'static str, raw: &[i64]) -> Result<Vec<T>, Error> {
    raw.iter().map(|&raw| id(field, raw)).collect()
}

/// The choice that was written as `number`.
pub fn choice<T: Choice>(field: &'static str, number: i32) -> Result<T, Error> {
    T::from_number(number).ok_or(Error::Unknown { field, number })
}

/// A part that must be there.
pub fn present<T>(field: &'static str, part: Option<T>) -> Result<T, Error> {
    part.ok_or(Error::Missing(field))
}

/// The slot that was written as `number`.
pub fn slot(field: &'static str, number: u32) -> Result<Slot, Error> {
    u16::try_from(number)
        .ok()
        .and_then(Slot::new)
        .ok_or(Error::OutOfRange {
            field,
            number: i128::from(number),
        })
}

/// A point in time as it is written.
pub fn optional_us(at: Option<Micros>) -> Option<i64> {
    at.map(|at| at.0)
}

/// The symbol that was written as `text`.
pub fn symbol(field: &'static str, text: &str) -> Result<Symbol, Error> {
    text.parse().map_err(|source| Error::Name { field, source })
}

impl From<uuid::Uuid> for v1::Uuid {
    fn from(uuid: uuid::Uuid) -> Self {
        let (high, low) = uuid.as_u64_pair();
        v1::Uuid { high, low }
    }
}

impl From<v1::Uuid> for uuid::Uuid {
    fn from(wire: v1::Uuid) -> Self {
        uuid::Uuid::from_u64_pair(wire.high, wire.low)
    }
}

/// The uuid that must be there.
pub fn uuid(field: &'static str, wire: Option<v1::Uuid>) -> Result<uuid::Uuid, Error> {
    present(field, wire).map(uuid::Uuid::from)
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

/// An asset's name as one number in base 40, its first character the lowest digit.
pub fn pack(asset: Asset) -> u64 {
    asset
        .as_str()
        .bytes()
        .rev()
        .fold(0, |packed, byte| packed * BASE + digit(byte))
}

/// The asset that was written as `packed`.
pub fn unpack(field: &'static str, packed: u64) -> Result<Asset, Error> {
    let (mut rest, mut name, mut len) = (packed, [0; 13], 0);
    while rest > 0 {
        name[len] = character(rest % BASE);
        rest /= BASE;
        len += 1;
    }
    let name = std::str::from_utf8(&name[..len]).expect("only ASCII was put in");
    name.parse()
        .map_err(|source: ascii::Error| Error::Name { field, source })
}
