//! The keys that sign access tokens: created at the first start, rotated when old, and published as long as a token that
//! they signed may be valid.

use std::sync::{Arc, PoisonError, RwLock};

use prepx_auth::{JwkSet, Principal, SigningKey};
use prepx_domain::Micros;

use crate::app::App;
use crate::store::{Store, StoredSigningKey};
use crate::vault::Vault;
use crate::{Error, Result};

const DAY_US: i64 = 86_400_000_000;
const PURPOSE: &[u8] = b"signing key";

/// The keys in memory, newest first.
#[derive(Debug, Default)]
pub struct Signer(RwLock<Vec<Arc<SigningKey>>>);

impl Signer {
    pub(crate) fn new() -> Signer {
        Signer::default()
    }

    /// Signs a token with the newest key, off the async threads because it takes milliseconds.
    pub(crate) async fn sign(&self, principal: Principal, now: Micros) -> Result<(String, Micros)> {
        let key = self.keys().first().cloned();
        let key = key.ok_or_else(|| Error::Fault("there is no signing key".to_owned()))?;
        let signing = tokio::task::spawn_blocking(move || key.sign(&principal, now));
        let signed = signing
            .await
            .map_err(|error| Error::Fault(format!("signing: {error}")))?;
        Ok(signed?)
    }

    /// The public halves, newest first.
    pub(crate) fn published(&self) -> JwkSet {
        JwkSet {
            keys: self.keys().iter().map(|key| key.jwk().clone()).collect(),
        }
    }

    fn keys(&self) -> Vec<Arc<SigningKey>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn replace(&self, keys: Vec<Arc<SigningKey>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }
}

/// Whether a vault opens every key of a store.
pub(crate) async fn check(store: &impl Store, vault: &Vault) -> Result<()> {
    for key in store.signing_keys().await? {
        vault.unseal(&key.sealed, PURPOSE)?;
    }
    Ok(())
}

impl<S: Store> App<S> {
    /// The public keys that verify tokens, newest first: those of the store, because another process of this service may
    /// have created one; if it cannot be read, those known here.
    pub async fn published(&self) -> JwkSet {
        if let Err(error) = self.read_signing_keys().await {
            tracing::warn!(%error, "the signing keys cannot be read");
        }
        self.signer.published()
    }

    /// Reads the keys, and creates one if there is none or the newest is old. The previous one stays published until the
    /// next rotation, long after its last token has expired; older ones are deleted.
    pub async fn rotate_signing_keys(&self) -> Result<()> {
        let now = self.clock.now();
        let life_us = i64::from(self.config.signing_key_days) * DAY_US;
        let stored = self.store.signing_keys().await?;
        let newest = stored.first().map(|key| key.created_at);
        if newest.is_none_or(|at| at.plus_us(life_us) <= now) {
            let random = Arc::clone(&self.random);
            let drawing = tokio::task::spawn_blocking(move || SigningKey::generate(&random));
            let drawn = drawing
                .await
                .map_err(|e| Error::Fault(format!("drawing a key: {e}")))??;
            let sealed = self.vault.seal(drawn.der(), PURPOSE, &self.random);
            let fresh = StoredSigningKey {
                created_at: now,
                sealed,
            };
            // At a first start another process may just have drawn one too: both stay.
            let oldest = newest.unwrap_or(Micros(0));
            self.store.insert_signing_key(&fresh, oldest).await?;
            tracing::info!("a new signing key was drawn");
        }
        self.read_signing_keys().await
    }

    async fn read_signing_keys(&self) -> Result<()> {
        let stored = self.store.signing_keys().await?;
        let open = |key: &StoredSigningKey| {
            let der = self.vault.unseal(&key.sealed, PURPOSE)?;
            Ok(Arc::new(SigningKey::from_der(&der)?))
        };
        self.signer
            .replace(stored.iter().map(open).collect::<Result<_>>()?);
        Ok(())
    }
}
