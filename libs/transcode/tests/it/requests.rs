//! Requests: what arrives in the message, and what the client is told when it cannot.

use expect_test::expect;

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
}

#[test]
fn unreadable_bodies_name_the_place() {
    check(
        "POST",
        "/v2/orders",
        "{\"qty\": }",
        expect![[
            r#"{"code":40010001,"message":"the body is not JSON: expected a value at line 1 column 9","reason":"UNREADABLE_JSON","request_id":"r-1","details":{"column":"9","line":"1"}}"#
        ]],
    );
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
        "qty=1&side=buy",
        expect![[
            r#"{"code":40010001,"message":"the body is not JSON: expected a value at line 1 column 1","reason":"UNREADABLE_JSON","request_id":"r-1","details":{"column":"1","line":"1"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        "{\"qty\": 01}",
        expect![[
            r#"{"code":40010001,"message":"the body is not JSON: a malformed number at line 1 column 9","reason":"UNREADABLE_JSON","request_id":"r-1","details":{"column":"9","line":"1"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        "{} x",
        expect![[
            r#"{"code":40010001,"message":"the body is not JSON: expected the end after the value at line 1 column 4","reason":"UNREADABLE_JSON","request_id":"r-1","details":{"column":"4","line":"1"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        &"[".repeat(100),
        expect![[
            r#"{"code":40010001,"message":"the body is not JSON: more than 32 levels of nesting at line 1 column 33","reason":"UNREADABLE_JSON","request_id":"r-1","details":{"column":"33","line":"1"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        &"{\"legs\":[".repeat(100),
        expect![[
            r#"{"code":42210000,"message":"legs[0].legs: unknown field; known are symbol, ratio","reason":"UNKNOWN_FIELD","request_id":"r-1","details":{"field":"legs[0].legs"}}"#
        ]],
    );
}

#[test]
fn wrong_values_name_the_field_the_value_and_what_would_be_right() {
    check(
        "POST",
        "/v2/orders",
        r#"{"qty":"abc"}"#,
        expect![[
            r#"{"code":42210000,"message":"qty: \"abc\" is not a decimal number such as 12.5","reason":"INVALID_VALUE","request_id":"r-1","details":{"expected":"a decimal number such as 12.5","field":"qty","value":"\"abc\""}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"qty":true}"#,
        expect![[
            r#"{"code":42210000,"message":"qty: true is not a decimal number such as 12.5","reason":"INVALID_VALUE","request_id":"r-1","details":{"expected":"a decimal number such as 12.5","field":"qty","value":"true"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"qty":NaN}"#,
        expect![[
            r#"{"code":40010001,"message":"the body is not JSON: expected a value at line 1 column 8","reason":"UNREADABLE_JSON","request_id":"r-1","details":{"column":"8","line":"1"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"type":"iceberg"}"#,
        expect![[
            r#"{"code":42210000,"message":"type: \"iceberg\" is not one of \"market\", \"limit\", \"stop_limit\"","reason":"INVALID_VALUE","request_id":"r-1","details":{"expected":"one of \"market\", \"limit\", \"stop_limit\"","field":"type","value":"\"iceberg\""}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"type":2}"#,
        expect![[
            r#"{"code":42210000,"message":"type: 2 is not one of \"market\", \"limit\", \"stop_limit\"","reason":"INVALID_VALUE","request_id":"r-1","details":{"expected":"one of \"market\", \"limit\", \"stop_limit\"","field":"type","value":"2"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"side":"unspecified"}"#,
        expect![[
            r#"{"code":42210000,"message":"side: \"unspecified\" is not one of \"buy\", \"sell\"","reason":"INVALID_VALUE","request_id":"r-1","details":{"expected":"one of \"buy\", \"sell\"","field":"side","value":"\"unspecified\""}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"symbol":5}"#,
        expect![[
            r#"{"code":42210000,"message":"symbol: 5 is not a string","reason":"INVALID_VALUE","request_id":"r-1","details":{"expected":"a string","field":"symbol","value":"5"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"extended_hours":"true"}"#,
        expect![[
            r#"{"code":42210000,"message":"extended_hours: \"true\" is not true or false","reason":"INVALID_VALUE","request_id":"r-1","details":{"expected":"true or false","field":"extended_hours","value":"\"true\""}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"legs":[{"ratio":1},{"ratio":4294967296}]}"#,
        expect![[
            r#"{"code":42210000,"message":"legs[1].ratio: 4294967296 is not a whole number from 0 to 4294967295","reason":"INVALID_VALUE","request_id":"r-1","details":{"expected":"a whole number from 0 to 4294967295","field":"legs[1].ratio","value":"4294967296"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"legs":{}}"#,
        expect![[
            r#"{"code":42210000,"message":"legs: {} is not a list","reason":"INVALID_VALUE","request_id":"r-1","details":{"expected":"a list","field":"legs","value":"{}"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"[1]"#,
        expect![[
            r#"{"code":42210000,"message":"the body: [1] is not an object","reason":"INVALID_VALUE","request_id":"r-1","details":{"expected":"an object","field":"the body","value":"[1]"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"take_profit":{"limit_price":{"a":[1,2,3,"and so on and on and on and on and on and on"]}}}"#,
        expect![[
            r#"{"code":42210000,"message":"take_profit.limit_price: {\"a\":[1,2,3,\"and so on and on and on and on and on and on\"]} is not a decimal number such as 12.5","reason":"INVALID_VALUE","request_id":"r-1","details":{"expected":"a decimal number such as 12.5","field":"take_profit.limit_price","value":"{\"a\":[1,2,3,\"and so on and on and on and on and on and on\"]}"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        &format!(r#"{{"qty":{}}}"#, "9".repeat(65)),
        expect![[
            r#"{"code":42210000,"message":"qty: 999999999999999999999999999999999999999999999999999999999999… is not a number of at most 64 characters","reason":"INVALID_VALUE","request_id":"r-1","details":{"expected":"a number of at most 64 characters","field":"qty","value":"999999999999999999999999999999999999999999999999999999999999…"}}"#
        ]],
    );
    check(
        "GET",
        "/v2/orders?limit=1.5",
        "",
        expect![[
            r#"{"code":42210000,"message":"limit: \"1.5\" is not a whole number from -2147483648 to 2147483647","reason":"INVALID_VALUE","request_id":"r-1","details":{"expected":"a whole number from -2147483648 to 2147483647","field":"limit","value":"\"1.5\""}}"#
        ]],
    );
    check(
        "GET",
        "/v2/orders?nested=yes",
        "",
        expect![[
            r#"{"code":42210000,"message":"nested: \"yes\" is not true or false","reason":"INVALID_VALUE","request_id":"r-1","details":{"expected":"true or false","field":"nested","value":"\"yes\""}}"#
        ]],
    );
    check(
        "GET",
        "/v2/orders?after=yesterday",
        "",
        expect![[
            r#"{"code":42210000,"message":"after: \"yesterday\" is not a time such as 2024-01-02T15:04:05Z","reason":"INVALID_VALUE","request_id":"r-1","details":{"expected":"a time such as 2024-01-02T15:04:05Z","field":"after","value":"\"yesterday\""}}"#
        ]],
    );
    check(
        "GET",
        "/v2/orders?symbols=A,,B",
        "",
        expect![[
            r#"{"code":42210000,"message":"symbols: \"A,,B\" is not a list with a value between commas, such as AAPL,MSFT","reason":"INVALID_VALUE","request_id":"r-1","details":{"expected":"a list with a value between commas, such as AAPL,MSFT","field":"symbols","value":"\"A,,B\""}}"#
        ]],
    );
    check(
        "GET",
        "/v2/orders?date=2023-02-29",
        "",
        expect![[
            r#"{"code":42210000,"message":"date: \"2023-02-29\" is not a date such as 2024-01-02","reason":"INVALID_VALUE","request_id":"r-1","details":{"expected":"a date such as 2024-01-02","field":"date","value":"\"2023-02-29\""}}"#
        ]],
    );
    check(
        "POST",
        "/v1/echo",
        r#"{"names":{"x":"y"}}"#,
        expect![[
            r#"{"code":42210000,"message":"names: key \"x\" is not a whole number from -2147483648 to 2147483647","reason":"INVALID_VALUE","request_id":"r-1","details":{"expected":"a whole number from -2147483648 to 2147483647","field":"names","value":"key \"x\""}}"#
        ]],
    );
}

#[test]
fn unknown_doubled_and_contradictory_fields_are_refused() {
    check(
        "POST",
        "/v2/orders",
        r#"{"qyt":1}"#,
        expect![[
            r#"{"code":42210000,"message":"qyt: unknown field; did you mean qty?","reason":"UNKNOWN_FIELD","request_id":"r-1","details":{"expected":"qty","field":"qyt"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"limitPrice":1}"#,
        expect![[
            r#"{"code":42210000,"message":"limitPrice: unknown field; did you mean limit_price?","reason":"UNKNOWN_FIELD","request_id":"r-1","details":{"expected":"limit_price","field":"limitPrice"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"take_profit":{"trail":1}}"#,
        expect![[
            r#"{"code":42210000,"message":"take_profit.trail: unknown field; known are limit_price","reason":"UNKNOWN_FIELD","request_id":"r-1","details":{"field":"take_profit.trail"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"qty":1,"qty":2}"#,
        expect![[
            r#"{"code":42210000,"message":"qty: occurs twice","reason":"DUPLICATE_FIELD","request_id":"r-1","details":{"field":"qty"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"qty":null,"qty":2}"#,
        expect![[
            r#"{"code":42210000,"message":"qty: occurs twice","reason":"DUPLICATE_FIELD","request_id":"r-1","details":{"field":"qty"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"client_id":"a","client_order_id":"b"}"#,
        expect![[
            r#"{"code":42210000,"message":"client_order_id: occurs twice","reason":"DUPLICATE_FIELD","request_id":"r-1","details":{"field":"client_order_id"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"qty":1,"notional":2}"#,
        expect![[
            r#"{"code":42210000,"message":"notional: excludes qty; send one of them","reason":"FIELD_CONFLICT","request_id":"r-1","details":{"field":"notional"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders",
        r#"{"qty":1,"notional":null}"#,
        expect![[r#"PlaceOrder qty:"1""#]],
    );
    check(
        "POST",
        "/v1/echo",
        r#"{"weights":{"a":1,"a":2}}"#,
        expect![[
            r#"{"code":42210000,"message":"weights.a: occurs twice","reason":"DUPLICATE_FIELD","request_id":"r-1","details":{"field":"weights.a"}}"#
        ]],
    );
    check(
        "POST",
        "/v2/orders?qty=1",
        r#"{"side":"buy"}"#,
        expect![[
            r#"{"code":42210000,"message":"qty: POST /v2/orders takes its fields in the JSON body","reason":"UNKNOWN_FIELD","request_id":"r-1","details":{"field":"qty"}}"#
        ]],
    );
    check(
        "PATCH",
        "/v2/orders/9",
        r#"{"order_id":"8"}"#,
        expect![[
            r#"{"code":42210000,"message":"order_id: is given by the path; leave it out of the body","reason":"FIELD_TAKEN","request_id":"r-1","details":{"field":"order_id"}}"#
        ]],
    );
    check(
        "GET",
        "/v2/orders/9?order_id=8",
        "",
        expect![[
            r#"{"code":42210000,"message":"order_id: occurs twice, or is given by the path or the body too","reason":"DUPLICATE_FIELD","request_id":"r-1","details":{"field":"order_id"}}"#
        ]],
    );
    check(
        "GET",
        "/v2/orders?limit=1&limit=2",
        "",
        expect![[
            r#"{"code":42210000,"message":"limit: occurs twice, or is given by the path or the body too","reason":"DUPLICATE_FIELD","request_id":"r-1","details":{"field":"limit"}}"#
        ]],
    );
    check(
        "GET",
        "/v2/orders?simbols=A",
        "",
        expect![[
            r#"{"code":42210000,"message":"simbols: unknown field; did you mean symbols?","reason":"UNKNOWN_FIELD","request_id":"r-1","details":{"expected":"symbols","field":"simbols"}}"#
        ]],
    );
    check(
        "GET",
        "/v2/orders?page.sise=1",
        "",
        expect![[
            r#"{"code":42210000,"message":"page.sise: unknown field; did you mean size?","reason":"UNKNOWN_FIELD","request_id":"r-1","details":{"expected":"size","field":"page.sise"}}"#
        ]],
    );
    check(
        "GET",
        "/v2/orders?page=1",
        "",
        expect![[
            r#"{"code":42210000,"message":"page: is an object; give its fields, such as page.size","reason":"UNKNOWN_FIELD","request_id":"r-1","details":{"field":"page"}}"#
        ]],
    );
    check(
        "GET",
        "/v2/orders?status.x=1",
        "",
        expect![[
            r#"{"code":42210000,"message":"status.x: has no fields within","reason":"UNKNOWN_FIELD","request_id":"r-1","details":{"field":"status.x"}}"#
        ]],
    );
    check(
        "GET",
        "/v1/echo?left=a&nothing=b",
        "",
        expect![[
            r#"{"code":42210000,"message":"nothing: excludes left; send one of them","reason":"FIELD_CONFLICT","request_id":"r-1","details":{"field":"nothing"}}"#
        ]],
    );
    check(
        "DELETE",
        "/v2/orders",
        r#"{"a":1}"#,
        expect![[
            r#"{"code":42210000,"message":"the body: DELETE /v2/orders takes none","reason":"UNEXPECTED_BODY","request_id":"r-1","details":{"field":"the body"}}"#
        ]],
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
}
