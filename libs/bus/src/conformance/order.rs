//! Offsets, bounds and retention.

use std::sync::mpsc;

use super::{Engine, JOURNAL, LONG, OTHER_OUTPUT, OUTPUT, append, batch, commit, read_all, texts};
use crate::{AppendError, Batch, Log, Position, ReadError, Record, Topic};

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

/// Whoever polls and waits for news between gets all that anybody appends, in order.
pub fn news_comes_of_what_others_append(engine: &mut dyn Engine) {
    let log = engine.open();
    let (told, news) = mpsc::channel();
    log.on_news(Box::new(move || {
        // Once this check is over nobody listens any more.
        let _ = told.send(());
    }));
    let rival = engine.rival();
    let (mut at, mut polled) = (0, Vec::new());
    for round in 1..=20u32 {
        for n in 0..round % 3 + 1 {
            commit(engine, &*rival, None, OUTPUT, 100 * round + n);
        }
        let last = (100 * round + round % 3).to_string();
        while polled.last() != Some(&last) {
            news.try_iter().for_each(drop);
            let more = log.poll(OUTPUT, at, 8).expect("the partition can be read");
            at = more.last().map_or(at, |last| last.offset + 1);
            if more.is_empty() {
                let told = news.recv_timeout(LONG);
                told.unwrap_or_else(|_| panic!("no news after {polled:?}"));
            }
            let text = |record: Record| String::from_utf8(record.payload.to_vec()).expect("text");
            polled.extend(more.into_iter().map(text));
        }
    }
    assert_eq!(polled, texts(&*log, OUTPUT));
}

/// Whoever has begun to follow a partition and then goes on further ahead is given what is there, and nothing before it.
pub fn a_poll_goes_on_further_ahead(engine: &mut dyn Engine) {
    let log = engine.open();
    for n in 0..10 {
        commit(engine, &*log, None, OUTPUT, n);
    }
    let all = read_all(&*log, OUTPUT);
    let late = engine.rival();
    let (told, news) = mpsc::channel();
    late.on_news(Box::new(move || {
        let _ = told.send(());
    }));
    let begun = late.poll(OUTPUT, 0, 0).expect("the partition can be read");
    assert!(begun.len() <= 1, "{begun:?}");
    let mut polled = Vec::new();
    while polled.len() < 4 {
        news.try_iter().for_each(drop);
        let at = polled
            .last()
            .map_or(all[6].offset, |last: &Record| last.offset + 1);
        let more = late.poll(OUTPUT, at, 8).expect("the partition can be read");
        if more.is_empty() {
            let told = news.recv_timeout(LONG);
            told.unwrap_or_else(|_| panic!("no news after {polled:?}"));
        }
        polled.extend(more);
    }
    assert_eq!(polled, all[6..]);
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

/// A table takes records with keys, of nobody and of owners; readers see the records.
pub fn a_record_with_a_key_is_read_like_others(engine: &mut dyn Engine) {
    let log = engine.open();
    let table = Topic::StageOwners.partition(0);
    let owner = log
        .fence(JOURNAL, "an owner")
        .expect("the journal is fenced");
    let mut last = Position(0);
    for (of, payload) in [(None, "one"), (Some(owner), "two"), (None, "three")] {
        let mut batch = Batch::new();
        batch.push_keyed(table, b"key", payload.as_bytes());
        last = log.append(of, &batch).expect("the batch is accepted");
        engine.settle();
        log.wait_durable(last, LONG).expect("it becomes durable");
    }
    assert!(last > Position(0));
    assert_eq!(texts(&*log, table), ["one", "two", "three"]);
}
