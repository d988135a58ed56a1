//! Streams and the keys that they were opened with.

use prepx_proto::notification::v1::notification_service_client::NotificationServiceClient;
use prepx_proto::notification::v1::subscribe_request::Change;
use prepx_proto::notification::v1::subscribe_response::Message;
use prepx_proto::notification::v1::{ListenAccount, SubscribeRequest};
use prepx_proto::trading::v1::trading_service_client::TradingServiceClient;
use prepx_proto::trading::v1::{OrderSide, OrderType, SubmitOrderRequest, TimeInForce};
use prepx_proto::user::v1::RevokeKeyRequest;
use prepx_proto::user::v1::user_service_client::UserServiceClient;
use tokio::sync::mpsc;
use tonic::{Code, Status};

use crate::platform::{Key, Platform};
use crate::stream::{batch, order_id, place};

async fn revoke(platform: &Platform, key: &Key) {
    let key_id = key.id.clone();
    let request = key.sign(RevokeKeyRequest { key_id });
    let revoked = UserServiceClient::new(platform.peer())
        .revoke_key(request)
        .await;
    revoked.expect("it is revoked");
}

fn assert_revoked<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let status = answer.expect_err("the key is revoked");
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
}

#[tokio::test]
async fn an_order_stream_ends_with_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let platform = Platform::start(directory.path());
    platform.add_instrument("STREAM").await;
    let key = platform.add_trader("revoked@example.com", "1000").await;
    let (batches, sent) = mpsc::channel(4);
    let sent = futures::stream::unfold(sent, |mut sent| async { Some((sent.recv().await?, sent)) });
    let request = key.sign(sent);
    let mut trading = TradingServiceClient::new(platform.peer());
    let stream = trading.stream_orders(request);
    batches
        .send(batch(1, vec![place(1, 1, 100)]))
        .await
        .unwrap();
    let mut replies = stream.await.expect("it opens").into_inner();
    let reply = replies.message().await.expect("the key is good").unwrap();
    assert!(order_id(&reply, 0) > 0);

    revoke(&platform, &key).await;
    assert_revoked(replies.message().await);
    let orders = key.sign(prepx_proto::trading::v1::GetOrdersRequest::default());
    assert_revoked(
        TradingServiceClient::new(platform.peer())
            .get_orders(orders)
            .await,
    );
}

#[tokio::test]
async fn who_has_ended_its_requests_hears_on_until_its_key_is_revoked() {
    let directory = tempfile::tempdir().unwrap();
    let platform = Platform::start(directory.path());
    platform.add_instrument("STREAM").await;
    let key = platform.add_trader("listener@example.com", "1000").await;
    let listen = ListenAccount {
        listen: true,
        ..ListenAccount::default()
    };
    let change = Some(Change::Account(listen));
    let requests = futures::stream::iter([SubscribeRequest { change }]);
    let mut told = NotificationServiceClient::new(platform.peer())
        .subscribe(key.sign(requests))
        .await
        .expect("it opens")
        .into_inner();
    let first = told.message().await.expect("it goes on").unwrap().message;
    assert!(matches!(first, Some(Message::Subscription(_))), "{first:?}");
    let order = SubmitOrderRequest {
        symbol: "STREAM".into(),
        qty: Some("1".into()),
        side: OrderSide::Buy.into(),
        r#type: OrderType::Limit.into(),
        time_in_force: TimeInForce::Gtc.into(),
        limit_price: Some("100".into()),
        ..SubmitOrderRequest::default()
    };
    let mut trading = TradingServiceClient::new(platform.peer());
    trading
        .submit_order(key.sign(order))
        .await
        .expect("it is taken");
    let update = told.message().await.expect("it goes on").unwrap().message;
    assert!(
        matches!(update, Some(Message::TradeUpdate(_))),
        "{update:?}"
    );

    revoke(&platform, &key).await;
    let ended = async {
        while told.message().await?.is_some() {}
        Ok::<_, Status>(())
    };
    assert_revoked(ended.await);
}
