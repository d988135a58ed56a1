//! What a service is built from, and the layers around it.

use std::sync::Arc;

use axum::Router;
use prepx_auth::{
    AuthLayer, Authenticator, Authority, Caller, Policy, RemoteAuthority, Revocations,
};
use prepx_cache::Cache;
use prepx_env::{Clock, Random, SystemClock};
use prepx_runtime::{Peer, Service, Start, TaskError, scrape};
use prepx_stage::port::HeadsPort;

use crate::engines;
use crate::lanes::lanes;
use crate::part::Part;
use crate::settings::Settings;

/// What a process has before its service is built.
pub struct Platform {
    /// The settings.
    pub settings: Settings,
    /// Its name, which differs from those of all other processes.
    pub process: String,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness, fit for secrets.
    pub random: Arc<Random>,
    /// The process itself.
    pub start: Start,
    /// The cache, in memory or shared.
    pub cache: Cache,
    /// The revoked keys and sessions.
    pub revocations: Arc<Revocations>,
}

impl Platform {
    /// Opens what every service needs.
    pub(crate) async fn open(
        name: &str,
        settings: Settings,
        start: Start,
    ) -> Result<Platform, TaskError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        std::fs::create_dir_all(&settings.data_dir).map_err(|error| {
            format!(
                "cannot make the data directory {}: {error}",
                settings.data_dir.display()
            )
        })?;
        let cache = engines::cache(&settings.cache_url, &clock).await?;
        Ok(Platform {
            settings,
            clock,
            process: format!("{name}-{:016x}", start.random.next_u64()),
            random: Arc::clone(&start.random),
            start,
            revocations: Arc::new(Revocations::new(cache.clone())),
            cache,
        })
    }

    /// A peer of another service, by its name in the settings.
    ///
    /// # Errors
    /// When it has no address.
    pub fn peer(&self, service: &str) -> Result<Peer, TaskError> {
        Ok(self.settings.peers.peer(service, &self.start.dialer)?)
    }

    /// A peer of another service, for calls on behalf of the platform itself.
    ///
    /// # Errors
    /// When it has no address, or the platform has no key.
    pub fn caller(&self, service: &str) -> Result<Caller, TaskError> {
        Ok(self.settings.shared_key()?.caller(self.peer(service)?))
    }

    /// The address at which other processes reach this one, `host:port`.
    pub fn address(&self) -> String {
        match self.settings.advertise.split_once("://") {
            Some((_, address)) => address.trim_end_matches('/').to_owned(),
            None => self.start.address.to_string(),
        }
    }

    /// The place of this service's schema.
    ///
    /// # Errors
    /// When the URL names no store.
    pub fn sql(&self) -> Result<prepx_store::Location, TaskError> {
        let Settings {
            sql_url, data_dir, ..
        } = &self.settings;
        Ok(engines::sql_location(sql_url, data_dir)?)
    }

    /// The place of the schemas with rows by account.
    ///
    /// # Errors
    /// When a URL names no store, or the shards do not have each partition once.
    pub fn sql_layout(&self) -> Result<prepx_store::Layout, TaskError> {
        let Settings {
            sql_shards,
            account_partitions,
            ..
        } = &self.settings;
        Ok(engines::sql_layout(sql_shards, *account_partitions)?.unwrap_or(self.sql()?.into()))
    }

    /// The user service, for authenticating callers.
    ///
    /// # Errors
    /// When it has no address.
    pub fn authority(&self) -> Result<Arc<dyn Authority>, TaskError> {
        Ok(Arc::new(RemoteAuthority::new(self.peer("user")?)))
    }

    /// Authenticates callers through this authority.
    pub fn authenticator(&self, authority: Arc<dyn Authority>) -> Arc<Authenticator> {
        let revocations = Arc::clone(&self.revocations);
        let clock = Arc::clone(&self.clock);
        Arc::new(Authenticator::new(
            authority,
            clock,
            &self.cache,
            revocations,
        ))
    }

    /// A service for clients, behind the layers that authorize callers and limit calls.
    ///
    /// # Errors
    /// When the options in the protos contradict themselves, or the platform has no key.
    pub fn for_clients(
        &self,
        service: Service,
        authority: Arc<dyn Authority>,
    ) -> Result<Service, TaskError> {
        let policy = Policy::from_descriptors(prepx_proto::descriptors())?;
        let key = self.settings.shared_key()?;
        let layer = AuthLayer::new(self.authenticator(authority), Arc::new(policy), &key);
        let service = service
            .layer(layer)
            .guarded(self.settings.calls.clone(), Arc::clone(&self.random));
        Ok(service.and(self.listening()).http(self.metrics()))
    }

    /// A service for the other services of the platform, behind the layer that limits calls. It checks the
    /// platform's key itself.
    pub fn for_services(&self, service: Service) -> Service {
        service.guarded(self.settings.calls.clone(), Arc::clone(&self.random))
    }

    /// What this process reports to gateways, and the metrics of its lanes. `stages` are those of which it may own
    /// partitions.
    ///
    /// # Errors
    /// When the platform has no key.
    pub fn part(&self, stages: Vec<Arc<dyn HeadsPort>>) -> Result<Service, TaskError> {
        let part = Part {
            address: self.address(),
            metrics: self.start.metrics.clone(),
            stages: stages.clone(),
        };
        let part = part.service(&self.settings.shared_key()?);
        Ok(self.for_services(part).and(lanes(stages)))
    }

    /// Follows what other processes revoke.
    pub fn listening(&self) -> Service {
        listening(&self.revocations, &self.clock)
    }

    fn metrics(&self) -> Router {
        let page = scrape::page(self.start.metrics.clone());
        Router::new().route("/metrics", page)
    }
}

/// Follows what other processes revoke.
pub fn listening(revocations: &Arc<Revocations>, clock: &Arc<dyn Clock>) -> Service {
    let (revocations, clock) = (Arc::clone(revocations), Arc::clone(clock));
    Service::new().task("revocations", async move |drain| {
        tokio::select! {
            () = revocations.listen(&*clock) => {}
            () = drain.stopping() => {}
        }
        Ok(())
    })
}
