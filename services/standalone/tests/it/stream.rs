//! The order-entry stream.

use prepx_proto::trading::v1::command_result::Outcome;
use prepx_proto::trading::v1::order_command::Action;
use prepx_proto::trading::v1::trading_service_client::TradingServiceClient;
use prepx_proto::trading::v1::{
    CancelOrder, OrderCommand, OrderSide, OrderType, PlaceOrder, ReplaceOrder, StreamOrdersRequest,
    StreamOrdersResponse, TimeInForce,
};
use tonic::{Code, Status};

use crate::platform::{Key, Platform};

pub fn place(command_id: u64, qty: i64, price: i64) -> OrderCommand {
    let place = PlaceOrder {
        symbol: "STREAM".into(),
        side: OrderSide::Buy.into(),
        r#type: OrderType::Limit.into(),
        qty_e8: qty * 100_000_000,
        limit_price_e8: price * 100_000_000,
        ..PlaceOrder::default()
    };
    OrderCommand {
        command_id,
        action: Some(Action::Place(place)),
    }
}

pub fn batch(batch_id: u64, commands: Vec<OrderCommand>) -> StreamOrdersRequest {
    StreamOrdersRequest {
        batch_id,
        stamped_at_us: 0,
        commands,
    }
}

/// Sends all batches and gathers the replies until the stream ends.
pub async fn send(
    platform: &Platform,
    key: &Key,
    batches: Vec<StreamOrdersRequest>,
) -> (Vec<StreamOrdersResponse>, Option<Status>) {
    let request = key.sign(futures::stream::iter(batches));
    let stream = TradingServiceClient::new(platform.peer())
        .stream_orders(request)
        .await;
    let mut stream = stream.expect("it opens").into_inner();
    let mut replies = Vec::new();
    loop {
        match stream.message().await {
            Ok(Some(reply)) => replies.push(reply),
            Ok(None) => return (replies, None),
            Err(status) => return (replies, Some(status)),
        }
    }
}

pub fn order_id(reply: &StreamOrdersResponse, index: usize) -> u64 {
    match &reply.results[index].outcome {
        Some(Outcome::OrderId(id)) => *id,
        other => panic!("instead of an order: {other:?}"),
    }
}

pub fn reject(reply: &StreamOrdersResponse, index: usize) -> (u32, &str) {
    match &reply.results[index].outcome {
        Some(Outcome::Reject(reject)) => (reject.code, &reject.reason),
        other => panic!("instead of a reject: {other:?}"),
    }
}

#[tokio::test]
async fn batches_are_decided_in_order_and_repeats_get_the_first_decision() {
    let directory = tempfile::tempdir().unwrap();
    let platform = Platform::start(directory.path());
    platform.add_instrument("STREAM").await;
    let key = platform.add_trader("stream@example.com", "1000").await;

    // 3 × 100 and 6 × 99 are 894; what is left of 1,000 does not buy another 2 at 100.
    let first = batch(1, vec![place(1, 3, 100), place(2, 6, 99), place(3, 2, 100)]);
    let again = batch(2, vec![place(1, 3, 100), place(3, 2, 100)]);
    let (replies, end) = send(&platform, &key, vec![first, again]).await;
    assert!(end.is_none(), "{end:?}");
    assert_eq!(
        replies
            .iter()
            .map(|reply| reply.batch_id)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(reject(&replies[0], 2), (40_310_000, "INSUFFICIENT_BALANCE"));
    assert_eq!(order_id(&replies[1], 0), order_id(&replies[0], 0));
    assert_eq!(reject(&replies[1], 1), reject(&replies[0], 2));

    let (one, two) = (order_id(&replies[0], 0), order_id(&replies[0], 1));
    let replace = ReplaceOrder {
        order_id: one,
        qty_e8: 200_000_000,
        ..ReplaceOrder::default()
    };
    let commands = vec![
        OrderCommand {
            command_id: 4,
            action: Some(Action::Replace(replace)),
        },
        OrderCommand {
            command_id: 5,
            action: Some(Action::Cancel(CancelOrder { order_id: two })),
        },
        OrderCommand {
            command_id: 6,
            action: Some(Action::Cancel(CancelOrder { order_id: 7 })),
        },
    ];
    let (replies, end) = send(&platform, &key, vec![batch(3, commands)]).await;
    assert!(end.is_none(), "{end:?}");
    assert_ne!(order_id(&replies[0], 0), one);
    assert_eq!(order_id(&replies[0], 1), two);
    assert_eq!(reject(&replies[0], 2), (40_410_000, "UNKNOWN_ORDER"));
}

#[tokio::test]
async fn a_command_that_is_none_is_refused_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let platform = Platform::start(directory.path());
    platform.add_instrument("STREAM").await;
    let key = platform.add_trader("stream@example.com", "1000").await;
    let changed = |command_id: u64, change: fn(&mut PlaceOrder)| {
        let mut command = place(command_id, 1, 100);
        if let Some(Action::Place(place)) = &mut command.action {
            change(place);
        }
        command
    };
    let none = OrderCommand {
        command_id: 2,
        action: None,
    };
    let unknown = OrderCommand {
        command_id: 3,
        action: Some(Action::Cancel(CancelOrder { order_id: u64::MAX })),
    };
    let commands = vec![
        place(1, 1, 100),
        none,
        unknown,
        changed(4, |place| place.side = 0),
        changed(5, |place| place.limit_price_e8 = 0),
        changed(6, |place| place.client_order_id = "x".repeat(129)),
        changed(7, |place| {
            place.symbol = "NOWHERE".into();
            place.time_in_force = TimeInForce::Day.into();
        }),
        place(8, 1, 100),
        changed(9, |place| place.client_order_id = "a\0b".into()),
        changed(10, |place| place.symbol = "NOWHERE".into()),
        OrderCommand {
            command_id: 11,
            action: Some(Action::Replace(ReplaceOrder {
                order_id: 1 << 40,
                client_order_id: "a name alone".into(),
                ..ReplaceOrder::default()
            })),
        },
    ];
    let (replies, end) = send(&platform, &key, vec![batch(1, commands)]).await;
    assert!(end.is_none(), "{end:?}");
    let numbers = replies[0].results.iter().map(|result| result.command_id);
    assert_eq!(
        numbers.collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    );
    for index in [1, 2, 3, 4, 5, 8, 10] {
        assert_eq!(reject(&replies[0], index), (42_210_000, "INVALID_FIELD"));
    }
    for index in [6, 9] {
        assert_eq!(reject(&replies[0], index), (40_410_000, "UNKNOWN_ASSET"));
    }
    assert!(order_id(&replies[0], 7) > order_id(&replies[0], 0));
}

#[tokio::test]
async fn a_batch_that_is_none_ends_the_stream_after_the_replies_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let platform = Platform::start(directory.path());
    platform.add_instrument("STREAM").await;
    let key = platform.add_trader("stream@example.com", "1000").await;
    let batches = vec![batch(1, vec![place(1, 1, 100)]), batch(2, Vec::new())];
    let (replies, end) = send(&platform, &key, batches).await;
    assert_eq!(replies.len(), 1);
    assert_eq!(end.map(|status| status.code()), Some(Code::InvalidArgument));
}
