//! Signatures of other statements by the key of the audit, such as what was dropped of the log.

use std::path::Path;

use ed25519_dalek::{Signature, Signer as _, VerifyingKey};

use crate::chain::Hash;
use crate::error::Result;
use crate::key;

/// What every sealed statement begins with before it is hashed, so that no seal passes for the
/// signature of a root.
const MAGIC: &[u8; 16] = b"prepx sealed v1\0";

fn hash(statement: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(MAGIC).update(statement);
    *hasher.finalize().as_bytes()
}

/// Signs a statement with the key of a data directory; `None` when it has none yet.
///
/// # Errors
/// When the key cannot be read.
pub fn seal(directory: &Path, statement: &[u8]) -> Result<Option<[u8; 64]>> {
    let key = key::read(directory)?;
    Ok(key.map(|key| key.sign(&hash(statement)).to_bytes()))
}

/// Whether the owner of a key signed a statement.
pub fn is_sealed(key: &VerifyingKey, statement: &[u8], signature: &[u8; 64]) -> bool {
    let signature = Signature::from_bytes(signature);
    key.verify_strict(&hash(statement), &signature).is_ok()
}
