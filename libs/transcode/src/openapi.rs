//! The OpenAPI 3.1 document of a router, from the same descriptors that the routes come from.

use std::collections::{BTreeMap, HashMap};

use http::StatusCode;
use prost_reflect::{DescriptorPool, FileDescriptor, MessageDescriptor};
use serde_json::{Map, Value, json};

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

/// The comments in front of declarations, by file and path.
struct Comments(HashMap<String, HashMap<Vec<i32>, String>>);

impl Comments {
    fn read(pool: &DescriptorPool) -> Comments {
        let of_file = |file: FileDescriptor| {
            let info = file
                .file_descriptor_proto()
                .source_code_info
                .clone()
                .unwrap_or_default();
            let comments = info.location.into_iter().filter_map(|location| {
                let comment = location.leading_comments.or(location.trailing_comments)?;
                let lines: Vec<&str> = comment.lines().map(str::trim).collect();
                Some((location.path, lines.join("\n").trim().to_owned()))
            });
            (file.name().to_owned(), comments.collect())
        };
        Comments(pool.files().map(of_file).collect())
    }

    fn of(&self, file: &FileDescriptor, path: &[i32]) -> &str {
        let comment = self
            .0
            .get(file.name())
            .and_then(|comments| comments.get(path));
        comment.map_or("", String::as_str)
    }
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

    fn message_schema(&mut self, id: MessageId) -> Value {
        let plan = &self.plans.messages[id];
        match plan.shape {
            Shape::Timestamp => json!({ "type": "string", "format": "date-time" }),
            Shape::Duration => json!({ "type": "string", "format": "duration" }),
            Shape::Value => json!({}),
            Shape::Flat => self.field_schema(&plan.fields[0], false),
            Shape::Object | Shape::Union => {
                self.pending.push(id);
                json!({ "$ref": format!("#/components/schemas/{}", plan.name) })
            }
        }
    }

    /// `in_answer` says that an absent value is seen as `null` where the plan says so.
    fn field_schema(&mut self, field: &FieldPlan, in_answer: bool) -> Value {
        let one = self.kind_schema(field.kind);
        let schema = match field.cardinality {
            Shared::One => one,
            Shared::List => json!({ "type": "array", "items": one }),
            Shared::Map(_) => json!({ "type": "object", "additionalProperties": one }),
        };
        if in_answer && field.blank.as_deref() == Some("null") && schema != json!({}) {
            return json!({ "anyOf": [schema, { "type": "null" }] });
        }
        schema
    }

    fn kind_schema(&mut self, kind: Kind) -> Value {
        match kind {
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                json!({ "type": "integer", "format": "int32" })
            }
            Kind::Uint32 | Kind::Fixed32 => {
                json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX })
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                json!({ "type": "integer", "format": "int64" })
            }
            Kind::Uint64 | Kind::Fixed64 => json!({ "type": "integer", "minimum": 0 }),
            Kind::Float | Kind::Double | Kind::Number => json!({ "type": "number" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Kind::Decimal => json!({ "type": "string", "format": "decimal" }),
            Kind::Date => json!({ "type": "string", "format": "date" }),
            Kind::TimestampUs => json!({ "type": "string", "format": "date-time" }),
            Kind::Enum(id) => json!({ "type": "string", "enum": self.plans.enums[id].choices }),
            Kind::Message(id) => self.message_schema(id),
        }
    }

    /// The schemas that are referred to, and those that these refer to.
    fn finish_schemas(&mut self) {
        self.schemas.insert("Error".to_owned(), error_schema());
        while let Some(id) = self.pending.pop() {
            let plan = &self.plans.messages[id];
            if self.schemas.contains_key(&plan.name) {
                continue;
            }
            // Taken before its fields are looked at, because they may lead back here.
            self.schemas.insert(plan.name.clone(), Value::Null);
            let schema = match plan.shape {
                Shape::Union => {
                    let members: Vec<Value> = plan
                        .fields
                        .iter()
                        .map(|field| self.field_schema(field, false))
                        .collect();
                    json!({ "anyOf": members })
                }
                _ => self.object(id, 0),
            };
            self.schemas.insert(plan.name.clone(), schema);
        }
    }

    /// A message as an object, without the fields in `left_out`.
    fn object(&mut self, id: MessageId, left_out: crate::plan::FieldSet) -> Value {
        let plan = &self.plans.messages[id];
        let mut properties = Map::new();
        for (index, field) in plan.fields.iter().enumerate() {
            if left_out & (1 << index) != 0 {
                continue;
            }
            let mut schema = self.field_schema(field, true);
            let about = self.comment_of(id, field);
            if !about.is_empty() {
                schema["description"] = json!(about);
            }
            properties.insert(field.name.clone(), schema);
        }
        let about = self.pool.get_message_by_name(&plan.name);
        let comment = |message: MessageDescriptor| {
            self.comments
                .of(&message.parent_file(), message.path())
                .to_owned()
        };
        json!({
            "type": "object",
            "description": about.map(comment).unwrap_or_default(),
            "properties": properties,
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

fn error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["code", "message", "reason", "request_id", "details"],
        "properties": {
            "code": { "type": "integer", "description": "One of a closed set; the first three digits are the HTTP status." },
            "message": { "type": "string", "description": "What was wrong, with which value, and what would be right." },
            "reason": { "type": "string", "description": "A stable word for programs." },
            "request_id": { "type": "string" },
            "details": { "type": "object", "additionalProperties": { "type": "string" } },
        },
    })
}
