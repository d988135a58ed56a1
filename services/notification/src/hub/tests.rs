//! Whose events are told to whom, in which order, and how listeners end.

use std::collections::HashMap;

use futures::FutureExt as _;
use prepx_domain::update::{Change, OrderEvent, OrderView};
use prepx_domain::{Slot, fixture};
use wire::subscribe_response::Message;

use super::*;
use crate::fixture::{instrument, level, trade};

fn hub() -> Arc<Hub> {
    let hub = Arc::new(Hub::default());
    hub.define(&[view()], Micros(0));
    hub
}

fn view() -> InstrumentView {
    InstrumentView {
        instrument: instrument(),
        halted: false,
        reference_ticks: None,
    }
}

fn account(number: u16) -> AccountId {
    AccountId::next(Slot::new(number).unwrap(), Micros(1_000), None)
}

fn order_of(account: AccountId) -> AccountUpdate {
    let order = OrderView {
        account,
        instrument: instrument().id,
        ..fixture::order()
    };
    AccountUpdate {
        account,
        at: Micros(1),
        change: Change::Order {
            order: Box::new(order),
            event: OrderEvent::New,
        },
        postings: Vec::new(),
    }
}

fn wish(channel: Channel, symbol: &str) -> SubscriptionChange {
    SubscriptionChange {
        class: AssetClass::Crypto,
        more: vec![(channel, symbol.to_owned())],
        less: Vec::new(),
    }
}

/// What waits in a queue, by kind; `end` and the reason when it has ended.
fn heard(subscription: &mut Subscription) -> Vec<String> {
    let mut heard = Vec::new();
    while let Some(told) = subscription.next().now_or_never() {
        match told.map(Arc::unwrap_or_clone) {
            Ok(told) => heard.push(match told.message.unwrap() {
                Message::Subscription(_) => "subscription".to_owned(),
                Message::TradeUpdate(update) => format!("{:?}", update.event()),
                Message::Market(event) => format!("{:?}", event.channel()),
            }),
            Err(status) => {
                heard.push(format!("end {}", status::read(&status).reason));
                return heard;
            }
        }
    }
    heard
}

#[test]
fn i9_an_account_is_told_to_its_own_listeners_only() {
    let hub = hub();
    let (mut own, mut other, mut none) = (
        hub.listener().unwrap(),
        hub.listener().unwrap(),
        hub.listener().unwrap(),
    );
    own.listen(Some(account(1)));
    other.listen(Some(account(2)));
    hub.publish_accounts(&[order_of(account(1))]);
    assert_eq!(heard(&mut own), ["subscription", "New"]);
    assert_eq!(heard(&mut other), ["subscription"]);
    assert!(heard(&mut none).is_empty());
    own.listen(None);
    hub.publish_accounts(&[order_of(account(1))]);
    assert_eq!(heard(&mut own), ["subscription"], "no more");
}

#[test]
fn who_listens_before_an_instrument_is_known_hears_its_book_too() {
    let hub = Arc::new(Hub::default());
    let mut subscription = hub.listener().unwrap();
    subscription
        .change(wish(Channel::Orderbooks, EVERY))
        .unwrap();
    assert_eq!(hub.awaited(), []);
    hub.define(&[view()], Micros(0));
    assert!(hub.markets_awaited().now_or_never().is_some());
    assert_eq!(hub.awaited(), [instrument()]);
    assert!(hub.take(instrument().id, Some(Whole::at(3))));
    assert_eq!(heard(&mut subscription), ["subscription", "Orderbooks"]);
    hub.define(&[view()], Micros(0));
    assert_eq!(hub.awaited(), [], "what is known stays as it is");
}

#[test]
fn a_market_is_told_by_name_and_by_all_names_once() {
    let hub = hub();
    let mut subscription = hub.listener().unwrap();
    subscription
        .change(wish(Channel::Trades, "BTC/USD"))
        .unwrap();
    subscription.change(wish(Channel::Trades, EVERY)).unwrap();
    let mut other = hub.listener().unwrap();
    other.change(wish(Channel::Trades, "ETH/USD")).unwrap();
    hub.publish_markets(&[trade(1, 0, 100, 1)]);
    assert_eq!(
        heard(&mut subscription),
        ["subscription", "subscription", "Trades"]
    );
    assert_eq!(heard(&mut other), ["subscription"]);
}

#[test]
fn i10_a_slow_listener_hears_what_waits_and_why_it_ends_and_others_hear_all() {
    let hub = hub();
    let (mut slow, mut quick) = (hub.listener().unwrap(), hub.listener().unwrap());
    for subscription in [&slow, &quick] {
        subscription.change(wish(Channel::Trades, EVERY)).unwrap();
    }
    let mut told = 0;
    for number in 1..=QUEUE_MAX as u64 + 10 {
        hub.publish_markets(&[trade(number, 0, 100, 1)]);
        told += heard(&mut quick)
            .iter()
            .filter(|what| *what == "Trades")
            .count();
    }
    assert_eq!(told, QUEUE_MAX + 10);
    let heard = heard(&mut slow);
    assert_eq!(heard.len(), QUEUE_MAX + 1);
    assert_eq!(heard[QUEUE_MAX], "end SLOW_CONSUMER");
}

#[test]
fn a_book_is_asked_for_and_shown_whole_before_its_changes() {
    let hub = hub();
    let mut subscription = hub.listener().unwrap();
    hub.publish_markets(&[level(4, true, 99, 5)]);
    subscription
        .change(wish(Channel::Orderbooks, "BTC/USD"))
        .unwrap();
    assert_eq!(hub.awaited(), [instrument()]);
    hub.publish_markets(&[level(5, true, 98, 5)]);
    assert_eq!(heard(&mut subscription), ["subscription"]);
    let id = instrument().id;
    assert!(
        !hub.take(id, Some(Whole::at(3))),
        "older than what has gone by"
    );
    assert!(!hub.take(id, None), "there is one: a change of it has come");
    assert!(hub.take(id, Some(Whole::at(4))));
    assert!(hub.awaited().is_empty());
    hub.publish_markets(&[level(6, true, 98, 0)]);
    assert_eq!(heard(&mut subscription), ["Orderbooks", "Orderbooks"]);
    let mut later = hub.listener().unwrap();
    later.change(wish(Channel::Orderbooks, EVERY)).unwrap();
    assert_eq!(
        heard(&mut later),
        ["subscription", "Orderbooks"],
        "it is known by now"
    );
}

#[test]
fn too_many_symbols_change_nothing() {
    let hub = hub();
    let mut subscription = hub.listener().unwrap();
    let many = (0..=SYMBOLS_MAX).map(|n| (Channel::Trades, format!("S{n}")));
    let change = SubscriptionChange {
        class: AssetClass::Crypto,
        more: many.collect(),
        less: Vec::new(),
    };
    let refused = subscription.change(change).unwrap_err();
    assert_eq!(status::read(&refused).reason, "TOO_MANY_SYMBOLS");
    assert!(heard(&mut subscription).is_empty());
}

#[test]
fn who_leaves_is_forgotten_and_an_end_reaches_everyone() {
    let hub = hub();
    let gone = hub.listener().unwrap();
    gone.listen(Some(account(1)));
    gone.change(wish(Channel::Trades, EVERY)).unwrap();
    drop(gone);
    {
        let state = hub.state();
        assert!(state.listeners.is_empty() && state.accounts.is_empty());
        assert!(state.topics.values().all(HashMap::is_empty));
    }
    let mut missed = hub.listener().unwrap();
    hub.interrupt();
    assert_eq!(heard(&mut missed), ["end INTERRUPTED"]);
    let mut last = hub.listener().unwrap();
    hub.end();
    assert_eq!(heard(&mut last), ["end DRAINING"]);
    assert!(hub.listener().is_err());
}
