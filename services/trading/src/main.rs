//! `prepx-trading`: order entry, as a program that owns some of the matching partitions.

use std::process::ExitCode;
use std::sync::Arc;

use prepx_owner::ports::History;
use prepx_platform::{About, main_of};
use prepx_stage::Stage;
use prepx_trading::{Deps, MatchingCodec, build, owner};

const ABOUT: About = About {
    name: "prepx-trading",
    does: "Takes orders and matches them; owns matching partitions of PrepX.",
};

fn main() -> ExitCode {
    main_of(ABOUT, async |platform| {
        let path = platform.order_path()?;
        let codec = Arc::new(MatchingCodec::bundled()?);
        let (seats, owning) = path.own(&platform, codec, Stage::MATCHING)?;
        let part = platform.part(vec![Arc::new(seats.clone())])?;
        let owned = platform.for_services(owner(seats, &path.key));
        let ports = Arc::new(path.ports(Some(owned.peer())));
        let history = History::new(platform.caller("portfolio")?);
        let service = build(Deps {
            accounts: ports.clone(),
            history: Arc::new(history),
            matching: ports,
            clock: Arc::clone(&platform.clock),
            random: Arc::clone(&platform.random),
        })?;
        let service = platform.for_clients(service, platform.authority()?)?;
        let owned = owned.and(owning).and(part);
        Ok(service.and(owned).and(path.tasks()))
    })
}
