//! Which method a path means: a tree of path segments.
//!
//! A literal segment is tried before `*`, and `*` before `**`, whole paths included: a route further
//! down that fails on a literal is looked for again under the variables.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use http::Method;
use prepx_domain::Code;
use prost_reflect::{DescriptorPool, MethodDescriptor};

use crate::call::Call;
use crate::error::Error;
use crate::plan::Plans;
use crate::query::percent_decode;
use crate::route::{BuildError, Route, bindings};
use crate::rule::{HttpRule, Rule as _};
use crate::template::{Segment, Template};

/// All routes of a set of services.
#[derive(Debug)]
pub struct Router {
    root: Node,
    routes: Vec<Arc<Route>>,
    pool: DescriptorPool,
    plans: Arc<Plans>,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, Node>,
    one: Option<Box<Node>>,
    /// Templates that end here.
    here: Vec<Leaf>,
    /// Templates that end here with `**`.
    rest: Vec<Leaf>,
    /// Those of them that may also match nothing more: `**` outside of a variable, or behind other
    /// segments in it. A variable is never empty.
    rest_of_none: Vec<Leaf>,
}

#[derive(Debug)]
struct Leaf {
    verb: String,
    /// Any, when the template says `*`.
    method: Option<Method>,
    route: Arc<Route>,
}

impl Router {
    /// Routes for all methods of the pool that have a `google.api.http` option.
    ///
    /// # Errors
    /// The first route that is not sound: a malformed template, a field that does not exist or cannot
    /// be where it is put, a message without a JSON form, two routes for the same requests.
    pub fn build(pool: &DescriptorPool) -> Result<Router, BuildError> {
        let mut plans = Plans::default();
        let mut found: Vec<(MethodDescriptor, HttpRule, (usize, usize))> = Vec::new();
        for method in pool
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
        {
            let Some(rule) = HttpRule::find(pool, &method.options()) else {
                continue;
            };
            let messages = plans.add(&method.input()).and_then(|input| {
                let output = plans.add(&method.output())?;
                Ok((input, output))
            });
            let messages = messages.map_err(|problem| BuildError::new(&method, problem))?;
            found.push((method, rule, messages));
        }
        let plans = Arc::new(plans);
        let mut router = Router {
            root: Node::default(),
            routes: Vec::new(),
            pool: pool.clone(),
            plans,
        };
        for (method, rule, messages) in found {
            for (route, template) in bindings(&router.plans, &method, &rule, messages)
                .map_err(|problem| BuildError::new(&method, problem))?
            {
                let route = Arc::new(route);
                router
                    .root
                    .insert(&template.segments, &template, &route)
                    .map_err(|problem| BuildError::new(&method, problem))?;
                router.routes.push(route);
            }
        }
        Ok(router)
    }

    /// All routes, in the order of declaration.
    pub fn routes(&self) -> impl ExactSizeIterator<Item = &Arc<Route>> {
        self.routes.iter()
    }

    /// The descriptors that the routes come from.
    pub(crate) fn pool(&self) -> &DescriptorPool {
        &self.pool
    }

    pub(crate) fn plans(&self) -> &Plans {
        &self.plans
    }

    /// The route for a method and a path (percent-encoded, as it came), with the path's variables.
    ///
    /// # Errors
    /// [`Code::NotFound`]; [`Code::MethodNotAllowed`] with [`Error::allow`] when other methods have a
    /// route on this path; [`Code::Unreadable`] when a variable is not UTF-8.
    pub fn find(&self, method: &Method, path: &str) -> Result<Call, Error> {
        let mut allowed = BTreeSet::new();
        if let Some(segments) = path.strip_prefix('/') {
            let whole: Vec<&str> = segments.split('/').collect();
            if let Some((front, verb)) = segments
                .rsplit_once(':')
                .filter(|(_, verb)| !verb.contains('/'))
            {
                let cut: Vec<&str> = front.split('/').collect();
                let search = Search {
                    verb,
                    method,
                    allowed: &mut allowed,
                };
                if let Some(route) = search.run(&self.root, &cut) {
                    return capture(route, &cut);
                }
            }
            let search = Search {
                verb: "",
                method,
                allowed: &mut allowed,
            };
            if let Some(route) = search.run(&self.root, &whole) {
                return capture(route, &whole);
            }
        }
        let shown = crate::fault::shorten(path);
        if allowed.is_empty() {
            let message = format!("there is nothing at {shown}; /openapi.json lists all paths");
            return Err(Error::new(Code::NotFound, "UNKNOWN_PATH", message));
        }
        let allow = allowed.into_iter().collect::<Vec<&str>>().join(", ");
        let message = format!("{shown} does not allow {method}, only {allow}");
        Err(Error::new(Code::MethodNotAllowed, "METHOD_NOT_ALLOWED", message).with("allow", allow))
    }
}

/// The values of the route's variables in a path.
fn capture(route: &Arc<Route>, segments: &[&str]) -> Result<Call, Error> {
    let mut values = Vec::with_capacity(route.variables.len());
    for variable in &route.variables {
        let end = if variable.rest {
            segments.len()
        } else {
            variable.end
        };
        let raw = segments[variable.start..end].join("/");
        values.push(percent_decode(&raw)?.into_owned());
    }
    Ok(Call {
        route: Arc::clone(route),
        values,
    })
}

impl Node {
    fn insert(
        &mut self,
        segments: &[Segment],
        template: &Template,
        route: &Arc<Route>,
    ) -> Result<(), String> {
        let leaves = match segments {
            [Segment::Literal(literal), tail @ ..] => {
                let child = self.literals.entry(literal.clone()).or_default();
                return child.insert(tail, template, route);
            }
            [Segment::One, tail @ ..] => {
                return self
                    .one
                    .get_or_insert_default()
                    .insert(tail, template, route);
            }
            [Segment::Rest, ..] => &mut self.rest,
            [] => &mut self.here,
        };
        let method = route.http_method().cloned();
        let same = |leaf: &&Leaf| leaf.verb == template.verb && leaf.method == method;
        if let Some(other) = leaves.iter().find(same) {
            return Err(format!(
                "{} takes the same requests as {} of {}",
                route.title(),
                other.route.title(),
                other.route.grpc_path()
            ));
        }
        let leaf = || Leaf {
            verb: template.verb.clone(),
            method: method.clone(),
            route: Arc::clone(route),
        };
        leaves.push(leaf());
        let last = template.segments.len();
        let empty = route
            .variables
            .iter()
            .any(|variable| variable.start + 1 == last);
        if segments == [Segment::Rest] && !empty {
            self.rest_of_none.push(leaf());
        }
        Ok(())
    }
}

/// One walk through the tree. Each node is visited at most once, because it has one depth.
struct Search<'a, 'r> {
    verb: &'a str,
    method: &'a Method,
    /// The methods of the leaves that only the method did not fit.
    allowed: &'a mut BTreeSet<&'r str>,
}

impl<'r> Search<'_, 'r> {
    fn run(mut self, root: &'r Node, segments: &[&str]) -> Option<&'r Arc<Route>> {
        self.visit(root, segments)
    }

    fn visit(&mut self, node: &'r Node, segments: &[&str]) -> Option<&'r Arc<Route>> {
        let Some((&first, tail)) = segments.split_first() else {
            return self
                .choose(&node.here)
                .or_else(|| self.choose(&node.rest_of_none));
        };
        if let Some(child) = node.literals.get(first)
            && let Some(route) = self.visit(child, tail)
        {
            return Some(route);
        }
        if first.is_empty() {
            return None;
        }
        if let Some(child) = &node.one
            && let Some(route) = self.visit(child, tail)
        {
            return Some(route);
        }
        if tail.iter().any(|segment| segment.is_empty()) {
            return None;
        }
        self.choose(&node.rest)
    }

    /// The leaf of the right verb and method; HEAD is answered as GET, without the body.
    fn choose(&mut self, leaves: &'r [Leaf]) -> Option<&'r Arc<Route>> {
        let of_verb = || leaves.iter().filter(|leaf| leaf.verb == self.verb);
        let exact = of_verb().find(|leaf| leaf.method.as_ref() == Some(self.method));
        let head = || {
            let get = of_verb().find(|leaf| leaf.method == Some(Method::GET));
            get.filter(|_| *self.method == Method::HEAD)
        };
        let any = || of_verb().find(|leaf| leaf.method.is_none());
        let chosen = exact.or_else(head).or_else(any);
        if chosen.is_none() {
            let methods = of_verb().filter_map(|leaf| leaf.route.http_method());
            self.allowed.extend(methods.map(Method::as_str));
        }
        chosen.map(|leaf| &leaf.route)
    }
}
