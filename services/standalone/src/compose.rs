//! All services in one process, over the stages: who calls whom, and what stands around them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prepx_auth::{AuthLayer, Authenticator, Caller, ClusterKey, Policy, Revocations};
use prepx_bus::Reading;
use prepx_cache::{Cache, Location as CacheLocation};
use prepx_env::{Clock, Random};
use prepx_notification::webhook;
use prepx_portfolio::Books;
use prepx_runtime::{Peer, Service, Start, TaskError};
use prepx_stage::Following;
use prepx_store::Location;
use prepx_user::FirstKeys;

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
    let location = settings.location()?;
    let random = Arc::clone(&start.random);
    let cache_at = CacheLocation::parse(&settings.cache_url)?;
    let cache = Cache::open(cache_at, Arc::clone(&clock)).await;
    let revocations = Arc::new(Revocations::new(cache.clone()));
    let user = prepx_user::build(
        settings.user.clone(),
        prepx_user::Deps {
            directory: settings.data_dir.clone(),
            location: location.clone(),
            accounts: accounts(stages, &clock, &random),
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            cache: cache.clone(),
            revocations: Arc::clone(&revocations),
        },
    )
    .await?;
    let told = prepx_platform::listening(&revocations, &clock);
    let authenticator = Authenticator::new(user.authority, Arc::clone(&clock), &cache, revocations);
    let authenticator = Arc::new(authenticator);
    // Services ask each other here as they do between processes; nobody else needs to know this key.
    let key = ClusterKey::draw(&random);
    let policy = Arc::new(Policy::from_descriptors(prepx_proto::descriptors())?);
    let auth = AuthLayer::new(Arc::clone(&authenticator), policy, &key);
    let shares = settings.shares();
    let mut market_data = market_data_deps(stages, &clock, &cache)?;
    market_data.bytes_max = shares.map(|shares| shares.market_data_bytes_max);
    let market_data = prepx_market_data::build(market_data, &location).await?;
    let market_data = market_data.layer(auth.clone());
    let data = key.caller(market_data.peer());
    let portfolio = portfolio_deps(settings, stages, &clock, &random, &cache, data.clone())?;
    let layout = settings.layout(stages.topology().account_partitions)?;
    let portfolio = prepx_portfolio::build(portfolio, &layout).await?;
    let analytics = analytics_deps(settings, stages, &location, &clock, &random)?;
    let trading = trading_deps(stages, portfolio.books, &clock, &random);
    let notification = prepx_notification::build(notification_deps(stages, &clock, data)?).await?;
    let webhooks = webhooks(settings, stages, &location, &clock, &random).await?;
    let services = user
        .service
        .and(prepx_trading::build(trading)?)
        .and(prepx_risk::build(risk_deps(stages, &clock, &random)))
        .and(portfolio.service)
        .and(prepx_analytics::build(analytics).await?)
        .and(notification)
        .and(webhooks)
        .layer(auth)
        .and(market_data)
        .guarded(settings.calls.clone(), Arc::clone(&random));
    let peer = services.peer();
    let gateway = prepx_gateway::build(prepx_gateway::Deps {
        peers: BTreeMap::from(prepx_gateway::PUBLIC.map(|name| (name.to_owned(), peer.clone()))),
        forwards: None,
        own: ("prepx", part(stages, start).service(&key).peer()),
        key,
        authenticator,
        rate_limits: settings.rate_limits.clone(),
        cache,
        clock,
        metrics: start.metrics.clone(),
        random,
        drain: start.drain.clone(),
    })?;
    Ok(Composed {
        service: services.and(gateway).and(told),
        peer,
        first_keys: user.first_keys,
    })
}

fn part(stages: &Stages, start: &Start) -> prepx_platform::Part {
    prepx_platform::Part {
        address: start.address.to_string(),
        metrics: start.metrics.clone(),
        stages: stages.heads(),
    }
}

fn accounts(
    stages: &Stages,
    clock: &Arc<dyn Clock>,
    random: &Arc<Random>,
) -> Arc<prepx_user::StageAccounts> {
    Arc::new(prepx_user::StageAccounts {
        stage: stages.accounts(),
        clock: Arc::clone(clock),
        random: Arc::clone(random),
    })
}

fn market_data_deps(
    stages: &Stages,
    clock: &Arc<dyn Clock>,
    cache: &Cache,
) -> Result<prepx_market_data::Deps, TaskError> {
    Ok(prepx_market_data::Deps {
        following: stages.following("market-data", Reading::Unhurried, clock)?,
        clock: Arc::clone(clock),
        cache: cache.clone(),
        bytes_max: None,
    })
}

fn notification_deps(
    stages: &Stages,
    clock: &Arc<dyn Clock>,
    market_data: Caller,
) -> Result<prepx_notification::Deps, TaskError> {
    Ok(prepx_notification::Deps {
        sources: prepx_notification::Sources {
            following: stages.following("notification", Reading::Prompt, clock)?,
            matching: stages.matching(),
        },
        market_data,
    })
}

async fn webhooks(
    settings: &Settings,
    stages: &Stages,
    location: &Location,
    clock: &Arc<dyn Clock>,
    random: &Arc<Random>,
) -> Result<Service, TaskError> {
    let log = stages.log(webhook::GROUP.name, Reading::Unhurried)?;
    let built = webhook::build(webhook::Deps {
        config: settings.webhooks.clone(),
        networks: settings.webhooks.networks(settings.dev),
        directory: settings.data_dir.clone(),
        location: location.clone(),
        following: stages.follow(Arc::clone(&log), clock),
        log,
        matching: stages.matching(),
        random: Arc::clone(random),
        held_bytes_max: settings.shares().map(|shares| shares.snapshot_bytes),
    });
    Ok(built.await?)
}

fn analytics_deps(
    settings: &Settings,
    stages: &Stages,
    location: &Location,
    clock: &Arc<dyn Clock>,
    random: &Arc<Random>,
) -> Result<prepx_analytics::Deps, TaskError> {
    let pace = prepx_analytics::Pace::default();
    let log = stages.log("audit", Reading::Unhurried)?;
    let Following {
        tail,
        retention,
        topology,
        clock,
        duties,
    } = stages.follow(Arc::clone(&log), clock);
    Ok(prepx_analytics::Deps {
        directory: settings.data_dir.clone(),
        location: location.clone(),
        log,
        tail,
        retention,
        topology,
        clock,
        duty: duties.of(0).clone(),
        random: Arc::clone(random),
        pace: settings.shares().map_or(pace, |shares| shares.audit(pace)),
    })
}

fn trading_deps(
    stages: &Stages,
    books: Books,
    clock: &Arc<dyn Clock>,
    random: &Arc<Random>,
) -> prepx_trading::Deps {
    prepx_trading::Deps {
        accounts: stages.accounts(),
        history: Arc::new(books),
        matching: stages.matching(),
        clock: Arc::clone(clock),
        random: Arc::clone(random),
    }
}

fn risk_deps(stages: &Stages, clock: &Arc<dyn Clock>, random: &Arc<Random>) -> prepx_risk::Deps {
    prepx_risk::Deps {
        accounts: stages.accounts(),
        clock: Arc::clone(clock),
        random: Arc::clone(random),
    }
}

fn portfolio_deps(
    settings: &Settings,
    stages: &Stages,
    clock: &Arc<dyn Clock>,
    random: &Arc<Random>,
    cache: &Cache,
    market_data: Caller,
) -> Result<prepx_portfolio::Deps, TaskError> {
    Ok(prepx_portfolio::Deps {
        accounts: stages.accounts(),
        matching: stages.matching(),
        clock: Arc::clone(clock),
        random: Arc::clone(random),
        audit: stages.audit(),
        told: stages.told(&settings.data_dir)?,
        following: stages.following("ledger", Reading::Unhurried, clock)?,
        bytes_max: settings.shares().map(|shares| shares.portfolio_bytes_max),
        cache: cache.clone(),
        warm_every: Duration::from_secs(settings.warm_seconds.into()),
        market_data,
    })
}
