//! The examples in the comments of `google/api/http.proto`, one test each.

use http::Method;
use prost_reflect::DynamicMessage;

use crate::desk::inline;

/// Sends `request` (`GET /path?query` and a body) to a service with one such method, and returns the
/// request message in the text format.
fn sent(http: &str, message: &str, request: &str, body: &str) -> String {
    let content = format!(
        "service Messaging {{ rpc Call(Request) returns (Reply) {{ option (google.api.http) = {{ {http} }}; }} }} \
         message Request {{ {message} }} message Reply {{}}"
    );
    let router = inline(&content).unwrap();
    let (method, url) = request.split_once(' ').unwrap();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let call = router
        .find(&Method::from_bytes(method.as_bytes()).unwrap(), path)
        .unwrap();
    let bytes = call.decode(Some(query), None, body.as_bytes()).unwrap();
    let input = call.route().method().input();
    DynamicMessage::decode(input, bytes.as_slice())
        .unwrap()
        .to_text_format()
}

#[test]
fn a_variable_of_two_segments() {
    let text = sent(
        r#"get: "/v1/{name=messages/*}""#,
        "string name = 1;",
        "GET /v1/messages/123456",
        "",
    );
    assert_eq!(text, r#"name:"messages/123456""#);
}

#[test]
fn fields_not_in_the_path_are_query_parameters() {
    let message = "message SubMessage { string subfield = 1; } \
        string message_id = 1; int64 revision = 2; SubMessage sub = 3;";
    let text = sent(
        r#"get:"/v1/messages/{message_id}""#,
        message,
        "GET /v1/messages/123456?revision=2&sub.subfield=foo",
        "",
    );
    assert_eq!(
        text,
        r#"message_id:"123456",revision:2,sub{subfield:"foo"}"#
    );
}

#[test]
fn the_body_is_a_field() {
    let message =
        "message Message { string text = 1; } string message_id = 1; Message message = 2;";
    let text = sent(
        r#"patch: "/v1/messages/{message_id}" body: "message""#,
        message,
        "PATCH /v1/messages/123456",
        r#"{ "text": "Hi!" }"#,
    );
    assert_eq!(text, r#"message_id:"123456",message{text:"Hi!"}"#);
}

#[test]
fn the_body_is_everything_else() {
    let text = sent(
        r#"patch: "/v1/messages/{message_id}" body: "*""#,
        "string message_id = 1; string text = 2;",
        "PATCH /v1/messages/123456",
        r#"{ "text": "Hi!" }"#,
    );
    assert_eq!(text, r#"message_id:"123456",text:"Hi!""#);
}

#[test]
fn two_paths_for_one_method() {
    let http = r#"get: "/v1/messages/{message_id}"
        additional_bindings { get: "/v1/users/{user_id}/messages/{message_id}" }"#;
    let message = "string message_id = 1; string user_id = 2;";
    let text = sent(http, message, "GET /v1/messages/123456", "");
    assert_eq!(text, r#"message_id:"123456""#);
    let text = sent(http, message, "GET /v1/users/me/messages/123456", "");
    assert_eq!(text, r#"message_id:"123456",user_id:"me""#);
}

#[test]
fn repeated_parameters() {
    let text = sent(
        r#"get: "/v1/m""#,
        "repeated string param = 1;",
        "GET /v1/m?param=A&param=B",
        "",
    );
    assert_eq!(text, r#"param:["A","B"]"#);
}
