//! What stands around a service when it is called from within the process.

use std::time::Duration;

use futures::FutureExt as _;
use prepx_proto::gateway::v1::GetHealthRequest;
use prepx_proto::gateway::v1::gateway_service_client::GatewayServiceClient;
use prepx_proto::notification::v1::SubscribeRequest;
use prepx_proto::notification::v1::notification_service_client::NotificationServiceClient;
use prepx_runtime::guard::Limits;
use prepx_runtime::status::{self, Code};
use prepx_runtime::{Drain, telemetry};
use tonic::Request;

use crate::bank::{Bank, Clinic, client, deposit, radio, withdrawal};

#[tokio::test(start_paused = true)]
async fn the_request_id_and_what_is_left_of_the_deadline_go_along() {
    let second = Bank::open().service(Limits::default());
    let first = Bank {
        next: Some(second.peer()),
        ..Bank::open()
    }
    .service(Limits::default());
    let mut request = Request::new(deposit("USD"));
    request
        .metadata_mut()
        .insert("x-request-id", "trace-me".parse().expect("ASCII"));
    request.set_timeout(Duration::from_millis(700));
    let answer = client(first.peer())
        .deposit(request)
        .await
        .expect("answers");
    assert_eq!(
        answer.metadata().get("x-request-id").expect("is told"),
        "trace-me"
    );
    assert_eq!(answer.get_ref().id, "trace-me");
    assert_eq!(answer.get_ref().amount, "700");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_says_nothing_gets_an_id_and_the_services_own_limit() {
    let limits = Limits {
        unary_timeout_ms: 250,
        ..Limits::default()
    };
    let peer = Bank::open().service(limits).peer();
    let mut request = Request::new(withdrawal());
    request
        .metadata_mut()
        .insert("x-request-id", "not one id".parse().expect("ASCII"));
    request.set_timeout(Duration::from_secs(3_600));
    let answer = client(peer)
        .withdraw(request)
        .await
        .expect("answers")
        .into_inner();
    assert_eq!(answer.amount, "250");
    assert_eq!(answer.id.len(), 32, "{}", answer.id);
}

#[tokio::test(start_paused = true)]
async fn a_late_read_may_be_repeated_and_a_late_write_is_unknown() {
    let (bank, gate) = Bank::closed();
    let clinic = Clinic(gate).service(Limits::default());
    let mut reader = GatewayServiceClient::new(clinic.peer());
    let read = reader
        .get_health(GetHealthRequest {})
        .await
        .expect_err("is late");
    assert_eq!(read.code(), tonic::Code::DeadlineExceeded);
    assert_eq!(status::read(&read).code, Code::DeadlineExceeded);
    let mut writer = client(bank.service(Limits::default()).peer());
    let write = writer.deposit(deposit("USD")).await.expect_err("is late");
    let error = status::read(&write);
    assert_eq!(
        (error.code, error.reason.as_str()),
        (Code::Unavailable, "OUTCOME_UNKNOWN")
    );
}

#[tokio::test]
async fn one_call_too_many_is_told_when_to_try_again() {
    let (bank, gate) = Bank::closed();
    let limits = Limits {
        unary_calls: 1,
        retry_after_ms: 1_500,
        ..Limits::default()
    };
    let peer = bank.service(limits).peer();
    let mut held_by = client(peer.clone());
    let mut held = Box::pin(held_by.deposit(deposit("USD")));
    assert!(held.as_mut().now_or_never().is_none(), "waits for the gate");
    let refused = client(peer.clone())
        .deposit(deposit("USD"))
        .await
        .expect_err("is one too many");
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    assert_eq!(refused.metadata().get("retry-after").expect("is told"), "2");
    let error = status::read(&refused);
    assert_eq!(
        (error.code, error.retry_after_ms),
        (Code::TooManyRequests, Some(1_500))
    );
    gate.open();
    held.await.expect("has its place");
    client(peer)
        .withdraw(withdrawal())
        .await
        .expect("the place is free again");
}

#[tokio::test]
async fn a_caller_that_goes_away_frees_its_place() {
    let (bank, gate) = Bank::closed();
    let peer = bank
        .service(Limits {
            unary_calls: 1,
            ..Limits::default()
        })
        .peer();
    {
        let mut caller = client(peer.clone());
        let mut held = Box::pin(caller.deposit(deposit("USD")));
        assert!(held.as_mut().now_or_never().is_none(), "waits for the gate");
    }
    gate.open();
    client(peer)
        .deposit(deposit("USD"))
        .await
        .expect("the place is free");
}

#[tokio::test]
async fn an_open_stream_holds_its_own_kind_of_place() {
    let (drain, control) = Drain::new();
    let limits = Limits {
        streams: 1,
        ..Limits::default()
    };
    let peer = radio(drain).service(limits).peer();
    let listen = || futures::stream::pending::<SubscribeRequest>();
    let mut first = NotificationServiceClient::new(peer.clone());
    let mut heard = first
        .subscribe(listen())
        .await
        .expect("has a place")
        .into_inner();
    assert!(heard.message().await.expect("is open").is_some());
    let mut second = NotificationServiceClient::new(peer);
    let refused = second.subscribe(listen()).await.expect_err("one is open");
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    control.drain();
    heard
        .message()
        .await
        .expect_err("ends when the drain begins");
    drop(heard);
    second
        .subscribe(listen())
        .await
        .expect("the place is free again");
}

#[tokio::test]
async fn a_panic_stays_inside() {
    let peer = Bank::open().service(Limits::default()).peer();
    let fault = client(peer.clone())
        .deposit(deposit("PANIC"))
        .await
        .expect_err("panics");
    assert_eq!(fault.code(), tonic::Code::Internal);
    assert!(!format!("{fault:?}").contains("secret"), "{fault:?}");
    client(peer)
        .withdraw(withdrawal())
        .await
        .expect("the service goes on");
}

#[tokio::test]
async fn calls_are_counted_by_method_and_outcome() {
    let metrics = telemetry::metrics().expect("nobody else records");
    let peer = Bank::open().service(Limits::default()).peer();
    client(peer.clone())
        .withdraw(withdrawal())
        .await
        .expect("answers");
    // A service that is not there must not get a name of its own.
    let missing = NotificationServiceClient::new(peer)
        .subscribe(futures::stream::empty())
        .await;
    assert_eq!(
        missing.expect_err("is not there").code(),
        tonic::Code::Unimplemented
    );
    let page = metrics.render();
    let counted = page.lines().any(|line| {
        line.starts_with("prepx_calls_total{")
            && line.contains("\"/prepx.portfolio.v1.AdminService/Withdraw\"")
            && line.contains("code=\"OK\"")
    });
    assert!(counted, "{page}");
    assert!(
        page.contains("prepx_call_duration_seconds_bucket"),
        "{page}"
    );
}
