//! What survives, and who may see it when.

use std::sync::{Arc, Mutex, mpsc};

use super::{Engine, JOURNAL, LONG, OTHER_OUTPUT, OUTPUT, append, commit, read_all, texts};
use crate::{Log, Position, Progress};

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
        // Before the fence only what is causally closed is whole: Kafka marks a transaction's end
        // in one partition after the other.
        let before = log.runs_ahead().then(|| whole(&*log, round));
        let owner = log
            .fence(JOURNAL, "conformance")
            .expect("the journal is fenced");
        let journal = whole(&*log, round);
        assert!(journal.len() >= seen);
        assert!(before.is_none_or(|before| before == journal));
        for n in 0..8 {
            let text = format!("{round}.{n}");
            let all = [(JOURNAL, &text[..]), (OUTPUT, &text), (OTHER_OUTPUT, &text)];
            append(&*log, Some(owner), &all);
            // Some of each round is durable, the rest is in flight when the power goes.
            if n == 3 {
                engine.settle();
                seen = journal.len() + 4;
            }
        }
        drop(log);
        engine.crash();
    }
}

/// What the journal and both outputs hold, which is the same.
fn whole(log: &dyn Log, round: u32) -> Vec<String> {
    let journal = texts(log, JOURNAL);
    assert_eq!(journal, texts(log, OUTPUT), "round {round}");
    assert_eq!(journal, texts(log, OTHER_OUTPUT), "round {round}");
    journal
}

/// I8: a record that can be read is behind the watermark already, and `end` agrees.
pub fn i8_nothing_is_visible_before_it_is_durable(engine: &mut dyn Engine) {
    let log = engine.open();
    for n in 0..30u32 {
        let position = append(&*log, None, &[(OUTPUT, &n.to_string())]);
        let visible = read_all(&*log, OUTPUT).len() as u32;
        // Asked for after the read: the watermark only rises.
        let early = log.durable() < position && visible > n;
        assert!(!early, "record {n} was read before it was durable");
        let end = log.end(OUTPUT);
        let early = log.durable() < position && end > u64::from(n);
        assert!(!early || !engine.dense_offsets());
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

/// Once a record is acknowledged at one handle, the ends that any other handle is told are past it.
pub fn i8_acknowledged_ends_are_past_what_was_acknowledged(engine: &mut dyn Engine) {
    let log = engine.open();
    let owner = log
        .fence(JOURNAL, "conformance")
        .expect("the journal is fenced");
    let other = engine.rival();
    let ends = [0; 20].map(|_| {
        let position = append(&*log, Some(owner), &[(JOURNAL, "j"), (OUTPUT, "o")]);
        if log.runs_ahead() {
            engine.settle();
        }
        log.wait_durable(position, LONG)
            .expect("the append becomes durable");
        let (sender, ends) = mpsc::channel();
        let callback = Box::new(move |ends| sender.send(ends).expect("the test waits for it"));
        other.acknowledged_ends(&[OUTPUT], callback);
        ends.recv_timeout(LONG).expect("the ends are found")[0]
    });
    // Waits until all of it is visible.
    log.fence(JOURNAL, "conformance")
        .expect("the journal is fenced again");
    let offsets = read_all(&*other, OUTPUT).into_iter();
    let offsets: Vec<u64> = offsets.map(|record| record.offset).collect();
    assert_eq!(offsets.len(), ends.len());
    let late = offsets
        .iter()
        .zip(ends)
        .find(|(offset, end)| *offset >= end);
    assert_eq!(late, None, "an acknowledged record behind the end");
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

/// A subscriber hears of every position that it is given, at the latest when a waiter does.
pub fn subscribers_hear_of_what_is_durable(engine: &mut dyn Engine) {
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
            Progress::Durable(position) => *position,
            Progress::Failed(poisoned) => panic!("{poisoned}"),
        })
        .collect();
    assert!(
        durable.is_sorted() && durable.iter().any(|heard| *heard >= last),
        "{durable:?}"
    );
}
