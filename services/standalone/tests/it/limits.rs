//! Request limits over gRPC; over HTTP they are among the client tests.

use prepx_proto::trading::v1::command_result::Outcome;
use prepx_proto::trading::v1::order_command::Action;
use prepx_proto::trading::v1::trading_service_client::TradingServiceClient;
use prepx_proto::trading::v1::{CancelOrder, GetOrdersRequest, OrderCommand};
use prepx_runtime::status;

use crate::platform::Platform;
use crate::stream::{batch, order_id, place, reject, send};

/// Four orders in a minute, of which none comes back while the test runs.
const SETTINGS: &str = "
[rate_limits]
profile = \"tiers\"
tiers.free = { per_minute = 1, burst = 6 }
trading = { per_minute = 4, block_s = 600 }
";

#[tokio::test]
async fn orders_on_the_stream_are_counted_and_cancels_pass() {
    let directory = tempfile::tempdir().unwrap();
    let platform = Platform::start_with(directory.path(), SETTINGS);
    platform.add_instrument("STREAM").await;
    let key = platform.add_trader("limited@example.com", "10000").await;
    let first = batch(
        1,
        vec![place(1, 1, 100), place(2, 1, 100), place(3, 1, 100)],
    );
    let (replies, _) = send(&platform, &key, vec![first]).await;
    let order_id = order_id(&replies[0], 2);
    let cancel = OrderCommand {
        command_id: 6,
        action: Some(Action::Cancel(CancelOrder { order_id })),
    };
    let second = batch(2, vec![place(4, 1, 100), cancel, place(5, 1, 100)]);
    let (replies, end) = send(&platform, &key, vec![second]).await;
    assert!(end.is_none(), "{end:?}");
    assert_eq!(reject(&replies[0], 0), (42_910_000, "RATE_LIMITED"));
    assert_eq!(
        replies[0].results[1].outcome,
        Some(Outcome::OrderId(order_id))
    );
    assert_eq!(reject(&replies[0], 2), (42_910_000, "RATE_LIMITED"));
}

#[tokio::test]
async fn a_call_beyond_the_tier_is_refused_before_it_is_decoded_and_others_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let platform = Platform::start_with(directory.path(), SETTINGS);
    let key = platform.add_trader("busy@example.com", "1").await;
    let other = platform.add_trader("idle@example.com", "1").await;
    let mut trading = TradingServiceClient::new(platform.peer());
    for left in (0..6).rev() {
        let answer = trading
            .get_orders(key.sign(GetOrdersRequest::default()))
            .await;
        let answer = answer.expect("it is within the burst");
        assert_eq!(
            answer.metadata().get("x-ratelimit-remaining").unwrap(),
            &left.to_string()
        );
    }
    let refused = trading
        .get_orders(key.sign(GetOrdersRequest::default()))
        .await;
    let refused = refused.expect_err("the seventh");
    let told = status::read(&refused);
    assert_eq!(
        (told.code.number(), told.reason.as_str()),
        (42_910_000, "RATE_LIMITED")
    );
    assert!(
        told.retry_after_ms
            .is_some_and(|after_ms| after_ms <= 60_000),
        "{told:?}"
    );
    assert_eq!(refused.metadata().get("x-ratelimit-limit").unwrap(), "6");
    trading
        .get_orders(other.sign(GetOrdersRequest::default()))
        .await
        .expect("others go on");
}
