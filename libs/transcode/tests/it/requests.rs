//! Requests: what arrives in the message, and what the client is told when it cannot.

use expect_test::{Expect, expect};

use crate::desk::{check, request};

#[test]
fn an_order_as_alpaca_py_sends_it_and_as_ccxt_does() {
    check(
        "POST",
        "/v2/orders",
        r#"{"symbol":"AAPL","qty":3.0,"side":"buy","type":"limit","limit_price":1.25,"order_class":"","extended_hours":null}"#,
        expect![[
            r#"PlaceOrder symbol:"AAPL",side:SIDE_BUY,type:ORDER_TYPE_LIMIT,qty:"3.0",limit_price:"1.25""#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"symbol":"BTC/USD","qty":"0.00000001","side":"sell","type":"stop_limit","limit_price":"12345678901234567890.123456789012345678","client_id":"x"}"#,
        expect![[
            r#"PlaceOrder symbol:"BTC/USD",side:SIDE_SELL,type:ORDER_TYPE_STOP_LIMIT,qty:"0.00000001",limit_price:"12345678901234567890.123456789012345678",client_order_id:"x""#
        ]],
    );
    check(
        "POST",
        "/api/trading/orders",
        r#"{"take_profit":{"limit_price":1e5},"legs":[{"symbol":"A","ratio":1},{"symbol":"é\u00e9\ud83d\ude00","ratio":"2"}],"order_class":"simple"}"#,
        expect![[
            r#"PlaceOrder take_profit{limit_price:"1e5"},legs:[{symbol:"A",ratio:1},{symbol:"\303\251\303\251\360\237\230\200",ratio:2}]"#
        ]],
    );
    check("POST", "/v2/orders", "", expect!["PlaceOrder "]);
}

#[test]
fn paths_and_queries_fill_fields() {
    check(
        "GET",
        "/v2/orders/7d?nested=True",
        "",
        expect![[r#"GetOrder order_id:"7d",nested:true"#]],
    );
    check(
        "GET",
        "/v2/orders:by_client_order_id?client_order_id=a+b%2Fc%2B",
        "",
        expect![[r#"GetOrderByClientId client_order_id:"a b/c+""#]],
    );
    check(
        "GET",
        "/v2/orders?status=open&limit=500&after=2024-01-02T00:00:00+00:00&symbols=AAPL%2CBTC%2FUSD&symbols=MSFT&side=sell&types=market,limit&until=2024-01-02&date=2024-02-29&page.size=5&page.token=x&max_age=7",
        "",
        expect![[
            r#"ListOrders status:"open",limit:500,after{seconds:1704153600},symbols:["AAPL","BTC/USD","MSFT"],side:SIDE_SELL,types:[ORDER_TYPE_MARKET,ORDER_TYPE_LIMIT],until_us:1704153600000000,date:"2024-02-29",page{size:5,token:"x"},max_age{value:7}"#
        ]],
    );
    // A bare date is the end of that day where an interval ends.
    for (end, micros) in [
        ("2024-01-02", 1_704_239_999_999_999_i64),
        ("2024-01-02T00:00:00Z", 1_704_153_600_000_000),
        ("2024-01-02T00:00:00-05:00", 1_704_171_600_000_000),
    ] {
        let found = request("GET", &format!("/v2/orders?end={end}"), "").unwrap();
        assert_eq!(found, format!("ListOrders end:{micros}"));
    }
    check(
        "GET",
        "/v2/orders?until=&limit=&status=&symbols=",
        "",
        expect!["ListOrders "],
    );
    check(
        "GET",
        "/v2/stocks/bars?symbols=A&foo=1&bar",
        "",
        expect![[r#"GetBars symbols:["A"]"#]],
    );
    check(
        "PUT",
        "/v2/notes/7?loud=1",
        r#"{"text":"t","extra":{"a":[1,null,{"b":true}]},"unknown":{"x":[]}}"#,
        expect![[
            r#"PutNote note{id:"7",text:"t",extra{fields:[{key:"a",value{list_value{values:[{number_value:1.0},{null_value:NULL_VALUE},{struct_value{fields:[{key:"b",value{bool_value:true}}]}}]}}}]}},loud:true"#
        ]],
    );
    check(
        "PATCH",
        "/v2/orders/9",
        r#"{"qty":"1"}"#,
        expect![[r#"ReplaceOrder order_id:"9",qty:"1""#]],
    );
    // Some clients repeat in the body what the path says; the path is right.
    check(
        "PATCH",
        "/v2/orders/9",
        r#"{"order_id":"8","qty":"1"}"#,
        expect![[r#"ReplaceOrder order_id:"9",qty:"1""#]],
    );
}

/// Requests, one a line as `METHOD URL BODY`, and the messages of their errors.
fn refused(requests: &str, expected: Expect) {
    let mut messages = String::new();
    for line in requests
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let mut parts = line.splitn(3, ' ');
        let (method, url) = (parts.next().unwrap(), parts.next().unwrap());
        let error = request(method, url, parts.next().unwrap_or_default()).unwrap_err();
        messages += &format!("{} {}: {}\n", error.code, error.reason, error.message);
    }
    expected.assert_eq(&messages);
}

#[test]
fn an_error_has_its_parts_for_programs_too() {
    check(
        "POST",
        "/v2/orders",
        "{\"qty\": 1,\n\"side\" \"buy\"}",
        expect![[
            r#"{"code":40010001,"message":"the body is not JSON: expected ':' at line 2 column 8","reason":"UNREADABLE_JSON","request_id":"r-1","details":{"column":"8","line":"2"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"legs":[{},{"ratio":-1}]}"#,
        expect![[
            r#"{"code":42210000,"message":"legs[1].ratio: -1 is not a whole number from 0 to 4294967295","reason":"INVALID_VALUE","request_id":"r-1","details":{"expected":"a whole number from 0 to 4294967295","field":"legs[1].ratio","value":"-1"}}"#
        ]],
    );
}

#[test]
fn unreadable_bodies_name_the_place() {
    refused(
        r#"
        POST /v2/orders {"qty": }
        POST /v2/orders qty=1&side=buy
        POST /v2/orders {"qty": 01}
        POST /v2/orders {"qty":NaN}
        POST /v2/orders {} x
        POST /v2/orders {"qty":1
        GET /v2/orders?symbols=%ff
        "#,
        expect![[r#"
            40010001 UNREADABLE_JSON: the body is not JSON: expected a value at line 1 column 9
            40010001 UNREADABLE_JSON: the body is not JSON: expected a value at line 1 column 1
            40010001 UNREADABLE_JSON: the body is not JSON: a malformed number at line 1 column 9
            40010001 UNREADABLE_JSON: the body is not JSON: expected a value at line 1 column 8
            40010001 UNREADABLE_JSON: the body is not JSON: expected the end after the value at line 1 column 4
            40010001 UNREADABLE_JSON: the body is not JSON: expected ',' or '}' at line 1 column 9
            40010001 UNREADABLE_URL: "%ff" is not UTF-8 after percent-decoding
        "#]],
    );
    refused(
        &format!("POST /v2/orders {}", "[".repeat(100)),
        expect![[r#"
            40010001 UNREADABLE_JSON: the body is not JSON: more than 32 levels of nesting at line 1 column 33
        "#]],
    );
    refused(
        &format!("POST /v1/echo {}", "{\"inner\":".repeat(100)),
        expect![[r#"
            40010001 UNREADABLE_JSON: the body is not JSON: more than 32 levels of nesting at line 1 column 289
        "#]],
    );
}

#[test]
fn wrong_values_name_the_field_the_value_and_what_would_be_right() {
    refused(
        r#"
        POST /v2/orders {"qty":"abc"}
        POST /v2/orders {"qty":true}
        POST /v2/orders {"type":"iceberg"}
        POST /v2/orders {"type":2}
        POST /v2/orders {"side":"unspecified"}
        POST /v2/orders {"symbol":5}
        POST /v2/orders {"extended_hours":"true"}
        POST /v2/orders {"legs":[{"ratio":1},{"ratio":4294967296}]}
        POST /v2/orders {"legs":{}}
        POST /v2/orders [1]
        POST /v2/orders {"take_profit":{"limit_price":{"a":[1,2,3,"and so on and on and on and on and on and on and on"]}}}
        POST /v1/echo {"names":{"x":"y"}}
        POST /v1/echo {"a_string":"a\u0000b"}
        POST /v1/echo {"weights":{"\u0000":1}}
        GET /v2/orders?status=a%00b
        POST /v1/echo {"a_double":1e999}
        POST /v1/echo {"some_bytes":"?"}
        POST /v1/echo {"a_duration":"1 day"}
        GET /v2/orders?limit=1.5
        GET /v2/orders?nested=yes
        GET /v2/orders?after=yesterday
        GET /v2/orders?symbols=A,,B
        GET /v2/orders?date=2023-02-29
        "#,
        expect![[r#"
            42210000 INVALID_VALUE: qty: "abc" is not a decimal number such as 12.5
            42210000 INVALID_VALUE: qty: true is not a decimal number such as 12.5
            42210000 INVALID_VALUE: type: "iceberg" is not one of "market", "limit", "stop_limit"
            42210000 INVALID_VALUE: type: 2 is not one of "market", "limit", "stop_limit"
            42210000 INVALID_VALUE: side: "unspecified" is not one of "buy", "sell"
            42210000 INVALID_VALUE: symbol: 5 is not a string
            42210000 INVALID_VALUE: extended_hours: "true" is not true or false
            42210000 INVALID_VALUE: legs[1].ratio: 4294967296 is not a whole number from 0 to 4294967295
            42210000 INVALID_VALUE: legs: {} is not a list
            42210000 INVALID_VALUE: the body: [1] is not an object
            42210000 INVALID_VALUE: take_profit.limit_price: {"a":[1,2,3,"and so on and on and on and on and on and on an… is not a decimal number such as 12.5
            42210000 INVALID_VALUE: names: key "x" is not a whole number
            42210000 INVALID_VALUE: a_string: "a\u0000b" is not a string without the character U+0000
            42210000 INVALID_VALUE: weights: key "\0" is not a string without the character U+0000
            42210000 INVALID_VALUE: status: "a\0b" is not a string without the character U+0000
            42210000 INVALID_VALUE: a_double: 1e999 is not a finite number
            42210000 INVALID_VALUE: some_bytes: "?" is not a string of base64
            42210000 INVALID_VALUE: a_duration: "1 day" is not a duration such as "1.5s"
            42210000 INVALID_VALUE: limit: "1.5" is not a whole number
            42210000 INVALID_VALUE: nested: "yes" is not true or false
            42210000 INVALID_VALUE: after: "yesterday" is not a time such as 2024-01-02T15:04:05Z
            42210000 INVALID_VALUE: symbols: "A,,B" is not a list with a value between commas, such as AAPL,MSFT
            42210000 INVALID_VALUE: date: "2023-02-29" is not a date such as 2024-01-02
        "#]],
    );
    let long = "9".repeat(65);
    refused(
        &format!(r#"POST /v2/orders {{"qty":{long}}}"#),
        expect![[r#"
            42210000 INVALID_VALUE: qty: 999999999999999999999999999999999999999999999999999999999999… is not a number of at most 64 characters
        "#]],
    );
}

#[test]
fn unknown_doubled_and_contradictory_fields_are_refused() {
    refused(
        r#"
        POST /v2/orders {"qyt":1}
        POST /v2/orders {"limitPrice":1}
        POST /v2/orders {"take_profit":{"trail":1}}
        POST /v2/orders {"qty":1,"qty":2}
        POST /v2/orders {"qty":null,"qty":2}
        POST /v2/orders {"client_id":"a","client_order_id":"b"}
        POST /v2/orders {"qty":1,"notional":2}
        POST /v1/echo {"weights":{"a":1,"a":2}}
        POST /v1/echo {"a_value":{"x":1,"x":2}}
        POST /v2/orders?qty=1 {"side":"buy"}
        GET /v2/orders/9?order_id=8
        GET /v2/orders?limit=1&limit=2
        GET /v2/orders?simbols=A
        GET /v2/orders?page.sise=1
        GET /v2/orders?page=1
        GET /v2/orders?status.x=1
        GET /v1/echo?left=a&nothing=b
        GET /v1/echo?legs=1
        DELETE /v2/orders {"a":1}
        "#,
        expect![[r#"
            42210000 UNKNOWN_FIELD: qyt: unknown field; did you mean qty?
            42210000 UNKNOWN_FIELD: limitPrice: unknown field; did you mean limit_price?
            42210000 UNKNOWN_FIELD: take_profit.trail: unknown field; known are limit_price
            42210000 DUPLICATE_FIELD: qty: occurs twice
            42210000 DUPLICATE_FIELD: qty: occurs twice
            42210000 DUPLICATE_FIELD: client_order_id: occurs twice
            42210000 FIELD_CONFLICT: notional: excludes qty; send one of them
            42210000 DUPLICATE_FIELD: weights.a: occurs twice
            42210000 DUPLICATE_FIELD: a_value.x: occurs twice
            42210000 UNKNOWN_FIELD: qty: POST /v2/orders takes its fields in the JSON body
            42210000 DUPLICATE_FIELD: order_id: occurs twice, or is given by the path or the body too
            42210000 DUPLICATE_FIELD: limit: occurs twice, or is given by the path or the body too
            42210000 UNKNOWN_FIELD: simbols: unknown field; did you mean symbols?
            42210000 UNKNOWN_FIELD: page.sise: unknown field; did you mean size?
            42210000 UNKNOWN_FIELD: page: is an object; give its fields, such as page.size
            42210000 UNKNOWN_FIELD: status.x: has no fields within
            42210000 FIELD_CONFLICT: nothing: excludes left; send one of them
            42210000 UNKNOWN_FIELD: legs: cannot be given in the URL
            42210000 UNEXPECTED_BODY: the body: DELETE /v2/orders takes none
        "#]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"qty":1,"notional":null}"#,
        expect![[r#"PlaceOrder qty:"1""#]],
    );
    check("DELETE", "/v2/orders", " {} ", expect!["CancelAll "]);
}

#[test]
fn bodies_are_bounded_and_of_a_type_that_can_be_json() {
    check(
        "PUT",
        "/v2/notes/7",
        &format!(r#"{{"text":"{}"}}"#, "x".repeat(200)),
        expect![[
            r#"{"code":41310000,"message":"the body has 211 bytes; at most 200 here","reason":"BODY_TOO_LARGE","request_id":"r-1","details":{}}"#
        ]],
    );
    let call = crate::desk::DESK
        .find(&http::Method::POST, "/v2/orders")
        .unwrap();
    for accepted in [
        None,
        Some(""),
        Some("application/json"),
        Some("application/json; charset=utf-8"),
        Some("application/problem+json"),
        Some("application/x-www-form-urlencoded"),
    ] {
        assert!(call.decode(None, accepted, b"{}").is_ok(), "{accepted:?}");
    }
    let error = call
        .decode(None, Some("application/xml"), b"{}")
        .unwrap_err();
    expect!["the body is application/xml; send Content-Type: application/json"]
        .assert_eq(&error.message);
    assert!(
        call.decode(None, Some("application/msgpack"), b"").is_ok(),
        "no body, no matter"
    );
}

#[test]
fn whole_numbers_may_be_written_as_clients_write_them() {
    for (written, wanted) in [
        ("3", "3"),
        ("3.0", "3"),
        ("\"3\"", "3"),
        ("1e3", "1000"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("9223372036854775807", "9223372036854775807"),
    ] {
        let text = request("POST", "/v1/echo", &format!(r#"{{"an_int64":{written}}}"#)).unwrap();
        assert_eq!(text, format!("Echo an_int64:{wanted}"), "{written}");
    }
    for wrong in [
        "3.5",
        "9223372036854775808",
        "\"\"",
        "\"3x\"",
        "1e30",
        "\"0x10\"",
    ] {
        let error = request("POST", "/v1/echo", &format!(r#"{{"an_int64":{wrong}}}"#)).unwrap_err();
        assert_eq!(error.reason, "INVALID_VALUE", "{wrong}");
    }
}

#[test]
fn decimals_keep_their_digits() {
    for digits in [
        "0",
        "-0",
        "1.10",
        "0.1000",
        "123456789012345678901234567890.5",
        "1e-05",
        "-1E+7",
    ] {
        for written in [digits.to_owned(), format!("\"{digits}\"")] {
            let text =
                request("POST", "/v1/echo", &format!(r#"{{"a_decimal":{written}}}"#)).unwrap();
            assert_eq!(text, format!("Echo a_decimal:\"{digits}\""));
        }
    }
    for (odd, repaired) in [(".5", "0.5"), ("-.5", "-0.5"), ("+2", "2"), ("+.5", "0.5")] {
        let text = request("POST", "/v1/echo", &format!(r#"{{"a_decimal":"{odd}"}}"#)).unwrap();
        assert_eq!(text, format!("Echo a_decimal:\"{repaired}\""));
    }
    for wrong in [
        "", " ", "1.", "1,5", "0x1", "NaN", "Infinity", "--1", "+-1", "1e", "٣", "1_000",
    ] {
        let error =
            request("POST", "/v1/echo", &format!(r#"{{"a_decimal":"{wrong}"}}"#)).unwrap_err();
        assert_eq!(error.reason, "INVALID_VALUE", "{wrong}");
    }
}

#[test]
fn times_are_read_in_all_their_spellings() {
    for (written, seconds, nanos) in [
        ("2024-01-02T03:04:05Z", 1_704_164_645_i64, 0),
        ("2024-01-02T03:04:05.123456789Z", 1_704_164_645, 123_456_789),
        ("2024-01-02T03:04:05+05:30", 1_704_144_845, 0),
        ("2024-01-02 03:04:05-00:00", 1_704_164_645, 0),
        ("2024-01-02T03:04:05 00:00", 1_704_164_645, 0),
        ("2024-01-02T03:04:05", 1_704_164_645, 0),
        ("2024-01-02", 1_704_153_600, 0),
        ("0001-01-01T00:00:00Z", -62_135_596_800, 0),
        ("1969-12-31T23:59:59.5Z", -1, 500_000_000),
    ] {
        let text = request("POST", "/v1/echo", &format!(r#"{{"a_time":"{written}"}}"#)).unwrap();
        let mut parts = Vec::new();
        if seconds != 0 {
            parts.push(format!("seconds:{seconds}"));
        }
        if nanos != 0 {
            parts.push(format!("nanos:{nanos}"));
        }
        assert_eq!(
            text,
            format!("Echo a_time{{{}}}", parts.join(",")),
            "{written}"
        );
    }
    for wrong in [
        "",
        "now",
        "1704164645",
        "2024-13-01",
        "2024-01-32",
        "2024-01-02T25:00:00Z",
        "10000-01-01",
        "-000001-01-01",
        "2024-01-02T03:04:05Z[UTC]",
        "2024-01-02T03:04:05 0é:0",
        "2024",
        "é2024-01-0",
        "10000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-00:01",
        "0001-01-01T00:00:00+00:01",
    ] {
        for field in ["a_time", "a_moment", "a_date"] {
            let body = format!(r#"{{"{field}":"{wrong}"}}"#);
            assert_eq!(
                request("POST", "/v1/echo", &body).unwrap_err().reason,
                "INVALID_VALUE",
                "{body}"
            );
        }
    }
    check(
        "POST",
        "/v1/echo",
        r#"{"a_moment":"1969-12-31T23:59:59.9999999Z","a_date":"2024-01-02T23:00:00-05:00"}"#,
        expect![[r#"Echo a_moment:-1,a_date:"2024-01-02""#]],
    );
    check(
        "POST",
        "/v1/echo",
        r#"{"a_moment":"9999-12-31T23:59:59.999999999Z","a_date":"9999-12-31"}"#,
        expect![[r#"Echo a_moment:253402300799999999,a_date:"9999-12-31""#]],
    );
    check(
        "POST",
        "/v1/echo",
        r#"{"a_moment":"0001-01-01T01:00:00+01:00","a_date":"0001-01-01"}"#,
        expect![[r#"Echo a_moment:-62135596800000000,a_date:"0001-01-01""#]],
    );
}
