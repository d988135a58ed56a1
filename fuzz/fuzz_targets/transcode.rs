//! Whatever a client sends, the transcoder refuses it or makes a message of it; whatever a service
//! answers, it refuses it or makes JSON of it; and what it wrote it can read.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use http::Method;
use libfuzzer_sys::fuzz_target;
use prepx_transcode::{Call, Router};
use prost_reflect::{DescriptorPool, DynamicMessage};

/// The transcoder's own test descriptors, which have one of everything.
static ROUTER: LazyLock<Router> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let includes = [root.join("libs/transcode/tests/proto"), root.join("proto")];
    let mut compiler = protox::Compiler::new(includes).expect("the proto folders are there");
    compiler.include_imports(true);
    compiler.open_file("desk.proto").expect("the test descriptors compile");
    let set = compiler.encode_file_descriptor_set();
    let pool = DescriptorPool::decode(set.as_slice()).expect("protox makes sound descriptors");
    Router::build(&pool).expect("the test routes are sound")
});

fuzz_target!(|data: &[u8]| {
    let Some((&mode, data)) = data.split_first() else { return };
    let echo = ROUTER.find(&Method::POST, "/v1/echo").expect("the echo is a route");
    match mode % 4 {
        0 => round_trip(&echo, echo.decode(None, None, data).ok()),
        1 => reply(&echo, data),
        2 => {
            let query = String::from_utf8_lossy(data);
            let echo = ROUTER.find(&Method::GET, "/v1/echo").expect("the echo is a route");
            round_trip(&echo, echo.decode(Some(&query), None, b"").ok());
        }
        _ => {
            let path = String::from_utf8_lossy(data);
            for method in [Method::GET, Method::POST, Method::DELETE, Method::PATCH] {
                if let Ok(call) = ROUTER.find(&method, &path) {
                    round_trip(&call, call.decode(None, None, b"").ok());
                }
            }
        }
    }
});

/// What was taken for a request is one, and can be shown.
fn round_trip(call: &Call, request: Option<Vec<u8>>) {
    let Some(request) = request else { return };
    let input = call.route().method().input();
    DynamicMessage::decode(input.clone(), request.as_slice()).expect("a request is a message");
    if input == call.route().method().output() && call.route().template() == "/v1/echo" {
        reply(call, &request);
        call.route().encode(&request).expect("a request can be answered with itself");
    }
}

/// What is written is JSON, and is read again.
fn reply(call: &Call, message: &[u8]) {
    let Ok(json) = call.route().encode(message) else { return };
    serde_json::from_slice::<serde_json::Value>(&json).expect("an answer is JSON");
}
