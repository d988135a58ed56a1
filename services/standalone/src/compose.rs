//! All services in one process, over the stages: who calls whom, and what stands around them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prepx_auth::{AuthLayer, Authenticator, Caller, ClusterKey, Policy, Revocations};
use prepx_bus::Reading;
use prepx_cache::Cache;
use prepx_env::{Clock, Random};
use prepx_notification::webhook;
use prepx_platform::engines;
use prepx_portfolio::Books;
use prepx_runtime::{Peer, Service, Start, TaskError};
use prepx_stage::Following;
use prepx_store::Location;
use prepx_user::FirstKeys;

use crate::files;
use crate::settings::Settings;
use crate::stages::Stages;

/// The composed platform.
pub struct Composed {
    /// Everything that it answers and does.
    pub service: Service,
    /// How the process itself calls its services.
    pub peer: Peer,
    /// Makes the keys that a new platform begins with.
    pub first_keys: FirstKeys,
}

/// Builds every service over the stages.
///
/// # Errors
/// When a schema cannot be opened, or the protos contradict themselves.
pub async fn compose(
    settings: &Settings,
    stages: &Stages,
    clock: Arc<dyn Clock>,
    start: &Start,
) -> Result<Composed, TaskError> {
    nothing_is_lost(settings, stages)?;
    let wiring = Wiring {
        settings,
        stages,
        location: settings.location()?,
        cache: engines::cache(&settings.cache_url, &clock).await?,
        clock: Arc::clone(&clock),
        random: Arc::clone(&start.random),
    };
    let Wiring { cache, random, .. } = &wiring;
    let revocations = Arc::new(Revocations::new(cache.clone()));
    let user = wiring.user(Arc::clone(&revocations));
    let user = prepx_user::build(settings.user.clone(), user).await?;
    let told = prepx_platform::listening(&revocations, &clock);
    let authenticator = Authenticator::new(user.authority, Arc::clone(&clock), cache, revocations);
    let authenticator = Arc::new(authenticator);
    // Services ask each other here as they do between processes; nobody else needs to know this key.
    let key = ClusterKey::draw(random);
    let policy = Arc::new(Policy::from_descriptors(prepx_proto::descriptors())?);
    let auth = AuthLayer::new(Arc::clone(&authenticator), policy, &key);
    let market_data = prepx_market_data::build(wiring.market_data()?, &wiring.location).await?;
    let market_data = market_data.layer(auth.clone());
    let data = key.caller(market_data.peer());
    let layout = settings.layout(stages.topology().account_partitions)?;
    let portfolio = prepx_portfolio::build(wiring.portfolio(data.clone())?, &layout).await?;
    let services = user
        .service
        .and(prepx_trading::build(wiring.trading(portfolio.books))?)
        .and(prepx_risk::build(wiring.risk()))
        .and(portfolio.service)
        .and(prepx_analytics::build(wiring.analytics()?).await?)
        .and(prepx_notification::build(wiring.notification(data)?).await?)
        .and(webhook::build(wiring.webhooks()?).await?)
        .layer(auth)
        .and(market_data)
        .guarded(settings.calls.clone(), Arc::clone(random));
    let peer = services.peer();
    let gateway = prepx_gateway::build(prepx_gateway::Deps {
        peers: BTreeMap::from(prepx_gateway::PUBLIC.map(|name| (name.to_owned(), peer.clone()))),
        forwards: None,
        own: ("prepx", part(stages, start).service(&key).peer()),
        key,
        authenticator,
        rate_limits: settings.rate_limits.clone(),
        cache: cache.clone(),
        clock,
        metrics: start.metrics.clone(),
        random: Arc::clone(random),
        drain: start.drain.clone(),
    })?;
    let lanes = prepx_platform::lanes(stages.heads());
    Ok(Composed {
        service: services.and(gateway).and(told).and(lanes),
        peer,
        first_keys: user.first_keys,
    })
}

/// What nothing can make again is there, unless there was nothing yet.
fn nothing_is_lost(settings: &Settings, stages: &Stages) -> Result<(), TaskError> {
    let Some(lost) = files::lost(settings)? else {
        return Ok(());
    };
    let log = stages.log("files", Reading::Unhurried)?;
    match files::has_told(&*log, stages.topology()) {
        true => Err(lost.words().into()),
        false => Ok(()),
    }
}

fn part(stages: &Stages, start: &Start) -> prepx_platform::Part {
    prepx_platform::Part {
        address: start.address.to_string(),
        metrics: start.metrics.clone(),
        stages: stages.heads(),
    }
}

/// What the dependencies of each service are taken from.
struct Wiring<'a> {
    settings: &'a Settings,
    stages: &'a Stages,
    location: Location,
    cache: Cache,
    clock: Arc<dyn Clock>,
    random: Arc<Random>,
}

impl Wiring<'_> {
    fn user(&self, revocations: Arc<Revocations>) -> prepx_user::Deps {
        prepx_user::Deps {
            directory: self.settings.data_dir.clone(),
            location: self.location.clone(),
            accounts: Arc::new(prepx_user::StageAccounts {
                stage: self.stages.accounts(),
                clock: Arc::clone(&self.clock),
                random: Arc::clone(&self.random),
            }),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            cache: self.cache.clone(),
            revocations,
        }
    }

    fn market_data(&self) -> Result<prepx_market_data::Deps, TaskError> {
        let shares = self.settings.shares();
        Ok(prepx_market_data::Deps {
            following: self
                .stages
                .following("market-data", Reading::Unhurried, &self.clock)?,
            clock: Arc::clone(&self.clock),
            cache: self.cache.clone(),
            bytes_max: shares.map(|shares| shares.market_data_bytes_max),
        })
    }

    fn portfolio(&self, market_data: Caller) -> Result<prepx_portfolio::Deps, TaskError> {
        let Wiring {
            settings, stages, ..
        } = self;
        Ok(prepx_portfolio::Deps {
            accounts: stages.accounts(),
            matching: stages.matching(),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            audit: stages.audit(),
            updates: stages.updates(&settings.data_dir)?,
            following: stages.following("ledger", Reading::Unhurried, &self.clock)?,
            bytes_max: settings.shares().map(|shares| shares.portfolio_bytes_max),
            cache: self.cache.clone(),
            warm_every: Duration::from_secs(settings.warm_seconds.into()),
            market_data,
        })
    }

    fn trading(&self, books: Books) -> prepx_trading::Deps {
        prepx_trading::Deps {
            accounts: self.stages.accounts(),
            history: Arc::new(books),
            matching: self.stages.matching(),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
        }
    }

    fn risk(&self) -> prepx_risk::Deps {
        prepx_risk::Deps {
            accounts: self.stages.accounts(),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
        }
    }

    fn analytics(&self) -> Result<prepx_analytics::Deps, TaskError> {
        let pace = prepx_analytics::Pace::default();
        let shares = self.settings.shares();
        let log = self.stages.log("audit", Reading::Unhurried)?;
        let Following {
            tail,
            retention,
            topology,
            clock,
            duties,
        } = self.stages.follow(Arc::clone(&log), &self.clock);
        Ok(prepx_analytics::Deps {
            directory: self.settings.data_dir.clone(),
            location: self.location.clone(),
            log,
            tail,
            retention,
            topology,
            clock,
            duty: duties.of(0).clone(),
            random: Arc::clone(&self.random),
            pace: shares.map_or(pace, |shares| shares.audit(pace)),
        })
    }

    fn notification(&self, market_data: Caller) -> Result<prepx_notification::Deps, TaskError> {
        Ok(prepx_notification::Deps {
            sources: prepx_notification::Sources {
                following: self
                    .stages
                    .following("notification", Reading::Prompt, &self.clock)?,
                matching: self.stages.matching(),
            },
            market_data,
        })
    }

    fn webhooks(&self) -> Result<webhook::Deps, TaskError> {
        let Wiring {
            settings, stages, ..
        } = self;
        let log = stages.log(webhook::GROUP.name, Reading::Unhurried)?;
        Ok(webhook::Deps {
            config: settings.webhooks.clone(),
            networks: settings.webhooks.networks(settings.dev),
            directory: settings.data_dir.clone(),
            location: self.location.clone(),
            following: stages.follow(Arc::clone(&log), &self.clock),
            log,
            matching: stages.matching(),
            random: Arc::clone(&self.random),
            held_bytes_max: settings.shares().map(|shares| shares.snapshot_bytes),
        })
    }
}
