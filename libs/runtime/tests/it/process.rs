//! A whole process: configured, ready, asked to end by a signal, its traces sent.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use axum::Router;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use prepx_runtime::serve::{Limits, serve};
use prepx_runtime::{Config, Drain, Peer, guard, listen, run, telemetry};
use prepx_trace::Trace;
use tokio::runtime::Runtime;
use tonic::{Request, Response, Status};

use crate::bank::{Bank, client, deposit, withdrawal};

const PATIENCE: Duration = Duration::from_secs(20);

/// A collector of traces that tells of every span.
struct Collector(mpsc::Sender<Span>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            // The test may be over.
            let _ = self.0.send(span);
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn collector(runtime: &Runtime) -> (SocketAddr, mpsc::Receiver<Span>) {
    let (tell, told) = mpsc::channel();
    let routes = tonic::service::Routes::new(TraceServiceServer::new(Collector(tell)));
    let listener = runtime
        .block_on(listen(([127, 0, 0, 1], 0).into()))
        .expect("a free port");
    let address = listener.local_addr().expect("is bound");
    runtime.spawn(async move {
        let (drain, _control) = Drain::new();
        serve(
            listener,
            routes.into_axum_router(),
            Limits::default(),
            drain,
        )
        .await;
    });
    (address, told)
}

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
fn hosted(runtime: &Runtime, collects: SocketAddr, calls: impl FnOnce(Peer)) {
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        telemetry: telemetry::Config {
            otlp_endpoint: Some(format!("http://{collects}")),
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
    let (collects, told) = collector(&runtime);
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
    let span = told
        .recv_timeout(PATIENCE)
        .expect("the traces are sent before the end");
    assert_eq!(span.name, "prepx.portfolio.v1.AdminService/Deposit");
    assert_eq!(span.status.as_ref().expect("it failed").message, "INTERNAL");
    let caller = Trace::parse(UNSAMPLED).expect("is one");
    let links: Vec<_> = span.links.iter().map(|link| &link.span_id[..]).collect();
    assert_eq!(links, [caller.span.to_be_bytes()]);
    assert_ne!(span.trace_id, caller.id.to_be_bytes());
    assert!(span.parent_span_id.is_empty());
    let kept = span.attributes.iter().any(|one| one.key == "prepx.kept");
    assert!(kept, "that it was not sampled is said: {span:?}");
    assert!(told.try_recv().is_err(), "nothing else is told");
}
