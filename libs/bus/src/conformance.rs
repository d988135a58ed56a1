//! The suite that every engine of [`Log`] passes, and that says what the seam promises.
//!
//! Owns: the checks. Refuses: to demand what only one engine can do. An engine that can do more
//! (the embedded log's offsets are dense, its durable prefix is causally closed) is held to that
//! through [`Engine`]'s and [`Log`]'s own answers.
//!
//! A check panics when the engine fails it. [`run`] runs them all, each on a fresh engine.

use std::sync::Arc;
use std::time::Duration;

use crate::{
    AppendError, Batch, FenceError, Log, Owner, Position, ReadError, Record, Topic, TopicPartition,
};

/// An engine under test: one log, opened and lost again and again.
pub trait Engine {
    /// Opens the log as it is now. Earlier handles are stale from here on if the engine allows
    /// only one (embedded), and rivals otherwise (Kafka).
    fn open(&mut self) -> Arc<dyn Log>;

    /// Loses power: what was accepted and not durable may be gone. All handles are dead.
    fn crash(&mut self);

    /// Sees to it that everything accepted becomes durable: an engine without threads flushes.
    fn settle(&mut self);

    /// Whether offsets have no holes.
    fn dense_offsets(&self) -> bool;

    /// A bound on what can be accepted before the engine must answer [`AppendError::Full`].
    fn buffer_bytes(&self) -> u64;
}

const LONG: Duration = Duration::from_secs(30);
const JOURNAL: TopicPartition = Topic::AccountJournal.partition(1);
const RIVAL_JOURNAL: TopicPartition = Topic::MatchingJournal.partition(0);
const OUTPUT: TopicPartition = Topic::OrderProcessing.partition(2);
const OTHER_OUTPUT: TopicPartition = Topic::PortfolioUpdates.partition(0);

/// A check of the suite.
pub type Check = fn(&mut dyn Engine);

/// All checks by name.
pub const CHECKS: &[(&str, Check)] = &[
    (
        "offsets_rise_in_the_order_of_appends",
        offsets_rise_in_the_order_of_appends,
    ),
    (
        "i1_what_was_durable_survives_crashes",
        i1_what_was_durable_survives_crashes,
    ),
    (
        "i2_a_batch_is_whole_or_absent_after_a_crash",
        i2_a_batch_is_whole_or_absent_after_a_crash,
    ),
    (
        "i8_nothing_is_visible_before_it_is_durable",
        i8_nothing_is_visible_before_it_is_durable,
    ),
    (
        "a_fenced_owner_appends_nothing",
        a_fenced_owner_appends_nothing,
    ),
    (
        "only_the_owner_appends_to_a_journal",
        only_the_owner_appends_to_a_journal,
    ),
    (
        "epochs_rise_over_restarts_and_crashes",
        epochs_rise_over_restarts_and_crashes,
    ),
    (
        "a_takeover_meets_batches_whole_or_never",
        a_takeover_meets_batches_whole_or_never,
    ),
    (
        "a_durable_prefix_is_causally_closed",
        a_durable_prefix_is_causally_closed,
    ),
    (
        "i10_full_refuses_the_whole_batch",
        i10_full_refuses_the_whole_batch,
    ),
    (
        "too_large_and_empty_are_refused",
        too_large_and_empty_are_refused,
    ),
    (
        "reads_are_bounded_and_continue",
        reads_are_bounded_and_continue,
    ),
    (
        "truncated_and_unknown_offsets_are_errors",
        truncated_and_unknown_offsets_are_errors,
    ),
    (
        "subscribers_hear_of_what_is_durable",
        subscribers_hear_of_what_is_durable,
    ),
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

/// Offsets rise strictly, by one where the engine says so, and follow the order of acceptance.
pub fn offsets_rise_in_the_order_of_appends(engine: &mut dyn Engine) {
    let log = engine.open();
    for n in 0..50u32 {
        let (one, two) = (format!("{n}a"), format!("{n}b"));
        append(
            &*log,
            None,
            &[(OUTPUT, &one), (OTHER_OUTPUT, "x"), (OUTPUT, &two)],
        );
    }
    let last = append(&*log, None, &[(OTHER_OUTPUT, "end")]);
    engine.settle();
    log.wait_durable(last, LONG)
        .expect("the appends become durable");

    let expected: Vec<String> = (0..50)
        .flat_map(|n| [format!("{n}a"), format!("{n}b")])
        .collect();
    assert_eq!(texts(&*log, OUTPUT), expected);
    let offsets: Vec<u64> = read_all(&*log, OUTPUT)
        .iter()
        .map(|record| record.offset)
        .collect();
    assert!(
        offsets.is_sorted_by(|a, b| a < b),
        "offsets do not rise: {offsets:?}"
    );
    assert!(
        offsets
            .iter()
            .all(|offset| (log.start(OUTPUT)..log.end(OUTPUT)).contains(offset))
    );
    if engine.dense_offsets() {
        assert_eq!(offsets, (0..100).collect::<Vec<u64>>());
        assert_eq!((log.end(OUTPUT), log.end(OTHER_OUTPUT)), (100, 51));
    }
    assert_eq!(
        log.end(Topic::AuditLogs.partition(7)),
        0,
        "an unused partition is empty"
    );
    assert!(
        log.read(Topic::AuditLogs.partition(7), 0, 100)
            .expect("readable")
            .is_empty()
    );
}

/// I1: over many crashes every durable record stays, where it was.
pub fn i1_what_was_durable_survives_crashes(engine: &mut dyn Engine) {
    let mut expected = Vec::new();
    for round in 0..10u32 {
        let log = engine.open();
        assert_eq!(read_all(&*log, OUTPUT), expected, "before round {round}");
        for n in 0..5 {
            commit(engine, &*log, None, OUTPUT, round * 10 + n);
        }
        expected = read_all(&*log, OUTPUT);
        assert_eq!(expected.len() as u32, (round + 1) * 5);
        drop(log);
        engine.crash();
    }
}

/// I2: journal and outputs of one batch never come apart.
pub fn i2_a_batch_is_whole_or_absent_after_a_crash(engine: &mut dyn Engine) {
    let mut seen = 0;
    for round in 0..20 {
        let log = engine.open();
        let journal = texts(&*log, JOURNAL);
        assert_eq!(journal, texts(&*log, OUTPUT), "round {round}");
        assert_eq!(journal, texts(&*log, OTHER_OUTPUT), "round {round}");
        assert!(journal.len() >= seen);
        let owner = log
            .fence(JOURNAL, "conformance")
            .expect("the journal is fenced");
        for n in 0..8 {
            let text = format!("{round}.{n}");
            let all = [(JOURNAL, &text[..]), (OUTPUT, &text), (OTHER_OUTPUT, &text)];
            append(&*log, Some(owner), &all);
            // Some of each round is durable, the rest is in the air when the power goes.
            if n == 3 {
                engine.settle();
                seen = journal.len() + 4;
            }
        }
        drop(log);
        engine.crash();
    }
}

/// I8: a record that can be read is behind the watermark already, and `end` agrees.
pub fn i8_nothing_is_visible_before_it_is_durable(engine: &mut dyn Engine) {
    let log = engine.open();
    for n in 0..30u32 {
        let position = append(&*log, None, &[(OUTPUT, &n.to_string())]);
        let visible = read_all(&*log, OUTPUT).len() as u32;
        let end = log.end(OUTPUT);
        // Asked for after the read: the watermark only rises.
        if log.durable() < position {
            assert!(visible <= n, "record {n} was read before it was durable");
            assert!(!engine.dense_offsets() || end <= u64::from(n));
        }
        if n % 3 == 0 {
            engine.settle();
            log.wait_durable(position, LONG)
                .expect("the append becomes durable");
            assert_eq!(
                read_all(&*log, OUTPUT).len() as u32,
                n + 1,
                "durable and not visible"
            );
        }
    }
}

/// A stale owner is refused with the epoch that holds, and leaves nothing behind.
pub fn a_fenced_owner_appends_nothing(engine: &mut dyn Engine) {
    let log = engine.open();
    let stale = log
        .fence(JOURNAL, "the first")
        .expect("the journal is fenced");
    let other = log
        .fence(RIVAL_JOURNAL, "another stage")
        .expect("the journal is fenced");
    commit(engine, &*log, Some(stale), JOURNAL, 1);
    let owner = log
        .fence(JOURNAL, "the second")
        .expect("the journal is fenced");
    assert!(owner.epoch > stale.epoch);

    let refused = log.append(Some(stale), &batch(&[(JOURNAL, "2"), (OUTPUT, "2")]));
    assert_eq!(
        refused,
        Err(AppendError::Fenced {
            owner: stale,
            current: owner.epoch
        })
    );
    // Not even what would not touch the journal: outputs of a stale owner are stale too.
    let refused = log.append(Some(stale), &batch(&[(OUTPUT, "3")]));
    assert_eq!(
        refused,
        Err(AppendError::Fenced {
            owner: stale,
            current: owner.epoch
        })
    );

    commit(engine, &*log, Some(owner), JOURNAL, 4);
    commit(engine, &*log, Some(other), RIVAL_JOURNAL, 5);
    assert_eq!(texts(&*log, JOURNAL), ["1", "4"]);
    assert_eq!(texts(&*log, RIVAL_JOURNAL), ["5"]);
    assert!(texts(&*log, OUTPUT).is_empty());
}

/// Journals are closed to everybody but their owner, and only journals have owners.
pub fn only_the_owner_appends_to_a_journal(engine: &mut dyn Engine) {
    let log = engine.open();
    let not_owner = Err(AppendError::NotOwner { journal: JOURNAL });
    assert_eq!(
        log.append(None, &batch(&[(OUTPUT, "1"), (JOURNAL, "1")])),
        not_owner
    );
    let rival = log
        .fence(RIVAL_JOURNAL, "another stage")
        .expect("the journal is fenced");
    assert_eq!(
        log.append(Some(rival), &batch(&[(JOURNAL, "2")])),
        not_owner
    );
    let made_up = Owner {
        journal: JOURNAL,
        epoch: 1,
    };
    assert_eq!(
        log.append(Some(made_up), &batch(&[(JOURNAL, "3")])),
        Err(AppendError::Fenced {
            owner: made_up,
            current: 0
        })
    );
    assert_eq!(
        log.fence(OUTPUT, "nobody"),
        Err(FenceError::NotAJournal(OUTPUT))
    );
    let beyond = Topic::AccountJournal.partition(TopicPartition::COUNT_MAX);
    assert_eq!(
        log.fence(beyond, "nobody"),
        Err(FenceError::UnknownPartition(beyond))
    );
    let beyond = Topic::MarketData.partition(u32::MAX);
    assert_eq!(
        log.append(None, &batch(&[(beyond, "4")])),
        Err(AppendError::UnknownPartition(beyond))
    );
    engine.settle();
    assert!(texts(&*log, JOURNAL).is_empty() && texts(&*log, OUTPUT).is_empty());
}

/// A fence that has returned is remembered, whatever happens next.
pub fn epochs_rise_over_restarts_and_crashes(engine: &mut dyn Engine) {
    let mut last = None::<Owner>;
    for round in 0..12 {
        let log = engine.open();
        if let Some(stale) = last.filter(|_| round % 2 == 0) {
            let owner = log
                .fence(JOURNAL, "conformance")
                .expect("the journal is fenced");
            assert!(owner.epoch > stale.epoch, "{owner:?} after {stale:?}");
            let refused = log.append(Some(stale), &batch(&[(JOURNAL, "stale")]));
            assert_eq!(
                refused,
                Err(AppendError::Fenced {
                    owner: stale,
                    current: owner.epoch
                })
            );
        }
        let owner = log
            .fence(JOURNAL, "conformance")
            .expect("the journal is fenced");
        assert!(
            last.is_none_or(|last| owner.epoch > last.epoch),
            "{owner:?} after {last:?}"
        );
        last = Some(owner);
        drop(log);
        engine.crash();
    }
}

/// When a fence returns, what the stale owner had in the air is there whole or never will be.
pub fn a_takeover_meets_batches_whole_or_never(engine: &mut dyn Engine) {
    let log = engine.open();
    let mut owner = log.fence(JOURNAL, "0").expect("the journal is fenced");
    for round in 1..10 {
        for n in 0..4 {
            let text = format!("{round}.{n}");
            append(&*log, Some(owner), &[(JOURNAL, &text), (OUTPUT, &text)]);
        }
        let next = log
            .fence(JOURNAL, &round.to_string())
            .expect("the journal is fenced");
        let (journal, output) = (read_all(&*log, JOURNAL), texts(&*log, OUTPUT));
        assert_eq!(
            texts(&*log, JOURNAL),
            output,
            "a batch came apart at a takeover"
        );
        assert!(
            log.append(Some(owner), &batch(&[(OUTPUT, "late")]))
                .is_err()
        );
        engine.settle();
        assert_eq!(
            read_all(&*log, JOURNAL),
            journal,
            "the stale owner still wrote"
        );
        owner = next;
    }
    commit(engine, &*log, Some(owner), JOURNAL, 77);
    assert_eq!(texts(&*log, JOURNAL).last().map(String::as_str), Some("77"));
}

/// On an engine whose stages run ahead, an effect never survives its cause.
pub fn a_durable_prefix_is_causally_closed(engine: &mut dyn Engine) {
    for round in 0..20 {
        let log = engine.open();
        let (causes, effects) = (texts(&*log, OUTPUT), texts(&*log, OTHER_OUTPUT));
        assert!(
            causes.len() >= effects.len(),
            "round {round}: an effect without its cause"
        );
        assert_eq!(causes[..effects.len()], effects);
        let behind = effects.len()..causes.len();
        for text in behind.map(|at| &causes[at]) {
            append(&*log, None, &[(OTHER_OUTPUT, text)]);
        }
        for n in 0..6 {
            let text = format!("{round}.{n}");
            let cause = append(&*log, None, &[(OUTPUT, &text)]);
            if !log.runs_ahead() {
                engine.settle();
                log.wait_durable(cause, LONG)
                    .expect("the cause becomes durable");
            }
            append(&*log, None, &[(OTHER_OUTPUT, &text)]);
            if n == round % 6 {
                engine.settle();
            }
        }
        drop(log);
        engine.crash();
    }
}

/// I10: what does not fit is refused whole, and there is room again once the watermark moved.
pub fn i10_full_refuses_the_whole_batch(engine: &mut dyn Engine) {
    let log = engine.open();
    let payload = "x".repeat(1_000);
    let (first, bound) = (log.durable(), engine.buffer_bytes() / 1_000 + 1);
    let mut accepted = 0;
    // An engine with a thread may drain the buffer as fast as it fills: a few rounds are tried.
    while accepted < 20 * bound {
        match log.append(None, &batch(&[(OUTPUT, &payload), (OTHER_OUTPUT, "1")])) {
            Ok(_) => accepted += 1,
            Err(AppendError::Full {
                buffered_bytes,
                limit_bytes,
            }) => {
                assert!(buffered_bytes <= limit_bytes);
                break;
            }
            Err(other) => panic!("{other}"),
        }
        let drained = log.durable() > first;
        assert!(
            accepted <= bound || drained,
            "{accepted} batches buffered, room for {bound}"
        );
    }
    engine.settle();
    log.wait_durable(Position(first.0 + 1), LONG)
        .expect("the buffer is written");
    let after = commit_when_there_is_room(engine, &*log);
    log.wait_durable(after, LONG)
        .expect("the append becomes durable");
    assert_eq!(texts(&*log, OTHER_OUTPUT).len() as u64, accepted);
    assert_eq!(texts(&*log, OUTPUT).len() as u64, accepted + 1);
}

fn commit_when_there_is_room(engine: &mut dyn Engine, log: &dyn Log) -> Position {
    loop {
        let durable = log.durable();
        match log.append(None, &batch(&[(OUTPUT, "after")])) {
            Ok(position) => {
                engine.settle();
                return position;
            }
            Err(AppendError::Full { .. }) => {
                let next = Position(durable.0 + 1);
                log.wait_durable(next, LONG)
                    .expect("a full buffer is being written");
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// What can never be accepted is refused as such, and not as "try later".
pub fn too_large_and_empty_are_refused(engine: &mut dyn Engine) {
    let log = engine.open();
    let mut giant = Batch::new();
    giant.push_with(OUTPUT, |buffer| {
        buffer.resize(engine.buffer_bytes() as usize + 1, 7)
    });
    assert!(matches!(
        log.append(None, &giant),
        Err(AppendError::TooLarge { .. })
    ));
    assert_eq!(log.append(None, &Batch::new()), Err(AppendError::Empty));
    commit(engine, &*log, None, OUTPUT, 1);
    assert_eq!(texts(&*log, OUTPUT), ["1"]);
}

/// A read gives at least one record and at most the bytes asked for; the next one goes on there.
pub fn reads_are_bounded_and_continue(engine: &mut dyn Engine) {
    let log = engine.open();
    for n in 0..40u32 {
        commit(engine, &*log, None, OUTPUT, 10_000 + n);
    }
    let all = read_all(&*log, OUTPUT);
    assert_eq!(all.len(), 40);
    for max_bytes in [0, 1, 5, 9, 10, 11, 100, 1_000] {
        let (mut at, mut records) = (0, Vec::new());
        while records.len() < all.len() {
            let some = log
                .read(OUTPUT, at, max_bytes)
                .expect("the partition can be read");
            let bytes: usize = some.iter().map(|record| record.payload.len()).sum();
            assert!(!some.is_empty() && (bytes <= max_bytes || some.len() == 1));
            at = some.last().map_or(at, |last| last.offset + 1);
            records.extend(some);
        }
        assert_eq!(records, all);
        assert!(
            log.read(OUTPUT, log.end(OUTPUT), max_bytes)
                .expect("readable")
                .is_empty()
        );
    }
    let middle = &all[17];
    let found = log
        .read(OUTPUT, middle.offset, 1)
        .expect("the partition can be read");
    assert_eq!(found, std::slice::from_ref(middle));
}

/// Retention moves the start; reading before it, or past the end, is an error and not silence.
pub fn truncated_and_unknown_offsets_are_errors(engine: &mut dyn Engine) {
    let log = engine.open();
    for n in 0..10 {
        commit(engine, &*log, None, OUTPUT, n);
    }
    let all = read_all(&*log, OUTPUT);
    let kept = all[6].offset;
    log.truncate_before(OUTPUT, kept).expect("retention works");
    log.truncate_before(OUTPUT, all[2].offset)
        .expect("retention never goes back");
    assert_eq!(log.start(OUTPUT), kept);
    assert_eq!(read_all(&*log, OUTPUT), all[6..]);
    let gone = log.read(OUTPUT, all[5].offset, 100);
    assert!(
        matches!(gone, Err(ReadError::Truncated { start, .. }) if start == kept),
        "{gone:?}"
    );
    let end = log.end(OUTPUT);
    let past = log.read(OUTPUT, end + 1, 100);
    assert!(
        matches!(past, Err(ReadError::PastEnd { end: e, .. }) if e == end),
        "{past:?}"
    );

    log.truncate_before(OUTPUT, end + 1_000)
        .expect("retention works");
    assert_eq!(
        log.start(OUTPUT),
        end,
        "retention went beyond the durable end"
    );
    commit(engine, &*log, None, OUTPUT, 11);
    assert_eq!(texts(&*log, OUTPUT), ["11"]);
    assert!(
        read_all(&*log, OUTPUT)[0].offset >= end,
        "an offset was given twice"
    );
}

/// A subscriber hears of every position that it is given, at the latest when a waiter does.
pub fn subscribers_hear_of_what_is_durable(engine: &mut dyn Engine) {
    use std::sync::Mutex;
    let log = engine.open();
    let heard = Arc::new(Mutex::new(Vec::new()));
    log.watermark().subscribe({
        let heard = Arc::clone(&heard);
        move |progress| {
            heard
                .lock()
                .expect("the test holds it shortly")
                .push(progress.clone())
        }
    });
    let mut positions = vec![log.durable()];
    for n in 0..5 {
        positions.push(append(&*log, None, &[(OUTPUT, &n.to_string())]));
        engine.settle();
    }
    assert!(
        positions.is_sorted_by(|a, b| a < b),
        "positions do not rise: {positions:?}"
    );
    let last = positions[5];
    log.wait_durable(last, LONG)
        .expect("the appends become durable");
    // The waiter may be woken a moment before the hooks run; one more move is behind them.
    commit(engine, &*log, None, OUTPUT, 6);
    let heard = heard.lock().expect("the test holds it shortly");
    let durable: Vec<Position> = heard
        .iter()
        .map(|progress| match progress {
            crate::Progress::Durable(position) => *position,
            crate::Progress::Failed(poisoned) => panic!("{poisoned}"),
        })
        .collect();
    assert!(
        durable.is_sorted() && durable.iter().any(|heard| *heard >= last),
        "{durable:?}"
    );
}
