//! Which route a path finds, and what makes a set of routes unsound.

use expect_test::{Expect, expect};
use http::Method;
use prepx_transcode::{Auth, Effect};

use crate::desk::{DESK, inline, shown};

fn find(method: &str, path: &str) -> String {
    match DESK.find(&Method::from_bytes(method.as_bytes()).unwrap(), path) {
        Ok(call) => {
            let variables: Vec<_> = call
                .variables()
                .map(|(n, v)| format!(" {n}={v:?}"))
                .collect();
            format!("{}{}", call.route().method().name(), variables.concat())
        }
        Err(error) => format!("{} {}", error.code, error.message),
    }
}

fn check(method: &str, path: &str, expected: Expect) {
    expected.assert_eq(&find(method, path));
}

#[test]
fn paths_find_their_methods() {
    check("GET", "/v2/orders", expect!["ListOrders"]);
    check("HEAD", "/v2/orders", expect!["ListOrders"]);
    check(
        "GET",
        "/v2/orders:by_client_order_id",
        expect!["GetOrderByClientId"],
    );
    check(
        "GET",
        "/v2/orders/a%2Fb%20c",
        expect![[r#"GetOrder order_id="a/b c""#]],
    );
    check(
        "GET",
        "/v2/orders/a:b",
        expect![[r#"GetOrder order_id="a:b""#]],
    );
    check(
        "GET",
        "/v2/orders/a+b",
        expect![[r#"GetOrder order_id="a+b""#]],
    );
    check(
        "GET",
        "/v2/assets/BTC%2FUSD",
        expect![[r#"GetAsset symbol="BTC/USD""#]],
    );
    check(
        "GET",
        "/v2/assets/BTC/USD",
        expect![[r#"GetAsset symbol="BTC/USD""#]],
    );
    check("PUT", "/v2/notes/n", expect![[r#"PutNote note.id="n""#]]);
}

#[test]
fn no_path_and_no_method_are_told_apart() {
    check(
        "GET",
        "/",
        expect!["40410000 there is nothing at /; /openapi.json lists all paths"],
    );
    check(
        "GET",
        "",
        expect!["40410000 there is nothing at ; /openapi.json lists all paths"],
    );
    check(
        "GET",
        "*",
        expect!["40410000 there is nothing at *; /openapi.json lists all paths"],
    );
    check(
        "GET",
        "/v2/orders/",
        expect!["40410000 there is nothing at /v2/orders/; /openapi.json lists all paths"],
    );
    check(
        "GET",
        "/v2//orders",
        expect!["40410000 there is nothing at /v2//orders; /openapi.json lists all paths"],
    );
    check(
        "GET",
        "/v2/assets//USD",
        expect!["40410000 there is nothing at /v2/assets//USD; /openapi.json lists all paths"],
    );
    check(
        "GET",
        "/v2/orders:other",
        expect!["40410000 there is nothing at /v2/orders:other; /openapi.json lists all paths"],
    );
    check(
        "PUT",
        "/v2/orders",
        expect!["40510000 /v2/orders does not allow PUT, only DELETE, GET, POST"],
    );
    check(
        "PUT",
        "/v2/orders:by_client_order_id",
        expect!["40510000 /v2/orders:by_client_order_id does not allow PUT, only GET"],
    );
    check(
        "GET",
        "/v2/orders/%ff",
        expect![[r#"40010001 "%ff" is not UTF-8 after percent-decoding"#]],
    );
    check(
        "GET",
        &format!("/{}", "x/".repeat(10_000)),
        expect![
            "40410000 there is nothing at /x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x…; /openapi.json lists all paths"
        ],
    );
    let error = DESK.find(&Method::PUT, "/v2/orders/1").unwrap_err();
    assert_eq!(error.allow(), Some("DELETE, GET, PATCH"));
    expect![[r#"{"code":40510000,"message":"/v2/orders/1 does not allow PUT, only DELETE, GET, PATCH","reason":"METHOD_NOT_ALLOWED","request_id":"r-1","details":{"allow":"DELETE, GET, PATCH"}}"#]].assert_eq(&shown(&error));
}

#[test]
fn routes_know_their_rules() {
    let route = |method: &Method, path: &str| DESK.find(method, path).unwrap().route().clone();
    let place = route(&Method::POST, "/v2/orders");
    assert_eq!(place.grpc_path(), "/desk.v1.Desk/PlaceOrder");
    assert_eq!(
        (place.auth(), place.scope()),
        (Auth::Trader, Some("orders:write"))
    );
    assert_eq!(
        (place.effect(), place.success_status().as_u16()),
        (Effect::Once, 200)
    );
    assert_eq!(
        place.body_limit_bytes(),
        prepx_transcode::DEFAULT_BODY_LIMIT_BYTES
    );
    assert_eq!(place.template(), "/v2/orders");
    assert_eq!(route(&Method::GET, "/v2/orders").effect(), Effect::Read);
    assert_eq!(
        route(&Method::PATCH, "/v2/orders/1").effect(),
        Effect::Idempotent
    );
    assert_eq!(
        route(&Method::DELETE, "/v2/orders/1")
            .success_status()
            .as_u16(),
        204
    );
    assert_eq!(route(&Method::GET, "/v2/stocks/bars").auth(), Auth::None);
    let note = route(&Method::PUT, "/v2/notes/1");
    assert_eq!(
        (note.auth(), note.body_limit_bytes()),
        (Auth::Operator, 200)
    );
    assert_eq!(DESK.routes().len(), 16);
}

#[test]
fn literals_come_first_and_dead_ends_are_left() {
    let router = inline(
        r#"service S {
          rpc A(M) returns (M) { option (google.api.http) = { get: "/x/y" }; }
          rpc B(M) returns (M) { option (google.api.http) = { get: "/x/{a}" additional_bindings { post: "/x/{a}" } }; }
          rpc C(M) returns (M) { option (google.api.http) = { get: "/{a=**}" }; }
          rpc D(M) returns (M) { option (google.api.http) = { get: "/x/y/z" additional_bindings { get: "/x/{a}/w" } }; }
          rpc E(M) returns (M) { option (google.api.http) = { custom { kind: "*" path: "/any" } additional_bindings { custom { kind: "PURGE" path: "/purge" } } }; }
          rpc G(M) returns (M) { option (google.api.http) = { get: "/g/{a=**}" additional_bindings { get: "/h/**" } additional_bindings { get: "/{a=i/**}" } }; }
          rpc F(M) returns (M) { option (google.api.http) = { get: "/x/{a=*}:v" additional_bindings { get: "/x/p/{a=q/**}:w" } }; }
        } message M { string a = 1; }"#,
    )
    .unwrap();
    let found = |method: &str, path: &str| {
        let call = router
            .find(&Method::from_bytes(method.as_bytes()).unwrap(), path)
            .unwrap();
        let value = call.variables().next().map(|(_, value)| value.to_owned());
        format!(
            "{} {}",
            call.route().method().name(),
            value.unwrap_or_default()
        )
    };
    assert_eq!(found("GET", "/x/y"), "A ");
    assert_eq!(found("POST", "/x/y"), "B y");
    assert_eq!(found("GET", "/x/z"), "B z");
    assert_eq!(found("GET", "/x/y/z"), "D ");
    assert_eq!(found("GET", "/x/y/w"), "D y");
    assert_eq!(found("GET", "/x/y/v"), "C x/y/v");
    assert_eq!(found("DELETE", "/any"), "E ");
    assert_eq!(found("PURGE", "/purge"), "E ");
    assert_eq!(found("GET", "/x/y:v"), "F y");
    assert_eq!(found("GET", "/x/p/q:w"), "F q");
    assert_eq!(found("GET", "/x/p/q/r/s:w"), "F q/r/s");
    assert_eq!(found("GET", "/x/p:u"), "B p:u");
    assert_eq!(found("GET", "/g"), "C g");
    assert_eq!(found("GET", "/g/1/2"), "G 1/2");
    assert_eq!(found("GET", "/h"), "G ");
    assert_eq!(found("GET", "/h/1"), "G ");
    assert_eq!(found("GET", "/i"), "G i");
}

fn unsound(content: &str, expected: Expect) {
    expected.assert_eq(&inline(content).unwrap_err().to_string());
}

/// One method over message M with one string field `a`, and whatever else.
fn method(http: &str) -> String {
    format!(
        "service S {{ rpc A(M) returns (M) {{ option (google.api.http) = {{ {http} }}; }} }} \
         message M {{ string a = 1; repeated string l = 2; N n = 3; }} message N {{ string b = 1; }}"
    )
}

#[test]
fn unsound_routes_are_refused_at_build_time() {
    unsound(
        &method(r#"get: "/a/{b}""#),
        expect!["t.S.A: path variable b: b: unknown field; known are a, l, n"],
    );
    unsound(
        &method(r#"get: "/a/{l}""#),
        expect!["t.S.A: path variable l: a list cannot be in the path"],
    );
    unsound(
        &method(r#"get: "/a/{n}""#),
        expect!["t.S.A: path variable n: n: is an object; give its fields, such as n.b"],
    );
    unsound(
        &method(r#"get: "/a/{a.b}""#),
        expect!["t.S.A: path variable a.b: b: has no fields within"],
    );
    unsound(
        &method(r#"get: "a""#),
        expect![[r#"t.S.A: path template "a": expected '/' at position 0"#]],
    );
    unsound(
        &method(r#"post: "/a" body: "x""#),
        expect!["t.S.A: body: t.M has no field x"],
    );
    unsound(
        &method(r#"post: "/a/{a}" body: "a""#),
        expect!["t.S.A: field a is in the path and is the body"],
    );
    unsound(
        &method(r#"get: "/a" response_body: "x""#),
        expect!["t.S.A: response_body: t.M has no field x"],
    );
    unsound(
        &method(r#"body: "*""#),
        expect!["t.S.A: google.api.http without a path"],
    );
    unsound(
        &method(r#"get: "/a/{a}/b" additional_bindings { get: "/{a=a/*}/b" }"#),
        expect!["t.S.A: GET /{a=a/*}/b takes the same requests as GET /a/{a}/b of /t.S/A"],
    );
    unsound(
        r#"service S { rpc A(stream M) returns (M) { option (google.api.http) = { post: "/a" body: "*" }; } } message M {}"#,
        expect!["t.S.A: a stream of requests has no HTTP form; remove google.api.http"],
    );
    unsound(
        r#"service S { rpc A(M) returns (M) { option (google.api.http) = { get: "/a" }; option (prepx.options.v1.method).success_status = 302; } } message M {}"#,
        expect!["t.S.A: success_status is 302; it must be 200 to 299"],
    );
}

/// One method over a message with these contents.
fn over(content: &str) -> String {
    format!(
        "service S {{ rpc A(M) returns (M) {{ option (google.api.http) = {{ get: \"/a\" }}; }} }} message M {{ {content} }}"
    )
}

#[test]
fn messages_without_a_json_form_are_refused_at_build_time() {
    unsound(
        &over("google.protobuf.Any a = 1;"),
        expect!["t.S.A: t.M: field a: google.protobuf.Any has no JSON form here"],
    );
    unsound(
        &over("int32 a = 1 [(prepx.options.v1.field).format = FORMAT_DECIMAL];"),
        expect!["t.S.A: t.M: field a: FORMAT_DECIMAL does not fit this type"],
    );
    unsound(
        &over("int32 a = 1; int32 b = 2 [(prepx.options.v1.field).name = \"a\"];"),
        expect![[r#"t.S.A: t.M: two fields have the JSON name "a""#]],
    );
    unsound(
        &over("enum E { X = 0; } E a = 1;"),
        expect![
            "t.S.A: t.M: field a: enum t.M.E: X does not begin with E_; say its prefix or its name"
        ],
    );
    unsound(
        &over("enum E { E_X = 0; E_Y = 1 [(prepx.options.v1.value).name = \"x\"]; } E a = 1;"),
        expect![[r#"t.S.A: t.M: field a: enum t.M.E: two values have the JSON name "x""#]],
    );
    unsound(
        &over("option (prepx.options.v1.object).flatten = true; int32 a = 1; int32 b = 2;"),
        expect!["t.S.A: t.M: flatten needs exactly one field, or one oneof and nothing else"],
    );
    unsound(
        &over(
            "option (prepx.options.v1.object).flatten = true; oneof o { int32 a = 1; int32 b = 2; }",
        ),
        expect!["t.S.A: t.M is a flattened oneof, which only answers can have"],
    );
    let many: String = (1..=129).map(|n| format!("int32 f{n} = {n};")).collect();
    unsound(
        &over(&many),
        expect!["t.S.A: t.M: 129 fields; at most 128 here"],
    );
}
