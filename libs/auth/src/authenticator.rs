//! From credentials to an identity: exchanges keys for access tokens and verifies tokens, and caches both results, within
//! bounds, for as long as the token is valid.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::HeaderMap;
use jsonwebtoken::jwk::JwkSet;
use prepx_cache::{Cache, Codec, Loaded, Options, Space};
use prepx_domain::Micros;
use prepx_env::Clock;
use tokio::sync::Mutex;

use crate::revoked::Revocations;
use crate::token::{ACCESS_TOKEN_LIFE, Verified, Verifier};
use crate::{Credentials, Error, Principal, Result, sealed};

/// The size limit of the cached identities in bytes, by key and by token each: about 50,000 of them.
const IDENTITIES_BYTES_MAX: u64 = 64 << 20;
/// About the size of an identity beside its token, in bytes.
const IDENTITY_BYTES: usize = 256;
/// The size limit of the exchanged tokens in bytes; they matter between processes only.
const TOKENS_BYTES_MAX: u64 = 4 << 20;
/// A cached token is renewed when less than this is left, so that it outlives the call it is sent with.
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
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

/// Authenticates callers. One per process, shared by everything in it.
pub struct Authenticator {
    authority: Arc<dyn Authority>,
    clock: Arc<dyn Clock>,
    verifier: Verifier,
    published_at: Mutex<Option<Micros>>,
    /// By the hash of key id and secret, or of the token: a wrong secret finds nothing.
    keys: Space<Arc<Identity>>,
    tokens: Space<Arc<Identity>>,
    /// The tokens that keys were exchanged for, sealed, by the same hash; shared by all processes.
    exchanged: Space<Bytes>,
    revocations: Arc<Revocations>,
}

impl Authenticator {
    /// An authenticator that asks `authority` what it does not know, caches the answers in `cache` and
    /// refuses what is among `revocations`.
    pub fn new(
        authority: Arc<dyn Authority>,
        clock: Arc<dyn Clock>,
        cache: &Cache,
        revocations: Arc<Revocations>,
    ) -> Authenticator {
        let space = |name| {
            cache.space(Options {
                name,
                bytes_max: IDENTITIES_BYTES_MAX,
                ttl_max: ACCESS_TOKEN_LIFE,
                weigh: |identity: &Arc<Identity>| IDENTITY_BYTES + identity.token.len(),
                // A token is a secret that stays in this process.
                codec: None,
            })
        };
        Authenticator {
            authority,
            clock,
            verifier: Verifier::default(),
            published_at: Mutex::new(None),
            keys: space("identities of keys"),
            tokens: space("identities of tokens"),
            exchanged: cache.space(Options {
                name: "tokens of keys",
                bytes_max: TOKENS_BYTES_MAX,
                ttl_max: ACCESS_TOKEN_LIFE,
                weigh: Bytes::len,
                codec: Some(Codec {
                    encode: Bytes::clone,
                    decode: |sealed| Some(Bytes::copy_from_slice(sealed)),
                }),
            }),
            revocations,
        }
    }

    /// The caller by these headers; `None` without credentials.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Arc<Identity>>> {
        self.identify(&Credentials::from_headers(headers)?).await
    }

    /// The caller with these credentials; `None` without any.
    pub async fn identify(&self, credentials: &Credentials) -> Result<Option<Arc<Identity>>> {
        match credentials {
            Credentials::Absent => Ok(None),
            Credentials::Bearer(token) => self.by_token(token).await.map(Some),
            Credentials::Key { key_id, secret } => self.by_key(key_id, secret).await.map(Some),
        }
    }

    /// Ends when the key or session behind an identity is revoked, at once if it is already. For work that
    /// outlives one request.
    pub fn revoked(
        self: &Arc<Self>,
        identity: &Arc<Identity>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (authenticator, identity) = (Arc::clone(self), Arc::clone(identity));
        // Listening comes before looking, so that nothing falls between the two.
        let mut changes = authenticator.revocations.changes();
        async move {
            while !authenticator.is_revoked(&identity) {
                if changes.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        }
    }

    fn is_revoked(&self, identity: &Identity) -> bool {
        self.revocations
            .has(&identity.principal.key_id, identity.issued_at)
    }

    async fn by_key(&self, key_id: &str, secret: &str) -> Result<Arc<Identity>> {
        let slot = digest("prepx 2026 cache of keys", &[key_id, secret]);
        // Many calls with one new key ask once: signing costs milliseconds.
        let identify = async || self.identified(&slot, key_id, secret).await;
        let kept = self.keys.get_or_load(&slot, Box::pin(identify())).await;
        let identity = kept.map_err(told)?;
        if !self.is_revoked(&identity) {
            return Ok(identity);
        }
        // The key may be good all the same, when too much was revoked to know each: it is asked again.
        self.keys.remove(&slot).await;
        self.exchanged.remove(&slot).await;
        let asked = self.keys.get_or_load(&slot, Box::pin(identify())).await;
        self.unless_revoked(asked.map_err(told)?)
    }

    /// The caller that a key belongs to, by the token that any process has exchanged it for.
    async fn identified(
        &self,
        slot: &[u8],
        key_id: &str,
        secret: &str,
    ) -> Result<Loaded<Arc<Identity>>> {
        let exchange = async {
            let token = self.authority.exchange(key_id, secret).await?;
            let value = sealed::seal(key_id, secret, &token);
            let Loaded { ttl, .. } = self.verified(token, RENEW_BEFORE_US).await?;
            Ok(Loaded { value, ttl })
        };
        let sealed = self.exchanged.get_or_load(slot, exchange).await;
        if let Some(token) = sealed::open(key_id, secret, &sealed.map_err(told)?)
            && let Ok(identity) = self.verified(token, RENEW_BEFORE_US).await
        {
            return Ok(identity);
        }
        // Not sealed here, or signed where this platform's data was before: it is asked anew.
        self.exchanged.remove(slot).await;
        let token = self.authority.exchange(key_id, secret).await?;
        self.verified(token, RENEW_BEFORE_US).await
    }

    async fn by_token(&self, token: &str) -> Result<Arc<Identity>> {
        let slot = digest("prepx 2026 cache of tokens", &[token]);
        let verified = self.verified(token.to_owned(), 0);
        let kept = self.tokens.get_or_load(&slot, verified).await;
        self.unless_revoked(kept.map_err(told)?)
    }

    fn unless_revoked(&self, identity: Arc<Identity>) -> Result<Arc<Identity>> {
        if self.is_revoked(&identity) {
            Err(Error::Revoked)
        } else {
            Ok(identity)
        }
    }

    /// The caller that a token belongs to, if it is valid for at least this long.
    async fn verified(&self, token: String, before_us: i64) -> Result<Loaded<Arc<Identity>>> {
        let now = self.clock.now();
        self.refresh_published_keys(&token, now).await?;
        let Verified {
            principal,
            issued_at,
            expires_at,
        } = self.verifier.verify(&token, now)?;
        let left_us = expires_at.0.saturating_sub(now.0).saturating_sub(before_us);
        Ok(Loaded {
            value: Arc::new(Identity {
                principal,
                token,
                issued_at,
            }),
            ttl: Duration::from_micros(u64::try_from(left_us).unwrap_or_default()),
        })
    }

    /// Asks for the published keys when the token names an unknown one, as after a rotation, but at a
    /// limited rate, whatever key ids callers invent. Other callers wait meanwhile.
    async fn refresh_published_keys(&self, token: &str, now: Micros) -> Result<()> {
        if self.verifier.knows_key_of(token) {
            return Ok(());
        }
        let mut at = self.published_at.lock().await;
        let is_fresh = at.is_some_and(|at| now < at.plus_us(PUBLISHED_AGE_US_MIN));
        if is_fresh || self.verifier.knows_key_of(token) {
            return Ok(());
        }
        let keys = self.authority.published_keys().await?;
        self.verifier.publish(&keys);
        *at = Some(now);
        Ok(())
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

/// A refusal that several callers share.
fn told(refusal: Arc<Error>) -> Error {
    Arc::unwrap_or_clone(refusal)
}

/// What the caches are keyed by, so that they hold no secret that could be read out.
pub(crate) fn digest(context: &str, parts: &[&str]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher
            .update(&(part.len() as u64).to_le_bytes())
            .update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}
