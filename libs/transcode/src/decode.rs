//! JSON into protobuf, by the plans and without a value tree in between.

use std::borrow::Cow;

use prost::encoding::{WireType, encode_key, encode_varint};

use crate::fault::{Fault, unknown_field};
use crate::json::{Parser, Type};
use crate::plan::{FieldPlan, FieldSet, Kind, MessageId, MessagePlan, Plans, Shape, Shared};
use crate::text;
use crate::wire::prefix_length;

/// Reads one JSON body.
pub(crate) struct Decoder<'p, 'b> {
    plans: &'p Plans,
    parser: Parser<'b>,
    ignore_unknown: bool,
}

impl<'p, 'b> Decoder<'p, 'b> {
    /// Over a body; `ignore_unknown` passes over keys that name no field.
    pub fn new(plans: &'p Plans, body: &'b [u8], ignore_unknown: bool) -> Result<Self, Fault> {
        Ok(Decoder {
            plans,
            parser: Parser::new(body)?,
            ignore_unknown,
        })
    }

    /// The whole body is one message; its fields are appended. Those in `taken` come from elsewhere.
    pub fn whole_message(
        mut self,
        id: MessageId,
        taken: FieldSet,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        if self.parser.peek()? == Type::Null {
            self.parser.null()?;
        } else {
            self.message(id, taken, out)?;
        }
        Ok(self.parser.end()?)
    }

    /// The whole body is the value of one field.
    pub fn whole_field(mut self, field: &FieldPlan, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.field(field, out)?;
        Ok(self.parser.end()?)
    }

    /// A message that is not `null`, without its length.
    fn message(&mut self, id: MessageId, taken: FieldSet, out: &mut Vec<u8>) -> Result<(), Fault> {
        let plans = self.plans;
        let plan = &plans.messages[id];
        match plan.shape {
            Shape::Object | Shape::Union => self.object(id, taken, out),
            Shape::Flat => self.field(&plan.fields[0], out),
            Shape::Value => self.any_value(plan, out),
            Shape::Timestamp | Shape::Duration => {
                // As a value it has its length in front; a message of its own has not.
                let mut value = Vec::new();
                self.scalar(Kind::Message(id), &mut value)?;
                let mut rest = value.as_slice();
                prost::encoding::decode_varint(&mut rest).expect("the length just written");
                out.extend_from_slice(rest);
                Ok(())
            }
        }
    }

    fn object(&mut self, id: MessageId, taken: FieldSet, out: &mut Vec<u8>) -> Result<(), Fault> {
        let plan = &self.plans.messages[id];
        if self.parser.peek()? != Type::Object {
            return Err(self.wrong("an object"));
        }
        self.parser.open()?;
        let mut first = true;
        // `seen` has the keys, nulls included; `set` those that have a value, for the oneofs.
        let (mut seen, mut set): (FieldSet, FieldSet) = (0, taken);
        while let Some(name) = self.parser.key(&mut first)? {
            let Some(&index) = plan.names.get(name.as_ref()) else {
                if self.ignore_unknown {
                    self.parser.skip()?;
                    continue;
                }
                return Err(unknown_field(plan, &name));
            };
            let bit: FieldSet = 1 << index;
            if seen & bit != 0 {
                return Err(Fault::field("DUPLICATE_FIELD", &name, "occurs twice"));
            }
            seen |= bit;
            // Some clients repeat in the body what the path says; the path is right.
            if taken & bit != 0 {
                self.parser.skip()?;
                continue;
            }
            let field = &plan.fields[index];
            if self.parser.peek()? == Type::Null {
                self.parser.null()?;
                continue;
            }
            check_rivals(plan, index, set)?;
            set |= bit;
            self.field(field, out)
                .map_err(|fault| fault.within(&field.name))?;
        }
        Ok(())
    }

    /// A value of a field with its key, or many; nothing for `null`.
    fn field(&mut self, field: &FieldPlan, out: &mut Vec<u8>) -> Result<(), Fault> {
        let found = self.parser.peek()?;
        if found == Type::Null {
            return Ok(self.parser.null()?);
        }
        match field.cardinality {
            Shared::One => {
                encode_key(field.number, wire_type(field.kind), out);
                self.value(field.kind, out)
            }
            Shared::List if found == Type::List => self.list(field, out),
            Shared::List => Err(self.wrong("a list")),
            Shared::Map(key) if found == Type::Object => self.map(field, key, out),
            Shared::Map(_) => Err(self.wrong("an object")),
        }
    }

    fn list(&mut self, field: &FieldPlan, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.parser.open()?;
        let wire_type = wire_type(field.kind);
        let packed = wire_type != WireType::LengthDelimited;
        if packed {
            encode_key(field.number, WireType::LengthDelimited, out);
        }
        let start = out.len();
        let (mut first, mut index) = (true, 0_usize);
        while self.parser.element(&mut first)? {
            if !packed {
                encode_key(field.number, wire_type, out);
            }
            self.value(field.kind, out)
                .map_err(|fault| fault.within(&format!("[{index}]")))?;
            index += 1;
        }
        if packed {
            prefix_length(out, start);
        }
        Ok(())
    }

    fn map(&mut self, field: &FieldPlan, key: Kind, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.parser.open()?;
        let mut first = true;
        let mut seen = std::collections::BTreeSet::new();
        while let Some(name) = self.parser.key(&mut first)? {
            encode_key(field.number, WireType::LengthDelimited, out);
            let start = out.len();
            encode_key(1, wire_type(key), out);
            if text::read(self.plans, key, &name, out).is_none() {
                let expected = text::expected_instead(self.plans, key, &name);
                return Err(Fault::value(&format!("key {name:?}"), expected));
            }
            encode_key(2, wire_type(field.kind), out);
            self.value(field.kind, out)
                .map_err(|fault| fault.within(&name))?;
            prefix_length(out, start);
            if !seen.insert(name.clone()) {
                return Err(Fault::field("DUPLICATE_FIELD", &name, "occurs twice"));
            }
        }
        Ok(())
    }

    /// A value without its key.
    fn value(&mut self, kind: Kind, out: &mut Vec<u8>) -> Result<(), Fault> {
        let Kind::Message(id) = kind else {
            return self.scalar(kind, out);
        };
        match self.plans.messages[id].shape {
            Shape::Timestamp | Shape::Duration => self.scalar(kind, out),
            _ => {
                let start = out.len();
                self.message(id, 0, out)?;
                prefix_length(out, start);
                Ok(())
            }
        }
    }

    fn scalar(&mut self, kind: Kind, out: &mut Vec<u8>) -> Result<(), Fault> {
        let found = self.parser.peek()?;
        let start = self.parser.position();
        let text: Cow<'b, str> = match (found, kind) {
            (Type::Bool, Kind::Bool) => {
                encode_varint(u64::from(self.parser.bool()?), out);
                return Ok(());
            }
            (Type::String, kind) if kind != Kind::Bool => self.parser.string()?,
            (Type::Number, kind) if takes_numbers(kind) => self.parser.number()?.into(),
            _ => return Err(self.wrong(&text::expected(self.plans, kind))),
        };
        text::read(self.plans, kind, &text, out).ok_or_else(|| {
            Fault::value(
                self.parser.since(start),
                text::expected_instead(self.plans, kind, &text),
            )
        })
    }

    /// `google.protobuf.Value`: a number, a string, a bool, `null`, an object or a list.
    fn any_value(&mut self, plan: &MessagePlan, out: &mut Vec<u8>) -> Result<(), Fault> {
        let (number, name) = match self.parser.peek()? {
            Type::Null => {
                self.parser.null()?;
                prost::encoding::int32::encode(1, &0, out);
                return Ok(());
            }
            Type::Number => (2, "number_value"),
            Type::String => (3, "string_value"),
            Type::Bool => (4, "bool_value"),
            Type::Object => (5, "struct_value"),
            Type::List => (6, "list_value"),
        };
        let index = plan.field_index(number).ok_or_else(|| {
            Fault::field(
                "INVALID_VALUE",
                name,
                "is missing from google.protobuf.Value",
            )
        })?;
        self.field(&plan.fields[index], out)
    }

    /// The complaint about the value that comes next.
    fn wrong(&mut self, expected: &str) -> Fault {
        let start = self.parser.position();
        match self.parser.skip() {
            Ok(()) => Fault::value(self.parser.since(start), expected.to_owned()),
            Err(error) => Fault::Syntax(error),
        }
    }
}

/// Refuses a second member of a oneof.
pub(crate) fn check_rivals(plan: &MessagePlan, index: usize, set: FieldSet) -> Result<(), Fault> {
    let field = &plan.fields[index];
    let Some(oneof) = field.oneof else {
        return Ok(());
    };
    let others = plan.oneofs[oneof] & set & !(1 << index);
    if others == 0 {
        return Ok(());
    }
    let other = &plan.fields[others.trailing_zeros() as usize].name;
    Err(Fault::field(
        "FIELD_CONFLICT",
        &field.name,
        format!("excludes {other}; send one of them"),
    ))
}

fn takes_numbers(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Bool
            | Kind::String
            | Kind::Bytes
            | Kind::Date
            | Kind::TimestampUs
            | Kind::EndUs
            | Kind::NewYorkUs
            | Kind::Enum(_)
            | Kind::Message(_)
    )
}

/// How values of this kind stand on the wire.
pub(crate) fn wire_type(kind: Kind) -> WireType {
    match kind {
        Kind::Bool
        | Kind::Int32
        | Kind::Sint32
        | Kind::Uint32
        | Kind::Int64
        | Kind::Sint64
        | Kind::Uint64
        | Kind::TimestampUs
        | Kind::EndUs
        | Kind::NewYorkUs
        | Kind::Enum(_) => WireType::Varint,
        Kind::Sfixed32 | Kind::Fixed32 | Kind::Float => WireType::ThirtyTwoBit,
        Kind::Sfixed64 | Kind::Fixed64 | Kind::Double => WireType::SixtyFourBit,
        Kind::String
        | Kind::Bytes
        | Kind::Decimal
        | Kind::Number
        | Kind::Date
        | Kind::Message(_) => WireType::LengthDelimited,
    }
}
