//! `prepx-market-data`: market data as a program of its own. One process keeps it, the others stand by.

use std::process::ExitCode;
use std::sync::Arc;

use prepx_bus::Reading;
use prepx_market_data::{Deps, build};
use prepx_platform::{About, main_of};

const ABOUT: About = About {
    name: "prepx-market-data",
    does: "Keeps what the markets of PrepX tell: trades, quotes, books and bars, now and then.",
};

fn main() -> ExitCode {
    main_of(ABOUT, async |platform| {
        let path = platform.order_path()?;
        let (duty, lease) = platform.duty("market-data")?;
        let deps = Deps {
            following: path.following(path.log("market-data", Reading::Unhurried)?, duty.clone()),
            clock: Arc::clone(&platform.clock),
            cache: platform.cache.clone(),
            bytes_max: None,
        };
        let service = build(deps, &platform.sql()?).await?;
        let service = platform.for_clients(service, platform.authority()?)?;
        let service = service.standing_by(duty.watch());
        Ok(service
            .and(lease)
            .and(path.tasks())
            .and(platform.part(vec![])?))
    })
}
