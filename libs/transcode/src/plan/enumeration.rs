//! Plans of enums: the JSON names of their values.

use std::collections::HashMap;

use prost_reflect::EnumDescriptor;

use super::{EnumId, Plans};
use crate::json::write_string;
use crate::rule::{EnumerationRule, Letters, Rule as _, ValueRule};

/// How an enum looks in JSON.
#[derive(Debug)]
pub(crate) struct EnumPlan {
    /// Numbers and their JSON text, quotes included; `None` reads `null`. Sorted.
    texts: Vec<(i32, Option<String>)>,
    /// What requests may say.
    pub numbers: HashMap<String, i32>,
    /// The short names in order of declaration, for messages and for the OpenAPI document.
    pub choices: Vec<String>,
}

impl EnumPlan {
    /// The JSON text of a value; `Some(None)` for `null`, `None` when the number is unknown.
    pub fn text(&self, number: i32) -> Option<Option<&str>> {
        let found = self
            .texts
            .binary_search_by_key(&number, |(number, _)| *number)
            .ok()?;
        Some(self.texts[found].1.as_deref())
    }
}

impl Plans {
    pub(super) fn enumeration(&mut self, descriptor: &EnumDescriptor) -> Result<EnumId, String> {
        if let Some(&id) = self.enum_ids.get(descriptor.full_name()) {
            return Ok(id);
        }
        let pool = descriptor.parent_pool();
        let rule = EnumerationRule::read(pool, &descriptor.options());
        let mut plan = EnumPlan {
            texts: Vec::new(),
            numbers: HashMap::new(),
            choices: Vec::new(),
        };
        for value in descriptor.values() {
            let own = ValueRule::read(pool, &value.options());
            let unspecified = value.number() == 0 && value.name().ends_with("_UNSPECIFIED");
            let is_null = unspecified || descriptor.full_name() == "google.protobuf.NullValue";
            let name = match own.name {
                Some(name) => Some(name),
                None if is_null => None,
                None => Some(short_name(descriptor, &rule, value.name())?),
            };
            plan.choices.extend(name.clone());
            for spoken in own.aliases.into_iter().chain(name.clone()) {
                if plan
                    .numbers
                    .insert(spoken.clone(), value.number())
                    .is_some()
                {
                    let name = descriptor.full_name();
                    return Err(format!(
                        "enum {name}: two values have the JSON name {spoken:?}"
                    ));
                }
            }
            // With allow_alias the first name of a number is the one that is written.
            if plan.text(value.number()).is_none() {
                plan.texts
                    .push((value.number(), name.map(|name| quoted(&name))));
                plan.texts.sort_unstable();
            }
        }
        let id = self.enums.len();
        self.enums.push(plan);
        self.enum_ids.insert(descriptor.full_name().to_owned(), id);
        Ok(id)
    }
}

/// STOP_LIMIT of ORDER_TYPE_STOP_LIMIT, in the letters that the enum wants.
fn short_name(
    descriptor: &EnumDescriptor,
    rule: &EnumerationRule,
    name: &str,
) -> Result<String, String> {
    let prefix = match rule.prefix.as_str() {
        "" => upper_snake(descriptor.name()) + "_",
        prefix => prefix.to_owned(),
    };
    let short = name.strip_prefix(&prefix).ok_or_else(|| {
        let full_name = descriptor.full_name();
        format!("enum {full_name}: {name} does not begin with {prefix}; say its prefix or its name")
    })?;
    Ok(match rule.letters() {
        Letters::Unspecified => short.to_ascii_lowercase(),
        Letters::Upper => short.to_owned(),
    })
}

fn upper_snake(camel: &str) -> String {
    let mut snake = String::new();
    let mut previous = '_';
    for letter in camel.chars() {
        if letter.is_ascii_uppercase()
            && (previous.is_ascii_lowercase() || previous.is_ascii_digit())
        {
            snake.push('_');
        }
        snake.push(letter.to_ascii_uppercase());
        previous = letter;
    }
    snake
}

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    write_string(&mut out, text);
    String::from_utf8(out).expect("a quoted string is UTF-8, as its text was")
}
