//! How long a typical order takes to transcode: `cargo run --release -p prepx-transcode --example measure`.
//!
//! Beside it the way that was not taken: prost-reflect's own JSON through a message of dynamic values,
//! which knows none of our options and so does less.

use std::hint::black_box;
use std::path::Path;

use http::Method;
use prepx_env::Clock as _;
use prepx_transcode::Router;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};

const ROUNDS: u32 = 200_000;

const ORDER: &[u8] = br#"{"symbol":"AAPL","qty":"10","side":"buy","type":"limit","time_in_force":"day","limit_price":"187.25","client_order_id":"7a1c9f1e-6d1b-4f0e-9e0c-3f1f0b7a2d11"}"#;

const ORDER_STANDARD: &str = r#"{"symbol":"AAPL","qty":"10","side":"ORDER_SIDE_BUY","type":"ORDER_TYPE_LIMIT","timeInForce":"TIME_IN_FORCE_DAY","limitPrice":"187.25","clientOrderId":"7a1c9f1e-6d1b-4f0e-9e0c-3f1f0b7a2d11"}"#;

const REPLY: &str = r#"id:"00000000-0000-0000-0000-000000000001" client_order_id:"7a1c9f1e-6d1b-4f0e-9e0c-3f1f0b7a2d11" created_at:1704164645000001 updated_at:1704164645000001 submitted_at:1704164645000001 asset_id:"00000000-0000-0000-0000-000000000002" symbol:"AAPL" asset_class:ASSET_CLASS_US_EQUITY qty:"10" filled_qty:"0" order_class:ORDER_CLASS_SIMPLE order_type:ORDER_TYPE_LIMIT type:ORDER_TYPE_LIMIT side:ORDER_SIDE_BUY time_in_force:TIME_IN_FORCE_DAY limit_price:"187.25" status:ORDER_STATUS_NEW"#;

fn main() {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let mut compiler = protox::Compiler::new([&protos]).expect("the proto folder is there");
    compiler.include_imports(true);
    compiler
        .open_file("prepx/trading/v1/trading.proto")
        .expect("the protos compile");
    let set = compiler.encode_file_descriptor_set();
    let pool = DescriptorPool::decode(set.as_slice()).expect("protox makes sound descriptors");
    let router = Router::build(&pool).expect("the routes are sound");

    let call = router
        .find(&Method::POST, "/v2/orders")
        .expect("orders can be posted");
    let (input, output) = (
        call.route().method().input(),
        call.route().method().output(),
    );
    let reply = DynamicMessage::parse_text_format(output.clone(), REPLY).expect("a sound reply");
    let reply = reply.encode_to_vec();
    let json = call.route().encode(&reply).expect("a sound reply");
    println!(
        "request {} bytes, reply {} bytes of protobuf, {} of JSON",
        ORDER.len(),
        reply.len(),
        json.len()
    );

    time("find POST /v2/orders", || {
        black_box(router.find(&Method::POST, black_box("/v2/orders"))).is_ok()
    });
    time("decode an order", || {
        black_box(call.decode(None, Some("application/json"), black_box(ORDER))).is_ok()
    });
    time("encode an order", || {
        black_box(call.route().encode(black_box(&reply))).is_ok()
    });
    time("dynamic: decode", || {
        let mut json = serde_json::Deserializer::from_str(black_box(ORDER_STANDARD));
        let message = DynamicMessage::deserialize(input.clone(), &mut json);
        message.is_ok_and(|message| !black_box(message.encode_to_vec()).is_empty())
    });
    time("dynamic: encode", || {
        let message = DynamicMessage::decode(output.clone(), black_box(reply.as_slice()));
        message.is_ok_and(|message| {
            serde_json::to_vec(&message).is_ok_and(|json| !black_box(json).is_empty())
        })
    });
}

/// Prints the mean of many rounds, the best of five.
fn time(what: &str, mut round: impl FnMut() -> bool) {
    let clock = prepx_env::SystemClock::new();
    let best = (0..5)
        .map(|_| {
            let start = clock.monotonic();
            assert!((0..ROUNDS).all(|_| round()), "{what} failed");
            clock.monotonic() - start
        })
        .min();
    println!(
        "{what:24} {:>6} ns",
        best.unwrap_or_default().as_nanos() / u128::from(ROUNDS)
    );
}
