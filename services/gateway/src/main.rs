//! `prepx-gateway`: the one port of a platform whose services are programs of their own.

use std::collections::BTreeMap;
use std::process::ExitCode;

use prepx_gateway::{Deps, PUBLIC, RateLimits, build};
use prepx_platform::{About, Settings, main_of};

const ABOUT: About = About {
    name: "prepx-gateway",
    does: "HTTP, gRPC and WebSocket on one port, in front of the services of PrepX.",
};

fn main() -> ExitCode {
    main_of(ABOUT, async |platform| {
        let authenticator = platform.authenticator(platform.authority()?);
        let listening = platform.listening();
        let mut services = BTreeMap::new();
        for service in PUBLIC.map(service_of) {
            services.insert(service, platform.peer(service)?);
        }
        let peers = PUBLIC.map(|name| (name.to_owned(), services[service_of(name)].clone()));
        let rate_limits: RateLimits =
            Settings::section("rate_limits", &platform.settings.rate_limits)?;
        rate_limits.validate()?;
        let gateway = build(Deps {
            peers: BTreeMap::from(peers),
            forwards: Some(platform.settings.calls),
            authenticator,
            rate_limits,
            cache: platform.cache,
            clock: platform.clock,
            metrics: platform.start.metrics,
            random: platform.random,
            drain: platform.start.drain,
        })?;
        Ok(gateway.and(listening))
    })
}

/// `market_data` for `prepx.market_data.v1.StockDataService`.
fn service_of(name: &str) -> &str {
    name.split('.').nth(1).unwrap_or_default()
}
