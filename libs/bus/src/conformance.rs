//! The suite that every engine of [`Log`] passes, and that says what the seam promises.
//!
//! Owns: the checks. Refuses: to demand what only one engine can do. An engine that can do more
//! (the embedded log's offsets are dense, its durable prefix is causally closed) is held to that
//! through [`Engine`]'s and [`Log`]'s own answers.
//!
//! A check panics when the engine fails it. [`run`] runs them all, each on a fresh engine.

mod durability;
pub mod leases;
mod order;
mod ownership;

use std::sync::Arc;
use std::time::Duration;

use crate::{Batch, Log, Owner, Position, Record, Topic, TopicPartition};

/// An engine under test: one log, opened and lost again and again.
pub trait Engine {
    /// Opens the log as it is now. No earlier handle is used after that.
    fn open(&mut self) -> Arc<dyn Log>;

    /// Another handle on the log that is open, as another process has it. An engine that admits
    /// one process gives the same handle again.
    fn rival(&mut self) -> Arc<dyn Log>;

    /// Loses power: what was accepted and not durable may be gone. All handles are dead.
    fn crash(&mut self);

    /// Sees to it that everything accepted becomes durable: an engine without threads flushes.
    fn settle(&mut self);

    /// Whether offsets have no holes.
    fn dense_offsets(&self) -> bool;

    /// A bound on what can be accepted before the engine must answer [`AppendError::Full`].
    fn buffer_bytes(&self) -> u64;
}

/// Long enough for any engine on any machine; nothing is measured.
const LONG: Duration = Duration::from_secs(30);
const JOURNAL: TopicPartition = Topic::AccountJournal.partition(1);
const RIVAL_JOURNAL: TopicPartition = Topic::MatchingJournal.partition(0);
const OUTPUT: TopicPartition = Topic::OrderProcessing.partition(2);
const OTHER_OUTPUT: TopicPartition = Topic::PortfolioUpdates.partition(0);

/// A check of the suite.
pub type Check = fn(&mut dyn Engine);

macro_rules! checks {
    ($($module:ident::$check:ident,)*) => { &[$((stringify!($check), $module::$check),)*] };
}

/// All checks by name.
pub const CHECKS: &[(&str, Check)] = checks![
    order::offsets_rise_in_the_order_of_appends,
    durability::i1_what_was_durable_survives_crashes,
    durability::i2_a_batch_is_whole_or_absent_after_a_crash,
    durability::i8_nothing_is_visible_before_it_is_durable,
    durability::i8_acknowledged_ends_are_past_what_was_acknowledged,
    durability::a_durable_prefix_is_causally_closed,
    durability::subscribers_hear_of_what_is_durable,
    ownership::a_fenced_owner_appends_nothing,
    ownership::a_stale_owner_elsewhere_changes_nothing,
    ownership::an_owner_knows_whether_it_still_is,
    ownership::only_the_owner_appends_to_a_journal,
    ownership::epochs_rise_over_restarts_and_crashes,
    ownership::a_takeover_meets_batches_whole_or_never,
    order::i10_full_refuses_the_whole_batch,
    order::too_large_and_empty_are_refused,
    order::reads_are_bounded_and_continue,
    order::news_comes_of_what_others_append,
    order::a_poll_goes_on_further_ahead,
    order::a_record_with_a_key_is_read_like_others,
    order::truncated_and_unknown_offsets_are_errors,
];

/// Runs every check on an engine of its own.
pub fn run<E: Engine>(mut fresh: impl FnMut() -> E) {
    for (name, check) in CHECKS {
        eprintln!("conformance: {name}");
        check(&mut fresh());
    }
}

fn batch(records: &[(TopicPartition, &str)]) -> Batch {
    let mut batch = Batch::new();
    for (to, payload) in records {
        batch.push(*to, payload.as_bytes());
    }
    batch
}

fn append(log: &dyn Log, owner: Option<Owner>, records: &[(TopicPartition, &str)]) -> Position {
    log.append(owner, &batch(records))
        .expect("the batch is accepted")
}

/// Appends, settles, and sees the position durable.
fn commit(
    engine: &mut dyn Engine,
    log: &dyn Log,
    owner: Option<Owner>,
    to: TopicPartition,
    n: u32,
) {
    let position = append(log, owner, &[(to, &n.to_string())]);
    engine.settle();
    log.wait_durable(position, LONG)
        .expect("the append becomes durable");
}

fn read_all(log: &dyn Log, from: TopicPartition) -> Vec<Record> {
    let (mut at, mut records) = (log.start(from), Vec::new());
    loop {
        let more = log
            .read(from, at, 1 << 20)
            .expect("the partition can be read");
        match more.last() {
            None => return records,
            Some(last) => at = last.offset + 1,
        }
        records.extend(more);
    }
}

fn texts(log: &dyn Log, from: TopicPartition) -> Vec<String> {
    let text = |record: Record| String::from_utf8(record.payload.to_vec()).expect("text");
    read_all(log, from).into_iter().map(text).collect()
}
