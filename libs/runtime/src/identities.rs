//! The identities of a process from its settings: one towards the other processes of its platform, one
//! towards clients.

use std::sync::Arc;
use std::time::Duration;

use prepx_env::SystemClock;

use crate::drain::Drain;
use crate::host::Config;
use crate::service::Service;
use crate::tls::{self, Callers, Dialer, Identity};

/// How often to check whether the files have changed.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Both identities, where they are set.
pub(crate) struct Identities {
    inner: Option<Arc<Identity>>,
    public: Option<Arc<Identity>>,
}

impl Identities {
    /// From the settings.
    pub fn of(config: &Config, name: &str) -> Result<Identities, tls::Error> {
        let clock = || Arc::new(SystemClock::new());
        let Config {
            tls, public_tls, ..
        } = config;
        let inner = tls.is_set().then(|| Identity::inner(tls, name, clock()));
        let to_clients = config.callers == Callers::Clients && public_tls.is_set();
        let public = to_clients.then(|| Identity::public(public_tls, clock()));
        Ok(Identities {
            inner: inner.transpose()?.map(Arc::new),
            public: public.transpose()?.map(Arc::new),
        })
    }

    /// The identity towards its callers.
    pub fn before(&self, callers: Callers) -> Option<Arc<Identity>> {
        match callers {
            Callers::Services => self.inner.clone(),
            Callers::Clients => self.public.clone(),
        }
    }

    /// The connections to other processes.
    pub fn dialer(&self) -> Dialer {
        self.inner.clone().map(Dialer::mutual).unwrap_or_default()
    }

    /// Follows changes of the files as long as the process runs.
    pub fn followed(self, service: Service) -> Service {
        let all = self.inner.into_iter().chain(self.public);
        all.fold(service, |service, identity| {
            service.task("certificates", async move |drain: Drain| {
                tokio::select! {
                    () = identity.follow(LOOK_EVERY) => {}
                    () = drain.stopping() => {}
                }
                Ok(())
            })
        })
    }
}
