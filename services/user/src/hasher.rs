//! Passwords are hashed with argon2id behind a bound: each hash takes 46 MiB and a core for tens
//! of milliseconds, so only a few run, a bounded number waits, and the rest is told to come back (I10).

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use prepx_env::Random;
use prepx_runtime::Capacity;

use crate::{Config, Error, Result};

/// What one hash takes on a slow core; only for the time we ask callers to wait.
const HASH_MS: u64 = 100;

/// Hashes and verifies passwords.
pub struct Hasher {
    argon2: Argon2<'static>,
    random: Arc<Random>,
    /// Those that compute.
    computing: Capacity,
    /// Those that compute or wait.
    admitted: Capacity,
    full_retry_after_ms: u64,
    /// What is verified when there is no such user, so that it takes the same time.
    nobody: String,
}

impl Hasher {
    /// A hasher with the limits of the configuration. Computes one hash.
    pub fn new(config: &Config, random: Arc<Random>) -> Result<Hasher> {
        let fault = |error: argon2::Error| Error::Fault(format!("argon2 refuses: {error}"));
        let params = Params::new(config.hash_memory_kib, 1, 1, None).map_err(fault)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let waves = config
            .hashes_waiting_max
            .div_ceil(config.hashes_at_once)
            .max(1) as u64;
        Ok(Hasher {
            nobody: hash(&argon2, b"nobody", &random.bytes())?,
            argon2,
            random,
            computing: Capacity::new("hashes", config.hashes_at_once),
            admitted: Capacity::new(
                "passwords",
                config.hashes_at_once + config.hashes_waiting_max,
            ),
            full_retry_after_ms: waves * HASH_MS,
        })
    }

    /// The hash of a new password, in PHC form.
    pub async fn hash(&self, password: String) -> Result<String> {
        let salt: [u8; 16] = self.random.bytes();
        let argon2 = self.argon2.clone();
        self.compute(move || hash(&argon2, password.as_bytes(), &salt))
            .await
    }

    /// Whether the password is the one behind the hash; without a hash it is not, after as long.
    pub async fn verify(&self, password: String, stored: Option<String>) -> Result<bool> {
        let (known, phc) = (
            stored.is_some(),
            stored.unwrap_or_else(|| self.nobody.clone()),
        );
        let argon2 = self.argon2.clone();
        self.compute(move || {
            let parsed = PasswordHash::new(&phc)
                .map_err(|error| Error::Fault(format!("a stored hash cannot be read: {error}")))?;
            Ok(argon2.verify_password(password.as_bytes(), &parsed).is_ok() && known)
        })
        .await
    }

    /// Runs a computation when it is its turn. The permits go with it, because it runs to its end
    /// also when the caller goes away.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let busy = || Error::Busy {
            retry_after_ms: self.full_retry_after_ms,
        };
        let admitted = self.admitted.enter().ok_or_else(busy)?;
        let computing = self.computing.wait().await;
        let running = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((admitted, computing));
            done
        });
        running
            .await
            .map_err(|error| Error::Fault(format!("hashing ended: {error}")))?
    }
}

fn hash(argon2: &Argon2<'_>, password: &[u8], salt: &[u8; 16]) -> Result<String> {
    argon2
        .hash_password_with_salt(password, salt)
        .map(|hash| hash.to_string())
        .map_err(|error| Error::Fault(format!("argon2 failed: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(at_once: usize, waiting_max: usize) -> Hasher {
        let config = Config {
            hashes_at_once: at_once,
            hashes_waiting_max: waiting_max,
            ..Config::default()
        };
        Hasher::new(&config, Arc::new(Random::from_seed(1))).unwrap()
    }

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let hasher = hasher(2, 2);
        let hash = hasher.hash("violet kiln 93".to_owned()).await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=47104,t=1,p=1$"),
            "{hash}"
        );
        assert_ne!(
            hash,
            hasher.hash("violet kiln 93".to_owned()).await.unwrap(),
            "salted"
        );
        assert!(
            hasher
                .verify("violet kiln 93".to_owned(), Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(
            !hasher
                .verify("violet kiln 94".to_owned(), Some(hash))
                .await
                .unwrap()
        );
        assert!(!hasher.verify("nobody".to_owned(), None).await.unwrap());
    }

    #[tokio::test]
    async fn more_than_may_wait_are_told_when_to_come_back() {
        let hasher = hasher(1, 2);
        let tries = (0..10).map(|_| hasher.verify("violet kiln 93".to_owned(), None));
        let answers = futures::future::join_all(tries).await;
        let busy = |answer: &Result<bool>| {
            matches!(
                answer,
                Err(Error::Busy {
                    retry_after_ms: 200
                })
            )
        };
        assert_eq!(answers.iter().filter(|answer| busy(answer)).count(), 7);
        assert_eq!(
            answers
                .iter()
                .filter(|answer| matches!(answer, Ok(false)))
                .count(),
            3
        );
        assert!(
            !hasher.verify("again".to_owned(), None).await.unwrap(),
            "there is room again"
        );
    }
}
