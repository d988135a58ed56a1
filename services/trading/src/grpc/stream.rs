//! The order-entry stream: batches of compact commands, decided in order, answered in order.

use std::sync::Arc;
use std::time::Duration;

use futures::future::ready;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use prepx_cache::Allowance;
use prepx_domain::message::{Action, Command, PlaceOrder, ReplaceOrder};
use prepx_domain::update::{Ack, Reply};
use prepx_domain::{AccountId, Code, Micros, OrderId, OrderKind, TimeInForce};
use prepx_proto::trading::v1 as wire;
use prepx_runtime::status::{self, invalid};
use prepx_stage::port::SubmitError;
use tonic::{Status, Streaming};
use uuid::Uuid;
use wire::command_result::Outcome;

use super::decode;
use crate::app::App;
use crate::domain::form::{self, Lifetime};
use crate::error::Error;

/// Batches that may be unanswered; further ones wait in the transport.
const BATCHES_IN_FLIGHT: usize = 64;
/// Commands in one batch.
const COMMANDS_MAX: usize = 1_000;

/// Decides the batches of one account's stream.
///
/// Batches are read and handed to the account stage one after the other, so they are decided in
/// their order; only the waiting for durability overlaps.
pub fn decide(
    app: Arc<App>,
    account: AccountId,
    allowance: Option<Allowance>,
    batches: Streaming<wire::StreamOrdersRequest>,
) -> impl Stream<Item = Result<wire::StreamOrdersResponse, Status>> {
    let reader = Arc::clone(&app);
    batches
        .and_then(move |batch| {
            let (app, allowance) = (Arc::clone(&reader), allowance.clone());
            async move {
                let mut batch = read(&app, account, batch).await?;
                if let Some(allowance) = allowance {
                    batch.count(&allowance).await;
                }
                Ok(batch)
            }
        })
        .scan(false, |ended, batch| {
            // The first batch that is none is the last: nothing behind it is decided.
            let before = std::mem::replace(ended, *ended || batch.is_err());
            ready((!before).then_some(batch))
        })
        .map(move |batch| {
            let app = Arc::clone(&app);
            async move {
                // An error takes its place behind the replies to the batches before it.
                let batch = batch?;
                let batch_id = batch.id;
                let results = batch.submit(&app).await;
                Ok(wire::StreamOrdersResponse { batch_id, results })
            }
        })
        .buffered(BATCHES_IN_FLIGHT)
}

/// A batch, read.
struct Batch {
    id: u64,
    items: Vec<Item>,
    /// When its orders may be sent again, if they are more than the account may send now.
    limited: Option<Duration>,
}

/// A command under the caller's number, or why it is none: that concerns no other command of its batch.
struct Item {
    number: u64,
    command: Result<Command, Outcome>,
}

impl Batch {
    /// Counts the orders that are placed and replaced; cancels are free.
    async fn count(&mut self, allowance: &Allowance) {
        let commands = self
            .items
            .iter()
            .filter_map(|item| item.command.as_ref().ok());
        let orders = commands.filter(|command| is_order(command)).count();
        let orders = u32::try_from(orders).unwrap_or(u32::MAX);
        if orders > 0 {
            let verdict = allowance.take(orders).await;
            self.limited = (!verdict.allowed).then_some(verdict.retry_after);
        }
    }

    /// A result for each command. Of a batch that is limited only the cancels are carried out.
    async fn submit(self, app: &App) -> Vec<wire::CommandResult> {
        let mut commands = Vec::with_capacity(self.items.len());
        let mut refused = Vec::with_capacity(self.items.len());
        for Item { number, command } in self.items {
            let refusal = match (command, self.limited) {
                (Err(refusal), _) => Some(refusal),
                (Ok(command), Some(after)) if is_order(&command) => Some(limited(after)),
                (Ok(command), _) => {
                    commands.push(command);
                    None
                }
            };
            refused.push((number, refusal));
        }
        let mut decided = app.submit(commands).await.into_iter().map(outcome);
        let result = |(command_id, refusal): (u64, Option<Outcome>)| wire::CommandResult {
            command_id,
            outcome: refusal.or_else(|| decided.next()),
        };
        refused.into_iter().map(result).collect()
    }
}

fn is_order(command: &Command) -> bool {
    matches!(command.action, Action::Place(_) | Action::Replace(_))
}

async fn read(
    app: &App,
    account: AccountId,
    batch: wire::StreamOrdersRequest,
) -> Result<Batch, Status> {
    let count = batch.commands.len();
    if !(1..=COMMANDS_MAX).contains(&count) {
        let message = format!("a batch has 1 to {COMMANDS_MAX} commands, this one has {count}");
        return Err(invalid("commands", message));
    }
    let stamped_at = match batch.stamped_at_us {
        0 => app.now(),
        at_us => Micros(at_us),
    };
    let mut items = Vec::with_capacity(count);
    for command in batch.commands {
        // The account and its own number name a command for ever: a repeat is recognised.
        let number = command.command_id;
        let id = Uuid::from_u64_pair(account.raw().unsigned_abs(), number);
        let action = action(app, account, id, command.action).await;
        let command = action.map(|action| Command {
            id,
            stamped_at,
            slot: account.slot(),
            action,
        });
        let command = command.map_err(|status| malformed(&status));
        items.push(Item { number, command });
    }
    Ok(Batch {
        id: batch.batch_id,
        items,
        limited: None,
    })
}

async fn action(
    app: &App,
    account: AccountId,
    id: Uuid,
    action: Option<wire::order_command::Action>,
) -> Result<Action, Status> {
    use wire::order_command::Action as Wire;
    Ok(match action {
        None => {
            let message = "a command has one action: place, replace or cancel";
            return Err(invalid("action", message));
        }
        Some(Wire::Place(place)) => Action::Place(read_place(app, account, id, place).await?),
        Some(Wire::Replace(replace)) => Action::Replace(read_replace(account, id, replace)?),
        Some(Wire::Cancel(cancel)) => Action::Cancel {
            account,
            order: order_id(cancel.order_id)?,
        },
    })
}

async fn read_place(
    app: &App,
    account: AccountId,
    id: Uuid,
    place: wire::PlaceOrder,
) -> Result<PlaceOrder, Status> {
    let side = form::check_side(decode::side(place.side())).map_err(Error::Form)?;
    let time_in_force = match decode::lifetime(place.time_in_force()) {
        None => TimeInForce::GoodTilCanceled,
        Some(lifetime) => lifetime.known().map_err(Error::Form)?,
    };
    let symbol = place
        .symbol
        .parse()
        .map_err(|error| invalid("symbol", format!("symbol: {error}")))?;
    let expires_at = match time_in_force {
        TimeInForce::Day => {
            let calendar = app.instrument(&place.symbol).await?.calendar;
            Some(
                app.nyse()
                    .day_end(calendar, place.extended_hours, app.now()),
            )
        }
        _ => None,
    };
    Ok(PlaceOrder {
        account,
        symbol,
        side,
        kind: kind(&place)?,
        time_in_force,
        qty_minor: place.qty_e8,
        post_only: place.post_only,
        extended_hours: place.extended_hours,
        expires_at,
        client_order_id: name(place.client_order_id, id)?,
    })
}

fn read_replace(
    account: AccountId,
    id: Uuid,
    replace: wire::ReplaceOrder,
) -> Result<ReplaceOrder, Status> {
    let time_in_force = match decode::lifetime(replace.time_in_force()) {
        None => None,
        Some(Lifetime::Known(TimeInForce::GoodTilCanceled)) => {
            Some((TimeInForce::GoodTilCanceled, None))
        }
        Some(_) => {
            let message = "on the stream time_in_force can be replaced by gtc only";
            return Err(invalid("time_in_force", message));
        }
    };
    let replace = ReplaceOrder {
        account,
        order: order_id(replace.order_id)?,
        qty_minor: given(replace.qty_e8),
        limit_minor: given(replace.limit_price_e8),
        stop_minor: given(replace.stop_price_e8),
        time_in_force,
        client_order_id: name(replace.client_order_id, id)?,
    };
    form::check_changes(&replace).map_err(Error::Form)?;
    Ok(replace)
}

fn kind(place: &wire::PlaceOrder) -> Result<OrderKind, Status> {
    let (limit, stop) = (place.limit_price_e8, place.stop_price_e8);
    match (place.r#type(), limit != 0, stop != 0) {
        (wire::OrderType::Market, false, false) => Ok(OrderKind::Market),
        (wire::OrderType::Limit, true, false) => Ok(OrderKind::Limit { limit }),
        (wire::OrderType::Stop, false, true) => Ok(OrderKind::Stop { stop }),
        (wire::OrderType::StopLimit, true, true) => Ok(OrderKind::StopLimit { stop, limit }),
        _ => Err(invalid(
            "type",
            "type and prices contradict: market has none, limit a limit price, stop a stop price, stop_limit both",
        )),
    }
}

fn given(value: i64) -> Option<i64> {
    (value != 0).then_some(value)
}

fn order_id(raw: u64) -> Result<OrderId, Status> {
    i64::try_from(raw)
        .ok()
        .and_then(OrderId::new)
        .ok_or_else(|| invalid("order_id", format!("{raw} is no order's number")))
}

fn name(given: String, id: Uuid) -> Result<String, Status> {
    if given.is_empty() {
        return Ok(id.to_string());
    }
    form::check_name(&given).map_err(Error::Form)?;
    Ok(given)
}

fn reject(code: Code, reason: &str, message: String) -> Outcome {
    Outcome::Reject(wire::CommandReject {
        code: code.number(),
        reason: reason.to_owned(),
        message,
    })
}

/// Why a command is none that the stage could decide.
fn malformed(status: &Status) -> Outcome {
    let error = status::read(status);
    reject(error.code, &error.reason, error.message.clone())
}

fn limited(after: Duration) -> Outcome {
    let message = format!(
        "too many orders for the account by the limit \"trading\"; the orders of this batch were not accepted, try again in {} ms",
        after.as_millis() + 1
    );
    reject(Code::TooManyRequests, "RATE_LIMITED", message)
}

fn outcome(decided: Result<Reply, SubmitError>) -> Outcome {
    match decided {
        Ok(Reply {
            outcome: Ok(ack), ..
        }) => Outcome::OrderId(order_of(&ack)),
        Ok(Reply {
            outcome: Err(refusal),
            ..
        }) => {
            let error = Error::from(refusal);
            reject(error.code(), error.reason(), error.to_string())
        }
        Err(error) => reject(error.code(), error.reason(), error.to_string()),
    }
}

/// The order that a command made, replaced with or asked to cancel.
fn order_of(ack: &Ack) -> u64 {
    match ack {
        Ack::Order(order) => order.id.raw().unsigned_abs(),
        Ack::PastOrder(order) => order.raw().unsigned_abs(),
        Ack::Canceling(orders) => orders.first().map_or(0, |id| id.raw().unsigned_abs()),
        Ack::Opened(_) | Ack::Moved { .. } | Ack::Done => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_without_a_decision_is_refused_as_in_a_single_call() {
        let retry_after = Duration::from_millis(50);
        for error in [
            SubmitError::Busy { retry_after },
            SubmitError::Closed("this process is draining".to_owned()),
            SubmitError::Unknown("no answer".to_owned()),
        ] {
            let single = (error.code().number(), error.reason().to_owned());
            let Outcome::Reject(refused) = outcome(Err(error)) else {
                panic!("nothing was decided");
            };
            assert_eq!((refused.code, refused.reason), single);
        }
    }
}
