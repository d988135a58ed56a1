//! The messages of the trading stream: objects with a `stream` and its `data`.

use prepx_proto::notification::v1 as wire;
use serde_json::{Value, json};

/// The only stream.
const TRADE_UPDATES: &str = "trade_updates";

/// A client's request.
#[derive(Debug, PartialEq, Eq)]
pub enum Ask {
    /// To sign in.
    Auth {
        /// The key's id.
        key: String,
        /// The key's secret.
        secret: String,
    },
    /// To subscribe to the account's orders, or to unsubscribe.
    Listen(bool),
}

/// Parses a message; otherwise the error in it.
pub fn read(message: &Value) -> Result<Ask, &'static str> {
    let data = &message["data"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match message["action"].as_str() {
        Some("authenticate") => {
            let key = text(&data["key_id"]).zip(text(&data["secret_key"]));
            let (key, secret) = key.ok_or("authenticate needs data.key_id and data.secret_key")?;
            Ok(Ask::Auth { key, secret })
        }
        Some("auth") => {
            let key = text(&message["key"]).zip(text(&message["secret"]));
            let (key, secret) = key.ok_or("auth needs key and secret")?;
            Ok(Ask::Auth { key, secret })
        }
        Some("listen") => {
            let streams = data["streams"].as_array();
            let streams = streams.ok_or("listen needs data.streams, a list")?;
            Ok(Ask::Listen(
                streams.iter().any(|name| name == TRADE_UPDATES),
            ))
        }
        _ => Err("action must be authenticate or listen"),
    }
}

/// The answer to a sign-in.
pub fn authorization(is_authorized: bool, action: &str) -> Value {
    let status = if is_authorized {
        "authorized"
    } else {
        "unauthorized"
    };
    json!({"stream": "authorization", "data": {"status": status, "action": action}})
}

/// The error for a client that is not signed in and did not try to.
pub fn unauthorized(message: &str) -> Value {
    json!({"stream": "authorization",
        "data": {"status": "unauthorized", "action": "authenticate", "message": message}})
}

/// The client's subscriptions.
pub fn listening(subscription: &wire::Subscription) -> Value {
    let streams: &[&str] = match subscription.account_ids.is_empty() {
        true => &[],
        false => &[TRADE_UPDATES],
    };
    json!({"stream": "listening", "data": {"streams": streams}})
}

/// The error for something that cannot be done.
pub fn error(code: u32, message: &str) -> Value {
    json!({"stream": "error", "data": {"code": code, "error_message": message}})
}

/// An event of an order from its JSON.
pub fn trade_update(body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    format!("{{\"stream\":\"{TRADE_UPDATES}\",\"data\":{body}}}")
}

/// The change that subscribes to the key's own account, or unsubscribes.
pub fn listen(listen: bool) -> wire::subscribe_request::Change {
    wire::subscribe_request::Change::Account(wire::ListenAccount {
        account_id: String::new(),
        listen,
    })
}
