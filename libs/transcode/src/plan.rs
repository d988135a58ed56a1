//! How each message is read and written: everything that options and descriptors say, worked out once in advance, so that
//! requests and replies only follow it.

mod build;
mod enumeration;

use std::collections::HashMap;

pub(crate) use self::enumeration::EnumPlan;

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
