//! The options of `google/api/http.proto` and `prepx/options/v1/options.proto` as typed values. The
//! declarations there are the documentation; a field here bears the same name.

use prost_reflect::{DescriptorPool, DynamicMessage, Value};

const FIELD: &str = "prepx.options.v1.field";
const OBJECT: &str = "prepx.options.v1.object";
const ENUMERATION: &str = "prepx.options.v1.enumeration";
const VALUE: &str = "prepx.options.v1.value";
const METHOD: &str = "prepx.options.v1.method";
const HTTP: &str = "google.api.http";

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Auth {
    /// Not said: as [`Auth::Trader`]. [`crate::Route::auth`] never answers this.
    Unspecified = 0,
    /// Anyone, with or without credentials.
    None = 1,
    /// Any authenticated principal, for its own accounts.
    Trader = 2,
    /// Operators only.
    Operator = 3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Format {
    Unspecified = 0,
    Decimal = 1,
    Number = 2,
    TimestampUs = 3,
    Date = 4,
    EndUs = 5,
    NewYorkUs = 6,
}

impl Format {
    /// The name in the proto options.
    pub fn name(self) -> &'static str {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Absent {
    Unspecified = 0,
    Null = 1,
    Omit = 2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Letters {
    Unspecified = 0,
    Upper = 1,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FieldRule {
    #[prost(enumeration = "Format", tag = "1")]
    pub format: i32,
    #[prost(enumeration = "Absent", tag = "2")]
    pub absent: i32,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, repeated, tag = "4")]
    pub aliases: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ObjectRule {
    #[prost(bool, tag = "1")]
    pub flatten: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct EnumerationRule {
    #[prost(string, tag = "1")]
    pub prefix: String,
    #[prost(enumeration = "Letters", tag = "2")]
    pub letters: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ValueRule {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(string, repeated, tag = "2")]
    pub aliases: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MethodRule {
    #[prost(enumeration = "Auth", tag = "1")]
    pub auth: i32,
    #[prost(string, tag = "2")]
    pub scope: String,
    #[prost(uint32, tag = "3")]
    pub success_status: u32,
    #[prost(uint32, tag = "4")]
    pub body_limit_bytes: u32,
    #[prost(bool, tag = "5")]
    pub ignore_unknown_query: bool,
    #[prost(bool, tag = "6")]
    pub ignore_unknown_body: bool,
}

/// `google.api.HttpRule`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HttpRule {
    #[prost(oneof = "Pattern", tags = "2, 3, 4, 5, 6, 8")]
    pub pattern: Option<Pattern>,
    #[prost(string, tag = "7")]
    pub body: String,
    #[prost(string, tag = "12")]
    pub response_body: String,
    #[prost(message, repeated, tag = "11")]
    pub additional_bindings: Vec<HttpRule>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Pattern {
    #[prost(string, tag = "2")]
    Get(String),
    #[prost(string, tag = "3")]
    Put(String),
    #[prost(string, tag = "4")]
    Post(String),
    #[prost(string, tag = "5")]
    Delete(String),
    #[prost(string, tag = "6")]
    Patch(String),
    #[prost(message, tag = "8")]
    Custom(CustomHttpPattern),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CustomHttpPattern {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "2")]
    pub path: String,
}

/// Reads the options of a descriptor; those that the pool does not know have their defaults.
pub(crate) trait Rule: prost::Message + Default {
    /// The full name of the extension.
    const EXTENSION: &'static str;

    /// From the `options()` of a descriptor; `None` when the option is not there.
    fn find(pool: &DescriptorPool, options: &DynamicMessage) -> Option<Self> {
        let extension = pool.get_extension_by_name(Self::EXTENSION)?;
        if !options.has_extension(&extension) {
            return None;
        }
        match options.get_extension(&extension).as_ref() {
            Value::Message(rule) => rule.transcode_to().ok(),
            _ => None,
        }
    }

    /// From the `options()` of a descriptor.
    fn read(pool: &DescriptorPool, options: &DynamicMessage) -> Self {
        Self::find(pool, options).unwrap_or_default()
    }
}

impl Rule for FieldRule {
    const EXTENSION: &'static str = FIELD;
}
impl Rule for ObjectRule {
    const EXTENSION: &'static str = OBJECT;
}
impl Rule for EnumerationRule {
    const EXTENSION: &'static str = ENUMERATION;
}
impl Rule for ValueRule {
    const EXTENSION: &'static str = VALUE;
}
impl Rule for MethodRule {
    const EXTENSION: &'static str = METHOD;
}
impl Rule for HttpRule {
    const EXTENSION: &'static str = HTTP;
}
