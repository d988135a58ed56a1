//! Makes plans from descriptors and options, and refuses options that contradict each other or a field's type.

use std::collections::HashMap;

use prost_reflect::{Cardinality, FieldDescriptor, Kind as ProtoKind, MessageDescriptor};

use super::{FieldPlan, Kind, MAX_FIELDS, MessageId, MessagePlan, Plans, Shape, Shared};
use crate::json::write_string;
use crate::rule::{Absent, FieldRule, Format, ObjectRule, Rule as _};

impl Plans {
    /// Plans a message and all that it contains.
    ///
    /// # Errors
    /// What has no JSON form, or says contradictory things, and where.
    pub fn add(&mut self, message: &MessageDescriptor) -> Result<MessageId, String> {
        if let Some(&id) = self.message_ids.get(message.full_name()) {
            return Ok(id);
        }
        let id = self.messages.len();
        self.message_ids.insert(message.full_name().to_owned(), id);
        // The place is taken before the fields are looked at, because they may lead back here.
        self.messages.push(MessagePlan {
            name: message.full_name().to_owned(),
            shape: shape(message)?,
            fields: Vec::new(),
            names: HashMap::new(),
            numbers: Vec::new(),
            oneofs: Vec::new(),
        });
        self.fill(id, message)
            .map_err(|problem| format!("{}: {problem}", message.full_name()))?;
        Ok(id)
    }

    fn fill(&mut self, id: MessageId, message: &MessageDescriptor) -> Result<(), String> {
        let declared: Vec<FieldDescriptor> = in_declared_order(message);
        if declared.len() > MAX_FIELDS {
            return Err(format!(
                "{} fields; at most {MAX_FIELDS} here",
                declared.len()
            ));
        }
        let real: Vec<_> = message
            .oneofs()
            .filter(|oneof| !oneof.is_synthetic())
            .collect();
        let mut names = HashMap::new();
        let mut numbers = Vec::new();
        let mut oneofs = vec![0; real.len()];
        let mut fields = Vec::new();
        for (index, descriptor) in declared.iter().enumerate() {
            let rule = FieldRule::read(message.parent_pool(), &descriptor.options());
            let oneof = descriptor.containing_oneof();
            let oneof = oneof.and_then(|oneof| real.iter().position(|other| *other == oneof));
            if let Some(oneof) = oneof {
                oneofs[oneof] |= 1 << index;
            }
            let field = self
                .field(descriptor, &rule, oneof)
                .map_err(|problem| format!("field {}: {problem}", descriptor.name()))?;
            for name in rule.aliases.iter().chain([&field.name]) {
                if names.insert(name.clone(), index).is_some() {
                    return Err(format!("two fields have the JSON name {name:?}"));
                }
            }
            numbers.push((field.number, index));
            fields.push(field);
        }
        numbers.sort_unstable();
        let plan = &mut self.messages[id];
        plan.fields = fields;
        plan.names = names;
        plan.numbers = numbers;
        plan.oneofs = oneofs;
        Ok(())
    }

    fn field(
        &mut self,
        descriptor: &FieldDescriptor,
        rule: &FieldRule,
        oneof: Option<usize>,
    ) -> Result<FieldPlan, String> {
        let (cardinality, kind) = if descriptor.is_map() {
            let ProtoKind::Message(entry) = descriptor.kind() else {
                return Err("a map without entries".to_owned());
            };
            let key = self.kind(&entry.map_entry_key_field(), Format::Unspecified)?;
            (
                Shared::Map(key),
                self.kind(&entry.map_entry_value_field(), rule.format())?,
            )
        } else {
            let many = descriptor.cardinality() == Cardinality::Repeated;
            let cardinality = if many { Shared::List } else { Shared::One };
            (cardinality, self.kind(descriptor, rule.format())?)
        };
        let name = match rule.name.as_str() {
            "" => descriptor.name().to_owned(),
            name => name.to_owned(),
        };
        let mut key = Vec::new();
        write_string(&mut key, &name);
        key.push(b':');
        let presence = descriptor.supports_presence();
        let blank = match rule.absent() {
            Absent::Omit => None,
            Absent::Null => Some("null".to_owned()),
            Absent::Unspecified if oneof.is_some() => None,
            Absent::Unspecified => Some(self.default_text(cardinality, kind, presence)),
        };
        Ok(FieldPlan {
            number: descriptor.number(),
            name,
            key,
            cardinality,
            kind,
            blank,
            oneof,
        })
    }

    /// The text of a field that is not set and of which nothing is said.
    fn default_text(&self, cardinality: Shared, kind: Kind, presence: bool) -> String {
        let text = match (cardinality, kind) {
            (Shared::List, _) => "[]",
            (Shared::Map(_), _) => "{}",
            (Shared::One, _) if presence => "null",
            (Shared::One, Kind::Bool) => "false",
            (Shared::One, Kind::String | Kind::Bytes) => "\"\"",
            (Shared::One, Kind::Decimal) => "\"0\"",
            (Shared::One, Kind::Date | Kind::Message(_)) => "null",
            (Shared::One, Kind::TimestampUs | Kind::EndUs | Kind::NewYorkUs) => "null",
            (Shared::One, Kind::Enum(id)) => self.enums[id].text(0).flatten().unwrap_or("null"),
            (Shared::One, _) => "0",
        };
        text.to_owned()
    }

    fn kind(&mut self, descriptor: &FieldDescriptor, format: Format) -> Result<Kind, String> {
        let kind = match descriptor.kind() {
            ProtoKind::Bool => Kind::Bool,
            ProtoKind::Int32 => Kind::Int32,
            ProtoKind::Sint32 => Kind::Sint32,
            ProtoKind::Sfixed32 => Kind::Sfixed32,
            ProtoKind::Uint32 => Kind::Uint32,
            ProtoKind::Fixed32 => Kind::Fixed32,
            ProtoKind::Int64 => Kind::Int64,
            ProtoKind::Sint64 => Kind::Sint64,
            ProtoKind::Sfixed64 => Kind::Sfixed64,
            ProtoKind::Uint64 => Kind::Uint64,
            ProtoKind::Fixed64 => Kind::Fixed64,
            ProtoKind::Float => Kind::Float,
            ProtoKind::Double => Kind::Double,
            ProtoKind::String => Kind::String,
            ProtoKind::Bytes => Kind::Bytes,
            ProtoKind::Enum(descriptor) => Kind::Enum(self.enumeration(&descriptor)?),
            ProtoKind::Message(_) if descriptor.is_group() => {
                return Err("groups have no JSON form".to_owned());
            }
            ProtoKind::Message(message) => Kind::Message(self.add(&message)?),
        };
        match (format, kind) {
            (Format::Unspecified, kind) => Ok(kind),
            (Format::Decimal, Kind::String) => Ok(Kind::Decimal),
            (Format::Number, Kind::String) => Ok(Kind::Number),
            (Format::Date, Kind::String) => Ok(Kind::Date),
            (Format::TimestampUs, Kind::Int64) => Ok(Kind::TimestampUs),
            (Format::EndUs, Kind::Int64) => Ok(Kind::EndUs),
            (Format::NewYorkUs, Kind::Int64) => Ok(Kind::NewYorkUs),
            (format, _) => Err(format!("{} does not fit this type", format.name())),
        }
    }
}

/// Descriptors list fields by number; people read them as written.
fn in_declared_order(message: &MessageDescriptor) -> Vec<FieldDescriptor> {
    let numbers = message
        .descriptor_proto()
        .field
        .iter()
        .map(prost_types::FieldDescriptorProto::number);
    numbers
        .filter_map(|number| message.get_field(u32::try_from(number).ok()?))
        .collect()
}

fn shape(message: &MessageDescriptor) -> Result<Shape, String> {
    let fields = message.fields().len();
    match message.full_name() {
        "google.protobuf.Timestamp" => return Ok(Shape::Timestamp),
        "google.protobuf.Duration" => return Ok(Shape::Duration),
        "google.protobuf.Value" => return Ok(Shape::Value),
        "google.protobuf.Empty" => return Ok(Shape::Object),
        name if name.starts_with("google.protobuf.") && fields != 1 => {
            return Err(format!("{name} has no JSON form here"));
        }
        // The wrappers, Struct and ListValue.
        name if name.starts_with("google.protobuf.") => return Ok(Shape::Flat),
        _ => {}
    }
    if !ObjectRule::read(message.parent_pool(), &message.options()).flatten {
        return Ok(Shape::Object);
    }
    let mut members = message.oneofs().filter(|oneof| !oneof.is_synthetic());
    let one_oneof = members
        .next()
        .is_some_and(|oneof| oneof.fields().len() == fields);
    match fields {
        1 if !one_oneof => Ok(Shape::Flat),
        _ if one_oneof => Ok(Shape::Union),
        _ => {
            let name = message.full_name();
            Err(format!(
                "{name}: flatten needs exactly one field, or one oneof and nothing else"
            ))
        }
    }
}
