//! API keys: creating, listing, revoking, and exchanging them for access tokens.

use futures::future::BoxFuture;
use prepx_auth::{Authority, JwkSet, Principal, Scopes};
use prepx_domain::{Micros, text};

use crate::app::App;
use crate::domain::ApiKey;
use crate::store::Store;
use crate::{DEV_KEYS, Error, Result};

/// Keys that a user may have at a time.
pub(super) const KEYS_MAX: usize = 100;
const NAME_CHARS_MAX: usize = 64;

impl<S: Store> App<S> {
    /// Creates a key for the caller. Its secret is in this answer only.
    pub async fn create_key(
        &self,
        caller: &Principal,
        name: &str,
        scopes: &[String],
    ) -> Result<(ApiKey, String)> {
        text::check(name, 0..=NAME_CHARS_MAX).map_err(Error::KeyName)?;
        let issued = prepx_auth::ApiKey::generate(&self.random);
        let key = ApiKey {
            id: issued.key_id,
            user_id: caller.user_id,
            secret: prepx_auth::SecretHash::of(&issued.secret),
            name: name.to_owned(),
            scopes: wanted(caller, scopes)?,
            created_at: self.clock.now(),
            revoked_at: None,
        };
        if !self.store.insert_key(&key, KEYS_MAX).await? {
            return Err(Error::TooManyKeys(KEYS_MAX));
        }
        Ok((key, issued.secret))
    }

    /// The caller's keys that are not revoked, oldest first.
    pub async fn keys(&self, caller: &Principal) -> Result<Vec<ApiKey>> {
        Ok(self.store.keys(caller.user_id).await?)
    }

    /// Revokes one of the caller's keys; in this process with immediate effect.
    pub async fn revoke_key(&self, caller: &Principal, key_id: &str) -> Result<()> {
        let now = self.clock.now();
        if !self.store.revoke_key(caller.user_id, key_id, now).await? {
            return Err(Error::UnknownKey(key_id.chars().take(64).collect()));
        }
        self.revocations.revoke(key_id, now).await;
        Ok(())
    }

    /// An access token for a key, and when it expires. Unknown, revoked and wrong keys get the same answer.
    pub async fn exchange_key(&self, key_id: &str, secret: &str) -> Result<(String, Micros)> {
        let wrong = || Error::Auth(prepx_auth::Error::WrongKey);
        // A data directory that once ran with fixed keys is not open to everybody later.
        if !self.config.dev && DEV_KEYS.iter().any(|key| key.key_id == key_id) {
            return Err(wrong());
        }
        let (key, user) = self.store.key(key_id).await?.ok_or_else(wrong)?;
        if !key.secret.matches(secret) || key.revoked_at.is_some() {
            return Err(wrong());
        }
        let scopes = key.scopes.without(Scopes::ALL.without(user.role.scopes()));
        let principal = user.principal(&key.id, scopes);
        self.signer.sign(principal, self.clock.now()).await
    }
}

/// The scopes that the caller asks for, or all of its own if none; never one that it lacks.
fn wanted(caller: &Principal, names: &[String]) -> Result<Scopes> {
    if names.is_empty() {
        return Ok(caller.scopes);
    }
    let mut scopes = Scopes::NONE;
    for name in names {
        let scope = name
            .parse()
            .map_err(|()| Error::UnknownScope(name.chars().take(64).collect()))?;
        if !caller.scopes.has(scope) {
            return Err(Error::ScopeNotHeld(scope));
        }
        scopes = scopes.with(scope);
    }
    Ok(scopes)
}

/// The user service in the same process, for the authenticator.
impl<S: Store> Authority for App<S> {
    fn exchange<'a>(
        &'a self,
        key_id: &'a str,
        secret: &'a str,
    ) -> BoxFuture<'a, prepx_auth::Result<String>> {
        Box::pin(async move {
            match self.exchange_key(key_id, secret).await {
                Ok((token, _)) => Ok(token),
                Err(Error::Auth(error)) => Err(error),
                Err(error) => {
                    tracing::error!(%error, "a key cannot be checked");
                    Err(prepx_auth::Error::Unavailable)
                }
            }
        })
    }

    fn published_keys(&self) -> BoxFuture<'_, prepx_auth::Result<JwkSet>> {
        Box::pin(async { Ok(self.published().await) })
    }
}
