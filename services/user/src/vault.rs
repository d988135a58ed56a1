//! Personal data and private keys at rest.
//!
//! Each user has a random key of their own; personal data is sealed under it with ChaCha20-Poly1305,
//! and it is itself sealed under the master key. Deleting the user's key erases the user, also from
//! every copy of the rest. The master key is a file in the data directory, readable by its owner
//! only: whoever copies the database alone has nothing.

use std::fmt;
use std::io;
use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use prepx_env::Random;
use prepx_store::secret;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::domain::Email;

const NONCE_BYTES: usize = 12;
const FILE_NAME: &str = "master.key";

/// Encrypted and authenticated bytes, the nonce in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

/// A sealed value that does not open: a wrong master key, or a damaged store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a sealed value does not open: the master key, {FILE_NAME} in the data directory, is not the one that sealed it, or \
     the value is damaged; put both back from one copy"
)]
pub struct NotOurs;

/// The master key and what follows from it.
pub struct Vault {
    master: [u8; 32],
    lookup: [u8; 32],
    refresh: [u8; 32],
}

impl Vault {
    /// The vault under this master key.
    pub fn new(master: [u8; 32]) -> Vault {
        Vault {
            lookup: blake3::derive_key("prepx 2026 look-up of e-mail addresses", &master),
            refresh: blake3::derive_key("prepx 2026 refresh tokens", &master),
            master,
        }
    }

    /// The vault whose master key is in this directory; at the first start it is drawn and written,
    /// durable before anything is sealed with it.
    pub fn open(directory: &Path, random: &Random) -> io::Result<Vault> {
        let path = directory.join(FILE_NAME);
        Vault::of_file(secret::drawn_once(&path, random, || {
            random.bytes::<32>().to_vec()
        })?)
    }

    /// The same of a directory that has a key.
    pub fn read(directory: &Path) -> io::Result<Vault> {
        Vault::of_file(std::fs::read(directory.join(FILE_NAME))?)
    }

    fn of_file(bytes: Vec<u8>) -> io::Result<Vault> {
        let master = bytes.try_into().map_err(|found: Vec<u8>| {
            let words = format!("{FILE_NAME} has {} bytes, 32 are due", found.len());
            io::Error::new(io::ErrorKind::InvalidData, words)
        })?;
        Ok(Vault::new(master))
    }

    /// Seals under the master key. `purpose` must be the same when it is opened: a sealed value
    /// cannot be passed off as another's.
    pub fn seal(&self, plain: &[u8], purpose: &[u8], random: &Random) -> Sealed {
        seal(&self.master, plain, purpose, random)
    }

    /// Opens what was sealed under the master key.
    pub fn unseal(&self, sealed: &Sealed, purpose: &[u8]) -> Result<Vec<u8>, NotOurs> {
        unseal(&self.master, sealed, purpose)
    }

    /// A fresh key for a user, sealed, and the value sealed under it.
    pub fn seal_personal(
        &self,
        plain: &[u8],
        user: &[u8; 16],
        random: &Random,
    ) -> (Sealed, Sealed) {
        let key: [u8; 32] = random.bytes();
        (
            self.seal(&key, user, random),
            seal(&key, plain, user, random),
        )
    }

    /// Opens a value of a user by the user's sealed key.
    pub fn unseal_personal(
        &self,
        user_key: &Sealed,
        sealed: &Sealed,
        user: &[u8; 16],
    ) -> Result<Vec<u8>, NotOurs> {
        let key: [u8; 32] = self
            .unseal(user_key, user)?
            .try_into()
            .map_err(|_| NotOurs)?;
        unseal(&key, sealed, user)
    }

    /// The value by which an address is looked up; without the master key nobody can try addresses against
    /// it.
    pub fn lookup(&self, email: &Email) -> [u8; 32] {
        *blake3::keyed_hash(&self.lookup, email.as_str().as_bytes()).as_bytes()
    }

    /// The id of a user that is made with a key that is fixed before.
    pub fn first_user_id(&self, key_id: &str) -> Uuid {
        let name = format!("first user with the key {key_id}");
        let hash = blake3::keyed_hash(&self.lookup, name.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hash.as_bytes()[..16]);
        uuid::Builder::from_random_bytes(id).into_uuid()
    }

    /// The refresh token with this number of a session: `session.generation.code`.
    pub fn refresh_token(&self, session_id: &str, generation: i64) -> String {
        let body = format!("{session_id}.{generation}");
        let code = blake3::keyed_hash(&self.refresh, body.as_bytes()).to_hex();
        format!("{body}.{code}")
    }

    /// The session and the number in a refresh token; `None` when it is not one of ours.
    pub fn read_refresh_token<'a>(&self, token: &'a str) -> Option<(&'a str, i64)> {
        let mut parts = token.split('.');
        let (session_id, generation, _) = (parts.next()?, parts.next()?, parts.next()?);
        let generation = generation.parse().ok()?;
        let genuine = self.refresh_token(session_id, generation);
        let same: bool = genuine.as_bytes().ct_eq(token.as_bytes()).into();
        same.then_some((session_id, generation))
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

fn seal(key: &[u8; 32], plain: &[u8], purpose: &[u8], random: &Random) -> Sealed {
    let nonce: [u8; NONCE_BYTES] = random.bytes();
    let payload = Payload {
        msg: plain,
        aad: purpose,
    };
    let text = ChaCha20Poly1305::new(&Key::from(*key))
        .encrypt(&Nonce::from(nonce), payload)
        .expect("only messages of 256 GiB cannot be sealed");
    Sealed([nonce.as_slice(), &text].concat())
}

fn unseal(key: &[u8; 32], sealed: &Sealed, purpose: &[u8]) -> Result<Vec<u8>, NotOurs> {
    let (nonce, text) = sealed.0.split_first_chunk::<NONCE_BYTES>().ok_or(NotOurs)?;
    let payload = Payload {
        msg: text,
        aad: purpose,
    };
    ChaCha20Poly1305::new(&Key::from(*key))
        .decrypt(&Nonce::from(*nonce), payload)
        .map_err(|_| NotOurs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_data_opens_with_the_users_key_alone() {
        let (random, vault) = (Random::from_seed(1), Vault::new([7; 32]));
        let (key, email) = vault.seal_personal(b"ada@example.com", &[1; 16], &random);
        assert_eq!(
            vault.unseal_personal(&key, &email, &[1; 16]),
            Ok(b"ada@example.com".to_vec())
        );
        assert_eq!(
            vault.unseal_personal(&key, &email, &[2; 16]),
            Err(NotOurs),
            "another user"
        );
        let (other, _) = vault.seal_personal(b"", &[1; 16], &random);
        assert_eq!(
            vault.unseal_personal(&other, &email, &[1; 16]),
            Err(NotOurs),
            "another key"
        );
        let stranger = Vault::new([8; 32]);
        assert_eq!(
            stranger.unseal_personal(&key, &email, &[1; 16]),
            Err(NotOurs)
        );
        let mut bent = email.clone();
        bent.0[NONCE_BYTES] ^= 1;
        assert_eq!(vault.unseal_personal(&key, &bent, &[1; 16]), Err(NotOurs));
        assert_eq!(vault.unseal(&Sealed(vec![1; 5]), b""), Err(NotOurs));
    }

    #[test]
    fn refresh_tokens_cannot_be_made_up() {
        let vault = Vault::new([7; 32]);
        let token = vault.refresh_token("SEABC", 3);
        assert_eq!(vault.read_refresh_token(&token), Some(("SEABC", 3)));
        assert_eq!(Vault::new([8; 32]).read_refresh_token(&token), None);
        for forged in [
            token.replace(".3.", ".4."),
            format!("{token}.x"),
            "a.1.b".into(),
            "".into(),
        ] {
            assert_eq!(vault.read_refresh_token(&forged), None, "{forged}");
        }
    }

    #[test]
    fn the_master_key_is_drawn_once_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::TempDir::new().unwrap();
        let random = Random::from_seed(1);
        let email = Email::parse("ada@example.com").unwrap();
        let first = Vault::open(directory.path(), &random)
            .unwrap()
            .lookup(&email);
        assert_eq!(
            Vault::open(directory.path(), &random)
                .unwrap()
                .lookup(&email),
            first
        );
        let file = directory.path().join(FILE_NAME);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, b"short").unwrap();
        assert!(
            Vault::open(directory.path(), &random).is_err(),
            "a damaged key is not replaced"
        );
    }
}
