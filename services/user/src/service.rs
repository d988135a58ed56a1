//! Wiring: from the configuration and the process's resources to a service that can be hosted.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prepx_auth::{Authority, Revocations};
use prepx_cache::Cache;
use prepx_env::{Clock, Random};
use prepx_proto::user::v1::user_service_server::UserServiceServer;
use prepx_runtime::{Building, Drain, TaskError};
use prepx_store::{Durability, Location, Options, Pool};

use crate::accounts::Accounts;
use crate::app::{App, signing};
use crate::first::FirstKeys;
use crate::grpc::Grpc;
use crate::store::sql::Sql;
use crate::store::{MIGRATIONS, Store};
use crate::vault::Vault;
use crate::{Config, Error, Result};

/// How often the age of the signing key is looked at.
const ROTATION_CHECK: Duration = Duration::from_secs(3_600);

/// The dependencies of the service.
pub struct Deps {
    /// Where the master key of personal data is: a file `master.key`.
    pub directory: PathBuf,
    /// Where the schema is.
    pub location: Location,
    /// Opens trading accounts.
    pub accounts: Arc<dyn Accounts>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws ids, keys and salts; fit for secrets.
    pub random: Arc<Random>,
    /// Counts the tries to sign in.
    pub cache: Cache,
    /// Where revocations are published, for the authenticator of this process.
    pub revocations: Arc<Revocations>,
}

/// The built service and what the process does with it.
pub struct Built {
    /// The gRPC service and its tasks, without authentication around it: the process puts the one
    /// layer around all of its services.
    pub service: prepx_runtime::Service,
    /// What the authenticator of this process asks.
    pub authority: Arc<dyn Authority>,
    /// Makes the keys that a new platform begins with.
    pub first_keys: FirstKeys,
}

/// Brings the schema to what this version needs, and does nothing else.
///
/// # Errors
/// When it cannot be opened.
pub async fn migrate(location: &Location) -> prepx_store::Result<()> {
    open(location).await?.close().await;
    Ok(())
}

/// Whether the master key in a directory is that of the schema at a location, which must be there.
///
/// # Errors
/// What is missing, or does not open.
pub async fn check(directory: &Path, location: &Location) -> Result<()> {
    let vault = Vault::read(directory).map_err(|error| vault_failed(directory, &error))?;
    let pool = open(location).await?;
    let checked = signing::check(&Sql::new(pool.clone()), &vault).await;
    pool.close().await;
    checked
}

async fn open(location: &Location) -> prepx_store::Result<Pool> {
    let options = Options::new("user", Durability::Source);
    Pool::open(location, &options, MIGRATIONS).await
}

/// Builds the service: opens and migrates its schema, and draws what a first start needs.
pub fn build(config: Config, deps: Deps) -> Building<Result<Built>> {
    Box::pin(async move {
        config
            .validate()
            .map_err(|problem| Error::Fault(problem.to_string()))?;
        std::fs::create_dir_all(&deps.directory)
            .map_err(|error| vault_failed(&deps.directory, &error))?;
        let vault = Vault::open(&deps.directory, &deps.random)
            .map_err(|error| vault_failed(&deps.directory, &error))?;
        let (directory, random) = (deps.directory.clone(), Arc::clone(&deps.random));
        let store = Sql::new(open(&deps.location).await?);
        let app = Arc::new(App::new(config, deps, store, vault).await?);
        let first_keys = FirstKeys::new(Arc::clone(&app), directory, random);
        let rotating = Arc::clone(&app);
        let service = prepx_runtime::Service::new()
            .grpc(UserServiceServer::new(Grpc(Arc::clone(&app))))
            .task("signing keys", move |drain| rotate(rotating, drain));
        Ok(Built {
            service,
            authority: app,
            first_keys,
        })
    })
}

fn vault_failed(directory: &Path, error: &std::io::Error) -> Error {
    Error::Fault(format!(
        "cannot use the master key in {}: {error}",
        directory.display()
    ))
}

async fn rotate<S: Store>(app: Arc<App<S>>, drain: Drain) -> std::result::Result<(), TaskError> {
    let mut ticks = tokio::time::interval(ROTATION_CHECK);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                // The keys at hand stay good; the next look may succeed.
                if let Err(error) = app.rotate_signing_keys().await {
                    tracing::error!(%error, "the signing keys cannot be looked at");
                }
            }
            () = drain.stopping() => return Ok(()),
        }
    }
}
