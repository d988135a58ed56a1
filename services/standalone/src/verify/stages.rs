//! The stages of a data directory: as they would start, and as their journals say.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use prepx_account as account;
use prepx_bus::{Log, Record, Topic, TopicPartition};
use prepx_domain::AccountId;
use prepx_domain::update::OrderView;
use prepx_risk::{AccountCodec, views};
use prepx_stage::port::Line;
use prepx_stage::{Codec, Seat, Snapshots, Stage, State, Topology};
use prepx_trading::MatchingCodec;

use crate::progress::bar;

/// All stage partitions, folded to the ends of their journals.
pub(super) struct Folded {
    pub accounts: Vec<State<AccountCodec>>,
    matching: Vec<State<MatchingCodec>>,
    topology: Topology,
}

/// Folds every partition, checking each record's hash on the way.
pub(super) fn fold_all(log: &dyn Log, snapshots: &Snapshots, topology: Topology) -> Result<Folded> {
    let config = account::Config::of_partitions(topology.account_partitions);
    let accounts = AccountCodec::new(config);
    let fold_accounts = |seat| fold(&accounts, log, snapshots, seat);
    let fold_matching = |seat| fold(&MatchingCodec::default(), log, snapshots, seat);
    Ok(Folded {
        accounts: topology
            .seats(Stage::ACCOUNT)
            .map(fold_accounts)
            .collect::<Result<_>>()?,
        matching: topology
            .seats(Stage::MATCHING)
            .map(fold_matching)
            .collect::<Result<_>>()?,
        topology,
    })
}

/// The state that a start would have: the newest snapshot and the journal from there on.
fn fold<C: Codec>(codec: &C, log: &dyn Log, snapshots: &Snapshots, seat: Seat) -> Result<State<C>> {
    let journal = seat.journal();
    let mut folded = snapshots.load(codec, seat)?;
    let (first, end) = (folded.next_offset, log.end(journal));
    ensure!(
        first <= end,
        "I1: the newest snapshot of {journal} is of offset {first}, the journal ends at {end}"
    );
    let bar = bar("journals", end - first);
    let passed = |next| bar.set_position(next - first);
    let all = folded.fold_to_end::<anyhow::Error>(codec, log, passed);
    all.with_context(|| format!("I6: {journal} does not fold"))?;
    bar.finish_and_clear();
    Ok(folded.state)
}

/// All stage partitions, folded from the beginnings of their journals as records pass.
pub(super) struct Whole {
    codecs: (AccountCodec, MatchingCodec),
    accounts: Vec<State<AccountCodec>>,
    matching: Vec<State<MatchingCodec>>,
}

impl Whole {
    /// Before anything was decided.
    pub fn of(topology: Topology) -> Whole {
        let config = account::Config::of_partitions(topology.account_partitions);
        let codecs = (AccountCodec::new(config), MatchingCodec::default());
        let count = |stage| topology.seats(stage).count();
        Whole {
            accounts: (0..count(Stage::ACCOUNT))
                .map(|_| State::initial(&codecs.0))
                .collect(),
            matching: (0..count(Stage::MATCHING))
                .map(|_| State::initial(&codecs.1))
                .collect(),
            codecs,
        }
    }

    /// Folds the next record of a journal; what is no journal's is left alone.
    pub fn fold(&mut self, from: TopicPartition, record: &Record) -> Result<()> {
        let at = from.partition as usize;
        let folded = match from.topic {
            Topic::AccountJournal => self.accounts[at].fold(&self.codecs.0, &record.payload),
            Topic::MatchingJournal => self.matching[at].fold(&self.codecs.1, &record.payload),
            _ => return Ok(()),
        };
        folded.with_context(|| format!("I6: {from} at offset {}", record.offset))
    }

    /// Must have come to what the stages would start with (I6).
    pub fn compare(&self, folded: &Folded) -> Result<()> {
        let stages = folded.accounts.iter().zip(&self.accounts);
        for (number, (started, whole)) in stages.enumerate() {
            let seat = Stage::ACCOUNT.seat(number as u32);
            same(&self.codecs.0, seat, started, whole)?;
        }
        let stages = folded.matching.iter().zip(&self.matching);
        for (number, (started, whole)) in stages.enumerate() {
            let seat = Stage::MATCHING.seat(number as u32);
            same(&self.codecs.1, seat, started, whole)?;
        }
        Ok(())
    }
}

/// Whether the state of a snapshot is what the journal comes to there (I6).
pub(super) fn same<C: Codec>(
    codec: &C,
    seat: Seat,
    started: &State<C>,
    whole: &State<C>,
) -> Result<()> {
    let bytes = |state: &State<C>| {
        let mut bytes = Vec::new();
        codec.encode_state(&state.machine, &mut bytes);
        bytes
    };
    ensure!(
        whole.head == started.head && bytes(whole) == bytes(started),
        "I6: the snapshot of {} and the fold of the whole journal differ",
        seat.journal()
    );
    Ok(())
}

impl Folded {
    /// These partitions, in their order.
    pub fn of(
        accounts: Vec<State<AccountCodec>>,
        matching: Vec<State<MatchingCodec>>,
        topology: Topology,
    ) -> Folded {
        Folded {
            accounts,
            matching,
            topology,
        }
    }

    /// All books of all account partitions; those that come to zero are left out.
    pub fn books(&self) -> BTreeMap<Line, i64> {
        let partitions = (0u32..).zip(&self.accounts);
        partitions
            .flat_map(|(partition, state)| views::lines(partition, &state.machine))
            .collect()
    }

    /// All accounts.
    pub fn account_ids(&self) -> impl Iterator<Item = AccountId> {
        let machines = self.accounts.iter().map(|state| &state.machine);
        machines.flat_map(account::Stage::accounts)
    }

    /// All orders that live.
    pub fn open_orders(&self) -> impl Iterator<Item = OrderView> {
        let machines = self.accounts.iter().map(|state| &state.machine);
        machines.flat_map(|machine| {
            let ids = machine.accounts().into_iter();
            ids.flat_map(|id| machine.open_orders(id))
        })
    }

    /// How many messages the matching stage has sent that account stages have not taken: while
    /// there are some, clearing holds the other side of their trades.
    pub fn undelivered(&self) -> u64 {
        let mut count = 0;
        for (from, matching) in self.topology.seats(Stage::MATCHING).zip(&self.matching) {
            for (to, account) in self.topology.seats(Stage::ACCOUNT).zip(&self.accounts) {
                let sent = matching.head.sent.get(&to.lanes());
                let received = account.head.received.get(&from.journal());
                let number = |number: Option<&u64>| number.copied().unwrap_or_default();
                count += number(sent).saturating_sub(number(received));
            }
        }
        count
    }
}
