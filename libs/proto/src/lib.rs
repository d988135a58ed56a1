//! What services say to each other and to clients: the messages, clients and servers generated
//! from `proto/`, and the descriptors with comments and options.
//!
//! A package `prepx.<service>.v<n>` is the module `<service>::v<n>`. There is no logic here.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

/// The generated code: its form is the generators', its documentation the protos' comments.
#[allow(missing_docs, clippy::all, clippy::too_many_lines)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/modules.rs"));
}

pub mod convert;
pub mod journal;

pub use generated::google;
pub use generated::prepx::*;

/// The encoded `FileDescriptorSet` of all packages and what they import, with comments and options:
/// for reflection and OpenAPI.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The descriptors of all packages, options included. Decoded once, at the first call.
pub fn descriptors() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
        DescriptorPool::decode(FILE_DESCRIPTOR_SET)
            .expect("the build wrote the descriptor set, and it was whole")
    });
    &POOL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_of_the_public_services_keeps_its_route_and_comment() {
        let service = descriptors()
            .get_service_by_name("prepx.trading.v1.TradingService")
            .expect("the service is in the pool");
        let http = descriptors()
            .get_extension_by_name("google.api.http")
            .expect("the annotation is in the pool");
        for method in service
            .methods()
            .filter(|method| method.name() != "StreamOrders")
        {
            assert!(
                method.options().has_extension(&http),
                "{}",
                method.full_name()
            );
        }
        let file = service.parent_file().file_descriptor_proto().clone();
        let comments = file.source_code_info.expect("source info was kept");
        assert!(
            comments
                .location
                .iter()
                .any(|l| l.leading_comments().contains("Places an order"))
        );
    }
}
