//! `prepx-risk`: accounts and their controls, as a program that owns some of the account partitions.

use std::process::ExitCode;
use std::sync::Arc;

use prepx_account::Config;
use prepx_platform::{About, main_of};
use prepx_risk::{AccountCodec, Deps, build, owner};
use prepx_stage::Stage;

const ABOUT: About = About {
    name: "prepx-risk",
    does: "Decides for accounts: cash, holds, positions and limits; owns account partitions of PrepX.",
};

fn main() -> ExitCode {
    main_of(ABOUT, async |platform| {
        let path = platform.order_path()?;
        let config = Config::of_partitions(path.topology.account_partitions);
        let codec = Arc::new(AccountCodec::new(config));
        let (seats, owning) = path.own(&platform, codec, Stage::ACCOUNT)?;
        let part = platform.part(vec![Arc::new(seats.clone())])?;
        let owned = platform.for_services(owner(seats, &path.key));
        let service = build(Deps {
            accounts: Arc::new(path.ports(Some(owned.peer()))),
            clock: Arc::clone(&platform.clock),
            random: Arc::clone(&platform.random),
        });
        let service = platform.for_clients(service, platform.authority()?)?;
        let owned = owned.and(owning).and(part);
        Ok(service.and(owned).and(path.tasks()))
    })
}
