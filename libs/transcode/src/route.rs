//! One route: a method of a service under one path, with everything that is known before a request comes.

use std::sync::Arc;

use http::{Method, StatusCode};
use prepx_domain::Code;
use prost_reflect::MethodDescriptor;
use prost_types::method_options::IdempotencyLevel;

use crate::encode::Encoder;
use crate::error::Error;
use crate::plan::{FieldSet, Kind, MessageId, Plans, Shape, Shared};
use crate::query::{FieldPath, last_field, resolve};
use crate::rule::{Auth, HttpRule, MethodRule, Pattern, Rule as _};
use crate::stream::Framing;
use crate::template::{Segment, Template};

/// The largest request body of methods that say nothing else.
pub const DEFAULT_BODY_LIMIT_BYTES: usize = 64 * 1024;

/// Why no router can be built from these descriptors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{method}: {problem}")]
pub struct BuildError {
    /// The full name of the method, or of the message when there is no method.
    pub method: String,
    /// What is wrong with it.
    pub problem: String,
}

impl BuildError {
    pub(crate) fn new(method: &MethodDescriptor, problem: String) -> BuildError {
        BuildError {
            method: method.full_name().to_owned(),
            problem,
        }
    }
}

/// What a call does, which says whether it may be sent again when its outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It changes nothing.
    Read,
    /// A repeat changes nothing more.
    Idempotent,
    /// A repeat may do it twice: it is sent once.
    Once,
}

/// A method of a service under one path.
#[derive(Debug)]
pub struct Route {
    method: MethodDescriptor,
    grpc_path: String,
    http_method: Option<Method>,
    template: String,
    pub(crate) plans: Arc<Plans>,
    pub(crate) input: MessageId,
    output: MessageId,
    pub(crate) variables: Vec<Variable>,
    pub(crate) body: Body,
    response_field: Option<usize>,
    pub(crate) rule: MethodRule,
    effect: Effect,
    binding_index: usize,
}

/// A stretch of the path that goes into a field.
#[derive(Debug)]
pub(crate) struct Variable {
    pub path: FieldPath,
    pub name: String,
    pub start: usize,
    pub end: usize,
    /// Whether it takes all that remains.
    pub rest: bool,
}

/// Where the request's body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// There is none.
    None,
    /// It is the message itself, without these fields, which the path gives.
    Message(FieldSet),
    /// It is the value of this field.
    Field(usize),
}

impl Route {
    /// The method's descriptor.
    pub fn method(&self) -> &MethodDescriptor {
        &self.method
    }

    /// The path of the gRPC call: `/prepx.trading.v1.Trading/PlaceOrder`.
    pub fn grpc_path(&self) -> &str {
        &self.grpc_path
    }

    /// The HTTP method; any, when `None`.
    pub fn http_method(&self) -> Option<&Method> {
        self.http_method.as_ref()
    }

    /// The path template, a name for the route of bounded cardinality, as metrics want it.
    pub fn template(&self) -> &str {
        &self.template
    }

    /// `GET /v2/orders/{order_id}`.
    pub(crate) fn title(&self) -> String {
        let method = self.http_method.as_ref().map_or("*", Method::as_str);
        format!("{method} {}", self.template)
    }

    /// Who may call; never [`Auth::Unspecified`].
    pub fn auth(&self) -> Auth {
        match self.rule.auth() {
            Auth::Unspecified => Auth::Trader,
            auth => auth,
        }
    }

    /// The scope that the principal's key must have, if any.
    pub fn scope(&self) -> Option<&str> {
        Some(self.rule.scope.as_str()).filter(|scope| !scope.is_empty())
    }

    /// Whether a call may be sent again.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// How much of a body to read before [`Code::TooLarge`].
    pub fn body_limit_bytes(&self) -> usize {
        match self.rule.body_limit_bytes {
            0 => DEFAULT_BODY_LIMIT_BYTES,
            limit => limit as usize,
        }
    }

    /// Whether the answer is a stream of messages.
    pub fn is_server_streaming(&self) -> bool {
        self.method.is_server_streaming()
    }

    /// The HTTP status of success.
    pub fn success_status(&self) -> StatusCode {
        let status = u16::try_from(self.rule.success_status)
            .ok()
            .filter(|&status| status != 0);
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        status.unwrap_or(StatusCode::OK)
    }

    /// 0 for the method's own path, from 1 on for the additional ones.
    pub(crate) fn binding_index(&self) -> usize {
        self.binding_index
    }

    /// The message of replies, and the field of it that is the body.
    pub(crate) fn output(&self) -> (MessageId, Option<usize>) {
        (self.output, self.response_field)
    }

    /// The JSON of a reply; empty when success is 204.
    ///
    /// # Errors
    /// [`Code::Internal`] when the reply is not a message of the expected type.
    pub fn encode(&self, reply: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        if self.success_status() != StatusCode::NO_CONTENT {
            out.reserve(2 * reply.len() + 1024);
            self.write(reply, &mut out)?;
        }
        Ok(out)
    }

    /// Appends one message of a stream in its frame.
    ///
    /// # Errors
    /// As [`Route::encode`].
    pub fn encode_item(
        &self,
        framing: Framing,
        item: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        out.extend_from_slice(framing.before());
        self.write(item, out)?;
        out.extend_from_slice(framing.after());
        Ok(())
    }

    fn write(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        let mut encoder = Encoder::new(&self.plans, out);
        let written = match self.response_field {
            Some(index) => encoder.only_field(self.output, index, message),
            None => encoder.message(self.output, message),
        };
        written.map_err(|_| {
            out.truncate(start);
            malformed_reply()
        })
    }
}

pub(crate) fn malformed_reply() -> Error {
    let message = "the answer could not be written as JSON; the request id finds it";
    Error::new(Code::Internal, "MALFORMED_REPLY", message)
}

/// The routes that a method's option asks for: its own and the additional bindings.
pub(crate) fn bindings(
    plans: &Arc<Plans>,
    method: &MethodDescriptor,
    http: &HttpRule,
    messages: (MessageId, MessageId),
) -> Result<Vec<(Route, Template)>, String> {
    if method.is_client_streaming() {
        return Err("a stream of requests has no HTTP form; remove google.api.http".to_owned());
    }
    let rule = MethodRule::read(method.parent_pool(), &method.options());
    if !matches!(rule.success_status, 0 | 200..=299) {
        return Err(format!(
            "success_status is {}; it must be 200 to 299",
            rule.success_status
        ));
    }
    no_unions(plans, messages.0, &mut vec![false; plans.messages.len()])?;
    let all: Vec<&HttpRule> = std::iter::once(http)
        .chain(&http.additional_bindings)
        .collect();
    let reads = all
        .iter()
        .all(|binding| matches!(binding.pattern, Some(Pattern::Get(_))));
    let effect = effect(method, reads);
    let mut routes = Vec::new();
    for (binding_index, binding) in all.into_iter().enumerate() {
        let (http_method, text) = pattern(binding)?;
        let template = Template::parse(text)?;
        let variables = variables(plans, messages.0, &template)?;
        let route = Route {
            method: method.clone(),
            grpc_path: format!("/{}/{}", method.parent_service().full_name(), method.name()),
            http_method,
            template: text.to_owned(),
            plans: Arc::clone(plans),
            input: messages.0,
            output: messages.1,
            body: body(plans, messages.0, &binding.body, &variables)?,
            response_field: response_field(plans, messages.1, &binding.response_body)?,
            variables,
            rule: rule.clone(),
            effect,
            binding_index,
        };
        routes.push((route, template));
    }
    Ok(routes)
}

fn effect(method: &MethodDescriptor, reads: bool) -> Effect {
    let options = method.method_descriptor_proto().options.as_ref();
    match options.map(prost_types::MethodOptions::idempotency_level) {
        Some(IdempotencyLevel::NoSideEffects) => Effect::Read,
        Some(IdempotencyLevel::Idempotent) => Effect::Idempotent,
        _ if reads => Effect::Read,
        _ => Effect::Once,
    }
}

fn pattern(binding: &HttpRule) -> Result<(Option<Method>, &str), String> {
    let (method, path) = match binding
        .pattern
        .as_ref()
        .ok_or("google.api.http without a path")?
    {
        Pattern::Get(path) => (Method::GET, path),
        Pattern::Put(path) => (Method::PUT, path),
        Pattern::Post(path) => (Method::POST, path),
        Pattern::Delete(path) => (Method::DELETE, path),
        Pattern::Patch(path) => (Method::PATCH, path),
        Pattern::Custom(custom) if custom.kind == "*" => return Ok((None, &custom.path)),
        Pattern::Custom(custom) => {
            let method = Method::from_bytes(custom.kind.as_bytes())
                .map_err(|_| format!("{:?} is not an HTTP method", custom.kind))?;
            (method, &custom.path)
        }
    };
    Ok((Some(method), path))
}

fn variables(
    plans: &Plans,
    input: MessageId,
    template: &Template,
) -> Result<Vec<Variable>, String> {
    let mut variables = Vec::new();
    for variable in &template.variables {
        let name = variable.field_path.join(".");
        let path = resolve(plans, input, variable.field_path.iter().map(String::as_str))
            .map_err(|fault| format!("path variable {name}: {}", fault.into_error().message))?;
        if last_field(plans, input, &path).cardinality != Shared::One {
            return Err(format!(
                "path variable {name}: a list cannot be in the path"
            ));
        }
        let rest = template.segments[variable.end - 1] == Segment::Rest;
        let (start, end) = (variable.start, variable.end);
        variables.push(Variable {
            path,
            name,
            start,
            end,
            rest,
        });
    }
    Ok(variables)
}

fn body(
    plans: &Plans,
    input: MessageId,
    name: &str,
    variables: &[Variable],
) -> Result<Body, String> {
    let top_level = || variables.iter().filter(|variable| variable.path.len() == 1);
    match name {
        "" => Ok(Body::None),
        "*" => Ok(Body::Message(
            top_level().fold(0, |set, variable| set | 1 << variable.path[0]),
        )),
        name => {
            let index = field_called(plans, input, name).map_err(|text| format!("body: {text}"))?;
            if top_level().any(|variable| variable.path[0] == index) {
                return Err(format!("field {name} is in the path and is the body"));
            }
            Ok(Body::Field(index))
        }
    }
}

fn response_field(plans: &Plans, output: MessageId, name: &str) -> Result<Option<usize>, String> {
    match name {
        "" => Ok(None),
        name => field_called(plans, output, name)
            .map(Some)
            .map_err(|text| format!("response_body: {text}")),
    }
}

fn field_called(plans: &Plans, message: MessageId, name: &str) -> Result<usize, String> {
    let plan = &plans.messages[message];
    let index = plan.fields.iter().position(|field| field.name == name);
    index.ok_or_else(|| format!("{} has no field {name}", plan.name))
}

/// Unions are told apart by nothing, so a request cannot contain one.
fn no_unions(plans: &Plans, id: MessageId, visited: &mut [bool]) -> Result<(), String> {
    if std::mem::replace(&mut visited[id], true) {
        return Ok(());
    }
    let plan = &plans.messages[id];
    if plan.shape == Shape::Union {
        return Err(format!(
            "{} is a flattened oneof, which only answers can have",
            plan.name
        ));
    }
    let inner = plan.fields.iter().filter_map(|field| match field.kind {
        Kind::Message(id) => Some(id),
        _ => None,
    });
    inner
        .into_iter()
        .try_for_each(|id| no_unions(plans, id, visited))
}
