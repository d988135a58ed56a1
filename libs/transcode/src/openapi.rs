//! The OpenAPI 3.1 document of a router, from the same descriptors that the routes come from.

mod comments;
mod schema;

use std::collections::BTreeMap;

use http::StatusCode;
use prost_reflect::DescriptorPool;
use serde_json::{Map, Value, json};

use self::comments::Comments;
use crate::plan::{FieldPlan, Kind, MessageId, Plans, Shape, Shared};
use crate::query::last_field;
use crate::route::{Body, Route};
use crate::router::Router;
use crate::rule::Auth;
use crate::template::{Segment, Template};

/// How deep messages within messages are spelled out as query parameters.
const MAX_QUERY_DEPTH: usize = 3;

/// The document, for `/openapi.json`. Comments of the proto files become descriptions when the pool
/// was compiled with source information.
pub fn openapi(router: &Router, title: &str, version: &str) -> Value {
    let mut writer = Writer {
        plans: router.plans(),
        comments: Comments::read(router.pool()),
        pool: router.pool(),
        schemas: BTreeMap::new(),
        pending: Vec::new(),
    };
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut tags: BTreeMap<String, Value> = BTreeMap::new();
    for route in router.routes() {
        // Templates that differ only in what a variable may contain are one path here, and routes for
        // any method are not described.
        let Some(method) = route.http_method() else {
            continue;
        };
        let operations = paths.entry(outer_path(route.template())).or_default();
        let method = method.as_str().to_ascii_lowercase();
        if operations.contains_key(&method) {
            continue;
        }
        let service = route.method().parent_service();
        let about = writer.comments.of(&service.parent_file(), service.path());
        let tag = json!({ "name": service.full_name(), "description": about });
        tags.insert(service.full_name().to_owned(), tag);
        operations.insert(method, writer.operation(route));
    }
    writer.finish_schemas();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": { "title": title, "version": version },
        "servers": [{ "url": "/" }],
        "tags": tags.into_values().collect::<Vec<Value>>(),
        "paths": paths,
        "components": { "schemas": writer.schemas, "securitySchemes": security_schemes() },
    });
    without_empty_descriptions(&mut document);
    document
}

fn security_schemes() -> Value {
    json!({
        "keyId": { "type": "apiKey", "in": "header", "name": "APCA-API-KEY-ID" },
        "secretKey": { "type": "apiKey", "in": "header", "name": "APCA-API-SECRET-KEY" },
        "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
    })
}

/// `/v2/assets/{symbol=**}` is `/v2/assets/{symbol}`; literals within a variable stay in front of it.
fn outer_path(template: &str) -> String {
    let parsed = Template::parse(template).unwrap_or_default();
    let mut path = String::new();
    for (index, segment) in parsed.segments.iter().enumerate() {
        path.push('/');
        let variable = parsed
            .variables
            .iter()
            .find(|variable| variable.end == index + 1);
        match (segment, variable) {
            (Segment::Literal(literal), _) => path.push_str(literal),
            (_, Some(variable)) => path += &format!("{{{}}}", variable.field_path.join(".")),
            (..) => path += &format!("{{segment{index}}}"),
        }
    }
    if !parsed.verb.is_empty() {
        path.push(':');
        path.push_str(&parsed.verb);
    }
    path
}

struct Writer<'r> {
    plans: &'r Plans,
    pool: &'r DescriptorPool,
    comments: Comments,
    schemas: BTreeMap<String, Value>,
    /// Messages that are referred to and have no schema yet.
    pending: Vec<MessageId>,
}

impl Writer<'_> {
    fn operation(&mut self, route: &Route) -> Value {
        let method = route.method();
        let about = self
            .comments
            .of(&method.parent_file(), method.path())
            .to_owned();
        let summary = about
            .split(['\n', '.'])
            .next()
            .unwrap_or_default()
            .to_owned();
        let options = method.method_descriptor_proto().options.as_ref();
        let mut operation = json!({
            "operationId": operation_id(route),
            "tags": [method.parent_service().full_name()],
            "summary": summary,
            "description": about + &access(route),
            "parameters": self.parameters(route),
            "responses": self.responses(route),
            "security": security(route),
        });
        if options.is_some_and(|options| options.deprecated()) {
            operation["deprecated"] = json!(true);
        }
        if let Some(schema) = self.request_schema(route) {
            operation["requestBody"] =
                json!({ "content": { "application/json": { "schema": schema } } });
        }
        operation
    }

    fn parameters(&mut self, route: &Route) -> Vec<Value> {
        let mut parameters = Vec::new();
        for variable in &route.variables {
            let field = last_field(self.plans, route.input, &variable.path);
            let schema = self.field_schema(field, false);
            parameters.push(json!({
                "name": variable.name, "in": "path", "required": true, "schema": schema,
                "description": self.field_comment(route.input, &variable.path),
            }));
        }
        if !matches!(route.body, Body::Message(_)) {
            self.query_parameters(route, &mut Vec::new(), "", &mut parameters);
        }
        parameters
    }

    /// The fields below `path` that a query can give.
    fn query_parameters(
        &mut self,
        route: &Route,
        path: &mut Vec<usize>,
        prefix: &str,
        parameters: &mut Vec<Value>,
    ) {
        let plans = self.plans;
        let message = match path.last() {
            None => route.input,
            Some(_) => match last_field(plans, route.input, path).kind {
                Kind::Message(id) => id,
                _ => return,
            },
        };
        for (index, field) in plans.messages[message].fields.iter().enumerate() {
            path.push(index);
            let in_path = route
                .variables
                .iter()
                .any(|variable| variable.path.starts_with(path));
            let in_body = route.body == Body::Field(index) && path.len() == 1;
            let name = format!("{prefix}{}", field.name);
            if in_path || in_body || matches!(field.cardinality, Shared::Map(_)) {
                path.pop();
                continue;
            }
            match field.kind {
                Kind::Message(id) if plans.messages[id].shape == Shape::Object => {
                    if field.cardinality == Shared::One && path.len() < MAX_QUERY_DEPTH {
                        self.query_parameters(route, path, &format!("{name}."), parameters);
                    }
                }
                _ => parameters.push(json!({
                    "name": name, "in": "query", "style": "form", "explode": false,
                    "schema": self.field_schema(field, false),
                    "description": self.field_comment(route.input, path),
                })),
            }
            path.pop();
        }
    }

    fn field_comment(&self, message: MessageId, path: &[usize]) -> String {
        let mut message = message;
        for &index in &path[..path.len() - 1] {
            if let Kind::Message(inner) = self.plans.messages[message].fields[index].kind {
                message = inner;
            }
        }
        let field = &self.plans.messages[message].fields[path[path.len() - 1]];
        self.comment_of(message, field)
    }

    fn comment_of(&self, message: MessageId, field: &FieldPlan) -> String {
        let name = &self.plans.messages[message].name;
        let found = self.pool.get_message_by_name(name);
        let found = found.and_then(|message| message.get_field(field.number));
        let comment = found.map(|field| {
            self.comments
                .of(&field.parent_file(), field.path())
                .to_owned()
        });
        comment.unwrap_or_default()
    }

    fn request_schema(&mut self, route: &Route) -> Option<Value> {
        match route.body {
            Body::None => None,
            Body::Message(0) => Some(self.message_schema(route.input)),
            Body::Message(taken) => Some(self.object(route.input, taken)),
            Body::Field(index) => {
                let field = &self.plans.messages[route.input].fields[index];
                Some(self.field_schema(field, false))
            }
        }
    }

    fn responses(&mut self, route: &Route) -> Value {
        let status = route.success_status();
        let mut success = json!({ "description": status.canonical_reason().unwrap_or("Success") });
        if status != StatusCode::NO_CONTENT {
            let (message, field) = route.output();
            let schema = match field {
                Some(index) => self.field_schema(&self.plans.messages[message].fields[index], true),
                None => self.message_schema(message),
            };
            let content = json!({ "schema": schema });
            success["content"] = if route.is_server_streaming() {
                json!({ "text/event-stream": content, "application/x-ndjson": content })
            } else {
                json!({ "application/json": content })
            };
        }
        let error = json!({ "schema": { "$ref": "#/components/schemas/Error" } });
        json!({
            status.as_str(): success,
            "default": { "description": "An error", "content": { "application/json": error } },
        })
    }
}

/// Unique, because a method has no two routes with one HTTP method and path.
fn operation_id(route: &Route) -> String {
    let method = route.method();
    let service = method.parent_service().full_name().replace('.', "_");
    let first = route.binding_index() == 0;
    let suffix = if first {
        String::new()
    } else {
        format!("_{}", route.binding_index())
    };
    format!("{service}_{}{suffix}", method.name())
}

/// Who may call, in words: OpenAPI has scopes for OAuth only.
fn access(route: &Route) -> String {
    let operator = (route.auth() == Auth::Operator).then(|| "\n\nFor operators only.".to_owned());
    let scope = route
        .scope()
        .map(|scope| format!("\n\nNeeds the scope `{scope}`."));
    [operator, scope].into_iter().flatten().collect()
}

/// Removes descriptions that say nothing.
fn without_empty_descriptions(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|key, member| {
                !(matches!(key.as_str(), "description" | "summary") && *member == json!(""))
            });
            members.values_mut().for_each(without_empty_descriptions);
        }
        Value::Array(items) => items.iter_mut().for_each(without_empty_descriptions),
        _ => {}
    }
}

fn security(route: &Route) -> Value {
    match route.auth() {
        Auth::None => json!([]),
        _ => json!([{ "keyId": [], "secretKey": [] }, { "bearer": [] }]),
    }
}
