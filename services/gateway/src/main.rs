//! `prepx-gateway`: the single port of a platform whose services run as programs of their own.

use std::process::ExitCode;

use prepx_gateway::{Deps, RateLimits, build, peers};
use prepx_platform::{About, Callers, Settings, main_before};

const ABOUT: About = About {
    name: "prepx-gateway",
    does: "HTTP, gRPC and WebSocket on one port, in front of the services of PrepX.",
};

fn main() -> ExitCode {
    main_before(Callers::Clients, ABOUT, async |platform| {
        let authenticator = platform.authenticator(platform.authority()?);
        let listening = platform.listening();
        let peers = peers(|service| platform.peer(service))?;
        let own = ("gateway", platform.part(vec![])?.peer());
        let key = platform.settings.shared_key()?;
        let rate_limits: RateLimits =
            Settings::section("rate_limits", &platform.settings.rate_limits)?;
        rate_limits.validate()?;
        let gateway = build(Deps {
            peers,
            forwards: Some(platform.settings.calls),
            own,
            key,
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
