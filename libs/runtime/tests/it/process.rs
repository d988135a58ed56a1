//! A whole process: configured, ready, asked to end by a signal, its traces sent.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use axum::Router;
use prepx_runtime::serve::{Limits, serve};
use prepx_runtime::{Config, Drain, Peer, guard, listen, run, telemetry};
use tokio::runtime::Runtime;

use crate::bank::{Bank, client, withdrawal};

const PATIENCE: Duration = Duration::from_secs(20);

/// A collector of traces that tells the path of every request.
fn collector(runtime: &Runtime) -> (SocketAddr, mpsc::Receiver<String>) {
    let (tell, told) = mpsc::channel();
    let app = Router::new().fallback(move |request: http::Request<axum::body::Body>| async move {
        // The test may be over.
        let _ = tell.send(request.uri().path().to_owned());
        tonic::Status::ok("").into_http::<axum::body::Body>()
    });
    let listener = runtime
        .block_on(listen(([127, 0, 0, 1], 0).into()))
        .expect("a free port");
    let address = listener.local_addr().expect("is bound");
    runtime.spawn(async move {
        let (drain, _control) = Drain::new();
        serve(listener, app, Limits::default(), drain).await;
    });
    (address, told)
}

#[test]
fn a_process_serves_until_it_is_told_to_end_and_then_sends_its_traces() {
    let runtime = Runtime::new().expect("a runtime");
    let (collects, told) = collector(&runtime);
    let otlp_endpoint = Some(format!("http://{collects}"));
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        telemetry: telemetry::Config {
            otlp_endpoint,
            traces_ppm: 1_000_000,
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
    let peer = Peer::Remote({
        let _inside = runtime.enter();
        let url = format!("http://{address}");
        tonic::transport::Endpoint::from_shared(url)
            .expect("a URL")
            .connect_lazy()
    });
    runtime
        .block_on(client(peer).withdraw(withdrawal()))
        .expect("serves");
    // From now on the runtime of the process, and not the system, takes the signal.
    let pid = std::process::id().to_string();
    let sent = Command::new("kill")
        .args(["-TERM", &pid])
        .status()
        .expect("there is a kill");
    assert!(sent.success());
    process.join().expect("does not panic").expect("ends well");
    let path = told
        .recv_timeout(PATIENCE)
        .expect("the traces are sent before the end");
    assert_eq!(
        path,
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    );
}
