//! The orders of an account of all time: what the account stage remembers and what it has forgotten, as one
//! list.
//!
//! The stage is asked first. An order that it has forgotten by then had ended, durably, before that, so
//! it is among the past orders that are read afterwards.

use prepx_domain::AccountId;
use prepx_domain::update::OrderView;
use prepx_stage::port::{AccountPort, HistoryPort, PastOrders, PastQuery, WhichOrders};

use crate::app::{OrderQuery, QueryStatus};
use crate::error::Error;

/// One order of an account. `remembered` and `past` name the same one.
pub async fn order(
    accounts: &dyn AccountPort,
    history: &dyn HistoryPort,
    account: AccountId,
    remembered: WhichOrders,
    past: PastOrders,
) -> Result<Option<OrderView>, Error> {
    let mut found = accounts.orders(account, remembered).await?;
    if found.is_empty() {
        found = history.past_orders(account, past).await?;
    }
    Ok(found.pop())
}

/// The orders of an account that a query asks for.
pub async fn orders(
    accounts: &dyn AccountPort,
    history: &dyn HistoryPort,
    account: AccountId,
    query: &OrderQuery,
) -> Result<Vec<OrderView>, Error> {
    let remembered = match query.status {
        QueryStatus::Open => WhichOrders::Open,
        QueryStatus::Closed | QueryStatus::All => WhichOrders::Remembered,
    };
    let remembered = accounts.orders(account, remembered).await?;
    let past = match query.status {
        // The stage never forgets one that lives.
        QueryStatus::Open => Vec::new(),
        QueryStatus::Closed | QueryStatus::All => {
            let past = PastOrders::Query(past_query(query));
            history.past_orders(account, past).await?
        }
    };
    Ok(merge(remembered, past, query))
}

fn past_query(query: &OrderQuery) -> PastQuery {
    PastQuery {
        only_ended: query.status == QueryStatus::Closed,
        after: query.after,
        until: query.until,
        side: query.side,
        symbols: query.symbols.clone(),
        newest_first: query.newest_first,
        limit: u32::try_from(query.limit).unwrap_or(u32::MAX),
    }
}

/// Both lists as one, each order once, by id. Of an order in both the stage's view stands, unless
/// the books are already ahead of it.
fn merge(remembered: Vec<OrderView>, past: Vec<OrderView>, query: &OrderQuery) -> Vec<OrderView> {
    let mut all = remembered;
    all.extend(past);
    // The sort is stable: of equals in time the stage's stays first.
    all.sort_by_key(|order| (order.id, std::cmp::Reverse(order.updated_at)));
    all.dedup_by_key(|order| order.id);
    all.retain(|order| query.shows(order));
    if query.newest_first {
        all.reverse();
    }
    all.truncate(query.limit);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use prepx_domain::{
        InstrumentId, Micros, OrderId, OrderKind, OrderStatus, Side, Slot, TimeInForce,
    };

    /// Ids begin with the milliseconds since this moment.
    const START_US: i64 = 1_760_000_000_000_000;

    fn view(ms: i64, status: OrderStatus, updated_us: i64) -> OrderView {
        let slot = Slot::new(1).unwrap();
        OrderView {
            id: OrderId::next(slot, Micros(START_US + ms * 1_000), None),
            account: AccountId::next(slot, Micros(1_000), None),
            client_order_id: ms.to_string(),
            instrument: InstrumentId::next(slot, Micros(1_000), None),
            symbol: "BTC/USD".parse().unwrap(),
            side: Side::Buy,
            kind: OrderKind::Market,
            time_in_force: TimeInForce::Day,
            post_only: false,
            extended_hours: false,
            status,
            qty_minor: 1,
            filled_minor: 0,
            filled_notional_minor: 0,
            fee_minor: 0,
            held_minor: 0,
            created_at: Micros(ms * 1_000),
            updated_at: Micros(updated_us),
            expires_at: None,
            ended_at: None,
            end: None,
            replaces: None,
            replaced_by: None,
        }
    }

    fn query(status: QueryStatus, limit: usize, newest_first: bool) -> OrderQuery {
        OrderQuery {
            status,
            limit,
            after: None,
            until: None,
            newest_first,
            side: None,
            symbols: Vec::new(),
        }
    }

    #[test]
    fn both_lists_are_one_and_an_order_is_in_it_once() {
        let new = || view(3, OrderStatus::New, 3_000);
        let ended = view(2, OrderStatus::Canceled, 9_000);
        let forgotten = view(1, OrderStatus::Filled, 1_500);
        let stale = view(2, OrderStatus::New, 2_000);
        let names = |orders: Vec<OrderView>| -> Vec<(String, OrderStatus)> {
            let name = |order: OrderView| (order.client_order_id, order.status);
            orders.into_iter().map(name).collect()
        };
        let all = merge(
            vec![ended.clone(), new()],
            vec![forgotten.clone(), stale, new()],
            &query(QueryStatus::All, 50, true),
        );
        let of = |name: &str, status| (name.to_owned(), status);
        assert_eq!(
            names(all),
            [
                of("3", OrderStatus::New),
                of("2", OrderStatus::Canceled),
                of("1", OrderStatus::Filled)
            ]
        );
        let closed = query(QueryStatus::Closed, 1, false);
        let oldest = merge(vec![ended, new()], vec![forgotten], &closed);
        assert_eq!(names(oldest), [of("1", OrderStatus::Filled)]);
    }
}
