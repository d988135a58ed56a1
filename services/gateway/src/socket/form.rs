//! The formats of messages on a socket: JSON text, or MessagePack for clients that asked for it.
//!
//! JSON keeps every digit of a number. MessagePack has binary floating point, because its clients
//! demand that; it is made here, at the very edge.

use axum::body::Bytes;
use axum::extract::ws::Message;
use prepx_proto::notification::v1 as wire;
use prepx_transcode::{BuildError, Codec, Error};
use prost::Message as _;
use serde_json::Value;
use wire::market_event::Event;

/// How deep a client's message may be nested.
const DEPTH_MAX: usize = 16;
/// The MessagePack extension of a timestamp.
const TIMESTAMP: i8 = -1;

/// The format of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Text.
    Json,
    /// Binary.
    MessagePack,
}

/// The JSON of events.
pub struct Codecs {
    trade_update: Codec,
    trade: Codec,
    quote: Codec,
    bar: Codec,
    orderbook: Codec,
    status: Codec,
}

/// An event of a market: the JSON object without its type and symbol, and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The letter of its type.
    pub kind: &'static str,
    /// The symbol of its instrument.
    pub symbol: String,
    body: Vec<u8>,
    at_us: i64,
}

impl Codecs {
    /// From the descriptors.
    ///
    /// # Errors
    /// When one has no JSON form.
    pub fn build() -> Result<Codecs, BuildError> {
        Ok(Codecs {
            trade_update: codec("prepx.notification.v1.TradeUpdate")?,
            trade: codec("prepx.market_data.v1.Trade")?,
            quote: codec("prepx.market_data.v1.Quote")?,
            bar: codec("prepx.market_data.v1.Bar")?,
            orderbook: codec("prepx.market_data.v1.OrderBook")?,
            status: codec("prepx.notification.v1.TradingStatus")?,
        })
    }

    /// The JSON of an event of an order.
    ///
    /// # Errors
    /// When it has none, which is a fault of ours.
    pub fn trade_update(&self, update: &wire::TradeUpdate) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        self.trade_update
            .encode(&update.encode_to_vec(), &mut body)?;
        Ok(body)
    }

    /// An event of a market; `None` if its channel has no letter.
    ///
    /// # Errors
    /// When it has no JSON, which is a fault of ours.
    pub fn item(&self, event: &wire::MarketEvent) -> Result<Option<Item>, Error> {
        let bar_kind = match event.channel() {
            wire::Channel::UpdatedBars => "u",
            wire::Channel::DailyBars => "d",
            _ => "b",
        };
        let Some(what) = &event.event else {
            return Ok(None);
        };
        let (kind, codec, bytes, at_us) = match what {
            Event::Trade(trade) => ("t", &self.trade, trade.encode_to_vec(), trade.timestamp),
            Event::Quote(quote) => ("q", &self.quote, quote.encode_to_vec(), quote.timestamp),
            Event::Bar(bar) => (bar_kind, &self.bar, bar.encode_to_vec(), bar.timestamp),
            Event::Orderbook(book) => ("o", &self.orderbook, book.encode_to_vec(), book.timestamp),
            Event::Status(status) => ("s", &self.status, status.encode_to_vec(), status.timestamp),
        };
        let mut body = Vec::new();
        codec.encode(&bytes, &mut body)?;
        let symbol = event.symbol.clone();
        Ok(Some(Item {
            kind,
            symbol,
            body,
            at_us,
        }))
    }
}

fn codec(name: &str) -> Result<Codec, BuildError> {
    let message = prepx_proto::descriptors()
        .get_message_by_name(name)
        .ok_or_else(|| BuildError {
            method: name.to_owned(),
            problem: "there is no such message".to_owned(),
        })?;
    Codec::build(&message)
}

impl Form {
    /// A message of the protocol itself.
    pub fn value(self, value: &Value) -> Message {
        match self {
            Form::Json => Message::text(value.to_string()),
            Form::MessagePack => binary(&to_rmp(value)),
        }
    }

    /// Events of markets, in one message.
    pub fn items(self, items: &[Item]) -> Message {
        match self {
            Form::Json => {
                let objects: Vec<String> = items.iter().map(Item::json).collect();
                Message::text(format!("[{}]", objects.join(",")))
            }
            Form::MessagePack => binary(&rmpv::Value::Array(items.iter().map(Item::rmp).collect())),
        }
    }

    /// A client's message; `None` if it cannot be decoded.
    pub fn read(self, message: &Message) -> Option<Value> {
        match (self, message) {
            (_, Message::Text(text)) => serde_json::from_str(text.as_str()).ok(),
            (Form::Json, Message::Binary(bytes)) => serde_json::from_slice(bytes).ok(),
            (Form::MessagePack, Message::Binary(bytes)) => from_bytes(bytes),
            (_, Message::Ping(_) | Message::Pong(_) | Message::Close(_)) => None,
        }
    }
}

impl Item {
    fn json(&self) -> String {
        let head = format!(
            "{{\"T\":\"{}\",\"S\":{},",
            self.kind,
            Value::from(&*self.symbol)
        );
        // The codec writes UTF-8, and every event has a time, so something follows the brace.
        head + &String::from_utf8_lossy(self.body.get(1..).unwrap_or_default())
    }

    fn rmp(&self) -> rmpv::Value {
        let body = serde_json::from_slice(&self.body).unwrap_or_default();
        let mut fields = vec![
            ("T".into(), self.kind.into()),
            ("S".into(), self.symbol.as_str().into()),
            ("t".into(), timestamp(self.at_us)),
        ];
        if let rmpv::Value::Map(rest) = to_rmp(&body) {
            let rest = rest.into_iter();
            fields.extend(rest.filter(|(key, _)| key.as_str() != Some("t")));
        }
        rmpv::Value::Map(fields)
    }
}

/// The 96-bit form: nanoseconds in 4 bytes, seconds in 8.
fn timestamp(at_us: i64) -> rmpv::Value {
    let nanos = at_us.rem_euclid(1_000_000) as u32 * 1_000;
    let mut bytes = nanos.to_be_bytes().to_vec();
    bytes.extend(at_us.div_euclid(1_000_000).to_be_bytes());
    rmpv::Value::Ext(TIMESTAMP, bytes)
}

fn binary(value: &rmpv::Value) -> Message {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).expect("a vector grows as far as it must");
    Message::Binary(bytes.into())
}

fn to_rmp(value: &Value) -> rmpv::Value {
    match value {
        Value::Null => rmpv::Value::Nil,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, float) => float.unwrap_or(f64::NAN).into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(values) => rmpv::Value::Array(values.iter().map(to_rmp).collect()),
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| (key.as_str().into(), to_rmp(value));
            rmpv::Value::Map(fields.iter().map(field).collect())
        }
    }
}

fn from_bytes(bytes: &Bytes) -> Option<Value> {
    let mut rest = &bytes[..];
    let value = rmpv::decode::read_value_with_max_depth(&mut rest, DEPTH_MAX).ok()?;
    if rest.is_empty() {
        from_rmp(value)
    } else {
        None
    }
}

/// A client's message has names, texts, lists and maps; everything else is refused.
fn from_rmp(value: rmpv::Value) -> Option<Value> {
    Some(match value {
        rmpv::Value::Nil => Value::Null,
        rmpv::Value::Boolean(value) => Value::Bool(value),
        rmpv::Value::Integer(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_u64()?.into(),
        },
        rmpv::Value::F32(number) => f64::from(number).into(),
        rmpv::Value::F64(number) => number.into(),
        rmpv::Value::String(text) => Value::String(text.into_str()?),
        rmpv::Value::Binary(bytes) => Value::String(String::from_utf8(bytes).ok()?),
        rmpv::Value::Array(values) => {
            Value::Array(values.into_iter().map(from_rmp).collect::<Option<_>>()?)
        }
        rmpv::Value::Map(fields) => {
            let field =
                |(key, value): (rmpv::Value, _)| Some((key.as_str()?.to_owned(), from_rmp(value)?));
            Value::Object(fields.into_iter().map(field).collect::<Option<_>>()?)
        }
        rmpv::Value::Ext(..) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use prepx_proto::market_data::v1::Trade;

    fn item() -> Item {
        let trade = Trade {
            timestamp: 1_700_000_000_000_001,
            price: "61234.123456789012345".into(),
            size: "2".into(),
            id: 7,
            taker: 1,
            exchange: String::new(),
            conditions: Vec::new(),
            tape: String::new(),
        };
        let event = wire::MarketEvent {
            channel: wire::Channel::Trades.into(),
            symbol: "BTC/USD".into(),
            event: Some(Event::Trade(trade)),
        };
        Codecs::build().unwrap().item(&event).unwrap().unwrap()
    }

    #[test]
    fn json_keeps_every_digit() {
        let Message::Text(text) = Form::Json.items(&[item(), item()]) else {
            panic!("JSON is text");
        };
        let one = r#"{"T":"t","S":"BTC/USD","t":"2023-11-14T22:13:20.000001Z","p":61234.123456789012345,"s":2,"i":7,"tks":"B"}"#;
        assert_eq!(text.as_str(), format!("[{one},{one}]"));
    }

    #[test]
    fn message_pack_has_timestamps_of_its_own() {
        let Message::Binary(bytes) = Form::MessagePack.items(&[item()]) else {
            panic!("MessagePack is binary");
        };
        let value = rmpv::decode::read_value(&mut &bytes[..]).unwrap();
        let at = value[0]["t"].as_ext().expect("an extension");
        let mut expected = 1_000u32.to_be_bytes().to_vec();
        expected.extend(1_700_000_000i64.to_be_bytes());
        assert_eq!(at, (-1, &expected[..]));
        assert_eq!(value[0]["S"].as_str(), Some("BTC/USD"));
        assert_eq!(value[0]["p"].as_f64(), Some(61_234.123_456_789_01));
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        let deep = vec![0x91; 10_000];
        // An array that claims four thousand million members, an extension, two values, a map with
        // a number for a key.
        let wrong: [&[u8]; 6] = [
            &[],
            &[0xdd, 255, 255, 255, 255],
            &deep,
            &[0xd4, 1, 0],
            &[1, 1],
            &[0x81, 1, 1],
        ];
        for bytes in wrong {
            let message = Message::Binary(Bytes::copy_from_slice(bytes));
            assert_eq!(Form::MessagePack.read(&message), None, "{bytes:?}");
        }
        assert_eq!(Form::Json.read(&Message::text("{")), None);
        let said = serde_json::json!({"action": "subscribe", "trades": ["AAPL"], "n": 1});
        assert_eq!(
            Form::MessagePack.read(&Form::MessagePack.value(&said)),
            Some(said)
        );
    }
}
