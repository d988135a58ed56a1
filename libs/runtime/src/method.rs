//! The gRPC methods that exist, by path: a bounded set of names for metrics, and what the protos declare
//! about each.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, MethodDescriptor};

/// One gRPC method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// `/package.Service/Name`, for metrics and logs.
    pub path: String,
    /// Its index among all methods, for tables by method.
    pub(crate) number: usize,
    /// Whether the request or the response is a stream.
    pub streaming: bool,
    /// Whether the request is a stream, which cannot be sent again.
    pub streamed_request: bool,
    /// Whether a call changes nothing, so that a call without an answer leaves nothing unknown.
    pub read_only: bool,
}

/// The methods of all protos, and of gRPC's health and reflection as one.
static METHODS: LazyLock<HashMap<String, Method>> =
    LazyLock::new(|| methods(prepx_proto::descriptors()));

/// Stands for every path that is not one of our methods.
static OTHER: LazyLock<Method> = LazyLock::new(|| Method {
    path: "other".to_owned(),
    number: METHODS.len(),
    streaming: false,
    streamed_request: false,
    read_only: true,
});

/// Stands for health and reflection, which also stream.
static SUPPORT: LazyLock<Method> = LazyLock::new(|| Method {
    path: "/grpc".to_owned(),
    number: METHODS.len() + 1,
    streaming: true,
    streamed_request: true,
    read_only: true,
});

impl Method {
    /// The number of methods, including those that stand for others.
    pub(crate) fn count() -> usize {
        METHODS.len() + 2
    }

    /// Whether it stands for health and reflection, which are called all the time without a client's
    /// request.
    pub(crate) fn is_support(&self) -> bool {
        self.number == METHODS.len() + 1
    }

    /// The method with this path.
    pub fn of(path: &str) -> &'static Method {
        if let Some(method) = METHODS.get(path) {
            return method;
        }
        if path.starts_with("/grpc.") {
            &SUPPORT
        } else {
            &OTHER
        }
    }
}

fn methods(pool: &DescriptorPool) -> HashMap<String, Method> {
    let http = pool.get_extension_by_name("google.api.http");
    pool.services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .enumerate()
        .map(|(number, method)| {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            let got = http.as_ref().is_some_and(|http| {
                let rule = method.options().get_extension(http).into_owned();
                rule.as_message()
                    .is_some_and(|rule| rule.has_field_by_name("get"))
            });
            let entry = Method {
                path: path.clone(),
                number,
                streamed_request: method.is_client_streaming(),
                streaming: method.is_client_streaming() || method.is_server_streaming(),
                read_only: got || without_side_effects(&method),
            };
            (path, entry)
        })
        .collect()
}

/// Whether the proto says `option idempotency_level = NO_SIDE_EFFECTS`, which is 1.
fn without_side_effects(method: &MethodDescriptor) -> bool {
    let options = method.options();
    let level = options.get_field_by_name("idempotency_level");
    level.is_some_and(|level| level.as_enum_number() == Some(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protos_say_what_each_method_is() {
        let submit = Method::of("/prepx.trading.v1.TradingService/SubmitOrder");
        assert!(!submit.read_only && !submit.streaming);
        assert!(Method::of("/prepx.trading.v1.TradingService/GetOrders").read_only);
        assert!(Method::of("/prepx.trading.v1.TradingService/StreamOrders").streaming);
        assert!(Method::of("/prepx.user.v1.UserService/ExchangeKey").read_only);
        assert!(!Method::of("/prepx.trading.v1.TradingService/CancelOrder").read_only);
    }

    #[test]
    fn made_up_paths_share_one_name() {
        assert_eq!(Method::of("/a/b"), Method::of("/c/d"));
        assert_eq!(Method::of("/a/b").path, "other");
    }
}
