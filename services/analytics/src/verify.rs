//! Whether the journals are what was chained and signed, and where they first are not.
//!
//! Roots are read in their order, and each journal's records once. Of a journal that was cut, the
//! records before the earliest root whose head is retained cannot be checked any more: its
//! signed head is what the rest is proved to follow.

use ed25519_dalek::VerifyingKey;
use prepx_bus::{Log, ReadError, TopicPartition};
use prepx_stage::Topology;
use prepx_store::Location;

use crate::chain::{Hash, Head, journals};
use crate::error::Error;
use crate::root::{Root, Signed};
use crate::store::Audit;

/// Roots read at once.
const PAGE: u32 = 256;

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Roots with their signatures, links and heads.
    pub roots: u64,
    /// Records that were hashed again.
    pub records: u64,
    /// Durable records behind the heads: what came after the audit's last look.
    pub unaudited: u64,
}

/// The first thing that is not as it was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// Numbers of roots are dense.
    #[error("root {0} is missing")]
    MissingRoot(u64),
    /// A root that this program did not write.
    #[error("root {0} is no root: it does not say its number and one head of each journal")]
    MalformedRoot(u64),
    /// A root that does not follow the one before.
    #[error("root {0} is not linked to the root before it")]
    Unlinked(u64),
    /// A root of somebody else, or one that was changed.
    #[error("root {0} is not signed by the key of this platform")]
    Signature(u64),
    /// A chain does not go back.
    #[error("the chain of {journal} goes back from offset {from} to {to}")]
    Backwards {
        /// The journal.
        journal: TopicPartition,
        /// How far it had come.
        from: u64,
        /// How far a later head says it has.
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

/// Checks every root and every chain of a platform that nobody runs. `key` is what its roots are
/// signed with: [`public_key`](crate::public_key), or better a copy that was kept elsewhere; `None`
/// takes no root.
///
/// # Errors
/// The first difference, or what kept it from looking.
pub async fn verify(
    log: &dyn Log,
    location: &Location,
    topology: Topology,
    key: Option<&VerifyingKey>,
) -> Result<Totals, VerifyError> {
    let audit = Audit::open(location).await?;
    let checked = check(log, &audit, topology, key).await;
    audit.close().await;
    checked
}

async fn check(
    log: &dyn Log,
    audit: &Audit,
    topology: Topology,
    key: Option<&VerifyingKey>,
) -> Result<Totals, VerifyError> {
    let mut chains = Chains::new(log, journals(topology));
    let (mut number, mut previous) = (0, [0; 32]);
    loop {
        let page = audit.roots(number, PAGE).await?;
        if page.is_empty() {
            break;
        }
        for (found, signed) in &page {
            number += 1;
            if *found != number {
                return Err(Difference::MissingRoot(number).into());
            }
            let root = check_root(number, previous, signed, &chains.journals, key)?;
            previous = signed.hash();
            for (at, head) in root.heads.iter().enumerate() {
                chains.reach(at, head)?;
            }
        }
    }
    let kept = audit.heads().await?;
    for at in 0..chains.journals.len() {
        let journal = chains.journals[at];
        let head = kept.iter().find(|head| head.journal == journal).copied();
        chains.reach(
            at,
            &head.unwrap_or(Head::start(journal, log.start(journal))),
        )?;
    }
    Ok(Totals {
        roots: number,
        records: chains.records,
        unaudited: chains.unaudited(),
    })
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

/// The chains as they are hashed again.
struct Chains<'a> {
    log: &'a dyn Log,
    journals: Vec<TopicPartition>,
    /// `None` until a root says where the rest of a cut journal begins.
    heads: Vec<Option<Head>>,
    records: u64,
}

impl<'a> Chains<'a> {
    fn new(log: &'a dyn Log, journals: Vec<TopicPartition>) -> Chains<'a> {
        let whole =
            |journal: &TopicPartition| (log.start(*journal) == 0).then(|| Head::start(*journal, 0));
        Chains {
            log,
            heads: journals.iter().map(whole).collect(),
            journals,
            records: 0,
        }
    }

    /// Hashes on to where a head claims that a chain has come, and compares.
    fn reach(&mut self, at: usize, claimed: &Head) -> Result<(), VerifyError> {
        let (journal, to) = (claimed.journal, claimed.next_offset);
        let end = self.log.end(journal);
        if to > end {
            let lost = Difference::Lost {
                journal,
                end,
                audited: to,
            };
            return Err(lost.into());
        }
        let Some(head) = &mut self.heads[at] else {
            if to >= self.log.start(journal) {
                self.heads[at] = Some(*claimed);
            }
            return Ok(());
        };
        let from = head.next_offset;
        if to < from {
            return Err(Difference::Backwards { journal, from, to }.into());
        }
        let folded = head.fold(self.log, to);
        self.records += folded.map_err(|source| VerifyError::Read { journal, source })?;
        if head != claimed {
            let to = to.saturating_sub(1);
            let from = from.min(to);
            return Err(Difference::Chain { journal, from, to }.into());
        }
        Ok(())
    }

    fn unaudited(&self) -> u64 {
        let behind = |(journal, head): (&TopicPartition, &Option<Head>)| {
            let next = head.map_or(self.log.start(*journal), |head| head.next_offset);
            self.log.end(*journal) - next
        };
        self.journals.iter().zip(&self.heads).map(behind).sum()
    }
}
