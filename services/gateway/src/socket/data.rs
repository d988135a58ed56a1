//! The words of the market-data streams: lists of objects with a type `T`.

use std::collections::{BTreeMap, BTreeSet};

use prepx_domain::AssetClass;
use prepx_proto::notification::v1 as wire;
use prepx_proto::trading::v1::AssetClass as WireClass;
use serde_json::{Value, json};
use wire::Channel;

/// Symbols that one socket may name, over all channels.
const SYMBOLS_MAX: usize = 1_000;
/// The longest symbol.
const SYMBOL_BYTES_MAX: usize = 32;

/// The channels of equities. Those without a channel of ours never have messages: trades are never
/// corrected, and there are no limit bands except an order's own.
const STOCKS: [(&str, Option<Channel>); 9] = [
    ("trades", Some(Channel::Trades)),
    ("quotes", Some(Channel::Quotes)),
    ("bars", Some(Channel::Bars)),
    ("updatedBars", Some(Channel::UpdatedBars)),
    ("dailyBars", Some(Channel::DailyBars)),
    ("statuses", Some(Channel::Statuses)),
    ("lulds", None),
    ("corrections", None),
    ("cancelErrors", None),
];
/// The channels of crypto pairs.
const CRYPTO: [(&str, Option<Channel>); 6] = [
    ("trades", Some(Channel::Trades)),
    ("quotes", Some(Channel::Quotes)),
    ("bars", Some(Channel::Bars)),
    ("updatedBars", Some(Channel::UpdatedBars)),
    ("dailyBars", Some(Channel::DailyBars)),
    ("orderbooks", Some(Channel::Orderbooks)),
];
/// Channels that clients know but that have no messages here. The answer says so.
const UNSUPPORTED: [&str; 5] = ["statuses", "orderbooks", "imbalances", "news", "pricing"];

/// An error as clients know them.
pub type Refusal = (u32, &'static str);
/// It cannot be read.
pub const INVALID_SYNTAX: Refusal = (400, "invalid syntax");
/// It needs a key first.
pub const NOT_AUTHENTICATED: Refusal = (401, "not authenticated");
/// The key is wrong.
pub const AUTH_FAILED: Refusal = (402, "auth failed");
/// There was a key before.
pub const ALREADY_AUTHENTICATED: Refusal = (403, "already authenticated");
/// No key came in time.
pub const AUTH_TIMEOUT: Refusal = (404, "auth timeout");
/// Too many symbols.
pub const SYMBOL_LIMIT: Refusal = (405, "symbol limit exceeded");
/// Too many sockets.
pub const CONNECTION_LIMIT: Refusal = (406, "connection limit exceeded");
/// It does not read.
pub const SLOW_CLIENT: Refusal = (407, "slow client");
/// The key may not.
pub const INSUFFICIENT: Refusal = (409, "insufficient subscription");
/// The channel is none of this feed.
pub const INVALID_CHANNEL: Refusal = (410, "invalid subscribe action for this feed");
/// A fault of ours.
pub const INTERNAL: Refusal = (500, "internal error");

/// The subscriptions of a socket: symbols by channel.
#[derive(Default)]
pub struct Subscriptions(BTreeMap<&'static str, BTreeSet<String>>);

/// A change of the subscriptions.
#[derive(Debug, PartialEq)]
pub struct Change {
    /// For the notification service; `None` if only unsupported channels are named.
    pub wire: Option<wire::ChangeMarket>,
    /// The unsupported channels that are named.
    pub unsupported: Vec<&'static str>,
}

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
    /// To subscribe.
    Subscribe,
    /// To unsubscribe.
    Unsubscribe,
}

/// An error, for the client.
pub fn error((code, message): Refusal) -> Value {
    json!([{"T": "error", "code": code, "msg": message}])
}

/// The error for unsupported channels, for the client. Some clients compare the text, so it is Alpaca's.
pub fn unsupported(channels: &[&str]) -> Value {
    let (code, message) = INVALID_CHANNEL;
    json!([{"T": "error", "code": code, "msg": message, "channels": channels}])
}

/// A success, for the client.
pub fn success(message: &str) -> Value {
    json!([{"T": "success", "msg": message}])
}

/// Parses a message.
pub fn read(message: &Value) -> Result<Ask, Refusal> {
    let text = |name: &str| message[name].as_str().map(str::to_owned);
    match message["action"].as_str() {
        Some("auth") => {
            let (key, secret) = text("key").zip(text("secret")).ok_or(INVALID_SYNTAX)?;
            Ok(Ask::Auth { key, secret })
        }
        Some("subscribe") => Ok(Ask::Subscribe),
        Some("unsubscribe") => Ok(Ask::Unsubscribe),
        _ => Err(INVALID_SYNTAX),
    }
}

const fn channels(class: AssetClass) -> &'static [(&'static str, Option<Channel>)] {
    match class {
        AssetClass::UsEquity => &STOCKS,
        AssetClass::Crypto => &CRYPTO,
    }
}

impl Subscriptions {
    /// Applies a change, as far as its channels are supported.
    ///
    /// # Errors
    /// When it is not valid; then nothing has changed.
    pub fn change(
        &mut self,
        class: AssetClass,
        message: &Value,
        more: bool,
    ) -> Result<Change, Refusal> {
        let names = || channels(class).iter().map(|(name, _)| *name);
        let is_named = |name: &&'static str| message.get(*name).is_some_and(is_asked);
        let is_unknown = |name: &&'static str| names().all(|known| known != *name);
        let unsupported = UNSUPPORTED.into_iter().filter(is_unknown).filter(is_named);
        let unsupported: Vec<&str> = unsupported.collect();
        if !unsupported.is_empty() && !names().any(|name| is_named(&name)) {
            return Ok(Change {
                wire: None,
                unsupported,
            });
        }
        let mut subscriptions = self.0.clone();
        let mut lists = Vec::new();
        for &(name, channel) in channels(class) {
            let Some(asked) = message.get(name).filter(|asked| !asked.is_null()) else {
                continue;
            };
            let symbols = symbols(asked)?;
            let of = subscriptions.entry(name).or_default();
            match more {
                true => of.extend(symbols.iter().cloned()),
                false => of.retain(|symbol| !symbols.contains(symbol)),
            }
            lists.extend(channel.map(|channel| wire::ChannelSymbols {
                channel: channel.into(),
                symbols: symbols.into_iter().collect(),
            }));
        }
        if subscriptions.values().map(BTreeSet::len).sum::<usize>() > SYMBOLS_MAX {
            return Err(SYMBOL_LIMIT);
        }
        self.0 = subscriptions;
        let (subscribe, unsubscribe) = if more {
            (lists, vec![])
        } else {
            (vec![], lists)
        };
        let class = match class {
            AssetClass::UsEquity => WireClass::UsEquity,
            AssetClass::Crypto => WireClass::Crypto,
        };
        let wire = Some(wire::ChangeMarket {
            class: class.into(),
            subscribe,
            unsubscribe,
        });
        Ok(Change { wire, unsupported })
    }

    /// All subscriptions, for the client.
    pub fn subscription(&self, class: AssetClass) -> Value {
        let mut all = json!({"T": "subscription"});
        for (name, _) in channels(class) {
            all[*name] = json!(self.0.get(name).cloned().unwrap_or_default());
        }
        json!([all])
    }
}

/// Some clients name every channel there is, with nothing where they ask for nothing.
fn is_asked(list: &Value) -> bool {
    match list {
        Value::Null => false,
        Value::Array(symbols) => !symbols.is_empty(),
        _ => true,
    }
}

fn symbols(list: &Value) -> Result<BTreeSet<String>, Refusal> {
    let list = list.as_array().ok_or(INVALID_SYNTAX)?;
    let symbol = |value: &Value| {
        let text = value.as_str().ok_or(INVALID_SYNTAX)?;
        let is_symbol = (1..=SYMBOL_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_symbol.then(|| text.to_owned()).ok_or(INVALID_SYNTAX)
    };
    list.iter().map(symbol).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_lists_everything_after_each_change() {
        let mut subscriptions = Subscriptions::default();
        let class = AssetClass::Crypto;
        let more = json!({"trades": ["B/USD", "A/USD"], "orderbooks": ["*"], "quotes": null,
            "dailyBars": null, "statuses": []});
        let Change { wire, unsupported } = subscriptions.change(class, &more, true).unwrap();
        assert_eq!((wire.unwrap().subscribe.len(), unsupported.len()), (2, 0));
        subscriptions
            .change(class, &json!({"trades": ["B/USD"]}), false)
            .unwrap();
        let expected = json!([{"T": "subscription", "trades": ["A/USD"], "quotes": [], "bars": [],
            "updatedBars": [], "dailyBars": [], "orderbooks": ["*"]}]);
        assert_eq!(subscriptions.subscription(class), expected);
    }

    #[test]
    fn channels_that_there_are_not_leave_the_others_be() {
        let class = AssetClass::UsEquity;
        for (asked, subscribed, unsupported) in [
            (
                json!({"trades": ["A"], "news": ["A"], "orderbooks": ["*"]}),
                Some(1),
                vec!["orderbooks", "news"],
            ),
            (json!({"orderbooks": ["B"]}), None, vec!["orderbooks"]),
            (
                json!({"orderbooks": ["B"], "trades": []}),
                None,
                vec!["orderbooks"],
            ),
            (json!({"dailyBars": ["B"], "news": []}), Some(1), vec![]),
        ] {
            let mut subscriptions = Subscriptions::default();
            let change = subscriptions.change(class, &asked, true).unwrap();
            let lists = change.wire.map(|wire| wire.subscribe.len());
            assert_eq!(
                (lists, change.unsupported),
                (subscribed, unsupported),
                "{asked}"
            );
        }
    }

    #[test]
    fn what_is_not_sound_changes_nothing() {
        let mut subscriptions = Subscriptions::default();
        let many: Vec<String> = (0..=SYMBOLS_MAX).map(|n| format!("S{n}")).collect();
        for (wrong, refusal) in [
            (json!({"trades": ["A"], "quotes": "A"}), INVALID_SYNTAX),
            (json!({"trades": ["A", 1]}), INVALID_SYNTAX),
            (json!({"trades": ["A", ""]}), INVALID_SYNTAX),
            (json!({"trades": ["A\n"]}), INVALID_SYNTAX),
            (json!({"trades": many}), SYMBOL_LIMIT),
        ] {
            let class = AssetClass::UsEquity;
            assert_eq!(
                subscriptions.change(class, &wrong, true),
                Err(refusal),
                "{wrong}"
            );
            assert_eq!(subscriptions.subscription(class)[0]["trades"], json!([]));
        }
        for wrong in [
            json!(null),
            json!([]),
            json!({"action": 1}),
            json!({"action": "auth"}),
        ] {
            assert_eq!(read(&wrong), Err(INVALID_SYNTAX), "{wrong}");
        }
    }
}
