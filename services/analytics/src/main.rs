//! `prepx-analytics`: the audit as a program of its own. One process keeps the chains, the others stand by.

use std::process::ExitCode;
use std::sync::Arc;

use prepx_analytics::{Deps, Pace, build};
use prepx_bus::Reading;
use prepx_platform::{About, main_of};

const ABOUT: About = About {
    name: "prepx-analytics",
    does: "Chains the journals of PrepX and signs what they were.",
};

fn main() -> ExitCode {
    main_of(ABOUT, async |platform| {
        let path = platform.order_path()?;
        let (duty, lease) = platform.duty("audit")?;
        let log = path.log("audit", Reading::Unhurried)?;
        let following = path.following(Arc::clone(&log), duty.clone());
        let service = build(Deps {
            directory: platform.settings.data_dir.clone(),
            location: platform.sql()?,
            log,
            tail: following.tail,
            retention: following.retention,
            topology: following.topology,
            clock: following.clock,
            duty: duty.clone(),
            random: Arc::clone(&platform.random),
            pace: Pace::default(),
        });
        let service = platform.for_clients(service.await?, platform.authority()?)?;
        let service = service.standing_by(duty.watch()).and(lease);
        Ok(service.and(path.tasks()).and(platform.part(vec![])?))
    })
}
