//! From credentials to an identity: keys are exchanged for access tokens, tokens are verified, and
//! both answers are kept, bounded, for as long as the token lives.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::future::BoxFuture;
use http::HeaderMap;
use jsonwebtoken::jwk::JwkSet;
use moka::future::Cache;
use prepx_domain::Micros;
use prepx_env::Clock;

use crate::revoked::Revocations;
use crate::token::{ACCESS_TOKEN_LIFE, Verified, Verifier};
use crate::{Credentials, Error, Principal, Result};

/// Identities that are kept, by key and by token each.
const IDENTITIES_MAX: u64 = 100_000;
/// A kept token is renewed when less than this is left, so that it outlives the call it goes with.
const RENEW_BEFORE_US: i64 = 60_000_000;
/// The published keys are asked for again at most this often.
const PUBLISHED_AGE_US_MIN: i64 = 10_000_000;

/// The user service as the others see it: in process, or over gRPC.
pub trait Authority: Send + Sync {
    /// An access token for an API key; [`Error::WrongKey`] for a wrong one.
    fn exchange<'a>(&'a self, key_id: &'a str, secret: &'a str) -> BoxFuture<'a, Result<String>>;

    /// The keys that tokens are verified with.
    fn published_keys(&self) -> BoxFuture<'_, Result<JwkSet>>;
}

/// An authenticated caller with the token that proves it to other processes.
pub struct Identity {
    /// Who it is.
    pub principal: Principal,
    /// The access token, to be sent on as `Authorization: Bearer`.
    pub token: String,
    issued_at: Micros,
    expires_at: Micros,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

/// Authenticates callers. One a process, shared by everything in it.
pub struct Authenticator {
    authority: Arc<dyn Authority>,
    clock: Arc<dyn Clock>,
    verifier: Verifier,
    published_at: RwLock<Option<Micros>>,
    /// By the hash of key id and secret, or of the token: a wrong secret finds nothing.
    keys: Cache<[u8; 32], Arc<Identity>>,
    tokens: Cache<[u8; 32], Arc<Identity>>,
    revocations: Arc<Revocations>,
}

impl Authenticator {
    /// An authenticator that asks `authority` what it does not know and refuses what is among
    /// `revocations`.
    pub fn new(
        authority: Arc<dyn Authority>,
        clock: Arc<dyn Clock>,
        revocations: Arc<Revocations>,
    ) -> Authenticator {
        // The caches' own clock only frees memory; whether an identity is good is decided by ours.
        let cache = || {
            let life = ACCESS_TOKEN_LIFE + Duration::from_secs(60);
            Cache::builder()
                .max_capacity(IDENTITIES_MAX)
                .time_to_live(life)
                .build()
        };
        Authenticator {
            authority,
            clock,
            verifier: Verifier::default(),
            published_at: RwLock::new(None),
            keys: cache(),
            tokens: cache(),
            revocations,
        }
    }

    /// Who sends these headers; `None` without credentials.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Arc<Identity>>> {
        self.identify(&Credentials::from_headers(headers)?).await
    }

    /// Who shows these credentials; `None` without any.
    pub async fn identify(&self, credentials: &Credentials) -> Result<Option<Arc<Identity>>> {
        match credentials {
            Credentials::Absent => Ok(None),
            Credentials::Bearer(token) => self.by_token(token).await.map(Some),
            Credentials::Key { key_id, secret } => self.by_key(key_id, secret).await.map(Some),
        }
    }

    /// Whether what stands behind an identity was revoked since. Streams that outlive one request ask
    /// before they go on.
    pub fn is_revoked(&self, identity: &Identity) -> bool {
        self.revocations
            .has(&identity.principal.key_id, identity.issued_at)
    }

    async fn by_key(&self, key_id: &str, secret: &str) -> Result<Arc<Identity>> {
        let slot = digest("prepx 2026 cache of keys", &[key_id, secret]);
        let now = self.clock.now();
        if let Some(identity) = self.keys.get(&slot).await {
            if now < identity.expires_at.plus_us(-RENEW_BEFORE_US) && !self.is_revoked(&identity) {
                return Ok(identity);
            }
            self.keys.invalidate(&slot).await;
        }
        // Many calls with one new key ask once: signing costs milliseconds.
        let exchange = async {
            let token = self.authority.exchange(key_id, secret).await?;
            self.verified(token, now).await.map(Arc::new)
        };
        self.keys
            .try_get_with(slot, exchange)
            .await
            .map_err(|error: Arc<Error>| (*error).clone())
    }

    async fn by_token(&self, token: &str) -> Result<Arc<Identity>> {
        let slot = digest("prepx 2026 cache of tokens", &[token]);
        let now = self.clock.now();
        let identity = match self.tokens.get(&slot).await {
            Some(identity) if now < identity.expires_at => identity,
            _ => {
                let identity = Arc::new(self.verified(token.to_owned(), now).await?);
                self.tokens.insert(slot, Arc::clone(&identity)).await;
                identity
            }
        };
        if self.is_revoked(&identity) {
            Err(Error::Revoked)
        } else {
            Ok(identity)
        }
    }

    async fn verified(&self, token: String, now: Micros) -> Result<Identity> {
        self.refresh_published_keys(&token, now).await?;
        let Verified {
            principal,
            issued_at,
            expires_at,
        } = self.verifier.verify(&token, now)?;
        Ok(Identity {
            principal,
            token,
            issued_at,
            expires_at,
        })
    }

    /// Asks for the published keys when the token names one that is not known, as after a rotation;
    /// not more often than is useful, whatever callers make up.
    async fn refresh_published_keys(&self, token: &str, now: Micros) -> Result<()> {
        if self.verifier.knows_key_of(token) {
            return Ok(());
        }
        {
            let mut at = self
                .published_at
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            if at.is_some_and(|at| now < at.plus_us(PUBLISHED_AGE_US_MIN)) {
                return Ok(());
            }
            *at = Some(now);
        }
        match self.authority.published_keys().await {
            Ok(keys) => {
                self.verifier.publish(&keys);
                Ok(())
            }
            Err(error) => {
                *self
                    .published_at
                    .write()
                    .unwrap_or_else(PoisonError::into_inner) = None;
                Err(error)
            }
        }
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

/// What the caches are keyed by, so that they hold no secret that could be read out.
fn digest(context: &str, parts: &[&str]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher
            .update(&(part.len() as u64).to_le_bytes())
            .update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}
