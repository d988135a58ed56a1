//! The format of profiles: `perftools.profiles.Profile` of github.com/google/pprof/proto/profile.proto, in
//! gzip. Functions are named here, because only this process has the program's symbols at hand.

use std::collections::HashMap;
use std::ffi::c_void;
use std::io::{self, Write as _};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use prepx_env::{Clock as _, SystemClock};
use prost::Message as _;

/// The type and the unit of a value.
#[derive(Clone, Copy)]
pub(super) struct Value(pub &'static str, pub &'static str);

/// One stack with its values.
pub(super) struct Stack {
    /// The return addresses, the innermost first.
    pub addresses: Vec<usize>,
    /// The values, one of each type of the profile.
    pub values: Vec<i64>,
    /// The thread.
    pub thread: Option<String>,
}

/// The samples.
pub(super) struct Profile {
    pub values: [Value; 2],
    /// The sampling period.
    pub period: (Value, i64),
    /// How long samples were taken; zero for a snapshot.
    pub time: Duration,
    pub stacks: Vec<Stack>,
}

impl Profile {
    /// Encodes the profile. Blocks: symbols are read from the program's file.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        let mut made = Making::default();
        // The empty one is the first.
        made.text("");
        let (of, period) = self.period;
        let mut message = wire::Profile {
            sample_type: self.values.map(|value| made.value(value)).to_vec(),
            period_type: Some(made.value(of)),
            period,
            time_nanos: SystemClock::new().now().0.saturating_mul(1_000),
            duration_nanos: i64::try_from(self.time.as_nanos()).unwrap_or(i64::MAX),
            ..wire::Profile::default()
        };
        message.sample = self.stacks.iter().map(|stack| made.sample(stack)).collect();
        // What is read of the program's file takes several times its size in memory.
        backtrace::clear_symbol_cache();
        message.location = made.locations;
        message.function = made.functions;
        message.string_table = made.texts;
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&message.encode_to_vec())?;
        packed.finish()
    }
}

/// Texts, functions and locations, each once. Numbers of functions and locations begin at 1.
#[derive(Default)]
struct Making {
    texts: Vec<String>,
    text_ids: HashMap<String, i64>,
    functions: Vec<wire::Function>,
    function_ids: HashMap<String, u64>,
    locations: Vec<wire::Location>,
    location_ids: HashMap<usize, u64>,
}

impl Making {
    fn text(&mut self, text: &str) -> i64 {
        if let Some(id) = self.text_ids.get(text) {
            return *id;
        }
        let id = self.texts.len() as i64;
        self.texts.push(text.to_owned());
        self.text_ids.insert(text.to_owned(), id);
        id
    }

    fn value(&mut self, Value(kind, unit): Value) -> wire::ValueType {
        let (r#type, unit) = (self.text(kind), self.text(unit));
        wire::ValueType { r#type, unit }
    }

    fn sample(&mut self, stack: &Stack) -> wire::Sample {
        let label = |thread: &String| wire::Label {
            key: self.text("thread"),
            str: self.text(thread),
        };
        let label = stack.thread.iter().map(label).collect();
        let places = stack.addresses.iter();
        wire::Sample {
            location_id: places.map(|address| self.location(*address)).collect(),
            value: stack.values.clone(),
            label,
        }
    }

    fn location(&mut self, address: usize) -> u64 {
        if let Some(id) = self.location_ids.get(&address) {
            return *id;
        }
        // The return address is behind the call, which may be in another line or function.
        let call = address.saturating_sub(1);
        let mut line = Vec::new();
        // The innermost first, of functions that were inlined into one.
        backtrace::resolve(std::ptr::without_provenance_mut::<c_void>(call), |symbol| {
            if let Some(name) = symbol.name() {
                let file = symbol
                    .filename()
                    .map(|file| file.to_string_lossy().into_owned());
                line.push(wire::Line {
                    function_id: self.function(format!("{name:#}"), &file.unwrap_or_default()),
                    line: symbol.lineno().map_or(0, i64::from),
                });
            }
        });
        let id = self.locations.len() as u64 + 1;
        let address_of_call = call as u64;
        self.locations.push(wire::Location {
            id,
            address: address_of_call,
            line,
        });
        self.location_ids.insert(address, id);
        id
    }

    fn function(&mut self, name: String, file: &str) -> u64 {
        if let Some(id) = self.function_ids.get(&name) {
            return *id;
        }
        let id = self.functions.len() as u64 + 1;
        let text = self.text(&name);
        let filename = self.text(file);
        self.functions.push(wire::Function {
            id,
            name: text,
            system_name: text,
            filename,
        });
        self.function_ids.insert(name, id);
        id
    }
}

/// The messages, as far as they are used here.
pub mod wire {
    /// A profile; texts are indexes into the table.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Profile {
        #[prost(message, repeated, tag = "1")]
        pub sample_type: Vec<ValueType>,
        #[prost(message, repeated, tag = "2")]
        pub sample: Vec<Sample>,
        #[prost(message, repeated, tag = "4")]
        pub location: Vec<Location>,
        #[prost(message, repeated, tag = "5")]
        pub function: Vec<Function>,
        #[prost(string, repeated, tag = "6")]
        pub string_table: Vec<String>,
        #[prost(int64, tag = "9")]
        pub time_nanos: i64,
        #[prost(int64, tag = "10")]
        pub duration_nanos: i64,
        #[prost(message, optional, tag = "11")]
        pub period_type: Option<ValueType>,
        #[prost(int64, tag = "12")]
        pub period: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ValueType {
        #[prost(int64, tag = "1")]
        pub r#type: i64,
        #[prost(int64, tag = "2")]
        pub unit: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Sample {
        #[prost(uint64, repeated, tag = "1")]
        pub location_id: Vec<u64>,
        #[prost(int64, repeated, tag = "2")]
        pub value: Vec<i64>,
        #[prost(message, repeated, tag = "3")]
        pub label: Vec<Label>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Label {
        #[prost(int64, tag = "1")]
        pub key: i64,
        #[prost(int64, tag = "2")]
        pub str: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Location {
        #[prost(uint64, tag = "1")]
        pub id: u64,
        #[prost(uint64, tag = "3")]
        pub address: u64,
        #[prost(message, repeated, tag = "4")]
        pub line: Vec<Line>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Line {
        #[prost(uint64, tag = "1")]
        pub function_id: u64,
        #[prost(int64, tag = "2")]
        pub line: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Function {
        #[prost(uint64, tag = "1")]
        pub id: u64,
        #[prost(int64, tag = "2")]
        pub name: i64,
        #[prost(int64, tag = "3")]
        pub system_name: i64,
        #[prost(int64, tag = "4")]
        pub filename: i64,
    }
}
