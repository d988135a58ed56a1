//! The wire formats: the messages, clients and servers generated from `proto/`, and the descriptors with comments and
//! options.
//!
//! A package `prepx.<service>.v<n>` is the module `<service>::v<n>`. [`journal`] converts between the domain and the
//! messages on the event log, [`owner`] between the domain and the answers of stages' owners, [`convert`] from the domain to
//! the public form of orders, instruments and bars. There is no other logic here.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

/// The generated code: its form is the generators', its documentation the protos' comments.
#[allow(missing_docs, clippy::all, clippy::too_many_lines)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/modules.rs"));
}

pub mod convert;
pub mod journal;
pub mod owner;

pub use generated::google;
pub use generated::prepx::*;

/// The encoded `FileDescriptorSet` of all packages and what they import, with comments and options.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The same without what only services say to each other: for reflection.
pub const PUBLIC_FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/public_descriptors.bin"));

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
    use prepx_transcode::Router;

    use super::*;

    #[test]
    fn every_route_of_the_public_api_is_sound() {
        let router =
            Router::build(descriptors()).expect("no two routes collide, no name is missing");
        let of = |method: http::Method, path: &str| {
            let call = router
                .find(&method, path)
                .map(|call| call.route().grpc_path().to_owned());
            call.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
        };
        let asset = of(http::Method::GET, "/v2/assets/BTC/USD");
        assert_eq!(asset, "/prepx.trading.v1.TradingService/GetAsset");
        let named = of(http::Method::GET, "/v2/orders:by_client_order_id");
        assert_eq!(
            named,
            "/prepx.trading.v1.TradingService/GetOrderByClientOrderId"
        );
        let halt = of(http::Method::POST, "/api/v1/admin/instruments/BTC/USD:halt");
        assert_eq!(halt, "/prepx.trading.v1.AdminService/HaltInstrument");
        let positions = of(http::Method::GET, "/api/trading/positions");
        assert_eq!(
            positions,
            "/prepx.portfolio.v1.PortfolioService/GetPositions"
        );
    }

    #[test]
    fn what_services_say_to_each_other_is_nowhere_outside() {
        let public = DescriptorPool::decode(PUBLIC_FILE_DESCRIPTOR_SET).expect("it is whole");
        assert!(public.services().len() > 10);
        let router = Router::build(descriptors()).expect("the routes are sound");
        let openapi = prepx_transcode::openapi(&router, "", "").to_string();
        for (package, word) in [
            ("prepx.owner.v1", "OwnerService"),
            ("prepx.platform.v1", "PartService"),
        ] {
            let is_in = |pool: &DescriptorPool| {
                let mut files = pool.files();
                files.any(|file| file.package_name() == package)
            };
            assert!(is_in(descriptors()), "the test looks for the right one");
            assert!(!is_in(&public), "{package}");
            assert!(!openapi.contains(word), "{word}");
        }
    }

    #[test]
    fn comments_are_kept_for_openapi() {
        let service = descriptors()
            .get_service_by_name("prepx.trading.v1.TradingService")
            .expect("the service is in the pool");
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
