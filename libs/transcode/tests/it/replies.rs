//! Replies: the JSON of messages, streams and errors.

use expect_test::{Expect, expect};
use http::Method;
use prepx_domain::Code;
use prepx_transcode::{Codec, Error, Framing};
use prost::Message as _;
use prost_reflect::DynamicMessage;

use crate::desk::{DESK, message, reply, shown};

fn check(method: &str, path: &str, text: &str, expected: Expect) {
    expected.assert_eq(&reply(method, path, text));
}

#[test]
fn an_order_shows_every_field_in_order() {
    check(
        "POST",
        "/v2/orders",
        r#"id:"1" created_at{seconds:1704164645 nanos:120000000} filled_at_us:1704164645000001 symbol:"A\"\n" side:SIDE_BUY type:ORDER_TYPE_STOP_LIMIT qty:"3.10" source:"x" exchange:VENUE_NASDAQ legs{id:"2" order_class:ORDER_CLASS_BRACKET}"#,
        expect![[
            r#"{"id":"1","client_order_id":"","created_at":"2024-01-02T03:04:05.120Z","filled_at":"2024-01-02T03:04:05.000001Z","symbol":"A\"\n","side":"buy","type":"stop_limit","order_class":"","qty":"3.10","filled_qty":"0","limit_price":null,"legs":[{"id":"2","client_order_id":"","created_at":null,"filled_at":null,"symbol":"","side":null,"type":null,"order_class":"bracket","qty":null,"filled_qty":"0","limit_price":null,"legs":null,"exchange":null}],"source":"x","exchange":"NASDAQ"}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        "",
        expect![[
            r#"{"id":"","client_order_id":"","created_at":null,"filled_at":null,"symbol":"","side":null,"type":null,"order_class":"","qty":null,"filled_qty":"0","limit_price":null,"legs":null,"exchange":null}"#
        ]],
    );
}

#[test]
fn lists_maps_and_unions_are_flattened() {
    check("GET", "/v2/orders", "", expect!["[]"]);
    check("DELETE", "/v2/orders", "", expect!["[]"]);
    check(
        "DELETE",
        "/v2/orders",
        r#"results{id:"1" status:200} results{id:"2" status:422 body{failure{code:42210000 message:"no"}}} results{body{}}"#,
        expect![[
            r#"[{"id":"1","status":200,"body":null},{"id":"2","status":422,"body":{"code":42210000,"message":"no"}},{"id":"","status":0,"body":null}]"#
        ]],
    );
    check(
        "GET",
        "/v2/stocks/bars",
        r#"bars{key:"MSFT" value{bars{o:"1.50" v:9223372036854775807 vw:0.1} bars{t{} o:"-2e3" vw:nan}}} bars{key:"AAPL" value{}}"#,
        expect![[
            r#"{"bars":{"AAPL":[],"MSFT":[{"t":null,"o":1.50,"v":9223372036854775807,"vw":0.1},{"t":"1970-01-01T00:00:00Z","o":-2e3,"v":0,"vw":null}]},"next_page_token":null}"#
        ]],
    );
    check(
        "GET",
        "/v2/stocks/bars",
        r#"next_page_token:"abc""#,
        expect![[r#"{"bars":{},"next_page_token":"abc"}"#]],
    );
    check(
        "GET",
        "/v2/stocks/snapshots",
        r#"snapshots{key:"A" value{dailyBar{}}}"#,
        expect![[r#"{"A":{"minuteBar":null,"dailyBar":{"t":null,"o":0,"v":0,"vw":null}}}"#]],
    );
    check("DELETE", "/v2/orders/1", "", expect![[r#""#]]);
}

#[test]
fn every_type_has_its_form() {
    check(
        "POST",
        "/v1/echo",
        "",
        expect![[
            r#"{"a_bool":false,"an_int32":0,"a_sint32":0,"a_sfixed32":0,"a_uint32":0,"a_fixed32":0,"an_int64":0,"a_sint64":0,"a_sfixed64":0,"a_uint64":0,"a_fixed64":0,"a_float":0,"a_double":0,"a_string":"","some_bytes":"","an_enum":null,"a_time":null,"a_duration":null,"a_wrapper":null,"a_value":null,"numbers":[],"doubles":[],"sides":[],"blobs":[],"names":{},"legs":{},"weights":{},"inner":null,"children":[],"maybe":null,"a_decimal":"0","a_number":0,"a_moment":null,"a_date":null,"times":[],"decimals":[],"prices":{}}"#
        ]],
    );
    check(
        "POST",
        "/v1/echo",
        r#"a_bool:true an_int32:-1 a_sint32:-2 a_sfixed32:-3 a_uint32:4294967295 a_fixed32:5 an_int64:-6 a_sint64:-7 a_sfixed64:-8 a_uint64:18446744073709551615 a_fixed64:9 a_float:0.1 a_double:1e300 a_string:"\001é" some_bytes:"\377\376" an_enum:7 a_time{seconds:-1 nanos:1} a_duration{seconds:-1 nanos:-500000000} a_wrapper{value:""} a_value{struct_value{fields{key:"k" value{list_value{values{null_value:NULL_VALUE} values{number_value:2} values{}}}}}} numbers:[-1,2] doubles:[inf,0.5] sides:[SIDE_BUY,SIDE_UNSPECIFIED] blobs:"a" names{key:-1 value:"x"} names{key:2 value:"y"} legs{key:true value{ratio:1}} weights{key:"w" value:0.25} inner{maybe:0} right{} a_moment:-1 prices{key:"p" value:"1.0"} prices{key:"q" value:""}"#,
        expect![[
            r#"{"a_bool":true,"an_int32":-1,"a_sint32":-2,"a_sfixed32":-3,"a_uint32":4294967295,"a_fixed32":5,"an_int64":-6,"a_sint64":-7,"a_sfixed64":-8,"a_uint64":18446744073709551615,"a_fixed64":9,"a_float":0.1,"a_double":1e300,"a_string":"\u0001é","some_bytes":"//4=","an_enum":7,"a_time":"1969-12-31T23:59:59.000000001Z","a_duration":"-1.500s","a_wrapper":"","a_value":{"k":[null,2,null]},"numbers":[-1,2],"doubles":[null,0.5],"sides":["buy",null],"blobs":["YQ=="],"names":{"-1":"x","2":"y"},"legs":{"true":{"symbol":"","ratio":1}},"weights":{"w":0.25},"inner":{"a_bool":false,"an_int32":0,"a_sint32":0,"a_sfixed32":0,"a_uint32":0,"a_fixed32":0,"an_int64":0,"a_sint64":0,"a_sfixed64":0,"a_uint64":0,"a_fixed64":0,"a_float":0,"a_double":0,"a_string":"","some_bytes":"","an_enum":null,"a_time":null,"a_duration":null,"a_wrapper":null,"a_value":null,"numbers":[],"doubles":[],"sides":[],"blobs":[],"names":{},"legs":{},"weights":{},"inner":null,"children":[],"maybe":0,"a_decimal":"0","a_number":0,"a_moment":null,"a_date":null,"times":[],"decimals":[],"prices":{}},"children":[],"right":{"symbol":"","ratio":0},"maybe":null,"a_decimal":"0","a_number":0,"a_moment":"1969-12-31T23:59:59.999999Z","a_date":null,"times":[],"decimals":[],"prices":{"p":1.0,"q":0}}"#
        ]],
    );
}

#[test]
fn what_is_not_the_message_is_an_error_of_ours() {
    let call = DESK.find(&Method::POST, "/v1/echo").unwrap();
    let error = call.route().encode(b"\xff\xff").unwrap_err();
    assert_eq!(error.code, Code::Internal);
    // A decimal field that holds no number: field 34, "abc".
    let mut wrong = Vec::new();
    prost::encoding::string::encode(34, &"abc".to_owned(), &mut wrong);
    assert_eq!(
        call.route().encode(&wrong).unwrap_err().reason,
        "MALFORMED_REPLY"
    );
    // Unknown fields are from newer services.
    let mut newer = Vec::new();
    prost::encoding::string::encode(3_000, &"new".to_owned(), &mut newer);
    assert!(call.route().encode(&newer).is_ok());
}

#[test]
fn what_a_request_may_nest_an_answer_can_show() {
    let call = DESK.find(&Method::POST, "/v1/echo").unwrap();
    for (open, close) in [("{\"k\":", "}"), ("[", "]")] {
        let deepest = format!("{}1{}", open.repeat(31), close.repeat(31));
        let body = format!("{{\"a_value\":{deepest}}}");
        let request = call.decode(None, None, body.as_bytes()).unwrap();
        DynamicMessage::decode(message("Everything"), request.as_slice()).unwrap();
        let answer = String::from_utf8(call.route().encode(&request).unwrap()).unwrap();
        assert!(answer.contains(&deepest), "{answer}");
    }
    // A message of a hundred and one levels: field 28 in itself.
    let mut deep = Vec::new();
    for _ in 0..101 {
        let inner = std::mem::take(&mut deep);
        prost::encoding::bytes::encode(28, &inner, &mut deep);
    }
    assert_eq!(
        call.route().encode(&deep).unwrap_err().reason,
        "MALFORMED_REPLY"
    );
}

#[test]
fn parts_on_the_wire_are_put_together_as_protobuf_says() {
    let call = DESK.find(&Method::POST, "/v1/echo").unwrap();
    let part = |text: &str| {
        DynamicMessage::parse_text_format(message("Everything"), text)
            .unwrap()
            .encode_to_vec()
    };
    // Scalars: the last one. Messages: merged. Lists: appended. Oneofs: the last member. Maps: the last.
    let whole = [
        part(
            r#"right{ratio:5} a_string:"old" inner{a_string:"kept"} numbers:1 weights{key:"a" value:1}"#,
        ),
        part(r#"left:"l" a_string:"new" inner{a_bool:true} numbers:2 weights{key:"a" value:2}"#),
    ];
    let merged = part(
        r#"left:"l" a_string:"new" inner{a_string:"kept" a_bool:true} numbers:[1,2] weights{key:"a" value:2}"#,
    );
    let encode = |bytes: &[u8]| String::from_utf8(call.route().encode(bytes).unwrap()).unwrap();
    assert_eq!(encode(&whole.concat()), encode(&merged));
}

#[test]
fn streams_are_events_or_lines() {
    let call = DESK.find(&Method::GET, "/v2/events/trades").unwrap();
    assert!(call.route().is_server_streaming());
    for (accept, framing) in [
        (None, Framing::Events),
        (Some("*/*"), Framing::Events),
        (Some("text/event-stream"), Framing::Events),
        (Some("application/x-ndjson"), Framing::Lines),
        (Some("text/html, application/json;q=0.9"), Framing::Lines),
    ] {
        assert_eq!(Framing::from_accept(accept), framing, "{accept:?}");
    }
    let item =
        DynamicMessage::parse_text_format(message("Failure"), r#"code:1 message:"m""#).unwrap();
    let codec = Codec::build(&message("Failure")).unwrap();
    let mut out = Vec::new();
    codec.encode(&item.encode_to_vec(), &mut out).unwrap();
    assert_eq!(out, br#"{"code":1,"message":"m"}"#);
    let back = codec.decode(&out).unwrap();
    assert_eq!(
        DynamicMessage::decode(message("Failure"), back.as_slice()).unwrap(),
        item
    );

    let error = Error::new(Code::Unavailable, "DRAINING", "try again");
    let mut out = Vec::new();
    for framing in [Framing::Events, Framing::Lines] {
        call.route()
            .encode_item(framing, b"\x0a\x01x", &mut out)
            .unwrap();
        out.extend_from_slice(framing.keep_alive());
        framing.write_error(&error, "r", &mut out);
    }
    expect![[r#"
        data: {"id":"x","client_order_id":"","created_at":null,"filled_at":null,"symbol":"","side":null,"type":null,"order_class":"","qty":null,"filled_qty":"0","limit_price":null,"legs":null,"exchange":null}

        :

        event: error
        data: {"code":50310000,"message":"try again","reason":"DRAINING","request_id":"r","details":{}}

        {"id":"x","client_order_id":"","created_at":null,"filled_at":null,"symbol":"","side":null,"type":null,"order_class":"","qty":null,"filled_qty":"0","limit_price":null,"legs":null,"exchange":null}

        {"error":{"code":50310000,"message":"try again","reason":"DRAINING","request_id":"r","details":{}}}
    "#]].assert_eq(std::str::from_utf8(&out).unwrap());
}

#[test]
fn errors_cross_grpc_unchanged() {
    let mut error = Error::new(
        Code::InsufficientBalance,
        "INSUFFICIENT_BALANCE",
        "insufficient balance for USD: needs 2, 1 available",
    )
    .with("asset", "USD")
    .with("available", "1");
    error.retry_after_ms = Some(1_500);
    let (code, text, details) = error.to_status();
    assert_eq!(
        (code, Error::from_status(code, &text, &details)),
        (9, error.clone())
    );
    expect![[r#"{"code":40310000,"message":"insufficient balance for USD: needs 2, 1 available","reason":"INSUFFICIENT_BALANCE","request_id":"r-1","details":{"asset":"USD","available":"1"}}"#]].assert_eq(&shown(&error));
    for code in Code::ALL {
        let error = Error::new(code, "X", "m");
        let (grpc, text, details) = error.to_status();
        assert_eq!(Error::from_status(grpc, &text, &details), error);
        assert_eq!(error.http_status().as_u16(), code.http_status());
    }
}

#[test]
fn an_error_fits_into_trailers_whatever_it_is_about() {
    let value = "é".repeat(30_000);
    let message = format!("symbol {value} is unknown; GET /v2/assets lists what there is");
    let error = Error::new(Code::NotFound, "UNKNOWN", message).with("value", value);
    assert!(error.message.starts_with("symbol éé") && error.message.contains('…'));
    assert!(
        error
            .message
            .ends_with("; GET /v2/assets lists what there is")
    );
    let (_, text, details) = error.to_status();
    // In headers a byte of the text takes three, and three of the details four.
    assert!(text.len() * 3 + details.len() * 4 / 3 < 8 * 1_024);
}

#[test]
fn statuses_of_strangers_tell_nothing_of_our_insides() {
    let internal = Error::from_status(13, "panicked at src/main.rs:7", b"");
    expect![[r#"{"code":50010000,"message":"something went wrong on our side; the request id finds it","reason":"INTERNAL","request_id":"r-1","details":{}}"#]].assert_eq(&shown(&internal));
    let transport = Error::from_status(14, "tcp connect error: 10.0.0.7", b"garbage");
    expect![[r#"{"code":50310000,"message":"the service does not answer now; try again shortly","reason":"UNAVAILABLE","request_id":"r-1","details":{}}"#]].assert_eq(&shown(&transport));
    let unknown = Error::from_status(2, "?", b"");
    assert_eq!(unknown.code, Code::Internal);
    let missing = Error::from_status(5, "no such order", b"");
    assert_eq!(
        (missing.code, missing.message.as_str()),
        (Code::NotFound, "no such order")
    );
}
