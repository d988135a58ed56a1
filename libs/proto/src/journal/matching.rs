//! What the account stage and the matching stage tell each other.

use prepx_domain::Micros;
use prepx_domain::message::{
    BookOrder, BookReplace, CancelReason, End, Fill, Refusal, ToAccount, ToMatching,
};

use super::value::{Choice as _, choice, id, kind, kind_parts, optional_us, present};
use super::{Error, v1};

impl From<&ToMatching> for v1::ToMatching {
    fn from(message: &ToMatching) -> Self {
        use v1::to_matching::Message as Wire;
        let wire = match message {
            ToMatching::Define(instrument) => Wire::Define(instrument.into()),
            ToMatching::Halt(instrument) => Wire::HaltInstrument(instrument.raw()),
            ToMatching::Resume(instrument) => Wire::ResumeInstrument(instrument.raw()),
            ToMatching::Place(order) => Wire::Place(order.into()),
            ToMatching::Replace(replace) => Wire::Replace(replace.into()),
            ToMatching::Cancel {
                account,
                instrument,
                order,
                answered,
            } => Wire::Cancel(v1::BookCancel {
                account: account.raw(),
                instrument: instrument.raw(),
                order: order.raw(),
                answered: *answered,
            }),
        };
        v1::ToMatching {
            message: Some(wire),
        }
    }
}

impl TryFrom<v1::ToMatching> for ToMatching {
    type Error = Error;

    fn try_from(wire: v1::ToMatching) -> Result<Self, Error> {
        use v1::to_matching::Message as Wire;
        Ok(match present("ToMatching.message", wire.message)? {
            Wire::Define(instrument) => ToMatching::Define(instrument.try_into()?),
            Wire::HaltInstrument(raw) => ToMatching::Halt(id("ToMatching.halt_instrument", raw)?),
            Wire::ResumeInstrument(raw) => {
                ToMatching::Resume(id("ToMatching.resume_instrument", raw)?)
            }
            Wire::Place(order) => ToMatching::Place(order.try_into()?),
            Wire::Replace(replace) => ToMatching::Replace(replace.try_into()?),
            Wire::Cancel(cancel) => ToMatching::Cancel {
                account: id("BookCancel.account", cancel.account)?,
                instrument: id("BookCancel.instrument", cancel.instrument)?,
                order: id("BookCancel.order", cancel.order)?,
                answered: cancel.answered,
            },
        })
    }
}

impl From<&BookOrder> for v1::BookOrder {
    fn from(order: &BookOrder) -> Self {
        let (order_type, limit_ticks, stop_ticks) = kind_parts(order.kind);
        v1::BookOrder {
            order: order.order.raw(),
            account: order.account.raw(),
            instrument: order.instrument.raw(),
            side: order.side.number(),
            r#type: order_type,
            limit_ticks,
            stop_ticks,
            time_in_force: order.time_in_force.number(),
            qty_lots: order.qty_lots,
            protect_ticks: order.protect_ticks,
            post_only: order.post_only,
            expires_at_us: optional_us(order.expires_at),
            extended_hours: order.extended_hours,
            awaits_session: order.awaits_session,
        }
    }
}

impl TryFrom<v1::BookOrder> for BookOrder {
    type Error = Error;

    fn try_from(wire: v1::BookOrder) -> Result<Self, Error> {
        Ok(BookOrder {
            order: id("BookOrder.order", wire.order)?,
            account: id("BookOrder.account", wire.account)?,
            instrument: id("BookOrder.instrument", wire.instrument)?,
            side: choice("BookOrder.side", wire.side)?,
            kind: kind(
                "BookOrder.type",
                wire.r#type,
                wire.limit_ticks,
                wire.stop_ticks,
            )?,
            time_in_force: choice("BookOrder.time_in_force", wire.time_in_force)?,
            qty_lots: wire.qty_lots,
            protect_ticks: wire.protect_ticks,
            post_only: wire.post_only,
            expires_at: wire.expires_at_us.map(Micros),
            extended_hours: wire.extended_hours,
            awaits_session: wire.awaits_session,
        })
    }
}

impl From<&BookReplace> for v1::BookReplace {
    fn from(replace: &BookReplace) -> Self {
        v1::BookReplace {
            old: replace.old.raw(),
            new: Some((&replace.new).into()),
        }
    }
}

impl TryFrom<v1::BookReplace> for BookReplace {
    type Error = Error;

    fn try_from(wire: v1::BookReplace) -> Result<Self, Error> {
        Ok(BookReplace {
            old: id("BookReplace.old", wire.old)?,
            new: present("BookReplace.new", wire.new)?.try_into()?,
        })
    }
}

impl From<&ToAccount> for v1::ToAccount {
    #[expect(
        clippy::too_many_lines,
        reason = "one match over all messages misses none"
    )]
    fn from(message: &ToAccount) -> Self {
        use v1::to_account::Message as Wire;
        let wire = match message {
            ToAccount::Defined(instrument) => Wire::Defined(instrument.into()),
            ToAccount::Halted {
                instrument,
                halted: true,
            } => Wire::HaltedInstrument(instrument.raw()),
            ToAccount::Halted {
                instrument,
                halted: false,
            } => Wire::ResumedInstrument(instrument.raw()),
            &ToAccount::Reference {
                instrument,
                price_ticks,
            } => Wire::Reference(v1::Reference {
                instrument: instrument.raw(),
                price_ticks,
            }),
            &ToAccount::Session { instrument, phase } => Wire::Session(v1::Session {
                instrument: instrument.raw(),
                phase: phase.number(),
            }),
            ToAccount::Absent { account, order } => Wire::Absent(v1::Absent {
                account: account.raw(),
                order: order.raw(),
            }),
            ToAccount::Parked { account, order } => Wire::Parked(v1::Parked {
                account: account.raw(),
                order: order.raw(),
            }),
            ToAccount::Entered { account, order } => Wire::Entered(v1::Entered {
                account: account.raw(),
                order: order.raw(),
            }),
            ToAccount::Triggered { account, order } => Wire::Triggered(v1::Triggered {
                account: account.raw(),
                order: order.raw(),
            }),
            ToAccount::Fill(fill) => Wire::Fill(fill.into()),
            &ToAccount::Replaced {
                account,
                old,
                new,
                cum_lots,
            } => Wire::Replaced(v1::Replaced {
                account: account.raw(),
                old: old.raw(),
                new: new.raw(),
                cum_lots,
            }),
            ToAccount::ReplaceRejected {
                account,
                old,
                new,
                refusal,
            } => Wire::ReplaceRejected(v1::ReplaceRejected {
                account: account.raw(),
                old: old.raw(),
                new: new.raw(),
                refusal: Some((*refusal).into()),
            }),
            ToAccount::Ended {
                account,
                order,
                cum_lots,
                end,
            } => Wire::Ended(v1::Ended {
                account: account.raw(),
                order: order.raw(),
                cum_lots: *cum_lots,
                end: Some((*end).into()),
            }),
        };
        v1::ToAccount {
            message: Some(wire),
        }
    }
}

impl TryFrom<v1::ToAccount> for ToAccount {
    type Error = Error;

    fn try_from(wire: v1::ToAccount) -> Result<Self, Error> {
        use v1::to_account::Message as Wire;
        Ok(match present("ToAccount.message", wire.message)? {
            Wire::Defined(instrument) => ToAccount::Defined(instrument.try_into()?),
            Wire::HaltedInstrument(raw) => ToAccount::Halted {
                instrument: id("ToAccount.halted_instrument", raw)?,
                halted: true,
            },
            Wire::ResumedInstrument(raw) => ToAccount::Halted {
                instrument: id("ToAccount.resumed_instrument", raw)?,
                halted: false,
            },
            Wire::Reference(reference) => ToAccount::Reference {
                instrument: id("Reference.instrument", reference.instrument)?,
                price_ticks: reference.price_ticks,
            },
            Wire::Session(session) => ToAccount::Session {
                instrument: id("Session.instrument", session.instrument)?,
                phase: choice("Session.phase", session.phase)?,
            },
            Wire::Absent(absent) => ToAccount::Absent {
                account: id("Absent.account", absent.account)?,
                order: id("Absent.order", absent.order)?,
            },
            Wire::Parked(parked) => ToAccount::Parked {
                account: id("Parked.account", parked.account)?,
                order: id("Parked.order", parked.order)?,
            },
            Wire::Entered(entered) => ToAccount::Entered {
                account: id("Entered.account", entered.account)?,
                order: id("Entered.order", entered.order)?,
            },
            Wire::Triggered(triggered) => ToAccount::Triggered {
                account: id("Triggered.account", triggered.account)?,
                order: id("Triggered.order", triggered.order)?,
            },
            Wire::Fill(fill) => ToAccount::Fill(fill.try_into()?),
            Wire::Replaced(replaced) => ToAccount::Replaced {
                account: id("Replaced.account", replaced.account)?,
                old: id("Replaced.old", replaced.old)?,
                new: id("Replaced.new", replaced.new)?,
                cum_lots: replaced.cum_lots,
            },
            Wire::ReplaceRejected(rejected) => ToAccount::ReplaceRejected {
                account: id("ReplaceRejected.account", rejected.account)?,
                old: id("ReplaceRejected.old", rejected.old)?,
                new: id("ReplaceRejected.new", rejected.new)?,
                refusal: present("ReplaceRejected.refusal", rejected.refusal)?.try_into()?,
            },
            Wire::Ended(ended) => ToAccount::Ended {
                account: id("Ended.account", ended.account)?,
                order: id("Ended.order", ended.order)?,
                cum_lots: ended.cum_lots,
                end: present("Ended.end", ended.end)?.try_into()?,
            },
        })
    }
}

impl From<&Fill> for v1::Fill {
    fn from(fill: &Fill) -> Self {
        v1::Fill {
            execution: fill.execution.raw(),
            trade: fill.trade.raw(),
            account: fill.account.raw(),
            order: fill.order.raw(),
            instrument: fill.instrument.raw(),
            side: fill.side.number(),
            price_ticks: fill.price_ticks,
            qty_lots: fill.qty_lots,
            notional_minor: fill.notional_minor,
            fee_minor: fill.fee_minor,
            cum_lots: fill.cum_lots,
            maker: fill.maker,
        }
    }
}

impl TryFrom<v1::Fill> for Fill {
    type Error = Error;

    fn try_from(wire: v1::Fill) -> Result<Self, Error> {
        Ok(Fill {
            execution: id("Fill.execution", wire.execution)?,
            trade: id("Fill.trade", wire.trade)?,
            account: id("Fill.account", wire.account)?,
            order: id("Fill.order", wire.order)?,
            instrument: id("Fill.instrument", wire.instrument)?,
            side: choice("Fill.side", wire.side)?,
            price_ticks: wire.price_ticks,
            qty_lots: wire.qty_lots,
            notional_minor: wire.notional_minor,
            fee_minor: wire.fee_minor,
            cum_lots: wire.cum_lots,
            maker: wire.maker,
        })
    }
}

impl From<End> for v1::End {
    fn from(end: End) -> Self {
        use v1::end::End as Wire;
        let wire = match end {
            End::Filled => Wire::Filled(()),
            End::Canceled(reason) => Wire::Canceled(reason.number()),
            End::Expired => Wire::Expired(()),
            End::Rejected(refusal) => Wire::Rejected(refusal.into()),
        };
        v1::End { end: Some(wire) }
    }
}

impl TryFrom<v1::End> for End {
    type Error = Error;

    fn try_from(wire: v1::End) -> Result<Self, Error> {
        use v1::end::End as Wire;
        Ok(match present("End.end", wire.end)? {
            Wire::Filled(()) => End::Filled,
            Wire::Canceled(reason) => {
                End::Canceled(choice::<CancelReason>("End.canceled", reason)?)
            }
            Wire::Expired(()) => End::Expired,
            Wire::Rejected(refusal) => End::Rejected(refusal.try_into()?),
        })
    }
}

impl From<Refusal> for v1::Refusal {
    fn from(refusal: Refusal) -> Self {
        use v1::refusal::Reason as Wire;
        let wire = match refusal {
            Refusal::PostOnlyWouldTrade => Wire::PostOnlyWouldTrade(()),
            Refusal::OutsideCollar {
                low_ticks,
                high_ticks,
            } => Wire::OutsideCollar(v1::Band {
                low_ticks,
                high_ticks,
            }),
            Refusal::Halted => Wire::Halted(()),
            Refusal::SessionClosed => Wire::SessionClosed(()),
            Refusal::UnknownInstrument => Wire::UnknownInstrument(()),
            Refusal::NotLiving => Wire::NotLiving(()),
            Refusal::QuantityTraded { cum_lots } => Wire::QuantityTradedLots(cum_lots),
        };
        v1::Refusal { reason: Some(wire) }
    }
}

impl TryFrom<v1::Refusal> for Refusal {
    type Error = Error;

    fn try_from(wire: v1::Refusal) -> Result<Self, Error> {
        use v1::refusal::Reason as Wire;
        Ok(match present("Refusal.reason", wire.reason)? {
            Wire::PostOnlyWouldTrade(()) => Refusal::PostOnlyWouldTrade,
            Wire::OutsideCollar(v1::Band {
                low_ticks,
                high_ticks,
            }) => Refusal::OutsideCollar {
                low_ticks,
                high_ticks,
            },
            Wire::Halted(()) => Refusal::Halted,
            Wire::SessionClosed(()) => Refusal::SessionClosed,
            Wire::UnknownInstrument(()) => Refusal::UnknownInstrument,
            Wire::NotLiving(()) => Refusal::NotLiving,
            Wire::QuantityTradedLots(cum_lots) => Refusal::QuantityTraded { cum_lots },
        })
    }
}
