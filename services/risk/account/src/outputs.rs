//! The outputs of an event, derived from the event and the state after it.

use prepx_domain::message::{End, ToMatching};
use prepx_domain::update::{AccountUpdate, Ack, Change, OrderEvent, OrderView, Posting, Reply};
use prepx_domain::{AccountId, Micros, OrderId};
use uuid::Uuid;

use crate::commands::Decision;
use crate::event::Event;
use crate::state::Stage;

/// An output of the stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// To the matching partition of the instrument's slot.
    ToMatching(ToMatching),
    /// To all consumers of `portfolio-updates`.
    Update(AccountUpdate),
    /// To the sender of the command.
    Reply(Reply),
}

impl Stage {
    /// Appends the outputs of an event that has just been applied.
    pub(crate) fn emit(&self, event: &Event, now: Micros, outputs: &mut Vec<Output>) {
        self.emit_to_matching(event, outputs);
        self.emit_updates(event, now, outputs);
        match event {
            Event::Refused { command, reject } => outputs.push(Output::Reply(Reply {
                command: *command,
                outcome: Err(reject.as_ref().clone()),
            })),
            Event::Repeated { command } => outputs.extend(self.first_reply(*command)),
            _ => {
                outputs.extend(
                    event
                        .cause()
                        .and_then(|cause| self.first_reply(cause.command)),
                );
            }
        }
    }

    fn emit_to_matching(&self, event: &Event, outputs: &mut Vec<Output>) {
        match event {
            Event::Placed { order, .. } => {
                outputs.push(Output::ToMatching(ToMatching::Place(*order)));
            }
            Event::ReplaceSent { replace, .. } => {
                outputs.push(Output::ToMatching(ToMatching::Replace(*replace)));
            }
            Event::CancelSent { orders, reason, .. } => {
                for id in orders {
                    let order = self.order_of(*id);
                    // Of a pair either may live by the time the market reads this.
                    for order_id in [Some(*id), order.pending_replacement()]
                        .into_iter()
                        .flatten()
                    {
                        outputs.push(Output::ToMatching(ToMatching::Cancel {
                            account: order.book.account,
                            instrument: order.book.instrument,
                            order: order_id,
                            answered: reason.is_some(),
                        }));
                    }
                }
            }
            _ => {}
        }
    }

    fn emit_updates(&self, event: &Event, now: Micros, outputs: &mut Vec<Output>) {
        let mut postings = Vec::new();
        self.post(event, |posting| postings.push(posting));
        debug_assert!(is_balanced(&postings), "I3: {postings:?} of {event:?}");
        let mut update = |account: AccountId, change: Change, postings: Vec<Posting>| {
            outputs.push(Output::Update(AccountUpdate {
                account,
                at: now,
                change,
                postings,
            }));
        };
        match event {
            Event::Opened {
                account,
                user,
                simulated,
                ..
            } => {
                let (user, simulated) = (*user, *simulated);
                update(*account, Change::Opened { user, simulated }, postings);
            }
            Event::Deposited {
                cause,
                account,
                asset,
                amount_minor,
            } => {
                let change = Change::Deposited {
                    command: cause.command,
                    asset: *asset,
                    amount_minor: *amount_minor,
                };
                update(*account, change, postings);
            }
            Event::Withdrawn {
                cause,
                account,
                asset,
                amount_minor,
                ..
            } => {
                let change = Change::Withdrawn {
                    command: cause.command,
                    asset: *asset,
                    amount_minor: *amount_minor,
                };
                update(*account, change, postings);
            }
            Event::BlockSet {
                account, blocked, ..
            } => update(*account, Change::Blocked(*blocked), postings),
            Event::SuspensionSet {
                account, suspended, ..
            } => update(*account, Change::Suspended(*suspended), postings),
            Event::LimitsSet {
                account, limits, ..
            } => update(*account, Change::LimitsSet(*limits), postings),
            _ => self.order_changes(event, |order, event| {
                let view = self.view(order);
                let change = Change::Order {
                    event,
                    order: Box::new(view),
                };
                let account = self.order_of(order).book.account;
                update(account, change, std::mem::take(&mut postings));
            }),
        }
    }

    /// Calls `change` with what happened to which orders; the first one gets the postings.
    fn order_changes(&self, event: &Event, mut change: impl FnMut(OrderId, OrderEvent)) {
        match event {
            Event::Placed { order, .. } => {
                change(order.order, reached(order.awaits_session));
            }
            Event::Parked { order, parked, .. } => change(*order, reached(*parked)),
            Event::ReplaceSent { replace, .. } => {
                change(replace.new.order, OrderEvent::PendingNew);
                change(replace.old, OrderEvent::PendingReplace);
            }
            Event::CancelSent { orders, .. } => {
                for order in orders {
                    change(*order, OrderEvent::PendingCancel);
                }
            }
            Event::Triggered { order, .. } => change(*order, OrderEvent::Triggered),
            Event::Filled { fill, .. } => {
                let base = self.market(fill.instrument).instrument.base;
                let position_minor = self.accounts[&fill.account].balance(base).total_minor();
                let fill = *fill;
                change(
                    fill.order,
                    OrderEvent::Fill {
                        fill,
                        position_minor,
                    },
                );
            }
            Event::Replaced { old, new, .. } => {
                change(*old, OrderEvent::Replaced);
                change(*new, reached(self.order_of(*new).parked));
            }
            Event::ReplaceRejected {
                old, new, refusal, ..
            } => {
                change(*new, OrderEvent::Ended(End::Rejected(*refusal)));
                // The old one may have ended so long ago that it is no longer stored.
                if self.orders.contains_key(old) {
                    change(*old, OrderEvent::ReplaceRejected(*refusal));
                }
            }
            Event::Ended { order, end, .. } => change(*order, OrderEvent::Ended(*end)),
            _ => {}
        }
    }

    fn view(&self, id: OrderId) -> OrderView {
        let order = self.order_of(id);
        order.view(&self.market(order.book.instrument).instrument)
    }

    /// The first decision on a command, as it was sent to the caller.
    fn first_reply(&self, command: Uuid) -> Option<Output> {
        let outcome = match self.commands.get(command)? {
            Decision::Opened(account) => Ok(Ack::Opened(*account)),
            Decision::Moved(left) => Ok(Ack::Moved {
                asset: left.asset,
                available_minor: left.available_minor,
            }),
            Decision::Order(id) => Ok(match self.orders.get(id) {
                Some(order) => {
                    let instrument = &self.market(order.book.instrument).instrument;
                    Ack::Order(Box::new(order.first_view(instrument)))
                }
                None => Ack::PastOrder(*id),
            }),
            Decision::Canceling(orders) => Ok(Ack::Canceling(orders.to_vec())),
            Decision::Done => Ok(Ack::Done),
            Decision::Rejected(reject) => Err(reject.as_ref().clone()),
        };
        Some(Output::Reply(Reply { command, outcome }))
    }
}

/// The state of an accepted order: it waits for its session, or is on its way to the book.
const fn reached(parked: bool) -> OrderEvent {
    if parked {
        OrderEvent::Accepted
    } else {
        OrderEvent::New
    }
}

/// Whether postings add up to zero for each asset (I3).
pub(crate) fn is_balanced(postings: &[Posting]) -> bool {
    postings.iter().all(|leg| {
        let same = postings.iter().filter(|other| other.asset == leg.asset);
        same.map(|other| i128::from(other.amount_minor))
            .sum::<i128>()
            == 0
    })
}
