//! `prepx-market-data`: market data as a program of its own. Its processes divide the partitions among them, and each
//! answers for all of them.

use std::process::ExitCode;
use std::sync::Arc;

use prepx_bus::{Reading, Topic};
use prepx_market_data::{Deps, build};
use prepx_platform::{About, main_of};

const ABOUT: About = About {
    name: "prepx-market-data",
    does: "Keeps what the markets of PrepX tell: trades, quotes, books and bars, now and then.",
};

fn main() -> ExitCode {
    main_of(ABOUT, async |platform| {
        let path = platform.order_path()?;
        let (duties, lease) = platform.duties(Topic::MarketData)?;
        let deps = Deps {
            following: path.following(path.log("market-data", Reading::Unhurried)?, duties),
            clock: Arc::clone(&platform.clock),
            cache: platform.cache.clone(),
            bytes_max: None,
        };
        let service = build(deps, &platform.sql()?).await?;
        let service = platform.for_clients(service, platform.authority()?)?;
        Ok(service
            .and(lease)
            .and(path.tasks())
            .and(platform.part(vec![])?))
    })
}
