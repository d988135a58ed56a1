//! What each gRPC method requires of its caller, read once from the options in the protos.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, DynamicMessage, ExtensionDescriptor, MethodDescriptor, Value};

use crate::{Error, Principal, Result, Role, Scope};

const METHOD_OPTION: &str = "prepx.options.v1.method";
/// Called by orchestrators and tools, which have no principal; the answers are about nobody.
const OPEN_SERVICES: [&str; 3] = [
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.",
    "/grpc.reflection.v1alpha.",
];

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone, with or without credentials.
    Anyone,
    /// Any authenticated principal, for its own data.
    Principal,
    /// Operators only.
    Operator,
}

/// The rule of one method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Who may call.
    pub access: Access,
    /// What the key or token must carry.
    pub scope: Option<Scope>,
}

impl Rule {
    /// The rule of a method without options, and of an unknown one: forgetting the options opens nothing.
    pub const DEFAULT: Rule = Rule {
        access: Access::Principal,
        scope: None,
    };

    /// Checks whether this caller may call.
    pub fn check(&self, caller: Option<&Principal>) -> Result<()> {
        if self.access == Access::Anyone {
            return Ok(());
        }
        let caller = caller.ok_or(Error::Missing)?;
        if self.access == Access::Operator && caller.role != Role::Operator {
            return Err(Error::Role {
                needs: Role::Operator,
                is: caller.role,
            });
        }
        match self.scope {
            Some(scope) if !caller.scopes.has(scope) => Err(Error::Scope(scope)),
            _ => Ok(()),
        }
    }

    /// Checks whether the platform itself may call, on nobody's behalf: it reads what is the same for
    /// everybody.
    pub fn check_platform(&self) -> Result<()> {
        match (self.access, self.scope) {
            (Access::Anyone, _) | (Access::Principal, Some(Scope::DataRead)) => Ok(()),
            _ => Err(Error::Platform),
        }
    }
}

/// A mistake in the protos' options: found at start and in tests, not by callers.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{method}: {problem}")]
pub struct PolicyError {
    method: String,
    problem: String,
}

/// The rules of all methods, by the path of the gRPC request.
#[derive(Debug, Default)]
pub struct Policy(HashMap<String, Rule>);

impl Policy {
    /// Reads the rules of every method in the pool.
    pub fn from_descriptors(pool: &DescriptorPool) -> std::result::Result<Policy, PolicyError> {
        let option = pool
            .get_extension_by_name(METHOD_OPTION)
            .ok_or_else(|| PolicyError {
                method: METHOD_OPTION.to_owned(),
                problem: "the option is not in the descriptors".to_owned(),
            })?;
        let methods = pool
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>());
        let rules = methods.map(|method| {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            rule_of(&method, &option).map(|rule| (path, rule))
        });
        rules.collect::<std::result::Result<_, _>>().map(Policy)
    }

    /// The rule of the method at this path.
    pub fn rule(&self, path: &str) -> Rule {
        if OPEN_SERVICES.iter().any(|prefix| path.starts_with(prefix)) {
            return Rule {
                access: Access::Anyone,
                scope: None,
            };
        }
        self.0.get(path).copied().unwrap_or(Rule::DEFAULT)
    }
}

fn rule_of(
    method: &MethodDescriptor,
    option: &ExtensionDescriptor,
) -> std::result::Result<Rule, PolicyError> {
    let options = method.options();
    if !options.has_extension(option) {
        return Ok(Rule::DEFAULT);
    }
    let value = options.get_extension(option);
    let rule = value.as_message();
    let wrong = |problem| PolicyError {
        method: method.full_name().to_owned(),
        problem,
    };
    let number = |rule: &DynamicMessage| rule.get_field_by_name("auth")?.as_enum_number();
    let access = match rule.and_then(number).unwrap_or(0) {
        0 | 2 => Access::Principal,
        1 => Access::Anyone,
        3 => Access::Operator,
        other => return Err(wrong(format!("auth {other} is not known here"))),
    };
    let name = rule
        .and_then(|rule| {
            rule.get_field_by_name("scope")
                .as_deref()
                .and_then(Value::as_str)
                .map(str::to_owned)
        })
        .unwrap_or_default();
    let scope = match name.as_str() {
        "" => None,
        name => Some(
            name.parse()
                .map_err(|()| wrong(format!("`{name}` is not a scope")))?,
        ),
    };
    Ok(Rule { access, scope })
}
