//! `prepx-user`: the user service as a program of its own.

use std::process::ExitCode;
use std::sync::Arc;

use prepx_platform::{About, Settings, main_of};
use prepx_user::{Config, Deps, StageAccounts, build};

const ABOUT: About = About {
    name: "prepx-user",
    does: "Users, their keys and sessions; signs what all other services of PrepX believe.",
};

fn main() -> ExitCode {
    main_of(ABOUT, async |platform| {
        let (path, dev) = (platform.order_path()?, platform.settings.dev);
        let config: Config = Settings::section("user", &platform.settings.user)?;
        let deps = Deps {
            directory: platform.settings.data_dir.clone(),
            location: platform.sql()?,
            accounts: Arc::new(StageAccounts {
                stage: Arc::new(path.ports(None)),
                clock: Arc::clone(&platform.clock),
                random: Arc::clone(&platform.random),
            }),
            clock: Arc::clone(&platform.clock),
            random: Arc::clone(&platform.random),
            cache: platform.cache.clone(),
            revocations: Arc::clone(&platform.revocations),
        };
        let user = build(Config { dev, ..config }, deps).await?;
        let (first, portfolio) = (user.first_keys, platform.peer("portfolio")?);
        let service = user.service.task("first users", async move |drain| {
            first.settle(dev, portfolio, drain).await
        });
        let service = platform.for_clients(service, user.authority)?;
        Ok(service.and(path.tasks()).and(platform.part(vec![])?))
    })
}
