//! The trace of an order, as a collector gets it from the program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prepx_proto::portfolio::v1::DepositRequest;
use prepx_proto::portfolio::v1::admin_service_client::AdminServiceClient as Portfolio;
use prepx_proto::user::v1::AddAccountRequest;
use prepx_proto::user::v1::user_service_client::UserServiceClient;
use prepx_tests::Collector;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::platform::{Key, Platform, command, found};
use crate::stream;

/// The spans of a trace.
fn of(collector: &Collector, trace: &str) -> Vec<Span> {
    let mut spans = collector.spans();
    spans.retain(|span| hex(&span.trace_id) == trace);
    spans
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The settings of a platform whose traces go to a collector: so many in a million, and what takes so long.
pub fn settings(url: &str, ppm: u32, slow_ms: u64) -> String {
    format!(
        "[telemetry]\notlp_endpoint = \"{url}\"\ntraces_ppm = {ppm}\ntraces_slow_ms = {slow_ms}\n"
    )
}

/// The command that starts such a platform, which sends what it has ten times a second.
pub fn tracing(mut command: Command, data_dir: &Path, settings: &str) -> Command {
    let file = data_dir.join("settings.toml");
    std::fs::write(&file, settings).expect("the settings are written");
    command.arg("--config").arg(file);
    command.env("OTEL_BSP_SCHEDULE_DELAY", "100");
    command
}

fn start(data_dir: &Path, settings: &str) -> Platform {
    Platform::start_by(&mut tracing(command(data_dir), data_dir, settings))
}

/// What a client says of itself.
const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Places an order over HTTP; the status and the request id of the answer.
async fn post_order(platform: &Platform, key: &Key, body: &str) -> (u16, String) {
    let address = platform.url.trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).await.expect("it listens");
    let request = format!(
        "POST /v2/orders HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\napca-api-key-id: {}\r\n\
         apca-api-secret-key: {}\r\ntraceparent: {CALLER}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        key.id,
        key.secret,
        body.len()
    );
    socket.write_all(request.as_bytes()).await.expect("is sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("answers");
    let status = answer[9..12].parse().expect("a status");
    let line = answer.lines().find(|line| line.starts_with("x-request-id"));
    let (_, id) = line.and_then(|line| line.split_once(": ")).expect("an id");
    (status, id.to_owned())
}

/// A seller whose order rests, and a buyer who has placed the order that trades with it: the trace of that one.
pub async fn trade(platform: &Platform) -> String {
    platform.add_instrument("STREAM").await;
    let seller = seller(platform).await;
    let sell = r#"{"symbol":"STREAM","side":"sell","type":"limit","time_in_force":"gtc","limit_price":"100","qty":"3"}"#;
    let (status, _) = post_order(platform, &seller, sell).await;
    assert_eq!(status, 200);
    let buyer = platform.add_trader("buyer@example.com", "1000").await;
    let (status, trace) = post_order(platform, &buyer, &sell.replace("sell", "buy")).await;
    assert_eq!(status, 200);
    trace
}

/// An account with stock.
async fn seller(platform: &Platform) -> Key {
    let add = AddAccountRequest {
        email: "seller@example.com".to_owned(),
        simulated: false,
    };
    let request = Key::operator().sign(add);
    let mut users = UserServiceClient::new(platform.peer());
    let made = users.add_account(request).await;
    let made = made.expect("it is made").into_inner();
    let deposit = Key::operator().sign(DepositRequest {
        account_id: made.account_id,
        asset: "STREAM".into(),
        amount: "10".into(),
        idempotency_key: "stock".into(),
    });
    let deposited = Portfolio::new(platform.peer()).deposit(deposit).await;
    deposited.expect("it is booked");
    Key {
        id: made.key_id,
        secret: made.secret_key,
    }
}

/// What a span is called, and by whom it was taken if it is of a message.
fn name(span: &Span) -> String {
    let by = span.attributes.iter();
    let mut by = by.filter(|one| one.key == "messaging.consumer.group.name");
    let by = by.next().and_then(|one| one.value.clone()?.value);
    match by {
        Some(Value::StringValue(by)) => {
            let stage = by.split('/').next().unwrap_or_default();
            format!("{} by {stage}", span.name)
        }
        _ => span.name.clone(),
    }
}

/// How often each thing is in the trace of an order that trades at once, at least.
const WAY: [(&str, usize); 11] = [
    ("POST /v2/orders", 1),
    ("prepx.trading.v1.TradingService/SubmitOrder", 1),
    ("submit a command", 1),
    ("process trading-commands by account", 1),
    ("process order-processing by matching", 1),
    // A fill and the end of each of the two orders.
    ("process order-executions by account", 4),
    ("process portfolio-updates by portfolio", 3),
    ("process portfolio-updates by notification", 3),
    ("process portfolio-updates by webhooks", 3),
    ("process market-data by market-data", 1),
    ("process market-data by notification", 1),
];

/// Waits until all of the way of an order is in its trace; then each span but the root is under another one of it.
pub async fn complete(collector: &Collector, trace: &str) {
    let spans = found("the trace of the order", async || {
        let spans = of(collector, trace);
        let mut counts = BTreeMap::<String, usize>::new();
        for span in &spans {
            *counts.entry(name(span)).or_default() += 1;
        }
        let is_there = |(name, least): &(&str, usize)| counts.get(*name) >= Some(least);
        WAY.iter().all(is_there).then_some(spans)
    })
    .await;
    let ids: BTreeSet<_> = spans.iter().map(|span| &span.span_id).collect();
    let roots: Vec<_> = spans
        .iter()
        .filter(|span| !ids.contains(&span.parent_span_id))
        .collect();
    assert_eq!(roots.len(), 1, "{roots:#?}");
    assert_eq!(roots[0].name, "POST /v2/orders");
    assert!(roots[0].parent_span_id.is_empty());
    // Whoever calls from outside does not name the trace, and is not forgotten.
    let links: Vec<_> = roots[0]
        .links
        .iter()
        .map(|link| hex(&link.trace_id))
        .collect();
    assert_eq!(links, [&CALLER[3..35]]);
    let about: BTreeSet<_> = spans
        .iter()
        .filter(|span| {
            span.name.starts_with("process order-processing") || span.name.starts_with("submit")
        })
        .filter_map(|span| {
            span.attributes
                .iter()
                .find(|one| one.key == "prepx.order_id")
        })
        .filter_map(|one| one.value.clone()?.value)
        .map(|value| format!("{value:?}"))
        .collect();
    assert_eq!(about.len(), 1, "it is of one order: {about:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_one_trace_through_all_stages_and_services() {
    let (collector, url) = Collector::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let platform = start(directory.path(), &settings(&url, 1_000_000, 3_600_000));
    let trace = trade(&platform).await;
    complete(&collector, &trace).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_a_trace_for_each_order() {
    let (collector, url) = Collector::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let platform = start(directory.path(), &settings(&url, 1_000_000, 3_600_000));
    platform.add_instrument("STREAM").await;
    let key = platform.add_trader("stream@example.com", "1000").await;
    let orders = stream::batch(
        1,
        (1..=3)
            .map(|number| stream::place(number, 1, 100))
            .collect(),
    );
    let (replies, end) = stream::send(&platform, &key, vec![orders]).await;
    assert!(end.is_none() && replies.len() == 1, "{end:?}");
    found("a trace of each order", async || {
        let spans = collector.spans();
        let stored = |trace: &[u8]| {
            let mut own = spans.iter().filter(|span| span.trace_id == trace);
            own.any(|span| name(span) == "process portfolio-updates by portfolio")
        };
        let roots = spans
            .iter()
            .filter(|span| span.name == "submit a command" && span.parent_span_id.is_empty());
        (roots.filter(|root| stored(&root.trace_id)).count() == 3).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_is_not_sampled_only_the_slow_is_told_and_nothing_stands_on_the_log() {
    // Nothing is slow.
    let (collector, url) = Collector::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let mut platform = start(directory.path(), &settings(&url, 0, 3_600_000));
    trade(&platform).await;
    platform.terminate();
    platform.process.wait().expect("it ends");
    assert_eq!(collector.spans(), [], "all traces are sent before the end");
    // Everything is.
    let mut platform = start(directory.path(), &settings(&url, 0, 0));
    let key = platform.add_trader("slow@example.com", "1000").await;
    let buy = r#"{"symbol":"STREAM","side":"buy","type":"limit","time_in_force":"gtc","limit_price":"100","qty":"1"}"#;
    let (status, trace) = post_order(&platform, &key, buy).await;
    assert_eq!(status, 200);
    platform.terminate();
    platform.process.wait().expect("it ends");
    let spans = of(&collector, &trace);
    let names: BTreeSet<_> = spans.iter().map(name).collect();
    for slow in &WAY[..3] {
        assert!(names.contains(slow.0), "{names:?}");
    }
    assert!(
        !names.iter().any(|name| name.starts_with("process")),
        "{names:?}"
    );
    let kept = |span: &Span| span.attributes.iter().any(|one| one.key == "prepx.kept");
    assert!(spans.iter().all(kept), "{spans:#?}");
}
