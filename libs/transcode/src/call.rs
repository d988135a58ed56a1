//! One HTTP request that has found its route and is about to be decoded.

use std::sync::Arc;

use prepx_domain::Code;

use crate::decode::Decoder;
use crate::error::Error;
use crate::fault::Fault;
use crate::plan::FieldSet;
use crate::query::{FieldPath, Reader, write_word};
use crate::route::{Body, Route};

/// A route that was found, with the values of the path's variables.
#[derive(Clone, Debug)]
pub struct Call {
    pub(crate) route: Arc<Route>,
    pub(crate) values: Vec<String>,
}

impl Call {
    /// The route, to see who may call it and how much body to read.
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// The values of the path's variables, decoded: for logs and for routing by what is in the path.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = self
            .route
            .variables
            .iter()
            .map(|variable| variable.name.as_str());
        names.zip(self.values.iter().map(String::as_str))
    }

    /// The protobuf of the request: from the path, the query (without its `?`) and the body.
    ///
    /// # Errors
    /// [`Code::Unreadable`] when the body is not JSON, [`Code::TooLarge`] when there is too much of it,
    /// [`Code::Invalid`] when a field is unknown or a value is not what it should be.
    pub fn decode(
        &self,
        query: Option<&str>,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let route = &*self.route;
        let limit = route.body_limit_bytes();
        if body.len() > limit {
            let message = format!("the body has {} bytes; at most {limit} here", body.len());
            return Err(Error::new(Code::TooLarge, "BODY_TOO_LARGE", message));
        }
        let mut out = Vec::with_capacity(body.len() + 64);
        if !body.trim_ascii().is_empty() {
            check_content_type(content_type)?;
            self.decode_body(body, &mut out)
                .map_err(Fault::into_error)?;
        }
        self.decode_query(query.unwrap_or_default(), &mut out)?;
        for (variable, value) in route.variables.iter().zip(&self.values) {
            write_word(&route.plans, route.input, &variable.path, value, &mut out)
                .map_err(|fault| fault.within(&variable.name).into_error())?;
        }
        Ok(out)
    }

    fn decode_body(&self, body: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let route = &*self.route;
        let decoder = Decoder::new(&route.plans, body, route.rule.ignore_unknown_body)?;
        match route.body {
            Body::Message(taken) => decoder.whole_message(route.input, taken, out),
            Body::Field(index) => {
                let field = &route.plans.messages[route.input].fields[index];
                decoder.whole_field(field, out)
            }
            // Some clients send an empty object with every request.
            Body::None if matches!(body.trim_ascii(), b"{}" | b"null") => Ok(()),
            Body::None => {
                let problem = format!("{} takes none", route.title());
                Err(Fault::field("UNEXPECTED_BODY", "", problem))
            }
        }
    }

    fn decode_query(&self, query: &str, out: &mut Vec<u8>) -> Result<(), Error> {
        let route = &*self.route;
        let ignore_unknown = route.rule.ignore_unknown_query;
        let mut taken: Vec<FieldPath> = route
            .variables
            .iter()
            .map(|variable| variable.path.clone())
            .collect();
        match route.body {
            Body::None => {}
            Body::Field(index) => taken.push(vec![index]),
            Body::Message(_) if query.is_empty() || ignore_unknown => return Ok(()),
            Body::Message(_) => {
                let name =
                    crate::fault::shorten(query.split(['=', '&']).next().unwrap_or_default());
                let problem = format!("{} takes its fields in the JSON body", route.title());
                return Err(Fault::field("UNKNOWN_FIELD", &name, problem).into_error());
            }
        }
        let set = taken
            .iter()
            .fold(0, |set: FieldSet, path| set | 1 << path[0]);
        let (plans, message) = (&route.plans, route.input);
        Reader {
            plans,
            message,
            ignore_unknown,
            taken,
            set,
        }
        .read(query, out)
    }
}

/// JSON, or what clients send when they say nothing of it: nothing at all, the form type that curl puts
/// on every `-d`, or the plain text of .NET's `StringContent` and of `fetch`.
fn check_content_type(content_type: Option<&str>) -> Result<(), Error> {
    let Some(content_type) = content_type else {
        return Ok(());
    };
    let media = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let json = media.ends_with("/json") || media.ends_with("+json");
    let unsaid = ["", "application/x-www-form-urlencoded", "text/plain"];
    if json || unsaid.contains(&media.as_str()) {
        return Ok(());
    }
    let shown = crate::fault::shorten(content_type);
    let message = format!("the body is {shown}; send Content-Type: application/json");
    Err(Error::new(
        Code::Unreadable,
        "UNREADABLE_CONTENT_TYPE",
        message,
    ))
}
