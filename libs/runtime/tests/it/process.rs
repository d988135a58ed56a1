//! A whole process: configured, ready, asked to end by a signal, its traces sent.

use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use axum::Router;
use prepx_runtime::{Config, Peer, guard, run, telemetry};
use prepx_tests::Collector;
use prepx_trace::Trace;
use tokio::runtime::Runtime;
use tonic::Request;

use crate::bank::{Bank, client, deposit, withdrawal};

const PATIENCE: Duration = Duration::from_secs(20);

/// A request under a caller's trace.
fn traced<T>(message: T, traceparent: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = traceparent.parse().expect("a header value");
    request.metadata_mut().insert("traceparent", value);
    request
}

/// What a client says of itself: sampled, and not.
const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203332-00";

/// A process of which no trace is sampled at its root, until it ends; calls are made to it meanwhile.
fn hosted(runtime: &Runtime, collects: String, calls: impl FnOnce(Peer)) {
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        telemetry: telemetry::Config {
            otlp_endpoint: Some(collects),
            traces_ppm: 0,
            traces_slow_ms: 3_600_000,
            ..telemetry::Config::default()
        },
        ..Config::default()
    };
    config.validate().expect("is right");
    let (tell, ready) = mpsc::channel();
    let process = std::thread::spawn(move || {
        let build = |start: prepx_runtime::Start| async move {
            let scrape = move || async move { start.metrics.render() };
            let page = Router::new().route("/metrics", axum::routing::get(scrape));
            Ok(Bank::open().service(guard::Limits::default()).http(page))
        };
        run(&config, "bank", build, |address| {
            tell.send(address).expect("the test waits")
        })
    });
    let address = ready.recv_timeout(PATIENCE).expect("becomes ready");
    calls({
        let _inside = runtime.enter();
        Peer::remote(&format!("http://{address}")).expect("a URL")
    });
    // From now on the runtime of the process, and not the system, takes the signal.
    let pid = std::process::id().to_string();
    let sent = Command::new("kill")
        .args(["-TERM", &pid])
        .status()
        .expect("there is a kill");
    assert!(sent.success());
    process.join().expect("does not panic").expect("ends well");
}

#[test]
fn a_process_serves_until_it_is_told_to_end_and_then_sends_its_traces() {
    let runtime = Runtime::new().expect("a runtime");
    let (collector, collects) = runtime.block_on(Collector::start());
    hosted(&runtime, collects, |peer| {
        let mut client = client(peer);
        // Clients do not choose what is sampled, nor into whose trace they go; what is well goes untold.
        for caller in [SAMPLED, UNSAMPLED] {
            let answered = runtime.block_on(client.withdraw(traced(withdrawal(), caller)));
            let id = answered.expect("serves").into_inner().id;
            assert_ne!(
                id,
                SAMPLED[3..35],
                "its request id is that of its own trace"
            );
        }
        let failing = traced(deposit("PANIC"), UNSAMPLED);
        runtime
            .block_on(client.deposit(failing))
            .expect_err("panics");
    });
    // They are sent before the end, and nothing else is told.
    let told = collector.spans();
    let [span] = &told[..] else {
        panic!("one span: {told:#?}");
    };
    assert_eq!(span.name, "prepx.portfolio.v1.AdminService/Deposit");
    assert_eq!(span.status.as_ref().expect("it failed").message, "INTERNAL");
    let caller = Trace::parse(UNSAMPLED).expect("is one");
    let links: Vec<_> = span.links.iter().map(|link| &link.span_id[..]).collect();
    assert_eq!(links, [caller.span.to_be_bytes()]);
    assert_ne!(span.trace_id, caller.id.to_be_bytes());
    assert!(span.parent_span_id.is_empty());
    let kept = span.attributes.iter().any(|one| one.key == "prepx.kept");
    assert!(kept, "that it was not sampled is said: {span:?}");
}
