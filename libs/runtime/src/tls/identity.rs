//! The identity of a process, as its files hold it now: they are checked periodically, and valid new content
//! is taken up without a restart.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use prepx_env::Clock;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{ServerName, UnixTime};
use tokio_rustls::rustls::server::NoServerSessionStorage;
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};

use super::files::{Credentials, Files, Text, verifier};
use super::{Config, Error, PublicConfig};

/// The protocols inside TLS, by their names in ALPN (RFC 7301).
pub(super) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// The identity of a process towards its callers and towards the services that it calls.
pub struct Identity {
    files: Files,
    name: ServerName<'static>,
    provider: Arc<CryptoProvider>,
    time: Arc<dyn TimeProvider>,
    now: RwLock<Arc<Sides>>,
    /// What the files contained last, valid or not, so that an error is logged once.
    seen: Mutex<Result<Text, Error>>,
}

/// The two sides of connections.
struct Sides {
    server: Arc<ServerConfig>,
    /// Where other services are called with it.
    client: Option<Arc<ClientConfig>>,
    /// Until when they are good.
    end: Option<UnixTime>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("files", &self.files)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// The identity of a process among the others of its platform, by the name of its service such as `prepx-risk`.
    ///
    /// # Errors
    /// Names the file that is not right, and what would be.
    pub fn inner(config: &Config, name: &str, clock: Arc<dyn Clock>) -> Result<Identity, Error> {
        Identity::open(config.into(), name, clock)
    }

    /// The identity of a process towards its clients.
    ///
    /// # Errors
    /// Names the file that is not right, and what would be.
    pub fn public(config: &PublicConfig, clock: Arc<dyn Clock>) -> Result<Identity, Error> {
        // Which names are in the certificate is for its CA and the clients to check.
        Identity::open(config.into(), "anybody.invalid", clock)
    }

    fn open(files: Files, name: &str, clock: Arc<dyn Clock>) -> Result<Identity, Error> {
        let name = super::server_name(name).map_err(|why| files.unusable(&why))?;
        let provider = Arc::new(ring::default_provider());
        let time: Arc<dyn TimeProvider> = Arc::new(Time(clock));
        let text = files.read()?;
        let credentials = files.credentials(&text, &name, &provider, now(&*time))?;
        let sides = Sides::of(credentials, &provider, &time);
        let identity = Identity {
            now: RwLock::new(Arc::new(sides.map_err(|why| files.unusable(&why))?)),
            seen: Mutex::new(Ok(text)),
            files,
            name,
            provider,
            time,
        };
        identity.tell();
        Ok(identity)
    }

    /// How long the certificates in force are valid.
    fn tell(&self) {
        let Some(end) = self.sides().end else {
            return;
        };
        let left = end.as_secs() as f64 - now(&*self.time).as_secs() as f64;
        let table = self.files.table();
        metrics::gauge!("prepx_tls_certificate_seconds_left", "table" => table).set(left);
    }

    /// Checks whether the files have changed, and applies them; returns whether it did. An error is logged once,
    /// and what was in force stays.
    pub fn look(&self) -> bool {
        let read = self.files.read();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == read {
            self.tell();
            return false;
        }
        let taken = read.clone().and_then(|text| self.take(&text));
        *seen = read;
        self.tell();
        match &taken {
            Ok(()) => {
                tracing::info!(files = ?self.files, "certificates were changed and are in force")
            }
            Err(why) => {
                let still = "changed certificates are not right; those before stay in force";
                tracing::error!(%why, "{still}");
            }
        }
        taken.is_ok()
    }

    fn take(&self, text: &Text) -> Result<(), Error> {
        let now = now(&*self.time);
        let credentials = self
            .files
            .credentials(text, &self.name, &self.provider, now)?;
        let sides = Sides::of(credentials, &self.provider, &self.time);
        let sides = sides.map_err(|why| self.files.unusable(&why))?;
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(sides);
        Ok(())
    }

    /// Checks periodically, for ever.
    pub async fn follow(self: Arc<Identity>, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            let looking = Arc::clone(&self);
            // A look that panics is one that has found nothing.
            let _ = tokio::task::spawn_blocking(move || looking.look()).await;
        }
    }

    /// As the server of a connection.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.sides().server)
    }

    /// As its client.
    pub(super) fn client(&self) -> Option<Arc<ClientConfig>> {
        self.sides().client.clone()
    }

    fn sides(&self) -> Arc<Sides> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sides {
    fn of(
        credentials: Credentials,
        provider: &Arc<CryptoProvider>,
        time: &Arc<dyn TimeProvider>,
    ) -> Result<Sides, rustls::Error> {
        let Credentials {
            chain,
            key,
            ca,
            end,
        } = credentials;
        let unusable = |why: &dyn fmt::Display| rustls::Error::General(why.to_string());
        let server = ServerConfig::builder_with_details(provider.clone(), time.clone())
            .with_protocol_versions(&[&TLS13])?;
        let mut server = match &ca {
            None => server.with_no_client_auth(),
            Some(ca) => {
                let callers = verifier(ca, provider).map_err(|why| unusable(&why))?;
                server.with_client_cert_verifier(callers)
            }
        }
        .with_single_cert(chain.clone(), key.clone_key())?;
        server.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        if ca.is_some() {
            // A session that is taken up again would be believed after its certificate is good no more.
            server.session_storage = Arc::new(NoServerSessionStorage {});
            server.send_tls13_tickets = 0;
        }
        let client = |ca| {
            let client = trusting(ca, provider, time)?.with_client_auth_cert(chain, key)?;
            Ok::<_, rustls::Error>(Arc::new(with_alpn(client)))
        };
        Ok(Sides {
            server: Arc::new(server),
            client: ca.map(client).transpose()?,
            end,
        })
    }
}

type Trusting = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn trusting(
    ca: Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
    time: &Arc<dyn TimeProvider>,
) -> Result<Trusting, rustls::Error> {
    let client = ClientConfig::builder_with_details(provider.clone(), time.clone());
    let client = client.with_protocol_versions(&[&TLS13])?;
    Ok(client.with_root_certificates(ca))
}

fn with_alpn(mut client: ClientConfig) -> ClientConfig {
    client.alpn_protocols = vec![HTTP2.to_vec()];
    client.resumption = Resumption::disabled();
    client
}

/// A client without a certificate, which trusts servers whose certificates are of this CA.
pub(super) fn anonymous_client(
    ca: Arc<RootCertStore>,
    clock: Arc<dyn Clock>,
) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let time: Arc<dyn TimeProvider> = Arc::new(Time(clock));
    let client = trusting(ca, &provider, &time)?;
    Ok(with_alpn(client.with_no_client_auth()))
}

/// The time at which certificates are judged.
struct Time(Arc<dyn Clock>);

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let since_1970 = Duration::from_micros(u64::try_from(self.0.now().0).ok()?);
        Some(UnixTime::since_unix_epoch(since_1970))
    }
}

/// A clock that stands before 1970 finds no certificate valid.
fn now(time: &dyn TimeProvider) -> UnixTime {
    let at_first = UnixTime::since_unix_epoch(Duration::ZERO);
    time.current_time().unwrap_or(at_first)
}
