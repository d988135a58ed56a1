//! What brokers in memory do as Kafka does, beyond what the suite can ask of every engine.

use prepx_bus::brokers::{Brokers, Config};
use prepx_bus::{AppendError, Batch, Log, Topic, TopicPartition};

const JOURNAL: TopicPartition = Topic::AccountJournal.partition(0);
const OUTPUTS: [TopicPartition; 2] = [
    Topic::OrderProcessing.partition(0),
    Topic::PortfolioUpdates.partition(0),
];

fn brokers(seed: u64) -> Brokers {
    let config = Config {
        partitions: |_| 1,
        buffer_bytes: 64 << 10,
        batch_bytes_max: 8 << 10,
    };
    Brokers::new(seed, config)
}

fn batch(to: &[TopicPartition], text: &str) -> Batch {
    let mut batch = Batch::new();
    for &to in to {
        batch.push(to, text.as_bytes());
    }
    batch
}

fn transition(text: &str) -> Batch {
    batch(&[JOURNAL, OUTPUTS[0], OUTPUTS[1]], text)
}

fn texts(log: &dyn Log, from: TopicPartition) -> Vec<String> {
    let (mut at, mut texts) = (0, Vec::new());
    loop {
        let records = log.read(from, at, 1 << 20).unwrap();
        let Some(last) = records.last() else {
            return texts;
        };
        at = last.offset + 1;
        let text = |payload: &[u8]| String::from_utf8(payload.to_vec()).unwrap();
        texts.extend(records.iter().map(|record| text(&record.payload)));
    }
}

/// An owner is stopped anywhere in its batches, somebody else takes over, and it comes back: what it had
/// in flight is there whole when the fence returns or never will be, in order, and nothing follows.
#[test]
fn a_paused_owner_that_comes_back_changes_nothing() {
    let (mut whole, mut cut, mut refused, mut lost) = (0, 0, 0, 0);
    for seed in 0..300 {
        let brokers = brokers(seed);
        let (paused, log) = (brokers.handle(), brokers.handle());
        let stale = paused.fence(JOURNAL, "paused").unwrap();
        for n in 0..5 {
            paused
                .append(Some(stale), &transition(&n.to_string()))
                .unwrap();
        }
        (0..seed % 20).for_each(|_| {
            brokers.step();
        });
        paused.pause(true);
        let owner = log.fence(JOURNAL, "next").unwrap();
        let before = texts(&*log, JOURNAL);
        assert_eq!(before[..], ["0", "1", "2", "3", "4"][..before.len()]);
        for output in OUTPUTS {
            assert_eq!(texts(&*log, output), before, "seed {seed}: I2");
        }
        match before.len() {
            0 | 5 => whole += 1,
            _ => cut += 1,
        }
        paused.pause(false);
        brokers.settle();
        match paused.append(Some(stale), &transition("late")) {
            Err(AppendError::Fenced { .. }) => refused += 1,
            Err(AppendError::Poisoned(_)) => lost += 1,
            Err(other) => panic!("{other}"),
            Ok(_) => paused.flush(),
        }
        let last = log.append(Some(owner), &transition("next")).unwrap();
        log.flush();
        assert!(log.durable() >= last);
        brokers.settle();
        for to in [JOURNAL, OUTPUTS[0], OUTPUTS[1]] {
            let now = texts(&*log, to);
            assert_eq!(now[..before.len()], before, "seed {seed}: I2");
            assert_eq!(now[before.len()..], ["next"], "seed {seed}: I2");
        }
    }
    assert!(whole > 20 && cut > 20, "{whole} whole, {cut} cut off");
    assert!(refused + lost > 20, "{refused} refused, {lost} lost");
}

/// What is committed is seen in one partition before it is in another, and by others before its owner
/// knows of it.
#[test]
fn a_transaction_becomes_visible_one_partition_after_the_other() {
    let (mut apart, mut early) = (0, 0);
    for seed in 0..200 {
        let brokers = brokers(seed);
        let (log, other) = (brokers.handle(), brokers.handle());
        let owner = log.fence(JOURNAL, "owner").unwrap();
        let position = log.append(Some(owner), &transition("one")).unwrap();
        while log.durable() < position || brokers.step() {
            let seen = OUTPUTS.map(|output| other.end(output));
            apart += u32::from((seen[0] == 0) != (seen[1] == 0));
            early += u32::from(seen != [0, 0] && log.durable() < position);
        }
        // One record, one marker, and whatever was aborted before.
        assert!(log.end(OUTPUTS[0]) >= 2);
        assert_eq!(texts(&*other, OUTPUTS[0]), ["one"]);
    }
    assert!(apart > 20 && early > 20, "{apart} apart, {early} early");
}

/// A dead owner's open transaction hides what others append after it, until the brokers end it.
#[test]
fn what_is_behind_an_open_transaction_is_hidden_until_that_ends() {
    let mut hidden = 0;
    for seed in 0..200 {
        let brokers = brokers(seed);
        let (dead, log) = (brokers.handle(), brokers.handle());
        let owner = dead.fence(JOURNAL, "dead").unwrap();
        dead.append(Some(owner), &transition("open")).unwrap();
        (0..seed % 4).for_each(|_| {
            brokers.step();
        });
        dead.kill();
        let position = log.append(None, &batch(&OUTPUTS[..1], "behind")).unwrap();
        log.flush();
        assert!(log.durable() >= position);
        hidden += u32::from(texts(&*log, OUTPUTS[0]).is_empty());
        brokers.expire();
        assert_eq!(texts(&*log, OUTPUTS[0]).last().unwrap(), "behind");
    }
    assert!(hidden > 20, "{hidden} times it was hidden");
}
