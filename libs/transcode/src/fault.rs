//! What is wrong with a request: which field, with which value, and what would be right.

use prepx_domain::Code;

use crate::error::Error;
use crate::json::SyntaxError;
use crate::near;
use crate::plan::MessagePlan;

/// How much of a wrong value is shown.
const SHOWN_VALUE: usize = 60;

/// What is wrong with a request, on its way up to where the whole name of the field is known.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The text is not JSON.
    Syntax(SyntaxError),
    /// A field that cannot be taken.
    Field(Box<FieldFault>),
}

#[derive(Debug, Default)]
pub(crate) struct FieldFault {
    /// The field, as `legs[1].limit_price`.
    pub path: String,
    pub reason: &'static str,
    /// What follows the field's name in the message.
    pub problem: String,
    pub value: Option<String>,
    pub expected: Option<String>,
}

impl From<SyntaxError> for Fault {
    fn from(error: SyntaxError) -> Fault {
        Fault::Syntax(error)
    }
}

impl Fault {
    /// A value of the wrong type or out of range.
    pub fn value(value: &str, expected: String) -> Fault {
        let shown = shorten(value);
        Fault::Field(Box::new(FieldFault {
            path: String::new(),
            reason: "INVALID_VALUE",
            problem: format!("{shown} is not {expected}"),
            value: Some(shown),
            expected: Some(expected),
        }))
    }

    /// Any other complaint about a field.
    pub fn field(reason: &'static str, name: &str, problem: impl Into<String>) -> Fault {
        Fault::Field(Box::new(FieldFault {
            path: name.to_owned(),
            reason,
            problem: problem.into(),
            ..FieldFault::default()
        }))
    }

    /// The same, one level further out.
    #[must_use]
    pub fn within(mut self, parent: &str) -> Fault {
        if let Fault::Field(fault) = &mut self {
            let separator = match fault.path.as_bytes().first() {
                None | Some(b'[') => "",
                Some(_) => ".",
            };
            fault.path = format!("{parent}{separator}{}", fault.path);
        }
        self
    }

    /// As the client is told.
    pub fn into_error(self) -> Error {
        match self {
            Fault::Syntax(SyntaxError {
                problem,
                line,
                column,
            }) => Error::new(
                Code::Unreadable,
                "UNREADABLE_JSON",
                format!("the body is not JSON: {problem} at line {line} column {column}"),
            )
            .with("line", line.to_string())
            .with("column", column.to_string()),
            Fault::Field(fault) => {
                let path = if fault.path.is_empty() {
                    "the body"
                } else {
                    &fault.path
                };
                let message = format!("{path}: {}", fault.problem);
                let mut error =
                    Error::new(Code::Invalid, fault.reason, message).with("field", path);
                error
                    .details
                    .extend(fault.value.map(|value| ("value".to_owned(), value)));
                error
                    .details
                    .extend(fault.expected.map(|text| ("expected".to_owned(), text)));
                error
            }
        }
    }
}

/// The beginning of a value, for messages.
pub(crate) fn shorten(value: &str) -> String {
    match value.char_indices().nth(SHOWN_VALUE) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

/// The complaint about a name that no field has.
pub(crate) fn unknown_field(plan: &MessagePlan, name: &str) -> Fault {
    let shown = shorten(name);
    let known: Vec<&str> = plan
        .fields
        .iter()
        .map(|field| field.name.as_str())
        .collect();
    let near = near::matches(name, &known);
    let hint = match (near.as_slice(), known.as_slice()) {
        ([], []) => "no fields are known here".to_owned(),
        ([], known) => format!("known are {}", known.join(", ")),
        (near, _) => format!("did you mean {}?", near.join(" or ")),
    };
    let mut fault = Fault::field("UNKNOWN_FIELD", &shown, format!("unknown field; {hint}"));
    if let Fault::Field(fault) = &mut fault {
        fault.expected = (!near.is_empty()).then(|| near.join(", "));
    }
    fault
}
