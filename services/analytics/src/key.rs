//! The key that signs roots: 32 bytes in the data directory, readable by their owner only.
//!
//! Drawn at the first start, durable before it signs anything, never replaced: readers of roots recognise
//! this platform by it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::{SigningKey, VerifyingKey};
use prepx_env::Random;
use prepx_store::secret;

use crate::error::{Error, Result};

const FILE_NAME: &str = "audit.key";

/// The path of the key in a data directory.
pub fn path_in(directory: &Path) -> PathBuf {
    directory.join(FILE_NAME)
}

/// The key of a data directory; `None` when it has none yet.
pub fn read(directory: &Path) -> Result<Option<SigningKey>> {
    let path = path_in(directory);
    let read = || -> io::Result<[u8; 32]> {
        let mut secret = [0; 32];
        File::open(&path)?.read_exact(&mut secret)?;
        Ok(secret)
    };
    match read() {
        Ok(secret) => Ok(Some(SigningKey::from_bytes(&secret))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Key { path, source }),
    }
}

/// Draws the key of a data directory that has none.
pub fn create(directory: &Path, random: &Random) -> Result<SigningKey> {
    let path = path_in(directory);
    let drawn = secret::drawn_once(&path, random, || random.bytes::<32>().to_vec());
    drawn.map_err(|source| Error::Key { path, source })?;
    read(directory)?.ok_or_else(|| Error::Damaged("the key of the audit has gone".into()))
}

/// The public half of the key in a data directory, to verify its roots with; `None` when it was
/// never started with an audit.
///
/// # Errors
/// When the file cannot be read.
pub fn public_key(directory: &Path) -> Result<Option<VerifyingKey>> {
    Ok(read(directory)?.map(|key| key.verifying_key()))
}
