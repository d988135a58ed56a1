//! `prepx-portfolio`: the books as a program of its own. Its processes divide the partitions among them, and
//! each answers for all of them.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use prepx_bus::{Reading, Topic};
use prepx_platform::{About, main_of};
use prepx_portfolio::{Deps, build, order_history};
use prepx_stage::port::LoggedUpdates;

const ABOUT: About = About {
    name: "prepx-portfolio",
    does: "Keeps the books of PrepX: what accounts have, are and were worth; moves money.",
};

fn main() -> ExitCode {
    main_of(ABOUT, async |platform| {
        let path = platform.order_path()?;
        let (duties, lease) = platform.duties(Topic::PortfolioUpdates)?;
        let ports = Arc::new(path.ports(None));
        let deps = Deps {
            accounts: ports.clone(),
            matching: ports.clone(),
            clock: Arc::clone(&platform.clock),
            random: Arc::clone(&platform.random),
            audit: ports,
            updates: Arc::new(LoggedUpdates {
                log: path.log("tables", Reading::Unhurried)?,
                topology: path.topology,
            }),
            following: path.following(path.log("ledger", Reading::Unhurried)?, duties),
            bytes_max: None,
            cache: platform.cache.clone(),
            warm_every: Duration::from_secs(platform.settings.warm_seconds.into()),
            market_data: platform.caller("market_data")?,
        };
        let portfolio = build(deps, &platform.sql_layout()?).await?;
        let history = platform.for_services(order_history(portfolio.books, &path.key));
        let service = platform.for_clients(portfolio.service, platform.authority()?)?;
        Ok(service
            .and(history)
            .and(lease)
            .and(path.tasks())
            .and(platform.part(vec![])?))
    })
}
