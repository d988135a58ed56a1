//! Access tokens as processes share them through the cache: encrypted with the API key that they were exchanged for.
//!
//! A reader of the cache's servers learns nothing. A process that is shown the key gets the token without asking
//! the user service again.

use bytes::Bytes;
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};

use crate::authenticator::digest;

const NONCE_BYTES: usize = 12;

/// The token, encrypted with this key; empty if that fails, which then opens for nobody.
pub(crate) fn seal(key_id: &str, secret: &str, token: &str) -> Bytes {
    // One token has one nonce, so that no nonce is used for two.
    let nonce = digest(
        "prepx 2026 nonces of shared tokens",
        &[key_id, secret, token],
    );
    let nonce: [u8; NONCE_BYTES] = std::array::from_fn(|at| nonce[at]);
    let sealed = cipher(key_id, secret).encrypt(&Nonce::from(nonce), token.as_bytes());
    sealed.map_or_else(
        |_| Bytes::new(),
        |sealed| [&nonce[..], &sealed].concat().into(),
    )
}

/// The token; `None` for what was not sealed for this key.
pub(crate) fn open(key_id: &str, secret: &str, sealed: &[u8]) -> Option<String> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let token = cipher(key_id, secret).decrypt(&Nonce::from(*nonce), sealed);
    String::from_utf8(token.ok()?).ok()
}

fn cipher(key_id: &str, secret: &str) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&Key::from(digest(
        "prepx 2026 shared tokens",
        &[key_id, secret],
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_shows_the_key_opens_its_token() {
        let sealed = seal("PK1", "secret", "a.token.of-it");
        assert_eq!(
            open("PK1", "secret", &sealed).as_deref(),
            Some("a.token.of-it")
        );
        assert_eq!(open("PK1", "other", &sealed), None);
        assert_eq!(open("PK2", "secret", &sealed), None);
        for at in 0..sealed.len() {
            assert_eq!(open("PK1", "secret", &sealed[..at]), None);
            let mut damaged = sealed.to_vec();
            damaged[at] ^= 1;
            assert_eq!(open("PK1", "secret", &damaged), None);
        }
    }
}
