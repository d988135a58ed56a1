//! The journals of a platform on Apache Kafka, as far back as they go: what is archived, then what the log has.
//!
//! Every record is folded, which checks its hash and its place, and is compared with what was chained and signed of it.
//! The newest snapshot must be what the fold has there. Refuses to wait for what comes meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use prepx_account as account;
use prepx_analytics::{Check, Head, Totals};
use prepx_bus::{Record, TopicPartition};
use prepx_portfolio::audit;
use prepx_risk::{AccountCodec, views};
use prepx_stage::port::Line;
use prepx_stage::{Codec, Seat, Skip, Stage, State, Transition};
use prepx_trading::MatchingCodec;

use super::stages::{Folded, same};
use crate::progress::bar;
use crate::recorded::Opened;

/// How much of a journal is read at once: about what a segment of the archive holds.
const READ_BYTES: usize = 16 << 20;
/// How often to look for what must come, and how long it may take.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS_MAX: u32 = 200;

/// What the journals come to.
pub(super) struct Journals {
    pub folded: Folded,
    /// What of the audit chain was checked.
    pub audit: Totals,
    /// What stages went on without.
    pub skipped: Vec<Skip>,
    pub extent: Extent,
    /// Of each account partition what it had in its books when it had come to where it was asked for; what is not
    /// zero.
    pub books: BTreeMap<Line, i64>,
}

/// How much of the journals there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Transitions that were folded.
    pub transitions: u64,
    /// Partitions whose oldest transitions are neither on the log nor archived, and the first that is.
    pub cut: Vec<(Seat, u64)>,
}

/// What is known of a journal before its first record; nothing where it was cut.
pub(super) fn begins(opened: &Opened) -> impl Fn(TopicPartition) -> Option<Head> {
    |journal| (opened.log.start(journal) == 0).then(|| Head::start(journal, 0))
}

/// Folds all journals to where they end now. `positions` are the transitions of the account partitions after which their
/// books are wanted.
///
/// # Errors
/// The first thing that is not right, or what kept it from looking.
pub(super) fn fold_all(opened: &Opened, check: Check, positions: &[u64]) -> Result<Journals> {
    let topology = opened.topology;
    let config = account::Config::of_partitions(topology.account_partitions);
    let (accounts, matching) = (AccountCodec::new(config), MatchingCodec::default());
    let mut books = BTreeMap::new();
    let mut folding = Folding {
        opened,
        check,
        skipped: Vec::new(),
        extent: Extent::default(),
        ends: BTreeMap::new(),
    };
    let mut fold_accounts = |seat: Seat| {
        let wanted = positions.get(seat.partition as usize).copied();
        folding.seat((&accounts, seat), wanted.unwrap_or(0), |state| {
            if wanted == Some(state.head.seq) {
                books.extend(views::lines(seat.partition, &state.machine));
            }
        })
    };
    let of_accounts = topology.seats(Stage::ACCOUNT).map(&mut fold_accounts);
    let of_accounts: Vec<_> = of_accounts.collect::<Result<_>>()?;
    for (partition, state) in of_accounts.iter().enumerate() {
        let holds = state.machine.check_invariants();
        holds.map_err(|difference| anyhow!("account partition {partition}: {difference}"))?;
    }
    let of_matching = topology.seats(Stage::MATCHING);
    let of_matching = of_matching.map(|seat| folding.seat((&matching, seat), 0, |_| ()));
    let of_matching = of_matching.collect::<Result<_>>()?;
    let ends = folding.ends;
    let audit = folding.check.finish(|journal| ends[&journal]);
    Ok(Journals {
        folded: Folded::of(of_accounts, of_matching, topology),
        audit: audit.map_err(|difference| anyhow!("audit: {difference}"))?,
        skipped: folding.skipped,
        extent: folding.extent,
        books,
    })
}

struct Folding<'a> {
    opened: &'a Opened,
    check: Check,
    skipped: Vec<Skip>,
    extent: Extent,
    /// Up to where each journal has been taken.
    ends: BTreeMap<TopicPartition, u64>,
}

impl Folding<'_> {
    /// Folds one journal to its end, and to transition `least` in any case; shows the state to `passed` before the first
    /// record and after each.
    fn seat<C: Codec>(
        &mut self,
        (codec, seat): (&C, Seat),
        least: u64,
        mut passed: impl FnMut(&State<C>),
    ) -> Result<State<C>> {
        let Opened { log, snapshots, .. } = self.opened;
        let journal = seat.journal();
        // Before the end is asked for, so that it is not behind it.
        let newest = snapshots.load(codec, seat)?;
        let end = log.end(journal);
        let mut folded = snapshots.oldest(codec, seat, &**log)?;
        if folded.next_offset > 0 {
            self.extent.cut.push((seat, folded.state.head.seq + 1));
        }
        let bar = bar("journals", end.saturating_sub(folded.next_offset));
        passed(&folded.state);
        let mut looks = LOOKS_MAX;
        loop {
            if folded.next_offset >= end && folded.state.head.seq >= least {
                break;
            }
            let read = log.read(journal, folded.next_offset, READ_BYTES)?;
            if read.is_empty() && (folded.state.head.seq >= least || looks == 0) {
                break;
            }
            if read.is_empty() {
                // What the services know to be durable may be shown to others a moment later.
                looks -= 1;
                std::thread::sleep(LOOK);
            }
            for record in &read {
                self.take(codec, &mut folded, record)?;
                passed(&folded.state);
                bar.inc(1);
                if folded.next_offset == newest.next_offset {
                    same(codec, seat, &newest.state, &folded.state)?;
                }
            }
        }
        bar.finish_and_clear();
        self.ends.insert(journal, end.max(folded.next_offset));
        reached(&folded, least, newest.next_offset)?;
        Ok(folded.state)
    }

    fn take<C: Codec>(
        &mut self,
        codec: &C,
        folded: &mut prepx_stage::Folded<C>,
        record: &Record,
    ) -> Result<()> {
        let journal = folded.seat.journal();
        let at = || format!("I6: {journal} at offset {}", record.offset);
        let chained = self.check.take(journal, record);
        chained.map_err(|difference| anyhow!("audit: {difference}"))?;
        let transition = Transition::decode(&record.payload).with_context(at)?;
        self.skipped.extend(Skip::of(folded.seat, transition));
        let state = &mut folded.state;
        state.fold(codec, &record.payload).with_context(at)?;
        folded.next_offset = record.offset + 1;
        self.extent.transitions += 1;
        Ok(())
    }
}

/// Whether a journal has come to where others say that it has (I1).
fn reached<C: Codec>(folded: &prepx_stage::Folded<C>, least: u64, snapshot: u64) -> Result<()> {
    let (journal, seq) = (folded.seat.journal(), folded.state.head.seq);
    ensure!(
        folded.next_offset >= snapshot,
        "I1: the newest snapshot of {journal} is of offset {snapshot}, the journal ends at {}",
        folded.next_offset
    );
    ensure!(
        seq >= least,
        "I1: {} has come to transition {least}, its journal ends with {seq}",
        folded.seat
    );
    Ok(())
}

impl Journals {
    /// Whether the books that were asked for are those of the services.
    ///
    /// # Errors
    /// The first difference, in words (I6).
    pub fn compare(&self, services: &audit::Totals) -> Result<()> {
        let own = audit::Totals::of(&self.books);
        own.check_conserved().map_err(anyhow::Error::msg)?;
        let zero = audit::Total::default();
        let of = |totals: &audit::Totals, asset| totals.0.get(asset).copied().unwrap_or(zero);
        for asset in own.0.keys().chain(services.0.keys()) {
            let (folded, said) = (of(&own, asset), of(services, asset));
            ensure!(
                folded == said,
                "I6: the books of {asset}: the journals come to {folded:?}, the services say {said:?}"
            );
        }
        Ok(())
    }
}
