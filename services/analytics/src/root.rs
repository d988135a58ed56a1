//! Roots: the heads of all chains at one moment, numbered, linked and signed.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use prepx_bus::Topic;
use prepx_domain::Micros;

use crate::chain::{Hash, Head};

/// What every encoding begins with, so that a signature of a root is a signature of nothing else.
const MAGIC: &[u8; 16] = b"prepx audit v1\0\0";
const PREFIX_BYTES: usize = 16 + 8 + 8 + 32 + 4;
const HEAD_BYTES: usize = 2 + 4 + 8 + 32;

/// A root without its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Dense from 1.
    pub number: u64,
    /// When it was made; never before the root before.
    pub created_at: Micros,
    /// The hash of the root before; zeros for the first.
    pub previous: Hash,
    /// All chains, by topic and partition.
    pub heads: Vec<Head>,
}

/// A root as it is kept: the bytes that are hashed, and the signature of their hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The canonical encoding.
    pub body: Vec<u8>,
    /// Ed25519 over the hash of the body.
    pub signature: [u8; 64],
}

impl Root {
    /// The canonical encoding: integers big-endian, everything of fixed width.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(PREFIX_BYTES + HEAD_BYTES * self.heads.len());
        body.extend_from_slice(MAGIC);
        body.extend_from_slice(&self.number.to_be_bytes());
        body.extend_from_slice(&self.created_at.0.to_be_bytes());
        body.extend_from_slice(&self.previous);
        let count =
            u32::try_from(self.heads.len()).expect("two topics of 4,096 partitions at most");
        body.extend_from_slice(&count.to_be_bytes());
        for head in &self.heads {
            body.extend_from_slice(&head.journal.topic.code().to_be_bytes());
            body.extend_from_slice(&head.journal.partition.to_be_bytes());
            body.extend_from_slice(&head.next_offset.to_be_bytes());
            body.extend_from_slice(&head.hash);
        }
        body
    }

    /// Reads an encoding; `None` when these are not the bytes of a root.
    pub fn decode(body: &[u8]) -> Option<Root> {
        let mut rest = body.strip_prefix(MAGIC)?;
        let number = u64::from_be_bytes(take(&mut rest)?);
        let created_at = Micros(i64::from_be_bytes(take(&mut rest)?));
        let previous = take(&mut rest)?;
        let count = u32::from_be_bytes(take(&mut rest)?);
        if rest.len() as u64 != u64::from(count) * HEAD_BYTES as u64 {
            return None;
        }
        let mut heads = Vec::with_capacity(count as usize);
        while !rest.is_empty() {
            let topic = Topic::from_code(u16::from_be_bytes(take(&mut rest)?))?;
            heads.push(Head {
                journal: topic.partition(u32::from_be_bytes(take(&mut rest)?)),
                next_offset: u64::from_be_bytes(take(&mut rest)?),
                hash: take(&mut rest)?,
            });
        }
        Some(Root {
            number,
            created_at,
            previous,
            heads,
        })
    }

    /// The root as it is kept.
    pub fn sign(&self, key: &SigningKey) -> Signed {
        let body = self.encode();
        let signature = key.sign(&hash(&body)).to_bytes();
        Signed { body, signature }
    }
}

impl Signed {
    /// The hash of the root.
    pub fn hash(&self) -> Hash {
        hash(&self.body)
    }

    /// Whether the owner of this key signed it.
    pub fn is_by(&self, key: &VerifyingKey) -> bool {
        let signature = Signature::from_bytes(&self.signature);
        key.verify_strict(&self.hash(), &signature).is_ok()
    }
}

/// The hash of what is signed.
pub fn hash(body: &[u8]) -> Hash {
    *blake3::hash(body).as_bytes()
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (front, back) = rest.split_first_chunk()?;
    *rest = back;
    Some(*front)
}
