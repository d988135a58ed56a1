//! How each message is read and written: everything that options and descriptors say, worked out once in advance, so that
//! requests and replies only follow it.

use std::collections::HashMap;

use prost_reflect::{
    Cardinality, EnumDescriptor, FieldDescriptor, Kind as ProtoKind, MessageDescriptor,
};

use crate::json::write_string;
use crate::rule::{
    Absent, EnumerationRule, FieldRule, Format, Letters, ObjectRule, Rule as _, ValueRule,
};

/// The index of a message in [`Plans::messages`].
pub(crate) type MessageId = usize;
/// The index of an enum in [`Plans::enums`].
pub(crate) type EnumId = usize;
/// A set of the fields of one message, a bit each.
pub(crate) type FieldSet = u128;
/// How many fields a message may have.
pub(crate) const MAX_FIELDS: usize = FieldSet::BITS as usize;

/// The plans of all messages that can be reached from some roots.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    pub messages: Vec<MessagePlan>,
    pub enums: Vec<EnumPlan>,
    message_ids: HashMap<String, MessageId>,
    enum_ids: HashMap<String, EnumId>,
}

/// How a message looks in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// An object with a key a field.
    Object,
    /// The value of its only field.
    Flat,
    /// The value of whichever member of its oneof is set; only written.
    Union,
    /// `google.protobuf.Value`: as a union, and read by the type of the JSON value.
    Value,
    /// `google.protobuf.Timestamp`.
    Timestamp,
    /// `google.protobuf.Duration`.
    Duration,
}

#[derive(Debug)]
pub(crate) struct MessagePlan {
    /// The full name.
    pub name: String,
    pub shape: Shape,
    /// In the order of declaration, which is the order in answers.
    pub fields: Vec<FieldPlan>,
    /// The outer names, aliases included, and the fields that they mean.
    pub names: HashMap<String, usize>,
    /// Field numbers and the fields that have them, sorted.
    numbers: Vec<(u32, usize)>,
    /// The members of each real oneof.
    pub oneofs: Vec<FieldSet>,
}

#[derive(Debug)]
pub(crate) struct FieldPlan {
    pub number: u32,
    /// The name outside.
    pub name: String,
    /// `"name":`
    pub key: Vec<u8>,
    pub cardinality: Shared,
    pub kind: Kind,
    /// What an answer shows when the field is not set; `None` leaves the key out.
    pub blank: Option<String>,
    /// The real oneof it belongs to.
    pub oneof: Option<usize>,
}

/// How many values a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shared {
    One,
    List,
    /// A map with keys of this kind; the field's own kind is that of the values.
    Map(Kind),
}

/// The type of a value together with its text form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int32,
    Sint32,
    Sfixed32,
    Uint32,
    Fixed32,
    Int64,
    Sint64,
    Sfixed64,
    Uint64,
    Fixed64,
    Float,
    Double,
    String,
    Bytes,
    /// An exact decimal in a string.
    Decimal,
    /// The same, a JSON number outside.
    Number,
    /// A calendar day in a string.
    Date,
    /// Microseconds since 1970 in an int64.
    TimestampUs,
    /// The same; a bare date is the end of that day.
    EndUs,
    /// The same as a timestamp, with the offset of New York in answers.
    NewYorkUs,
    Enum(EnumId),
    Message(MessageId),
}

#[derive(Debug)]
pub(crate) struct EnumPlan {
    /// Numbers and their JSON text, quotes included; `None` reads `null`. Sorted.
    texts: Vec<(i32, Option<String>)>,
    /// What requests may say.
    pub numbers: HashMap<String, i32>,
    /// The short names in order of declaration, for messages and for the OpenAPI document.
    pub choices: Vec<String>,
}

impl MessagePlan {
    /// The field with this number.
    pub fn field_index(&self, number: u32) -> Option<usize> {
        let found = self
            .numbers
            .binary_search_by_key(&number, |&(number, _)| number)
            .ok()?;
        Some(self.numbers[found].1)
    }
}

impl EnumPlan {
    /// The JSON text of a value; `Some(None)` for `null`, `None` when the number is unknown.
    pub fn text(&self, number: i32) -> Option<Option<&str>> {
        let found = self
            .texts
            .binary_search_by_key(&number, |(number, _)| *number)
            .ok()?;
        Some(self.texts[found].1.as_deref())
    }
}

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
                    return Err(format!("two fields are called {name:?} outside"));
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
            (format, _) => Err(format!(
                "{} does not go with this type",
                format.as_str_name_short()
            )),
        }
    }

    fn enumeration(&mut self, descriptor: &EnumDescriptor) -> Result<EnumId, String> {
        if let Some(&id) = self.enum_ids.get(descriptor.full_name()) {
            return Ok(id);
        }
        let pool = descriptor.parent_pool();
        let rule = EnumerationRule::read(pool, &descriptor.options());
        let mut plan = EnumPlan {
            texts: Vec::new(),
            numbers: HashMap::new(),
            choices: Vec::new(),
        };
        for value in descriptor.values() {
            let own = ValueRule::read(pool, &value.options());
            let unspecified = value.number() == 0 && value.name().ends_with("_UNSPECIFIED");
            let is_null = unspecified || descriptor.full_name() == "google.protobuf.NullValue";
            let name = match own.name {
                Some(name) => Some(name),
                None if is_null => None,
                None => Some(short_name(descriptor, &rule, value.name())?),
            };
            plan.choices.extend(name.clone());
            for spoken in own.aliases.into_iter().chain(name.clone()) {
                if plan
                    .numbers
                    .insert(spoken.clone(), value.number())
                    .is_some()
                {
                    let name = descriptor.full_name();
                    return Err(format!(
                        "enum {name}: two values are called {spoken:?} outside"
                    ));
                }
            }
            // With allow_alias the first name of a number is the one that is written.
            if plan.text(value.number()).is_none() {
                plan.texts
                    .push((value.number(), name.map(|name| quoted(&name))));
                plan.texts.sort_unstable();
            }
        }
        let id = self.enums.len();
        self.enums.push(plan);
        self.enum_ids.insert(descriptor.full_name().to_owned(), id);
        Ok(id)
    }
}

impl Format {
    fn as_str_name_short(self) -> &'static str {
        match self {
            Format::Unspecified => "FORMAT_UNSPECIFIED",
            Format::Decimal => "FORMAT_DECIMAL",
            Format::Number => "FORMAT_NUMBER",
            Format::TimestampUs => "FORMAT_TIMESTAMP_US",
            Format::Date => "FORMAT_DATE",
            Format::EndUs => "FORMAT_END_US",
            Format::NewYorkUs => "FORMAT_NEW_YORK_US",
        }
    }
}

/// Descriptors list fields by number; people read them as written.
pub(crate) fn in_declared_order(message: &MessageDescriptor) -> Vec<FieldDescriptor> {
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

/// STOP_LIMIT of ORDER_TYPE_STOP_LIMIT, in the letters that the enum wants.
fn short_name(
    descriptor: &EnumDescriptor,
    rule: &EnumerationRule,
    name: &str,
) -> Result<String, String> {
    let prefix = match rule.prefix.as_str() {
        "" => upper_snake(descriptor.name()) + "_",
        prefix => prefix.to_owned(),
    };
    let short = name.strip_prefix(&prefix).ok_or_else(|| {
        let full_name = descriptor.full_name();
        format!("enum {full_name}: {name} does not begin with {prefix}; say its prefix or its name")
    })?;
    Ok(match rule.letters() {
        Letters::Unspecified => short.to_ascii_lowercase(),
        Letters::Upper => short.to_owned(),
    })
}

fn upper_snake(camel: &str) -> String {
    let mut snake = String::new();
    let mut previous = '_';
    for letter in camel.chars() {
        if letter.is_ascii_uppercase()
            && (previous.is_ascii_lowercase() || previous.is_ascii_digit())
        {
            snake.push('_');
        }
        snake.push(letter.to_ascii_uppercase());
        previous = letter;
    }
    snake
}

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    write_string(&mut out, text);
    String::from_utf8(out).expect("a quoted string is UTF-8, as its text was")
}
