//! Protobuf into JSON, by the plans and without a value tree in between.
//!
//! The fields of a message are first listed as they are on the wire, then written in the order of
//! declaration, so that absent fields can be shown in their place.

use std::io::Write as _;

use crate::json::{number_length, write_string};
use crate::plan::{FieldPlan, Kind, MessageId, MessagePlan, Plans, Shape, Shared};
use crate::text;
use crate::wire::{self, Malformed, Wire, unzigzag};

/// How deep messages may nest, as in prost; deeper ones are taken for malformed.
const MAX_DEPTH: u32 = 100;

/// A field of the message in hand: its index in the plan, and a value.
type Occurrence<'a> = (usize, Wire<'a>);

/// Writes one message.
pub(crate) struct Encoder<'p, 'a, 'o> {
    plans: &'p Plans,
    out: &'o mut Vec<u8>,
    /// A stack: the fields of a message lie above those of the message around it.
    found: Vec<Occurrence<'a>>,
    depth: u32,
}

impl<'p, 'a, 'o> Encoder<'p, 'a, 'o> {
    /// Appends to `out`.
    pub fn new(plans: &'p Plans, out: &'o mut Vec<u8>) -> Self {
        Encoder {
            plans,
            out,
            found: Vec::with_capacity(32),
            depth: 0,
        }
    }

    /// The JSON of a message.
    pub fn message(&mut self, id: MessageId, bytes: &'a [u8]) -> Result<(), Malformed> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Malformed);
        }
        let plans = self.plans;
        let plan = &plans.messages[id];
        let base = self.list_fields(plan, bytes)?;
        match plan.shape {
            Shape::Object => self.object(plan, base)?,
            Shape::Flat => self.field_value(&plan.fields[0], base, self.found.len())?,
            Shape::Union | Shape::Value => self.member(plan, base)?,
            Shape::Timestamp | Shape::Duration => self.moment(plan, base)?,
        }
        self.found.truncate(base);
        self.depth -= 1;
        Ok(())
    }

    /// The JSON of one field of a message, as if it were the whole.
    pub fn only_field(
        &mut self,
        id: MessageId,
        index: usize,
        bytes: &'a [u8],
    ) -> Result<(), Malformed> {
        let plans = self.plans;
        let plan = &plans.messages[id];
        self.list_fields(plan, bytes)?;
        self.found.retain(|&(found, _)| found == index);
        self.field_value(&plan.fields[index], 0, self.found.len())
    }

    /// Puts the fields on the stack, in order of declaration and, for each, of the wire. Returns where
    /// they begin. Fields that the plan does not know come from newer services and are passed over.
    fn list_fields(&mut self, plan: &MessagePlan, mut bytes: &'a [u8]) -> Result<usize, Malformed> {
        let base = self.found.len();
        let mut sorted = true;
        let mut previous = 0;
        while let Some((number, value)) = wire::field(&mut bytes)? {
            let Some(index) = plan.field_index(number) else {
                continue;
            };
            if let Some(oneof) = plan.fields[index].oneof {
                self.drop_rivals(base, plan.oneofs[oneof] & !(1 << index));
            }
            sorted &= index >= previous;
            previous = index;
            self.found.push((index, value));
        }
        if !sorted {
            self.found[base..].sort_by_key(|&(index, _)| index);
        }
        Ok(base)
    }

    /// Of the members of a oneof the last on the wire is the one that is set.
    fn drop_rivals(&mut self, base: usize, rivals: crate::plan::FieldSet) {
        let mut kept = base;
        for position in base..self.found.len() {
            let occurrence = self.found[position];
            if rivals & (1 << occurrence.0) == 0 {
                self.found[kept] = occurrence;
                kept += 1;
            }
        }
        self.found.truncate(kept);
    }

    fn object(&mut self, plan: &MessagePlan, base: usize) -> Result<(), Malformed> {
        self.out.push(b'{');
        let empty = self.out.len();
        let mut from = base;
        let end = self.found.len();
        for (index, field) in plan.fields.iter().enumerate() {
            let count = self.found[from..end]
                .iter()
                .take_while(|(found, _)| *found == index)
                .count();
            if count == 0 && field.blank.is_none() {
                continue;
            }
            if self.out.len() > empty {
                self.out.push(b',');
            }
            self.out.extend_from_slice(&field.key);
            self.field_value(field, from, from + count)?;
            from += count;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn member(&mut self, plan: &MessagePlan, base: usize) -> Result<(), Malformed> {
        match self.found.get(base) {
            Some(&(index, _)) => self.field_value(&plan.fields[index], base, self.found.len()),
            None => {
                self.out.extend_from_slice(b"null");
                Ok(())
            }
        }
    }

    /// The occurrences `from..to` of the stack all belong to this field.
    fn field_value(&mut self, field: &FieldPlan, from: usize, to: usize) -> Result<(), Malformed> {
        if from == to {
            let blank = field.blank.as_deref().unwrap_or("null");
            self.out.extend_from_slice(blank.as_bytes());
            return Ok(());
        }
        match field.cardinality {
            Shared::One => match field.kind {
                // Parts of one message: their concatenation is the whole.
                Kind::Message(id) if to - from > 1 => {
                    let parts: Result<Vec<&[u8]>, Malformed> = self.found[from..to]
                        .iter()
                        .map(|(_, value)| value.bytes())
                        .collect();
                    let whole = parts?.concat();
                    let mut inner = Encoder::new(self.plans, self.out);
                    inner.depth = self.depth;
                    inner.message(id, &whole)
                }
                kind => self.value(kind, self.found[to - 1].1),
            },
            Shared::List => self.list(field.kind, from, to),
            Shared::Map(key) => self.map(key, field.kind, from, to),
        }
    }

    fn list(&mut self, kind: Kind, from: usize, to: usize) -> Result<(), Malformed> {
        self.out.push(b'[');
        let empty = self.out.len();
        let wire_type = crate::decode::wire_type(kind);
        let packable = wire_type != prost::encoding::WireType::LengthDelimited;
        for position in from..to {
            match self.found[position].1 {
                Wire::Bytes(mut packed) if packable => {
                    while !packed.is_empty() {
                        let value = Wire::read(wire_type, &mut packed)?;
                        self.element(kind, value, empty)?;
                    }
                }
                value => self.element(kind, value, empty)?,
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn element(&mut self, kind: Kind, value: Wire<'a>, empty: usize) -> Result<(), Malformed> {
        if self.out.len() > empty {
            self.out.push(b',');
        }
        self.value(kind, value)
    }

    /// Entries in the order of their keys: the wire has them in any order, and answers should not
    /// differ from one time to the next.
    fn map(&mut self, key: Kind, kind: Kind, from: usize, to: usize) -> Result<(), Malformed> {
        let mut entries = Vec::with_capacity(to - from);
        for position in from..to {
            entries.push(self.entry(key, self.found[position].1.bytes()?)?);
        }
        entries.sort_by(|(left, _), (right, _)| left.cmp(right));
        self.out.push(b'{');
        let empty = self.out.len();
        for (position, (name, value)) in entries.iter().enumerate() {
            // Of two entries with one key the later counts.
            if entries
                .get(position + 1)
                .is_some_and(|(next, _)| next == name)
            {
                continue;
            }
            if self.out.len() > empty {
                self.out.push(b',');
            }
            self.out.extend_from_slice(name);
            self.out.push(b':');
            match value {
                Some(value) => self.value(kind, *value)?,
                None => self.default_value(kind)?,
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    /// The quoted key and the value of a map's entry.
    fn entry(
        &self,
        key: Kind,
        mut bytes: &'a [u8],
    ) -> Result<(Vec<u8>, Option<Wire<'a>>), Malformed> {
        let (mut name, mut value) = (None, None);
        while let Some((number, found)) = wire::field(&mut bytes)? {
            match number {
                1 => name = Some(found),
                2 => value = Some(found),
                _ => {}
            }
        }
        let mut text = Vec::new();
        let mut writer = Encoder::new(self.plans, &mut text);
        match name {
            Some(name) => writer.value(key, name)?,
            None => writer.default_value(key)?,
        }
        if text.first() != Some(&b'"') {
            text.insert(0, b'"');
            text.push(b'"');
        }
        Ok((text, value))
    }

    /// A value that protobuf left out because it is the default of its type.
    fn default_value(&mut self, kind: Kind) -> Result<(), Malformed> {
        let text: &[u8] = match kind {
            Kind::Message(id) => return self.message(id, b""),
            Kind::Enum(_) => return self.value(kind, Wire::Varint(0)),
            Kind::Bool => b"false",
            Kind::String | Kind::Bytes => b"\"\"",
            Kind::Decimal => b"\"0\"",
            Kind::Date | Kind::TimestampUs | Kind::EndUs | Kind::NewYorkUs => b"null",
            _ => b"0",
        };
        self.out.extend_from_slice(text);
        Ok(())
    }

    fn value(&mut self, kind: Kind, value: Wire<'a>) -> Result<(), Malformed> {
        match (kind, value) {
            (Kind::Message(id), value) => return self.message(id, value.bytes()?),
            (Kind::String | Kind::Date, value) => write_string(self.out, value.text()?),
            (Kind::Decimal | Kind::Number, value) => return self.decimal(kind, value.text()?),
            (Kind::Bytes, value) => text::write_base64(value.bytes()?, self.out),
            (Kind::Enum(id), value) => self.enumeration(id, value.varint()? as i32),
            (Kind::TimestampUs | Kind::EndUs, value) => {
                return self.micros(value.varint()? as i64);
            }
            (Kind::NewYorkUs, value) => {
                let written = text::write_new_york(value.varint()? as i64, self.out);
                return written.then_some(()).ok_or(Malformed);
            }
            (Kind::Bool, value) => {
                let text: &[u8] = if value.varint()? == 0 {
                    b"false"
                } else {
                    b"true"
                };
                self.out.extend_from_slice(text);
            }
            (Kind::Int32, value) => self.number(value.varint()? as i32),
            (Kind::Sint32, value) => self.number(unzigzag(value.varint()?) as i32),
            (Kind::Uint32, value) => self.number(value.varint()? as u32),
            (Kind::Int64, value) => self.number(value.varint()? as i64),
            (Kind::Sint64, value) => self.number(unzigzag(value.varint()?)),
            (Kind::Uint64, value) => self.number(value.varint()?),
            (Kind::Sfixed32, Wire::Fixed32(bits)) => self.number(bits as i32),
            (Kind::Fixed32, Wire::Fixed32(bits)) => self.number(bits),
            (Kind::Sfixed64, Wire::Fixed64(bits)) => self.number(bits as i64),
            (Kind::Fixed64, Wire::Fixed64(bits)) => self.number(bits),
            (Kind::Float, Wire::Fixed32(bits)) => {
                let number = f32::from_bits(bits);
                self.float(number.is_finite().then_some(number));
            }
            (Kind::Double, Wire::Fixed64(bits)) => {
                let number = f64::from_bits(bits);
                self.float(number.is_finite().then_some(number));
            }
            _ => return Err(Malformed),
        }
        Ok(())
    }

    fn number(&mut self, number: impl std::fmt::Display) {
        write!(self.out, "{number}").expect("a vector takes any text");
    }

    /// The shortest digits that mean this number. JSON has no NaN and no infinity: `null`.
    fn float(&mut self, number: Option<impl std::fmt::Debug>) {
        match number {
            Some(number) => {
                write!(self.out, "{number:?}").expect("a vector takes any text");
                if self.out.ends_with(b".0") {
                    self.out.truncate(self.out.len() - 2);
                }
            }
            None => self.out.extend_from_slice(b"null"),
        }
    }

    /// The digits as the service wrote them. What is not a number must not reach a client as one.
    fn decimal(&mut self, kind: Kind, text: &str) -> Result<(), Malformed> {
        let digits = if text.is_empty() { "0" } else { text };
        if number_length(digits.as_bytes()) != digits.len() {
            return Err(Malformed);
        }
        let quoted = kind == Kind::Decimal;
        if quoted {
            self.out.push(b'"');
        }
        self.out.extend_from_slice(digits.as_bytes());
        if quoted {
            self.out.push(b'"');
        }
        Ok(())
    }

    /// The short name; a number that is not known yet, of a newer service, as it is.
    fn enumeration(&mut self, id: crate::plan::EnumId, number: i32) {
        match self.plans.enums[id].text(number) {
            Some(text) => self
                .out
                .extend_from_slice(text.unwrap_or("null").as_bytes()),
            None => self.number(number),
        }
    }

    fn micros(&mut self, micros: i64) -> Result<(), Malformed> {
        let nanos = micros.rem_euclid(1_000_000) * 1_000;
        if text::write_timestamp(micros.div_euclid(1_000_000), nanos, self.out) {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    /// A Timestamp or a Duration, from its seconds and nanoseconds.
    fn moment(&mut self, plan: &MessagePlan, base: usize) -> Result<(), Malformed> {
        let mut parts = [0_i64; 2];
        for &(index, value) in &self.found[base..] {
            *parts.get_mut(index).ok_or(Malformed)? = value.varint()? as i64;
        }
        let write = if plan.shape == Shape::Timestamp {
            text::write_timestamp
        } else {
            text::write_duration
        };
        if write(parts[0], parts[1], self.out) {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}
