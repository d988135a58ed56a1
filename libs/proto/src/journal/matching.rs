//! What the account stage and the matching stage tell each other.

use prepx_domain::message::{BookOrder, BookReplace, End, Fill, Refusal, ToAccount, ToMatching};

use super::v1;
use crate::{message, oneof};

oneof! {
    ToMatching = ToMatching { message: to_matching::Message {
        Define(instrument) = Define,
        Halt(instrument) = HaltInstrument,
        Resume(instrument) = ResumeInstrument,
        Place(order) = Place,
        Replace(replace) = Replace,
        Cancel { account, instrument, order, answered } = Cancel(BookCancel),
    } }
}

message! {
    BookOrder = BookOrder {
        order, account, instrument, side, time_in_force, qty_lots, protect_ticks, post_only,
        extended_hours, awaits_session; expires_at as expires_at_us
    } where kind in (r#type, limit_ticks, stop_ticks)
}

message! { BookReplace = BookReplace { old, new } }

oneof! {
    ToAccount = ToAccount { message: to_account::Message {
        Defined(instrument) = Defined,
        Halted { instrument where halted: true } = HaltedInstrument,
        Halted { instrument where halted: false } = ResumedInstrument,
        Reference { instrument, price_ticks } = Reference(Reference),
        Session { instrument, phase } = Session(Session),
        Absent { account, order } = Absent(Absent),
        Parked { account, order } = Parked(Parked),
        Entered { account, order } = Entered(Entered),
        Triggered { account, order } = Triggered(Triggered),
        Fill(fill) = Fill,
        Replaced { account, old, new, cum_lots } = Replaced(Replaced),
        ReplaceRejected { account, old, new, refusal } = ReplaceRejected(ReplaceRejected),
        Ended { account, order, cum_lots, end } = Ended(Ended),
    } }
}

message! {
    Fill = Fill {
        execution, trade, account, order, instrument, side, price_ticks, qty_lots, notional_minor,
        fee_minor, cum_lots, maker
    }
}

oneof! {
    End = End { end: end::End {
        Filled = Filled,
        Canceled(reason) = Canceled,
        Expired = Expired,
        Rejected(refusal) = Rejected,
    } }
}

oneof! {
    Refusal = Refusal { reason: refusal::Reason {
        PostOnlyWouldTrade = PostOnlyWouldTrade,
        OutsideCollar { low_ticks, high_ticks } = OutsideCollar(Band),
        Halted = Halted,
        SessionClosed = SessionClosed,
        UnknownInstrument = UnknownInstrument,
        NotLiving = NotLiving,
        QuantityTraded { cum_lots } = QuantityTradedLots,
    } }
}
