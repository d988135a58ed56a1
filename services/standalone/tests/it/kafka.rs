//! What operators do to a platform on Apache Kafka, on the servers that `make test-kafka` starts.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use prepx_bus::file::RealDir;
use prepx_bus::kafka::{Config, Membership, topics};
use prepx_bus::{Batch, Change, KafkaLeases, KafkaLocation, KafkaLog, Leases as _, Location, Log};
use prepx_env::{Clock as _, SystemClock};
use prepx_stage::{Partition, Snapshots, Stage, Takeover, lane};
use prepx_standalone::core::manifest::DEFAULT;
use prepx_trading::MatchingCodec;
use serde_json::Value;

use crate::platform::prepx;

/// Names differ over the tests of one run; each run has servers of its own.
static NEXT: AtomicU32 = AtomicU32::new(0);

const LONG: Duration = Duration::from_secs(60);

/// Topics of a platform, on the servers of the run; and their URL.
fn platform() -> (KafkaLocation, String) {
    let url = std::env::var("PREPX_TEST_KAFKA");
    let url = url.expect("PREPX_TEST_KAFKA says where Kafka is: run `make test-kafka`");
    let url = format!("{url}/prepx-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let Ok(Location::Kafka(location)) = Location::parse(&url) else {
        panic!("PREPX_TEST_KAFKA is {url}; kafka://127.0.0.1:9092 would be right");
    };
    let nodes = std::env::var("PREPX_TEST_KAFKA_NODES");
    let nodes = nodes.map_or(1, |nodes| nodes.parse().expect("a number"));
    topics::apply(&location, &prepx_owner::kafka::declared(DEFAULT, nodes)).expect("topics");
    (location, url)
}

/// A message that matching cannot take, as a bug may send one.
fn send_poison(log: &dyn Log) {
    let (from, to) = (Stage::ACCOUNT.seat(0), Stage::MATCHING.seat(0));
    let mut batch = Batch::new();
    batch.push_with(to.lanes(), |bytes| {
        lane::write(from.journal(), 1, 1, &[b"no message"], bytes);
    });
    let position = log.append(None, &batch).expect("room");
    log.wait_durable(position, LONG).expect("durable");
}

/// Skips it: how that ends, and what is said.
fn skip(url: &str, snapshots: &str) -> (Option<i32>, String) {
    let place = [
        "--log-url",
        url,
        "--snapshot-url",
        snapshots,
        "--partition",
        "matching/0",
    ];
    let what = ["--input", "account-journal/0#1", "--reason", "a test"];
    prepx(&[&["stage", "skip"], &place[..], &what[..]].concat())
}

/// Whether matching, taken over now, takes the message.
fn takes(log: &dyn Log, snapshots: &Path) -> Result<usize, prepx_stage::Error> {
    let seat = Stage::MATCHING.seat(0);
    let snapshots = Snapshots::new(RealDir::open(snapshots).expect("a folder"));
    let takeover = Takeover {
        who: "a test",
        now: SystemClock::new().now(),
        reemit: false,
        watch: &(),
    };
    let codec = Arc::new(MatchingCodec::bundled().expect("calendars"));
    let mut stage = Partition::open(codec, seat, DEFAULT, log, &snapshots, takeover)?;
    let taken = stage.take_unread(log, seat.lanes(), 1 << 20)?;
    let position = stage.append(log)?.expect("something was begun");
    log.wait_durable(position, LONG).expect("durable");
    Ok(taken)
}

#[test]
fn a_partition_that_somebody_has_is_left_alone_and_one_that_nobody_has_goes_on_without_the_message()
{
    let (location, url) = platform();
    let directory = tempfile::tempdir().expect("a folder");
    let snapshots = format!("file:{}", directory.path().display());
    let log = KafkaLog::open(location.clone(), Config::named("a-test")).expect("brokers");
    send_poison(&*log);
    let stopped = takes(&*log, directory.path()).expect_err("it is poison");
    assert!(
        stopped.to_string().contains("account-journal/0#1"),
        "{stopped}"
    );

    let topic = Stage::MATCHING.journal;
    let owner = Membership::of(topic.name(), topic, "prepx-trading-7");
    let owner = KafkaLeases::join(&location, owner).expect("a client");
    while owner.next(LONG).expect("brokers") != Some(Change::Granted(0)) {}
    let (code, words) = std::thread::scope(|scope| {
        let skipping = scope.spawn(|| skip(&url, &snapshots));
        while !skipping.is_finished() {
            owner.next(Duration::from_millis(50)).expect("brokers");
        }
        skipping.join().expect("no panic")
    });
    assert_eq!(code, Some(1), "{words}");
    let said = [
        "matching/0 has an owner that runs, prepx-trading-7 at",
        "end the prepx-trading",
    ];
    assert!(said.iter().all(|said| words.contains(said)), "{words}");
    assert!(
        takes(&*log, directory.path()).is_err(),
        "nothing was changed"
    );

    drop(owner);
    let (code, words) = skip(&url, &snapshots);
    assert_eq!(code, Some(0), "{words}");
    assert_eq!(
        takes(&*log, directory.path()).expect("it is passed over"),
        1
    );
    let (code, words) = skip(&url, &snapshots);
    assert_eq!(code, Some(1), "it was passed: {words}");
    assert!(
        words.contains("no input that matching/0 has yet to take"),
        "{words}"
    );

    let shadow = [
        "shadow",
        "--json",
        "--log-url",
        &url,
        "--snapshot-url",
        &snapshots,
    ];
    let (code, words) = prepx(&shadow);
    assert_eq!(code, Some(0), "{words}");
    let totals: Value = serde_json::from_str(&words).expect("JSON");
    assert_eq!(
        (&totals["ok"], &totals["folded"]),
        (&true.into(), &0.into())
    );
    assert!(totals["transitions"].as_u64() >= Some(2), "{totals}");
}
