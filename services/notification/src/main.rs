//! `prepx-notification`: the streams as a program of its own. Each process serves its own listeners.

// The layout of its nested futures is as deep as that when they are optimised.
#![recursion_limit = "256"]

use std::process::ExitCode;
use std::sync::Arc;

use prepx_bus::Reading;
use prepx_notification::{Deps, Sources, build, webhook};
use prepx_platform::{About, main_of};
use prepx_stage::Duty;

const ABOUT: About = About {
    name: "prepx-notification",
    does: "Tells listeners what happens on PrepX, from now on.",
};

fn main() -> ExitCode {
    main_of(ABOUT, async |platform| {
        let path = platform.order_path()?;
        let sources = Sources {
            following: path.following(path.log("notification", Reading::Prompt)?, Duty::always()),
            matching: Arc::new(path.ports(None)),
        };
        let market_data = platform.caller("market_data")?;
        let service = build(Deps {
            sources,
            market_data,
        });
        let (webhooks, lease) = webhook::of_platform(&platform, &path).await?;
        let service = service.await?.and(webhooks);
        let service = platform.for_clients(service, platform.authority()?)?;
        let service = service.and(lease).and(path.tasks());
        Ok(service.and(platform.part(vec![])?))
    })
}
