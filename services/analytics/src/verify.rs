//! Whether the journals are what was chained and signed, and the first difference.
//!
//! Roots are read in order, and each journal's records once. Of a truncated journal, the records before the
//! earliest root whose head is retained can no longer be checked; the rest is proved to follow that signed
//! head.
//!
//! The roots of a running platform are checked by the caller. Only the platform can hash again what no root
//! covers yet: [`Newest`] does.

mod journal;

use ed25519_dalek::VerifyingKey;
use prepx_bus::{Log, ReadError, Record, TopicPartition};
use prepx_stage::Topology;
use prepx_store::Location;

use self::journal::Journal;
use crate::chain::{Hash, Head, READ_BYTES, journals};
use crate::error::Error;
use crate::root::{Root, Signed};
use crate::store::Audit;

/// Roots per read.
const PAGE: u32 = 256;

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Roots with their signatures, links and heads.
    pub roots: u64,
    /// Records that were hashed again.
    pub records: u64,
    /// Durable records after the heads: they came after the audit's last pass.
    pub unaudited: u64,
}

/// The first thing that is not as it was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// Numbers of roots are dense.
    #[error("root {0} is missing")]
    MissingRoot(u64),
    /// A root that this program did not write.
    #[error(
        "root {0} is not a valid root: it does not say its number and one head of each journal"
    )]
    MalformedRoot(u64),
    /// A root that does not follow the one before.
    #[error("root {0} is not linked to the root before it")]
    Unlinked(u64),
    /// A root of another key, or one that was changed.
    #[error("root {0} is not signed by the key of this platform")]
    Signature(u64),
    /// A head is behind an earlier one.
    #[error("the chain of {journal} goes back from offset {from} to {to}")]
    Backwards {
        /// The journal.
        journal: TopicPartition,
        /// The earlier head.
        from: u64,
        /// The later head.
        to: u64,
    },
    /// The journal has lost records that are in the chain.
    #[error("{journal} ends at offset {end}, but its chain goes to {audited}")]
    Lost {
        /// The journal.
        journal: TopicPartition,
        /// Where it ends.
        end: u64,
        /// Where the chain ends.
        audited: u64,
    },
    /// Records are not those that were chained.
    #[error("{journal}: what is at offsets {from} to {to} is not what was chained there")]
    Chain {
        /// The journal.
        journal: TopicPartition,
        /// The first offset after the last head that agrees.
        from: u64,
        /// The last offset before the head that does not.
        to: u64,
    },
}

/// Why the audit is not clean.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The audit found something.
    #[error("audit: {0}")]
    Difference(#[from] Difference),
    /// A journal could not be read.
    #[error("audit: {journal}: {source}")]
    Read {
        /// The journal.
        journal: TopicPartition,
        /// Why.
        source: ReadError,
    },
    /// The schema could not be read.
    #[error("audit: {0}")]
    Store(#[from] Error),
}

/// Checks every root, and every chain as far back as the log goes. `key` is the public key of its roots:
/// [`public_key`](crate::public_key), or better a copy that was kept elsewhere; `None` accepts no root.
///
/// # Errors
/// The first difference, or the reason why it cannot be checked.
pub async fn verify(
    log: &dyn Log,
    location: &Location,
    topology: Topology,
    key: Option<&VerifyingKey>,
) -> Result<Totals, VerifyError> {
    let whole =
        |journal: TopicPartition| (log.start(journal) == 0).then(|| Head::start(journal, 0));
    let audit = Audit::open(location).await?;
    let check = Check::of(&audit, topology, key, whole).await;
    audit.close().await;
    check?.over(log)
}

/// Everything that was signed and chained, to be compared with the journals' records.
pub struct Check {
    journals: Vec<Journal>,
    roots: u64,
    records: u64,
}

impl Check {
    /// Reads what was signed of a platform that does not run, and checks the signatures. `start` gives for
    /// each journal the head before its first remaining record, `None` if that is unknown.
    ///
    /// # Errors
    /// The first root that is not as it was signed, or the reason why it cannot be checked.
    pub async fn open(
        location: &Location,
        topology: Topology,
        key: Option<&VerifyingKey>,
        start: impl Fn(TopicPartition) -> Option<Head>,
    ) -> Result<Check, VerifyError> {
        let audit = Audit::open(location).await?;
        let check = Check::of(&audit, topology, key, start).await;
        audit.close().await;
        check
    }

    /// No claims yet: for a caller that has the roots from elsewhere, and has checked them.
    pub fn nothing(topology: Topology, start: impl Fn(TopicPartition) -> Option<Head>) -> Check {
        let journal = |name: TopicPartition| Journal::new(name, start(name));
        Check {
            journals: journals(topology).into_iter().map(journal).collect(),
            roots: 0,
            records: 0,
        }
    }

    /// Adds the heads of a root, or those after the newest root.
    ///
    /// # Errors
    /// When a head is behind an earlier one.
    pub fn claim(&mut self, heads: &[Head]) -> Result<(), Difference> {
        for journal in &mut self.journals {
            let head = heads.iter().find(|head| head.journal == journal.name);
            head.map_or(Ok(()), |head| journal.claim(head))?;
        }
        Ok(())
    }

    pub(crate) async fn of(
        audit: &Audit,
        topology: Topology,
        key: Option<&VerifyingKey>,
        start: impl Fn(TopicPartition) -> Option<Head>,
    ) -> Result<Check, VerifyError> {
        let names = journals(topology);
        let mut check = Check::nothing(topology, start);
        let mut previous = [0; 32];
        loop {
            let page = audit.roots(check.roots, PAGE).await?;
            if page.is_empty() {
                break;
            }
            for (found, signed) in &page {
                check.roots += 1;
                if *found != check.roots {
                    return Err(Difference::MissingRoot(check.roots).into());
                }
                let root = check_root(check.roots, previous, signed, &names, key)?;
                previous = signed.hash();
                check.claim(&root.heads)?;
            }
        }
        check.claim_heads(audit).await?;
        Ok(check)
    }

    /// After the roots, to which a running platform may have added: heads never go back.
    async fn claim_heads(&mut self, audit: &Audit) -> Result<(), VerifyError> {
        Ok(self.claim(&audit.heads().await?)?)
    }

    /// Processes the next record of a journal; ignores records of other topics.
    ///
    /// # Errors
    /// When the records so far are not what was chained.
    pub fn take(&mut self, from: TopicPartition, record: &Record) -> Result<(), Difference> {
        let mut journals = self.journals.iter_mut();
        let Some(journal) = journals.find(|journal| journal.name == from) else {
            return Ok(());
        };
        self.records += u64::from(journal.take(record)?);
        Ok(())
    }

    /// The result, when all records of the journals up to their `end` have been processed.
    ///
    /// # Errors
    /// When records are missing that were chained.
    pub fn finish(self, end: impl Fn(TopicPartition) -> u64) -> Result<Totals, Difference> {
        let mut totals = Totals {
            roots: self.roots,
            records: self.records,
            unaudited: 0,
        };
        for journal in self.journals {
            totals.unaudited += journal.finish(&end)?;
        }
        Ok(totals)
    }

    /// Reads the journals and finishes.
    ///
    /// # Errors
    /// The first difference, or the reason why it cannot be checked.
    pub fn over(mut self, log: &dyn Log) -> Result<Totals, VerifyError> {
        for at in 0..self.journals.len() {
            let journal = self.journals[at].name;
            let known = self.journals[at].chain;
            let mut next = known.map_or_else(|| log.start(journal), |chain| chain.next_offset);
            while !self.journals[at].claims.is_empty() {
                let records = log.read(journal, next, READ_BYTES);
                let records = records.map_err(|source| VerifyError::Read { journal, source })?;
                let Some(last) = records.last() else { break };
                next = last.offset + 1;
                for record in &records {
                    self.take(journal, record)?;
                }
            }
        }
        Ok(self.finish(|journal| log.end(journal))?)
    }
}

/// The newest root, and the chains after it.
pub struct Newest {
    /// Its number; 0 if there is none.
    pub root: u64,
    check: Check,
}

impl Newest {
    /// Reads the root and the heads of a platform, which may be running.
    pub(crate) async fn of(
        audit: &Audit,
        topology: Topology,
        key: &VerifyingKey,
    ) -> Result<Newest, VerifyError> {
        let names = journals(topology);
        let (mut root, mut heads) = (0, Vec::new());
        if let Some((number, signed)) = audit.newest_root().await? {
            let previous = Root::decode(&signed.body).map_or([0; 32], |root| root.previous);
            heads = check_root(number, previous, &signed, &names, Some(key))?.heads;
            root = number;
        }
        // Before the first root nothing is dropped: the journals are complete.
        let covered = |name: &TopicPartition| {
            let head = heads.iter().find(|head| head.journal == *name);
            Journal::new(*name, Some(head.copied().unwrap_or(Head::start(*name, 0))))
        };
        let mut check = Check {
            journals: names.iter().map(covered).collect(),
            roots: root,
            records: 0,
        };
        check.claim_heads(audit).await?;
        Ok(Newest { root, check })
    }

    /// Hashes the records after the root again. Blocks.
    pub(crate) fn over(self, log: &dyn Log) -> Result<Totals, VerifyError> {
        self.check.over(log)
    }
}

fn check_root(
    number: u64,
    previous: Hash,
    signed: &Signed,
    journals: &[TopicPartition],
    key: Option<&VerifyingKey>,
) -> Result<Root, Difference> {
    if !key.is_some_and(|key| signed.is_by(key)) {
        return Err(Difference::Signature(number));
    }
    let root = Root::decode(&signed.body).ok_or(Difference::MalformedRoot(number))?;
    let named = root.heads.iter().map(|head| &head.journal);
    if root.number != number || !named.eq(journals) {
        return Err(Difference::MalformedRoot(number));
    }
    if root.previous != previous {
        return Err(Difference::Unlinked(number));
    }
    Ok(root)
}
