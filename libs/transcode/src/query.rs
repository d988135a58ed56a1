//! Query parameters and path variables into protobuf.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use prepx_domain::Code;
use prost::encoding::encode_key;

use crate::decode::{check_rivals, wire_type};
use crate::error::Error;
use crate::fault::{Fault, unknown_field};
use crate::plan::{FieldPlan, FieldSet, Kind, MessageId, Plans, Shape, Shared};
use crate::text;
use crate::wire::prefix_length;

/// The way from a message to one of its fields: an index for each level.
pub(crate) type FieldPath = Vec<usize>;

/// Undoes percent-encoding.
///
/// # Errors
/// When what comes out is not UTF-8.
pub(crate) fn percent_decode(text: &str) -> Result<Cow<'_, str>, Error> {
    percent_decode_str(text).decode_utf8().map_err(|_| {
        let message = format!("{text:?} is not UTF-8 after percent-decoding");
        Error::new(Code::Unreadable, "UNREADABLE_URL", message)
    })
}

/// Goes on through flattened messages to the value that stands for them.
fn through_flat(plans: &Plans, mut id: MessageId, path: &mut FieldPath) {
    while plans.messages[id].shape == Shape::Flat {
        path.push(0);
        match plans.messages[id].fields[0].kind {
            Kind::Message(inner) => id = inner,
            _ => return,
        }
    }
}

/// Whether a value of this kind can be written as a word.
fn is_word(plans: &Plans, kind: Kind) -> bool {
    let Kind::Message(id) = kind else { return true };
    matches!(plans.messages[id].shape, Shape::Timestamp | Shape::Duration)
}

/// Follows names from a message to a field that words can fill.
///
/// # Errors
/// When a name is not known, or leads to something that cannot be written as a word.
pub(crate) fn resolve<'n>(
    plans: &Plans,
    message: MessageId,
    names: impl Iterator<Item = &'n str>,
) -> Result<FieldPath, Fault> {
    let mut path = FieldPath::new();
    let (mut inner, mut last) = (Some(message), "");
    for name in names {
        last = name;
        let id =
            inner.ok_or_else(|| Fault::field("UNKNOWN_FIELD", name, "has no fields within"))?;
        let plan = &plans.messages[id];
        let known = plan.names.get(name).filter(|_| plan.shape == Shape::Object);
        let &index = known.ok_or_else(|| unknown_field(plan, name))?;
        path.push(index);
        let field = &plan.fields[index];
        inner = None;
        if let (Kind::Message(id), Shared::One) = (field.kind, field.cardinality) {
            through_flat(plans, id, &mut path);
            inner = Some(id);
        }
    }
    let field = last_field(plans, message, &path);
    if matches!(field.cardinality, Shared::Map(_)) || !is_word(plans, field.kind) {
        let within = match (field.kind, field.cardinality) {
            (Kind::Message(id), Shared::One) => plans.messages[id].fields.first(),
            _ => None,
        };
        let problem = match within {
            Some(within) => format!(
                "is an object; give its fields, such as {last}.{}",
                within.name
            ),
            None => "cannot be given in the URL".to_owned(),
        };
        return Err(Fault::field("UNKNOWN_FIELD", last, problem));
    }
    Ok(path)
}

/// The field at the end of a path, which is not empty.
pub(crate) fn last_field<'p>(
    plans: &'p Plans,
    message: MessageId,
    path: &[usize],
) -> &'p FieldPlan {
    let field = &plans.messages[message].fields[path[0]];
    match (path.len(), field.kind) {
        (1, _) => field,
        (_, Kind::Message(inner)) => last_field(plans, inner, &path[1..]),
        _ => unreachable!("resolve only goes on through messages"),
    }
}

/// Appends one word at the end of a path, wrapped in the messages on the way. Protobuf merges the
/// parts of a message, and of a scalar's values the last one counts.
pub(crate) fn write_word(
    plans: &Plans,
    message: MessageId,
    path: &[usize],
    word: &str,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let field = &plans.messages[message].fields[path[0]];
    encode_key(field.number, wire_type(field.kind), out);
    if let (Kind::Message(inner), rest @ [_, ..]) = (field.kind, &path[1..]) {
        let start = out.len();
        write_word(plans, inner, rest, word, out)?;
        prefix_length(out, start);
        return Ok(());
    }
    text::read(plans, field.kind, word, out).ok_or_else(|| {
        Fault::value(
            &format!("{word:?}"),
            text::expected_instead(plans, field.kind, word),
        )
    })
}

/// Reads the parameters of one query.
pub(crate) struct Reader<'p> {
    pub plans: &'p Plans,
    pub message: MessageId,
    pub ignore_unknown: bool,
    /// The fields that the path or the body gives.
    pub taken: Vec<FieldPath>,
    /// The top-level fields that have a value, for the oneofs.
    pub set: FieldSet,
}

impl Reader<'_> {
    /// Appends the fields that a query (without its `?`) gives.
    pub fn read(&mut self, query: &str, out: &mut Vec<u8>) -> Result<(), Error> {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (name.replace('+', " "), value.replace('+', " "));
            let (name, value) = (percent_decode(&name)?, percent_decode(&value)?);
            self.parameter(&name, &value, out)
                .map_err(Fault::into_error)?;
        }
        Ok(())
    }

    fn parameter(&mut self, name: &str, value: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
        let path = match resolve(self.plans, self.message, name.split('.')) {
            Ok(path) => path,
            Err(_) if self.ignore_unknown => return Ok(()),
            Err(fault) => return Err(named(fault, name)),
        };
        let field = last_field(self.plans, self.message, &path);
        let many = field.cardinality == Shared::List;
        if self.taken.iter().any(|taken| path.starts_with(taken)) {
            let problem = "occurs twice, or is given by the path or the body too";
            return Err(Fault::field("DUPLICATE_FIELD", name, problem));
        }
        check_rivals(&self.plans.messages[self.message], path[0], self.set)?;
        self.set |= 1 << path[0];
        if many {
            return self
                .words(&path, value, out)
                .map_err(|fault| fault.within(name));
        }
        let start = out.len();
        let written = write_word(self.plans, self.message, &path, value, out);
        self.taken.push(path);
        match written {
            // Clients that fill in forms send `until=` for "not given".
            Err(_) if value.is_empty() => {
                out.truncate(start);
                Ok(())
            }
            written => written.map_err(|fault| fault.within(name)),
        }
    }

    /// A list: `symbols=AAPL,MSFT`, or the parameter again and again.
    fn words(&self, path: &[usize], value: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
        if value.is_empty() {
            return Ok(());
        }
        for word in value.split(',') {
            if word.is_empty() {
                let expected = "a list with a value between commas, such as AAPL,MSFT";
                return Err(Fault::value(&format!("{value:?}"), expected.to_owned()));
            }
            write_word(self.plans, self.message, path, word, out)?;
        }
        Ok(())
    }
}

/// The fault under the whole name of the parameter.
fn named(mut fault: Fault, name: &str) -> Fault {
    if let Fault::Field(field) = &mut fault {
        field.path = crate::fault::shorten(name);
    }
    fault
}
