//! Why the account stage refuses a command.
//!
//! A reason carries the numbers with which it is worded, so that a repeat is told the first decision.

use prepx_domain::reject::Reject;

use super::value::{Choice as _, choice, pack, present, symbol, unpack};
use super::{Error, v1};
use v1::reject::Reason;

/// Numbers against a bound.
const fn excess(asked_minor: i64, limit_minor: i64, scale: u32) -> v1::Excess {
    v1::Excess {
        asked_minor,
        limit_minor,
        scale,
    }
}

impl From<&Reject> for v1::Reject {
    #[expect(
        clippy::too_many_lines,
        reason = "one match over all reasons misses none"
    )]
    fn from(reject: &Reject) -> Self {
        let reason = match *reject {
            Reject::UnknownAccount => Reason::UnknownAccount(()),
            Reject::UnknownInstrument(symbol) => Reason::UnknownInstrument(symbol.to_string()),
            Reject::UnknownOrder => Reason::UnknownOrder(()),
            Reject::InsufficientBalance {
                asset,
                scale,
                needed_minor,
                available_minor,
            } => {
                let asset = pack(asset);
                Reason::InsufficientBalance(v1::InsufficientBalance {
                    asset,
                    scale,
                    needed_minor,
                    available_minor,
                })
            }
            Reject::AccountBlocked => Reason::AccountBlocked(()),
            Reject::TradeSuspended => Reason::TradeSuspended(()),
            Reject::Halted(symbol) => Reason::Halted(symbol.to_string()),
            Reject::SessionClosed(symbol) => Reason::SessionClosed(symbol.to_string()),
            Reject::NotPositive {
                field,
                value_minor,
                scale,
            } => Reason::NotPositive(v1::FieldValue {
                field: field.number(),
                value_minor,
                scale,
            }),
            Reject::OffStep {
                field,
                value_minor,
                step_minor,
                scale,
            } => {
                let field = field.number();
                Reason::OffStep(v1::OffStep {
                    field,
                    value_minor,
                    step_minor,
                    scale,
                })
            }
            Reject::TooLarge { field } => Reason::TooLarge(field.number()),
            Reject::NoReferencePrice(symbol) => Reason::NoReferencePrice(symbol.to_string()),
            Reject::OutsideCollar {
                price_minor,
                low_minor,
                high_minor,
                scale,
            } => Reason::OutsideCollar(v1::OutsideCollar {
                price_minor,
                low_minor,
                high_minor,
                scale,
            }),
            Reject::OrderQuantityLimit {
                asked_minor,
                limit_minor,
                scale,
            } => Reason::OrderQuantityLimit(excess(asked_minor, limit_minor, scale)),
            Reject::OrderNotionalLimit {
                asked_minor,
                limit_minor,
                scale,
            } => Reason::OrderNotionalLimit(excess(asked_minor, limit_minor, scale)),
            Reject::OpenOrdersLimit { limit } => Reason::OpenOrdersLimit(limit),
            Reject::PositionLimit {
                asset,
                asked_minor,
                limit_minor,
                scale,
            } => {
                let asset = pack(asset);
                Reason::PositionLimit(v1::PositionLimit {
                    asset,
                    asked_minor,
                    limit_minor,
                    scale,
                })
            }
            Reject::DuplicateClientOrderId(ref id) => Reason::DuplicateClientOrderId(id.clone()),
            Reject::TooManyClientOrderIds { limit } => Reason::TooManyClientOrderIds(limit),
            Reject::OrderEnded => Reason::OrderEnded(()),
            Reject::ReplacePending => Reason::ReplacePending(()),
            Reject::CancelPending => Reason::CancelPending(()),
            Reject::NoSuchPrice { field } => Reason::NoSuchPrice(field.number()),
            Reject::QuantityTraded {
                asked_minor,
                traded_minor,
                scale,
            } => Reason::QuantityTraded(excess(asked_minor, traded_minor, scale)),
            Reject::Contradiction(which) => Reason::Contradiction(which.number()),
            Reject::Stale { age_s, limit_s } => Reason::Stale(v1::Age { age_s, limit_s }),
            Reject::Ahead { ahead_s, limit_s } => Reason::Ahead(v1::Age {
                age_s: ahead_s,
                limit_s,
            }),
            Reject::AccountExists => Reason::AccountExists(()),
        };
        v1::Reject {
            reason: Some(reason),
        }
    }
}

impl TryFrom<v1::Reject> for Reject {
    type Error = Error;

    #[expect(
        clippy::too_many_lines,
        reason = "one match over all reasons misses none"
    )]
    fn try_from(wire: v1::Reject) -> Result<Self, Error> {
        Ok(match present("Reject.reason", wire.reason)? {
            Reason::UnknownAccount(()) => Reject::UnknownAccount,
            Reason::UnknownInstrument(text) => {
                Reject::UnknownInstrument(symbol("Reject.unknown_instrument", &text)?)
            }
            Reason::UnknownOrder(()) => Reject::UnknownOrder,
            Reason::InsufficientBalance(wire) => Reject::InsufficientBalance {
                asset: unpack("InsufficientBalance.asset", wire.asset)?,
                scale: wire.scale,
                needed_minor: wire.needed_minor,
                available_minor: wire.available_minor,
            },
            Reason::AccountBlocked(()) => Reject::AccountBlocked,
            Reason::TradeSuspended(()) => Reject::TradeSuspended,
            Reason::SessionClosed(text) => {
                Reject::SessionClosed(symbol("Reject.session_closed", &text)?)
            }
            Reason::Halted(text) => Reject::Halted(symbol("Reject.halted", &text)?),
            Reason::NotPositive(wire) => Reject::NotPositive {
                field: choice("FieldValue.field", wire.field)?,
                value_minor: wire.value_minor,
                scale: wire.scale,
            },
            Reason::OffStep(wire) => Reject::OffStep {
                field: choice("OffStep.field", wire.field)?,
                value_minor: wire.value_minor,
                step_minor: wire.step_minor,
                scale: wire.scale,
            },
            Reason::TooLarge(number) => Reject::TooLarge {
                field: choice("Reject.too_large", number)?,
            },
            Reason::NoReferencePrice(text) => {
                Reject::NoReferencePrice(symbol("Reject.no_reference_price", &text)?)
            }
            Reason::OutsideCollar(wire) => Reject::OutsideCollar {
                price_minor: wire.price_minor,
                low_minor: wire.low_minor,
                high_minor: wire.high_minor,
                scale: wire.scale,
            },
            Reason::OrderQuantityLimit(v1::Excess {
                asked_minor,
                limit_minor,
                scale,
            }) => Reject::OrderQuantityLimit {
                asked_minor,
                limit_minor,
                scale,
            },
            Reason::OrderNotionalLimit(v1::Excess {
                asked_minor,
                limit_minor,
                scale,
            }) => Reject::OrderNotionalLimit {
                asked_minor,
                limit_minor,
                scale,
            },
            Reason::OpenOrdersLimit(limit) => Reject::OpenOrdersLimit { limit },
            Reason::PositionLimit(wire) => Reject::PositionLimit {
                asset: unpack("PositionLimit.asset", wire.asset)?,
                asked_minor: wire.asked_minor,
                limit_minor: wire.limit_minor,
                scale: wire.scale,
            },
            Reason::DuplicateClientOrderId(id) => Reject::DuplicateClientOrderId(id),
            Reason::TooManyClientOrderIds(limit) => Reject::TooManyClientOrderIds { limit },
            Reason::OrderEnded(()) => Reject::OrderEnded,
            Reason::ReplacePending(()) => Reject::ReplacePending,
            Reason::CancelPending(()) => Reject::CancelPending,
            Reason::NoSuchPrice(number) => Reject::NoSuchPrice {
                field: choice("Reject.no_such_price", number)?,
            },
            Reason::QuantityTraded(v1::Excess {
                asked_minor,
                limit_minor,
                scale,
            }) => Reject::QuantityTraded {
                asked_minor,
                traded_minor: limit_minor,
                scale,
            },
            Reason::Contradiction(number) => {
                Reject::Contradiction(choice("Reject.contradiction", number)?)
            }
            Reason::Stale(v1::Age { age_s, limit_s }) => Reject::Stale { age_s, limit_s },
            Reason::Ahead(v1::Age { age_s, limit_s }) => Reject::Ahead {
                ahead_s: age_s,
                limit_s,
            },
            Reason::AccountExists(()) => Reject::AccountExists,
        })
    }
}
