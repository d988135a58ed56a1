//! API keys: a public id and a random secret, of which only a hash is kept.
//!
//! The hash is plain BLAKE3, not argon2. A slow hash makes it costly to try the few secrets that a
//! person would choose; a secret here is 256 random bits, which nobody can try, whatever one guess
//! costs, and it is checked on requests where a slow hash would be an open door to exhaustion.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prepx_env::Random;
use subtle::ConstantTimeEq;

/// Letters of key ids: no 0, 1, I or O, so that they can be read aloud.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const ID_RANDOM_CHARS: usize = 18;

/// A fresh key: shown to its owner once, then only its id and hash exist.
pub struct ApiKey {
    /// `PK` and 18 letters.
    pub key_id: String,
    /// 256 random bits in base64url: 43 characters.
    pub secret: String,
}

impl ApiKey {
    /// Draws a key.
    pub fn generate(random: &Random) -> ApiKey {
        let drawn: [u8; ID_RANDOM_CHARS] = random.bytes();
        // 256 is a multiple of 32, so every letter is equally likely.
        let letters = drawn
            .iter()
            .map(|byte| ALPHABET[usize::from(byte % 32)] as char);
        let key_id = "PK".chars().chain(letters).collect();
        ApiKey {
            key_id,
            secret: URL_SAFE_NO_PAD.encode(random.bytes::<32>()),
        }
    }

    /// A call with this key on it. One that no header can carry is left out, and the call is refused.
    pub fn sign<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        if let (Ok(key_id), Ok(secret)) = (self.key_id.parse(), self.secret.parse()) {
            request.metadata_mut().insert("apca-api-key-id", key_id);
            request.metadata_mut().insert("apca-api-secret-key", secret);
        }
        request
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// What is kept of a random secret.
#[derive(Clone, Copy, Debug)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash of a secret. The context keeps it apart from every other use of BLAKE3.
    pub fn of(secret: &str) -> SecretHash {
        SecretHash(blake3::derive_key(
            "prepx 2026 hash of a random secret",
            secret.as_bytes(),
        ))
    }

    /// The hash as it was stored; `None` when it is not 32 bytes.
    pub fn from_stored(bytes: &[u8]) -> Option<SecretHash> {
        bytes.try_into().ok().map(SecretHash)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether it is the hash of this secret; takes the same time whatever differs.
    pub fn matches(&self, secret: &str) -> bool {
        self.0.ct_eq(&SecretHash::of(secret).0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_only_their_own_secret_matches() {
        let random = Random::from_seed(1);
        let (one, two) = (ApiKey::generate(&random), ApiKey::generate(&random));
        assert_ne!(one.key_id, two.key_id);
        assert_eq!((one.key_id.len(), one.secret.len()), (20, 43));
        let hash = SecretHash::from_stored(SecretHash::of(&one.secret).as_bytes()).unwrap();
        assert!(hash.matches(&one.secret));
        assert!(!hash.matches(&two.secret) && !hash.matches(""));
        assert!(!format!("{one:?}").contains(&one.secret));
    }
}
