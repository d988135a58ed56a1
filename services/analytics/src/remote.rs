//! The audit of a running platform, as it presents it: whether its roots are signed, linked and lead to its
//! heads. The caller checks that itself. Refuses to vouch for the records, which the caller does not have.
//! The platform hashes those again that no root covers; the others can be hashed by whoever has the data
//! directory.

use ed25519_dalek::VerifyingKey;
use prepx_bus::Topic;
use prepx_domain::Micros;
use prepx_proto::analytics::v1 as wire;

use crate::chain::{Hash, Head};
use crate::hex;
use crate::root::{Root, Signed};
use crate::verify::Difference;

/// What was presented so far. All roots must be of one key.
#[derive(Default)]
pub struct Shown {
    number: u64,
    previous: Hash,
    key: Option<VerifyingKey>,
    heads: Vec<Head>,
}

impl Shown {
    /// The heads that the last root names.
    pub fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// The number of roots so far, which is the number of the last.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Checks the next root.
    ///
    /// # Errors
    /// When it is not what was signed, or does not follow.
    pub fn take(&mut self, shown: &wire::AuditRoot) -> Result<(), Difference> {
        let number = self.number + 1;
        if shown.number != number {
            return Err(Difference::MissingRoot(number));
        }
        let malformed = Difference::MalformedRoot(number);
        let heads: Option<Vec<Head>> = shown.heads.iter().map(head).collect();
        let root = Root {
            number,
            created_at: Micros(shown.created_at),
            previous: hex::decode(&shown.previous).ok_or(malformed.clone())?,
            heads: heads.ok_or(malformed.clone())?,
        };
        let signed = Signed {
            body: root.encode(),
            signature: hex::decode(&shown.signature).ok_or(malformed.clone())?,
        };
        let key =
            hex::decode(&shown.public_key).and_then(|key| VerifyingKey::from_bytes(&key).ok());
        let key = *self.key.get_or_insert(key.ok_or(malformed.clone())?);
        if Some(signed.hash()) != hex::decode(&shown.hash) || !signed.is_by(&key) {
            return Err(Difference::Signature(number));
        }
        if root.previous != self.previous {
            return Err(Difference::Unlinked(number));
        }
        self.follow(&root.heads)?;
        (self.number, self.previous) = (number, signed.hash());
        Ok(())
    }

    /// Compares the newest heads with the last root, and answers them.
    ///
    /// When a head is behind an earlier one, or has another hash than the root signed.
    /// When a chain goes back, or has another hash where the root has signed one.
    pub fn finish(mut self, heads: &[wire::AuditHead]) -> Result<Vec<Head>, Difference> {
        let heads: Option<Vec<Head>> = heads.iter().map(head).collect();
        self.follow(&heads.ok_or(Difference::MalformedRoot(self.number + 1))?)?;
        Ok(self.heads)
    }

    fn follow(&mut self, heads: &[Head]) -> Result<(), Difference> {
        for before in &self.heads {
            let (journal, from) = (before.journal, before.next_offset);
            let now = heads.iter().find(|head| head.journal == journal);
            // Only roots name a journal of which nothing was chained yet.
            let now = now.copied().unwrap_or(Head::start(journal, 0));
            let to = now.next_offset;
            if to < from {
                return Err(Difference::Backwards { journal, from, to });
            }
            if to == from && now != *before {
                let to = to.saturating_sub(1);
                let from = to;
                return Err(Difference::Chain { journal, from, to });
            }
        }
        self.heads = heads.to_vec();
        Ok(())
    }
}

fn head(shown: &wire::AuditHead) -> Option<Head> {
    let topic: Topic = shown.topic.parse().ok()?;
    Some(Head {
        journal: topic.partition(shown.partition),
        next_offset: shown.next_offset,
        hash: hex::decode(&shown.hash)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_of_which_nothing_was_chained_may_be_missing_and_no_other() {
        let unused = Head::start(Topic::AccountJournal.partition(0), 0);
        let used = Head {
            journal: Topic::AccountJournal.partition(1),
            next_offset: 3,
            hash: [1; 32],
        };
        let mut shown = Shown::default();
        shown.follow(&[unused, used]).unwrap();
        shown.follow(&[used]).unwrap();

        let lost = Difference::Backwards {
            journal: used.journal,
            from: 3,
            to: 0,
        };
        assert_eq!(shown.follow(&[unused]), Err(lost));
    }
}
