//! What operators do to a platform on Apache Kafka, on the servers that `make test-kafka` starts.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use prepx_bus::file::RealDir;
use prepx_bus::kafka::{Config, Membership, topics};
use prepx_bus::{Batch, Change, KafkaLeases, KafkaLocation, KafkaLog, Leases as _, Location, Log};
use prepx_env::{Clock as _, SystemClock};
use prepx_risk::AccountCodec;
use prepx_stage::{
    ArchivePace, Archives, Archivist, Codec, Keeper, Pace, Partition, Retention, Snapshots, Stage,
    Takeover, lane,
};
use prepx_standalone::core::manifest::DEFAULT;
use prepx_tests::Collector;
use prepx_trading::MatchingCodec;
use serde_json::{Value, json};

use crate::platform::{Platform, command, prepx};
use crate::skips::{add_account, end};
use crate::traces;

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
    topics::apply(
        &location,
        &prepx_owner::kafka::declared(DEFAULT, nodes(), None),
    )
    .expect("topics");
    (location, url)
}

fn nodes() -> u16 {
    let nodes = std::env::var("PREPX_TEST_KAFKA_NODES");
    nodes.map_or(1, |nodes| nodes.parse().expect("a number"))
}

/// Starts `prepx start` on it.
fn start(data_dir: &Path, url: &str) -> Platform {
    Platform::start_by(&mut starting(data_dir, url))
}

fn starting(data_dir: &Path, url: &str) -> Command {
    let mut command = command(data_dir);
    // The program refuses variables that it does not know.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PREPX_TEST_")) {
        command.env_remove(name);
    }
    command.env("PREPX_LOG_URL", url);
    command.env("PREPX_LOG_REPLICATION", nodes().to_string());
    command
}

/// As on a disk, where typed values are handed over; here every context goes through records.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_one_trace_through_records_alone() {
    let (_, kafka) = platform();
    let (collector, url) = Collector::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let settings = traces::settings(&url, 1_000_000, 3_600_000);
    let starting = starting(directory.path(), &kafka);
    let mut starting = traces::tracing(starting, directory.path(), &settings);
    let running = Platform::start_by(&mut starting);
    let trace = traces::trade(&running).await;
    traces::complete(&collector, &trace).await;
}

#[test]
fn what_differs_of_topics_is_printed_as_json_where_that_is_asked_for() {
    let (_, url) = platform();
    let replication = nodes().to_string();
    let plan = ["topics", "plan", "--json", "--url", &url];
    let as_made = ["--replication", &replication];
    assert_eq!(report(&[&plan[..], &as_made].concat()), json!([]));
    let otherwise = [&plan[..], &as_made, &["--account-partitions", "8"]].concat();
    let changes = report(&otherwise);
    let name = format!("{}.trading-commands", url.rsplit('/').next().unwrap());
    let never = json!({"change": "never", "topic": name, "what": "partitions", "from": DEFAULT.account_partitions, "to": 8});
    let changes = changes.as_array().unwrap();
    assert!(changes.contains(&never), "{changes:?}");
}

/// What a command prints as JSON; it must find nothing wrong.
fn report(of: &[&str]) -> Value {
    let (code, words) = prepx(of);
    assert_eq!(code, Some(0), "{words}");
    // What Kafka's library may have to say stands behind it.
    let mut values = serde_json::Deserializer::from_str(&words).into_iter();
    values.next().expect("a value").expect("JSON")
}

/// Who lets go of journals, as their owners do after a week.
struct Keeping {
    log: Arc<dyn Log>,
    retention: Retention,
    snapshots: Snapshots,
    archives: Archives,
}

impl Keeping {
    fn of(location: KafkaLocation, snapshots: &Path, archives: &Path) -> Keeping {
        let log = KafkaLog::open(location, Config::named("keeping")).expect("brokers");
        let retention = Retention::of_journals(log.clone());
        let stages = [Stage::ACCOUNT, Stage::MATCHING].into_iter();
        for seat in stages.flat_map(|stage| DEFAULT.seats(stage)) {
            // Nothing is let go of before it is archived.
            retention
                .release("archive", seat.journal(), 0)
                .expect("a log");
        }
        Keeping {
            retention,
            log,
            snapshots: Snapshots::new(RealDir::open(snapshots).expect("a folder")),
            archives: Archives::new(RealDir::open(archives).expect("a folder")),
        }
    }

    /// Makes the two snapshots of each partition behind which nothing but the archive needs the journal.
    fn snapshot<C: Codec>(&self, codec: C, stage: Stage) {
        let (codec, log) = (Arc::new(codec), &*self.log);
        for seat in DEFAULT.seats(stage) {
            let (own, snapshots, pace) =
                (Arc::clone(&codec), self.snapshots.clone(), Pace::default());
            let keeper = Keeper::open(own, seat, log, snapshots, &self.retention, pace);
            let mut keeper = keeper.expect("snapshots");
            for _ in 0..2 {
                keeper.snapshot(log, &self.retention).expect("it folds");
            }
        }
    }

    /// Archives each journal and lets go of what the snapshots leave.
    fn archive(&self, stage: Stage) {
        let pace = ArchivePace {
            events: 1,
            keep: Duration::ZERO,
            ..ArchivePace::default()
        };
        let (log, retention) = (&*self.log, &self.retention);
        for seat in DEFAULT.seats(stage) {
            let (archives, now) = (self.archives.clone(), SystemClock::new().now());
            let archivist = Archivist::open(seat, log, archives, retention, pace, now);
            let mut archivist = archivist.expect("a store");
            archivist.look(log, retention, 1, now).expect("room");
            assert!(log.start(seat.journal()) > 0, "{seat} is let go of");
        }
    }
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
        words.contains("not an input that matching/0 has yet to take"),
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

#[tokio::test(flavor = "multi_thread")]
async fn journals_that_kafka_has_let_go_of_are_checked_out_of_the_archive() {
    let (location, url) = platform();
    let directory = tempfile::tempdir().expect("a folder");
    let [data, archives] = ["data", "archives"].map(|name| directory.path().join(name));
    let running = start(&data, &url);
    running.add_instrument("PAST").await;
    add_account(&running, "first@example.com", "USD", "1000").await;
    let keeping = Keeping::of(location, &data.join("snapshots"), &archives);
    let config = prepx_account::Config::of_partitions(DEFAULT.account_partitions);
    keeping.snapshot(AccountCodec::new(config), Stage::ACCOUNT);
    keeping.snapshot(
        MatchingCodec::bundled().expect("calendars"),
        Stage::MATCHING,
    );
    add_account(&running, "second@example.com", "USD", "500").await;

    let data_dir = data.to_str().expect("words");
    let place = ["--json", "--data-dir", data_dir, "--log-url", &url];
    let beside = report(&[&["verify", "--url", &running.url], &place[..]].concat());
    let transitions = |report: &Value| report["journals"]["transitions"].as_u64();
    assert_eq!(beside["journals"]["cut"], json!([]));
    assert!(transitions(&beside) > Some(8), "{beside}");
    let (code, words) = prepx(&[&["verify"], &place[..]].concat());
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("in use by prepx start"), "{words}");
    end(running);

    for stage in [Stage::ACCOUNT, Stage::MATCHING] {
        keeping.archive(stage);
    }
    let archive_url = format!("file:{}", archives.display());
    let archived = [&place[..], &["--archive-url", &archive_url]].concat();
    let whole = report(&[&["verify"], &archived[..]].concat());
    assert_eq!(whole["journals"]["cut"], json!([]));
    assert!(transitions(&whole) >= transitions(&beside), "{whole}");
    let again = report(&[&["shadow"], &archived[..]].concat());
    assert_eq!(again["transitions"], whole["journals"]["transitions"]);
    assert_eq!(
        (&again["folded"], &again["differences"]),
        (&json!(0), &json!(0))
    );

    let rest = report(&[&["verify"], &place[..]].concat());
    assert_eq!(rest["journals"]["cut"].as_array().map(Vec::len), Some(8));
    assert!(transitions(&rest) < transitions(&whole), "{rest}");

    for segment in fs::read_dir(&archives).expect("a folder") {
        let path = segment.expect("a file").path();
        let mut bytes = fs::read(&path).expect("readable");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).expect("writable");
    }
    let (code, words) = prepx(&[&["verify"], &archived[..]].concat());
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("account-journal-0-"), "{words}");
}
