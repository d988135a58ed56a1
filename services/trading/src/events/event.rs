//! The matching stage's decisions as messages of the log.

use prepx_matching::{Event, LiveOrder, Party, Standing, Trade};
use prepx_proto::journal::v1;
use prepx_proto::{message, oneof};

use super::MatchingCodec;

oneof! {
    Event = MatchingEvent { event: matching_event::Event {
        Defined(instrument) = Defined,
        Halted { instrument where halted: true } = HaltedInstrument,
        Halted { instrument where halted: false } = ResumedInstrument,
        Reference { instrument, price_ticks; at as at_us } = Reference(ReferenceTold),
        SessionChanged { instrument, phase; until as until_us } = SessionChanged(SessionChanged),
        LevelParked { instrument, side, price_ticks } = LevelParked(LevelParked),
        Parked { live, early; notify as told } = Parked(OrderParked),
        ReleaseBegan { orders_max } = ReleaseBeganOrdersMax,
        Entered { account, order, parked } = Entered(OrderEntered),
        Rested(live) = Rested,
        Waited(live) = Waited,
        Paused(live) = Paused,
        Triggered { instrument, account, order, waited } = Triggered(StopTriggered),
        Absent { account, order } = Absent(Absent),
        Released { order } = ReleasedOrder,
        Traded(trade) = Traded,
        Replaced { instrument, account, old, new, cum_lots, stood } = Replaced(OrderLeft),
        Moved { live, from_ticks } = Moved(OrderMoved),
        Reduced { instrument, account, old, new, cum_lots, left_lots, stood }
            = Reduced(OrderReduced),
        ReplaceRejected { account, old, new, refusal } = ReplaceRejected(ReplaceRejected),
        Ended { instrument, account, order, cum_lots, end, stood } = Ended(OrderGone),
    } } by MatchingCodec
}

message! { LiveOrder = LiveOrder { order, cum_lots, triggered, pair } by MatchingCodec }

message! {
    Trade = Trade {
        instrument, trade, price_ticks, qty_lots, notional_minor, taker_side, maker, taker
    } by MatchingCodec
}

message! {
    Party = Party { execution, account, order, fee_minor, cum_lots, left_lots } by MatchingCodec
}

oneof! {
    Standing = Standing { standing: standing::Standing {
        Arriving = Arriving,
        Resting { side, price_ticks } = Resting(Place),
        Waiting = Waiting,
    } } by MatchingCodec
}
