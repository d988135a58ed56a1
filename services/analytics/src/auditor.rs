//! Keeps the audit chains: hashes durable records, commits the chains' heads, signs roots, releases the log.
//!
//! Runs on a thread of its own, once a second, so that hashing a megabyte of records never delays an order.
//! A failure changes nothing; the same records are read again and give the same chain. Messages that
//! operators have had skipped are listed on the way.

mod run;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::{SigningKey, VerifyingKey};
use prepx_bus::{Log, ReadError, Record, TopicPartition};
use prepx_domain::Micros;
use prepx_env::{Clock, Random};
use prepx_stage::{Duty, Lag, Retention, Seat, Skip, Topology, Transition};

use crate::chain::{Hash, Head, journals};
use crate::error::{Error, Result};
use crate::key;
use crate::root::{Root, Signed};
use crate::service::Deps;
use crate::store::{Audit, Move};

/// The name under which the audit registers what no signed root covers.
const CONSUMER: &str = "audit";
/// The reads of a journal in one pass, so that every journal gets its turn and commits stay frequent.
const STEPS_A_PASS: usize = 32;

/// When a root is due. Without a new record there is none.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// After this many records over all journals.
    pub records: u64,
    /// After this long.
    pub interval: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            records: 100_000,
            interval: Duration::from_secs(60),
        }
    }
}

/// The result of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Nothing new.
    Nothing,
    /// There were records, and all were processed.
    All,
    /// There may be further records.
    Part,
}

/// What the next root links to.
#[derive(Clone, Copy, Default)]
struct Last {
    number: u64,
    created_at: Micros,
    hash: Hash,
}

/// Keeps the chains of all journals.
pub struct Auditor {
    log: Arc<dyn Log>,
    retention: Arc<Retention>,
    topology: Topology,
    clock: Arc<dyn Clock>,
    duty: Duty,
    lag: Lag,
    audit: Audit,
    key: SigningKey,
    pace: Pace,
    heads: Vec<Head>,
    /// The offset up to which each journal was read: on Kafka the last offset before its end may have no
    /// record.
    seen: BTreeMap<TopicPartition, u64>,
    last: Last,
    /// Records in the chains that no root covers.
    unsigned: u64,
    /// When the last root was made, or this process began, on the monotonic clock.
    signed_at: Duration,
    /// When the months to come are looked at next, on the same.
    months_due: Duration,
}

impl Auditor {
    /// Continues from what the schema has. Registers with the log what is still needed, so it must be
    /// created before anything releases the log.
    pub async fn open(deps: &Deps, audit: Audit) -> Result<Auditor> {
        let newest = audit.newest_root().await?;
        let mut auditor = Auditor {
            key: open_key(&deps.directory, newest.as_ref(), &deps.random)?,
            log: Arc::clone(&deps.log),
            retention: Arc::clone(&deps.retention),
            topology: deps.topology,
            clock: Arc::clone(&deps.clock),
            duty: deps.duty.clone(),
            lag: Lag::new(CONSUMER, &deps.tail, &deps.clock),
            audit,
            pace: deps.pace,
            heads: Vec::new(),
            seen: BTreeMap::new(),
            last: Last::default(),
            unsigned: 0,
            signed_at: deps.clock.monotonic(),
            months_due: Duration::ZERO,
        };
        auditor.go_on_from_schema().await?;
        Ok(auditor)
    }

    /// Reads what the schema has, which another process may have continued.
    async fn go_on_from_schema(&mut self) -> Result<()> {
        let newest = self.audit.newest_root().await?;
        let (last, covered) = match &newest {
            None => (Last::default(), Vec::new()),
            Some((number, signed)) => {
                let root = decode(*number, signed)?;
                let last = Last {
                    number: *number,
                    created_at: root.created_at,
                    hash: signed.hash(),
                };
                (last, root.heads)
            }
        };
        let kept = self.audit.heads().await?;
        let (mut heads, mut unsigned) = (Vec::new(), 0);
        for journal in journals(self.topology) {
            let of = |heads: &[Head]| heads.iter().find(|head| head.journal == journal).copied();
            let head = of(&kept).unwrap_or_else(|| first(&*self.log, journal));
            let covered = of(&covered).unwrap_or_else(|| first(&*self.log, journal));
            let Some(more) = head.next_offset.checked_sub(covered.next_offset) else {
                let behind = format!("the head of {journal} is behind root {}", last.number);
                return Err(Error::Damaged(behind));
            };
            unsigned += more;
            self.retention
                .release(CONSUMER, journal, covered.next_offset)?;
            heads.push(head);
        }
        (self.heads, self.last, self.unsigned) = (heads, last, unsigned);
        let seen = self.heads.iter();
        self.seen = seen.map(|head| (head.journal, head.next_offset)).collect();
        Ok(())
    }

    /// The public key of its roots.
    pub fn public_key(&self) -> VerifyingKey {
        self.key.verifying_key()
    }

    /// Processes what is durable, and signs a root when one is due or `closing` asks for it.
    pub async fn pass(&mut self, closing: bool) -> Result<Pass> {
        let (mut heads, mut seen) = (self.heads.clone(), self.seen.clone());
        let (mut taken, mut more, mut skips) = (0, false, Vec::new());
        for head in &mut heads {
            let (journal, until) = (head.journal, self.end_for(head)?);
            if seen.get(&journal) == Some(&until) {
                continue;
            }
            let see = |record: &Record| skips.extend(skips_of(journal, record));
            let (new, seen_until) = look_through(&*self.log, head, until, see)?;
            taken += new;
            more |= seen_until < until;
            seen.insert(journal, seen_until);
        }
        let unsigned = self.unsigned + taken;
        let root = self.is_due(unsigned, closing).then(|| self.root(&heads));
        let signed = root.as_ref().map(|root| root.sign(&self.key));
        let moves: Vec<Move> = (self.heads.iter().zip(&heads))
            .filter(|(before, head)| before != head)
            .map(|(before, head)| (before.next_offset, *head))
            .collect();
        let new = root.as_ref().zip(signed.as_ref());
        if !moves.is_empty() || new.is_some() {
            self.audit.commit(&moves, &skips, new).await?;
        }
        (self.heads, self.seen) = (heads, seen);
        self.unsigned = unsigned;
        self.lag.publish(&self.seen, self.heads.len());
        if let Some((root, signed)) = root.zip(signed) {
            self.rooted(&root, &signed)?;
        }
        Ok(match (taken, more) {
            (0, _) => Pass::Nothing,
            (_, false) => Pass::All,
            (_, true) => Pass::Part,
        })
    }

    /// The offset up to which a journal may be processed. It is an alarm if the journal ends before its
    /// chain.
    fn end_for(&self, head: &Head) -> Result<u64> {
        let end = self.log.end(head.journal);
        if head.next_offset > end {
            return Err(Error::Read(ReadError::PastEnd {
                partition: head.journal,
                wanted: head.next_offset,
                end,
            }));
        }
        Ok(end)
    }

    fn is_due(&self, unsigned: u64, closing: bool) -> bool {
        let since = self.clock.monotonic().saturating_sub(self.signed_at);
        let late = closing || since >= self.pace.interval;
        unsigned >= self.pace.records || (late && unsigned > 0)
    }

    fn root(&self, heads: &[Head]) -> Root {
        Root {
            number: self.last.number + 1,
            created_at: self.clock.now().max(self.last.created_at),
            previous: self.last.hash,
            heads: heads.to_vec(),
        }
    }

    /// A root is on the disk: the log may drop what it covers.
    fn rooted(&mut self, root: &Root, signed: &Signed) -> Result<()> {
        self.last = Last {
            number: root.number,
            created_at: root.created_at,
            hash: signed.hash(),
        };
        self.unsigned = 0;
        self.signed_at = self.clock.monotonic();
        for head in &root.heads {
            self.retention
                .release(CONSUMER, head.journal, head.next_offset)?;
        }
        Ok(())
    }
}

/// Processes a journal's records before `until`, in a bounded number of reads; returns how many, and the offset
/// up to which there are no more.
fn look_through(
    log: &dyn Log,
    head: &mut Head,
    until: u64,
    mut see: impl FnMut(&Record),
) -> Result<(u64, u64)> {
    let mut taken = 0;
    for _ in 0..STEPS_A_PASS {
        match head.step(log, until, &mut see)? {
            0 => return Ok((taken, until)),
            some => taken += some,
        }
    }
    Ok((taken, head.next_offset))
}

/// The skips in a record of a journal. A record that is not a transition has none; the stage that folds the
/// journal stops at it.
fn skips_of(journal: TopicPartition, record: &Record) -> Vec<Skip> {
    let transition = Transition::decode(&record.payload).ok();
    let found = Seat::of_journal(journal).zip(transition);
    found.map_or_else(Vec::new, |(seat, transition)| {
        Skip::of(seat, transition).collect()
    })
}

/// The start of a new chain: the journal's beginning, or the first record of a journal that was truncated
/// before it was audited.
fn first(log: &dyn Log, journal: TopicPartition) -> Head {
    Head::start(journal, log.start(journal))
}

fn decode(number: u64, signed: &Signed) -> Result<Root> {
    Root::decode(&signed.body)
        .ok_or_else(|| Error::Damaged(format!("the bytes of root {number} are not a root")))
}

/// The key that signed the newest root, or a new one when there is no root.
fn open_key(
    directory: &Path,
    newest: Option<&(u64, Signed)>,
    random: &Random,
) -> Result<SigningKey> {
    let key = key::read(directory)?;
    match (key, newest) {
        (Some(key), Some((_, root))) if root.is_by(&key.verifying_key()) => Ok(key),
        (_, Some((number, _))) => Err(Error::OtherKey {
            path: key::path_in(directory),
            root: *number,
        }),
        (Some(key), None) => Ok(key),
        (None, None) => key::create(directory, random),
    }
}
