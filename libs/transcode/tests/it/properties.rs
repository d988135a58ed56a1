//! Whatever is sent, there is an answer; and what is written is read back the same.

use http::Method;
use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, MapKey, MessageDescriptor, Value};

use crate::desk::{DESK, message, request};

/// A value for a field of this kind, from a stream of numbers; what JSON cannot tell apart is avoided.
fn value(kind: &Kind, numbers: &mut impl Iterator<Item = u64>, depth: u32) -> Value {
    let number = numbers.next().unwrap_or_default();
    match kind {
        Kind::Bool => Value::Bool(number % 2 == 1),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(number as i32),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(number as u32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number as i64),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(number),
        Kind::Float => Value::F32(
            Some(f32::from_bits(number as u32))
                .filter(|f| f.is_finite())
                .unwrap_or(0.5),
        ),
        Kind::Double => Value::F64(
            Some(f64::from_bits(number))
                .filter(|f| f.is_finite())
                .unwrap_or(0.5),
        ),
        Kind::String => {
            Value::String(String::from_utf8_lossy(&number.to_le_bytes()).replace('\0', "é"))
        }
        Kind::Bytes => Value::Bytes(number.to_be_bytes().to_vec().into()),
        Kind::Enum(_) => Value::EnumNumber(1 + (number % 2) as i32),
        Kind::Message(inner) => Value::Message(filled(inner, numbers, depth + 1)),
    }
}

/// A message with about half of its fields set.
fn filled(
    descriptor: &MessageDescriptor,
    numbers: &mut impl Iterator<Item = u64>,
    depth: u32,
) -> DynamicMessage {
    let mut filled = DynamicMessage::new(descriptor.clone());
    if descriptor.full_name() == "google.protobuf.Timestamp" {
        let number = numbers.next().unwrap_or_default();
        filled.set_field_by_name(
            "seconds",
            Value::I64((number % 4_000_000_000) as i64 - 2_000_000_000),
        );
        filled.set_field_by_name("nanos", Value::I32((number % 1_000_000_000) as i32));
        return filled;
    }
    if descriptor.full_name() == "google.protobuf.Duration" {
        let number = numbers.next().unwrap_or_default() as i64 % 1_000_000;
        filled.set_field_by_name("seconds", Value::I64(number));
        filled.set_field_by_name("nanos", Value::I32(number as i32 * 7));
        return filled;
    }
    let google = descriptor.full_name().starts_with("google.protobuf.");
    for field in descriptor.fields() {
        let choice = numbers.next().unwrap_or_default();
        let nested = matches!(field.kind(), Kind::Message(_));
        // The values of google.protobuf are made whole or not at all; the rest is not too deep.
        // A decimal that is not set reads "0", so there is always one.
        let always = google || matches!(field.name(), "a_decimal" | "a_number");
        if field.name() == "a_value"
            || field.name() == "nothing"
            || (!always && choice.is_multiple_of(2))
            || (nested && depth > 2)
        {
            continue;
        }
        let made = match (field.name(), field.is_map(), field.is_list()) {
            ("a_decimal" | "a_number", ..) => {
                Value::String(format!("{}.{:02}", choice as i32, choice % 100))
            }
            ("decimals", ..) => Value::List(vec![Value::String(format!("{choice}e-7"))]),
            ("prices", ..) => {
                Value::Map([(MapKey::String("p".into()), Value::String("0.10".into()))].into())
            }
            ("a_date", ..) => Value::String(format!("20{:02}-02-28", choice % 100)),
            ("a_moment", ..) => Value::I64(choice as i32 as i64 * 1_000_003 + 1),
            (_, true, _) => {
                let Kind::Message(entry) = field.kind() else {
                    unreachable!()
                };
                let key = value(&entry.map_entry_key_field().kind(), numbers, depth);
                let inner = value(&entry.map_entry_value_field().kind(), numbers, depth);
                Value::Map([(key.into_map_key().unwrap(), inner)].into())
            }
            (_, _, true) => Value::List(
                (0..choice % 4)
                    .map(|_| value(&field.kind(), numbers, depth))
                    .collect(),
            ),
            _ => value(&field.kind(), numbers, depth),
        };
        filled.set_field(&field, made);
    }
    filled
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn messages_survive_json(numbers in prop::collection::vec(any::<u64>(), 0..400)) {
        let sent = filled(&message("Everything"), &mut numbers.into_iter(), 0);
        let call = DESK.find(&Method::POST, "/v1/echo").unwrap();
        let json = call.route().encode(&sent.encode_to_vec()).unwrap();
        serde_json::from_slice::<serde_json::Value>(&json).unwrap();
        let bytes = call.decode(None, None, &json).map_err(|e| TestCaseError::fail(e.message))?;
        let back = DynamicMessage::decode(message("Everything"), bytes.as_slice()).unwrap();
        // As text, because the Debug of descriptors with oneofs never ends.
        prop_assert_eq!(sent.to_text_format(), back.to_text_format(), "{}", String::from_utf8_lossy(&json));
    }

    #[test]
    fn garbage_bodies_are_refused_or_read(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let call = DESK.find(&Method::POST, "/v1/echo").unwrap();
        if let Ok(bytes) = call.decode(None, None, &body) {
            prop_assert!(DynamicMessage::decode(message("Everything"), bytes.as_slice()).is_ok());
        }
    }

    #[test]
    fn mangled_bodies_are_refused_or_read(
        numbers in prop::collection::vec(any::<u64>(), 0..100),
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
    ) {
        let sent = filled(&message("Everything"), &mut numbers.into_iter(), 0);
        let call = DESK.find(&Method::POST, "/v1/echo").unwrap();
        let mut json = call.route().encode(&sent.encode_to_vec()).unwrap();
        let place = at.index(json.len());
        json[place] = with;
        if let Ok(bytes) = call.decode(None, None, &json) {
            prop_assert!(DynamicMessage::decode(message("Everything"), bytes.as_slice()).is_ok());
        }
    }

    #[test]
    fn garbage_replies_are_written_or_refused(
        numbers in prop::collection::vec(any::<u64>(), 0..100),
        noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = filled(&message("Everything"), &mut numbers.into_iter(), 0).encode_to_vec();
        for (at, with) in noise {
            if !bytes.is_empty() {
                let place = at.index(bytes.len());
                bytes[place] = with;
            }
        }
        let call = DESK.find(&Method::POST, "/v1/echo").unwrap();
        if let Ok(json) = call.route().encode(&bytes) {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok(), "{}", String::from_utf8_lossy(&json));
        }
    }

    #[test]
    fn garbage_urls_have_an_answer(url in "[/a-z0-9:%.{}*?&=,+é\u{0}-]{0,60}", prefix in prop::sample::select(vec!["", "/", "/v2/", "/v2/orders", "/v2/assets/", "/v1/echo?", "/v2/orders?"])) {
        for method in ["GET", "POST", "DELETE", "HEAD"] {
            let _ = request(method, &format!("{prefix}{url}"), "");
        }
    }
}
