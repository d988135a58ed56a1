//! Wiring: the schema, the key, the group, and the gRPC service.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use prepx_bus::{Log, Reading};
use prepx_env::Random;
use prepx_errand::{Desk, Intake, Letters, Retries};
use prepx_platform::{OrderPath, Platform, Settings};
use prepx_proto::notification::v1::admin_service_server::AdminServiceServer;
use prepx_proto::notification::v1::webhook_service_server::WebhookServiceServer;
use prepx_runtime::{Service, TaskError};
use prepx_stage::Following;
use prepx_stage::port::MatchingPort;
use prepx_store::{Durability, Location, Options, Pool};
use prepx_transcode::Codec;

use super::app::App;
use super::effect::{GROUP, WebhookEffect};
use super::grpc::Grpc;
use super::keys::Keys;
use super::line::Dialer;
use super::store::{MIGRATIONS, Store};
use super::{Config, Error, Networks, Result, admin};

const GROUPS: &[prepx_errand::Group] = &[GROUP];

/// The dependencies of webhooks.
pub struct Deps {
    /// The settings.
    pub config: Config,
    /// The addresses at which endpoints are allowed.
    pub networks: Networks,
    /// The directory of the key.
    pub directory: PathBuf,
    /// The place of the schema.
    pub location: Location,
    /// What to follow, and whether it is this process's duty to send.
    pub following: Following,
    /// The same log.
    pub log: Arc<dyn Log>,
    /// Knows the instruments.
    pub matching: Arc<dyn MatchingPort>,
    /// Draws ids and the key.
    pub random: Arc<Random>,
    /// How much the waiting events may hold of a log with a size bound.
    pub held_bytes_max: Option<u64>,
}

/// Migrates the schema, and does nothing else.
///
/// # Errors
/// When it cannot be opened.
pub async fn migrate(location: &Location) -> prepx_store::Result<()> {
    open(location).await?.close().await;
    Ok(())
}

async fn open(location: &Location) -> prepx_store::Result<Pool> {
    let options = Options::new("notification", Durability::Source);
    Pool::open(location, &options, MIGRATIONS).await
}

/// Opens the schema and composes webhooks.
///
/// # Errors
/// When the schema, the key or the log cannot be used.
pub async fn build(deps: Deps) -> Result<Service> {
    let config = deps.config;
    config.validate().map_err(Error::Config)?;
    let pool = open(&deps.location).await?;
    std::fs::create_dir_all(&deps.directory)?;
    let (keys, store) = (
        Keys::open(&deps.directory, &deps.random)?,
        Store::new(pool.clone()),
    );
    let dialer = Dialer::new(deps.networks, config.timeout(), config.ca_file.as_deref());
    let effect = WebhookEffect {
        store: store.clone(),
        keys: keys.clone(),
        dialer: dialer.map_err(Error::Config)?,
        codec: codec()?,
        matching: deps.matching,
        instruments: Mutex::default(),
    };
    let clock = Arc::clone(&deps.following.clock);
    let desk = Desk {
        letters: Letters::new(pool.clone()),
        log: Arc::clone(&deps.log),
        groups: GROUPS,
    };
    let app = Arc::new(App {
        store,
        keys,
        networks: deps.networks,
        endpoints_max: config.endpoints_max,
        clock,
        random: deps.random,
    });
    let group = prepx_errand::Deps {
        effect: Arc::new(effect),
        settings: config.group(deps.held_bytes_max),
        following: deps.following,
        log: deps.log,
        pool,
    };
    let intake = Intake::open(&group).await?;
    let retries = Retries::of(group, &intake);
    Ok(Service::new()
        .grpc(WebhookServiceServer::new(Grpc(app)))
        .grpc(AdminServiceServer::new(admin::Grpc(desk)))
        .task("webhooks", async move |drain| {
            let stopping = async move { drain.stopping().await };
            Ok(intake.run(stopping).await?)
        })
        .task("webhook retries", async move |drain| {
            let stopping = async move { drain.stopping().await };
            Ok(retries.run(stopping).await?)
        }))
}

/// The webhooks of one process among several: each answers requests; the one with the lease sends. The
/// second service is the task of the lease.
///
/// # Errors
/// As [`build`].
pub async fn of_platform(
    platform: &Platform,
    path: &OrderPath,
) -> std::result::Result<(Service, Service), TaskError> {
    let config: Config = Settings::section("webhooks", &platform.settings.webhooks)?;
    let (duty, lease) = platform.duty(GROUP.name)?;
    let log = path.log(GROUP.name, Reading::Unhurried)?;
    let built = build(Deps {
        networks: config.networks(platform.settings.dev),
        config,
        directory: platform.settings.data_dir.clone(),
        location: platform.sql()?,
        following: path.following(Arc::clone(&log), duty),
        log,
        matching: Arc::new(path.ports(None)),
        random: Arc::clone(&platform.random),
        held_bytes_max: None,
    });
    Ok((built.await?, lease))
}

fn codec() -> Result<Codec> {
    let name = "prepx.notification.v1.TradeUpdate";
    let update = prepx_proto::descriptors().get_message_by_name(name);
    let update = update.ok_or_else(|| Error::Config(format!("the protos have no {name}")))?;
    Ok(Codec::build(&update)?)
}
