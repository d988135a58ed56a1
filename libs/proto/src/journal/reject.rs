//! Why the account stage refuses a command.
//!
//! A reason carries the numbers with which it is worded, so that a repeat is told the first decision.

use prepx_domain::reject::Reject;

use super::v1;
use crate::oneof;

oneof! {
    Reject = Reject { reason: reject::Reason {
        UnknownAccount = UnknownAccount,
        UnknownInstrument(symbol) = UnknownInstrument,
        UnknownOrder = UnknownOrder,
        InsufficientBalance { asset, scale, needed_minor, available_minor }
            = InsufficientBalance(InsufficientBalance),
        AccountBlocked = AccountBlocked,
        TradeSuspended = TradeSuspended,
        Halted(symbol) = Halted,
        SessionClosed(symbol) = SessionClosed,
        NotPositive { field, value_minor, scale } = NotPositive(FieldValue),
        OffStep { field, value_minor, step_minor, scale } = OffStep(OffStep),
        TooLarge { field } = TooLarge,
        NoReferencePrice(symbol) = NoReferencePrice,
        OutsideCollar { price_minor, low_minor, high_minor, scale } = OutsideCollar(OutsideCollar),
        OrderQuantityLimit { asked_minor, limit_minor, scale } = OrderQuantityLimit(Excess),
        OrderNotionalLimit { asked_minor, limit_minor, scale } = OrderNotionalLimit(Excess),
        OpenOrdersLimit { limit } = OpenOrdersLimit,
        PositionLimit { asset, asked_minor, limit_minor, scale } = PositionLimit(PositionLimit),
        DuplicateClientOrderId(id) = DuplicateClientOrderId,
        TooManyClientOrderIds { limit } = TooManyClientOrderIds,
        OrderEnded = OrderEnded,
        ReplacePending = ReplacePending,
        CancelPending = CancelPending,
        NoSuchPrice { field } = NoSuchPrice,
        QuantityTraded { asked_minor, scale; traded_minor as limit_minor } = QuantityTraded(Excess),
        Contradiction(which) = Contradiction,
        Stale { age_s, limit_s } = Stale(Age),
        Ahead { limit_s; ahead_s as age_s } = Ahead(Age),
        AccountExists = AccountExists,
    } }
}
