//! The schemas of messages, each once and by reference.

use prost_reflect::MessageDescriptor;
use serde_json::{Map, Value, json};

use super::Writer;
use crate::plan::{FieldPlan, FieldSet, Kind, MessageId, Shape, Shared};

impl Writer<'_> {
    pub(super) fn message_schema(&mut self, id: MessageId) -> Value {
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
    pub(super) fn field_schema(&mut self, field: &FieldPlan, in_answer: bool) -> Value {
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
            Kind::TimestampUs | Kind::EndUs | Kind::NewYorkUs => {
                json!({ "type": "string", "format": "date-time" })
            }
            Kind::Enum(id) => json!({ "type": "string", "enum": self.plans.enums[id].choices }),
            Kind::Message(id) => self.message_schema(id),
        }
    }

    /// The schemas that are referred to, and those that these refer to.
    pub(super) fn finish_schemas(&mut self) {
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
    pub(super) fn object(&mut self, id: MessageId, left_out: FieldSet) -> Value {
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
