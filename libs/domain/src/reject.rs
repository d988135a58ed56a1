//! Why the account stage refuses a command: every reason, with the numbers that a client needs to correct it.

use std::fmt;
use std::time::Duration;

use crate::ascii::{Asset, Symbol};
use crate::code::Code;
use crate::decimal::{format, format_grouped};
use crate::instrument::MAX_STEPS;

/// Decimal places of prices and quantities in a message.
pub type Scale = u32;

/// A field of a command, by its name in the public API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `qty`
    Qty,
    /// `limit_price`
    LimitPrice,
    /// `stop_price`
    StopPrice,
    /// `amount`
    Amount,
}

/// The most of one asset, in minor units, that may come in from outside: a quarter of what 64 bits hold, so
/// that no balance ever overflows. The partitions of the account stage have equal parts of it.
pub const SUPPLY_MINOR_MAX: i64 = i64::MAX / 4;

/// How much exact arithmetic carries of what a field says.
fn most(field: Field) -> String {
    match field {
        Field::Qty => format!(
            "an order has at most {MAX_STEPS} lots and holds at most {} of the smallest units of what it pays",
            i64::MAX
        ),
        Field::LimitPrice | Field::StopPrice => format!("a price has at most {MAX_STEPS} ticks"),
        Field::Amount => format!(
            "all accounts together are paid in at most {SUPPLY_MINOR_MAX} of the smallest units of an asset"
        ),
    }
}

impl Field {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Field::Qty => "qty",
            Field::LimitPrice => "limit_price",
            Field::StopPrice => "stop_price",
            Field::Amount => "amount",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What does not go together in a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// The client order id is empty or too long.
    #[error("client_order_id must have 1 to 128 characters")]
    ClientOrderIdLength,
    /// Post-only of an order that is none of a limit.
    #[error("post-only is for limit orders: an order of this type takes liquidity")]
    PostOnlyType,
    /// Post-only of an order that never rests.
    #[error("post-only needs time_in_force day or gtc: ioc and fok never rest")]
    PostOnlyTimeInForce,
    /// Extended hours for an order that does not take part in them.
    #[error("extended_hours is for limit orders with time_in_force day or gtc only")]
    ExtendedHours,
    /// A stop that could not wait.
    #[error("a stop waits for its price: it needs time_in_force day or gtc")]
    StopTimeInForce,
    /// The order would end before it begins.
    #[error("the order would have expired already: its session is over")]
    Expired,
    /// A new stop price for a stop that waits no more.
    #[error("stop_price cannot be changed: the stop has triggered already")]
    StopSetOff,
    /// A user's command for the slot of another one.
    #[error("the command's slot must be the hash of its user")]
    ForeignSlot,
    /// A limit of an account below zero.
    #[error("a limit must not be negative")]
    NegativeLimit,
}

/// A typed refusal. Nothing has changed when one is given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// The account is not known here.
    #[error("account not found")]
    UnknownAccount,
    /// The instrument is not known.
    #[error("asset {0} not found; GET /v2/assets lists what trades here")]
    UnknownInstrument(Symbol),
    /// The order is not known, or is another account's.
    #[error("order not found")]
    UnknownOrder,
    /// Less is available than the command needs.
    #[error("insufficient balance for {asset}: needs {}, {} available", format_grouped(*.needed_minor, *.scale), format_grouped(*.available_minor, *.scale))]
    InsufficientBalance {
        /// Of what.
        asset: Asset,
        /// Decimal places of the two numbers.
        scale: Scale,
        /// What the command would hold or take, in minor units.
        needed_minor: i64,
        /// What is neither held nor spent, in minor units.
        available_minor: i64,
    },
    /// An operator or a limit has stopped the account.
    #[error("the account is stopped by an operator: only cancels are accepted")]
    AccountBlocked,
    /// The account's owner has stopped trading.
    #[error(
        "trading is suspended by the account's owner: only cancels are accepted until suspend_trade is false"
    )]
    TradeSuspended,
    /// The instrument is halted: only cancels are accepted.
    #[error("{0} is halted: only cancels are accepted")]
    Halted(Symbol),
    /// The instrument's session is not on, and the order could not wait for it.
    #[error(
        "{0} is closed: ioc and fok orders trade at once; send time_in_force day or gtc to wait for the session"
    )]
    SessionClosed(Symbol),
    /// A value is not positive.
    #[error("{field} is {}: it must be above 0", format(*.value_minor, *.scale))]
    NotPositive {
        /// Which field.
        field: Field,
        /// The value in minor units.
        value_minor: i64,
        /// Its decimal places.
        scale: Scale,
    },
    /// A price is not a multiple of the tick, or a quantity not one of the lot.
    #[error("{field} {} is not a multiple of {}", format(*.value_minor, *.scale), format(*.step_minor, *.scale))]
    OffStep {
        /// Which field.
        field: Field,
        /// The value in minor units.
        value_minor: i64,
        /// The step in minor units.
        step_minor: i64,
        /// Decimal places of both.
        scale: Scale,
    },
    /// A number is larger than the exact arithmetic of orders and balances carries.
    #[error("{field} is too large: {}", most(*field))]
    TooLarge {
        /// Which field.
        field: Field,
    },
    /// A market or stop order needs a reference price and there is none yet.
    #[error("{0} has no reference price yet: send a limit order, or wait for a first trade")]
    NoReferencePrice(Symbol),
    /// The limit price is on the wrong side of the band around the reference price.
    #[error("limit_price {} is outside the allowed band {} to {}", format(*.price_minor, *.scale), format(*.low_minor, *.scale), format(*.high_minor, *.scale))]
    OutsideCollar {
        /// The price asked, in quote minor units.
        price_minor: i64,
        /// The lowest price allowed.
        low_minor: i64,
        /// The highest price allowed.
        high_minor: i64,
        /// Decimal places of the three.
        scale: Scale,
    },
    /// Larger than the account's limit for the quantity of one order.
    #[error("qty {} is above this account's limit of {} per order", format(*.asked_minor, *.scale), format(*.limit_minor, *.scale))]
    OrderQuantityLimit {
        /// Asked, in base minor units.
        asked_minor: i64,
        /// Allowed.
        limit_minor: i64,
        /// Decimal places of both.
        scale: Scale,
    },
    /// Larger than the account's limit for the money of one order.
    #[error("the order's value of {} is above this account's limit of {} per order", format_grouped(*.asked_minor, *.scale), format_grouped(*.limit_minor, *.scale))]
    OrderNotionalLimit {
        /// Asked, in quote minor units.
        asked_minor: i64,
        /// Allowed.
        limit_minor: i64,
        /// Decimal places of both.
        scale: Scale,
    },
    /// As many orders are open as the account may have.
    #[error("{limit} orders are open, which is this account's limit: cancel one first")]
    OpenOrdersLimit {
        /// The limit.
        limit: u32,
    },
    /// The position would pass the account's limit if all open buys traded.
    #[error("the position in {asset} could become {}, above this account's limit of {}", format(*.asked_minor, *.scale), format(*.limit_minor, *.scale))]
    PositionLimit {
        /// The asset.
        asset: Asset,
        /// What it could become, in minor units.
        asked_minor: i64,
        /// Allowed.
        limit_minor: i64,
        /// Decimal places of both.
        scale: Scale,
    },
    /// Another order of the account has this client order id, open or in the last 24 hours.
    #[error(
        "client_order_id must be unique: {0:?} is used by an order that is open or less than 24 hours old"
    )]
    DuplicateClientOrderId(String),
    /// The account has as many remembered client order ids as it may.
    #[error(
        "the account has used {limit} client order ids in the last 24 hours, which is the limit: try later"
    )]
    TooManyClientOrderIds {
        /// The bound.
        limit: u32,
    },
    /// The order has ended.
    #[error("the order has ended: it can be neither replaced nor cancelled")]
    OrderEnded,
    /// A replacement of this order is under way.
    #[error("a replacement of this order is under way: wait for its answer")]
    ReplacePending,
    /// A cancel of this order is under way.
    #[error("a cancel of this order is under way: it cannot be replaced any more")]
    CancelPending,
    /// The order's kind has no such price.
    #[error("{field} cannot be changed: an order of this type has none")]
    NoSuchPrice {
        /// Which field.
        field: Field,
    },
    /// The new quantity is not more than what has traded.
    #[error("qty {} must be above the {} that have traded", format(*.asked_minor, *.scale), format(*.traded_minor, *.scale))]
    QuantityTraded {
        /// Asked, in base minor units.
        asked_minor: i64,
        /// Traded.
        traded_minor: i64,
        /// Decimal places of both.
        scale: Scale,
    },
    /// The parts of the command do not go together.
    #[error("{0}")]
    Contradiction(Contradiction),
    /// The command was stamped longer ago than the stage remembers.
    #[error(
        "the command is {age_s} s old and at most {limit_s} s are remembered: ask for the order before sending it again"
    )]
    Stale {
        /// How old, in seconds.
        age_s: i64,
        /// How old it may be, in seconds.
        limit_s: i64,
    },
    /// The command was stamped further in the future than clocks may differ.
    #[error(
        "the command is stamped {ahead_s} s in the future and at most {limit_s} s are allowed: set the sender's clock"
    )]
    Ahead {
        /// How far ahead, in seconds.
        ahead_s: i64,
        /// How far ahead it may be, in seconds.
        limit_s: i64,
    },
    /// The user has an account already.
    #[error("the user has an account already")]
    AccountExists,
}

/// When to try again for a client order id. They come free one by one, each 24 hours after its order has ended; the reject
/// does not say when the next one does.
const NAMES_RETRY_AFTER: Duration = Duration::from_secs(60);

impl Reject {
    /// When to try again, where only time can help.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Reject::TooManyClientOrderIds { .. } => Some(NAMES_RETRY_AFTER),
            _ => None,
        }
    }

    /// The closed code of this reason.
    pub const fn code(&self) -> Code {
        match self {
            Reject::UnknownAccount | Reject::UnknownOrder => Code::NotFound,
            Reject::InsufficientBalance { .. } => Code::InsufficientBalance,
            Reject::AccountBlocked | Reject::TradeSuspended | Reject::Halted(_) => {
                Code::TradingBlocked
            }
            Reject::TooManyClientOrderIds { .. } => Code::TooManyRequests,
            Reject::AccountExists => Code::Conflict,
            _ => Code::Invalid,
        }
    }

    /// The stable name of this reason, for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Reject::UnknownAccount => "UNKNOWN_ACCOUNT",
            Reject::UnknownInstrument(_) => "UNKNOWN_INSTRUMENT",
            Reject::UnknownOrder => "UNKNOWN_ORDER",
            Reject::InsufficientBalance { .. } => "INSUFFICIENT_BALANCE",
            Reject::AccountBlocked => "ACCOUNT_BLOCKED",
            Reject::TradeSuspended => "TRADE_SUSPENDED",
            Reject::Halted(_) => "HALTED",
            Reject::SessionClosed(_) => "SESSION_CLOSED",
            Reject::NotPositive { .. } => "NOT_POSITIVE",
            Reject::OffStep { .. } => "OFF_STEP",
            Reject::TooLarge { .. } => "TOO_LARGE",
            Reject::NoReferencePrice(_) => "NO_REFERENCE_PRICE",
            Reject::OutsideCollar { .. } => "OUTSIDE_COLLAR",
            Reject::OrderQuantityLimit { .. } => "ORDER_QUANTITY_LIMIT",
            Reject::OrderNotionalLimit { .. } => "ORDER_NOTIONAL_LIMIT",
            Reject::OpenOrdersLimit { .. } => "OPEN_ORDERS_LIMIT",
            Reject::PositionLimit { .. } => "POSITION_LIMIT",
            Reject::DuplicateClientOrderId(_) => "DUPLICATE_CLIENT_ORDER_ID",
            Reject::TooManyClientOrderIds { .. } => "TOO_MANY_CLIENT_ORDER_IDS",
            Reject::OrderEnded => "ORDER_ENDED",
            Reject::ReplacePending => "REPLACE_PENDING",
            Reject::CancelPending => "CANCEL_PENDING",
            Reject::NoSuchPrice { .. } => "NO_SUCH_PRICE",
            Reject::QuantityTraded { .. } => "QUANTITY_TRADED",
            Reject::Contradiction(_) => "CONTRADICTION",
            Reject::Stale { .. } => "STALE",
            Reject::Ahead { .. } => "AHEAD",
            Reject::AccountExists => "ACCOUNT_EXISTS",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn insufficient_balance_is_worded_for_clients_that_match_on_it() {
        let reject = Reject::InsufficientBalance {
            asset: "USD".parse().expect("an asset"),
            scale: 8,
            needed_minor: 123_456_000_000,
            available_minor: 100_000_000_000,
        };
        expect!["insufficient balance for USD: needs 1,234.56, 1,000.00 available"]
            .assert_eq(&reject.to_string());
        assert_eq!(reject.code(), Code::InsufficientBalance);
    }
}
