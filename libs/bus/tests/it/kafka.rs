//! The Kafka engine passes the suite of the seam, on the servers that `make test-kafka` starts.

mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use prepx_bus::conformance::{self, Engine};
use prepx_bus::kafka::{Config, Membership, holder, topics};
use prepx_bus::{
    Batch, Change, KafkaLeases, KafkaLocation, KafkaLog, Leases, Location, Log, Topic,
};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

/// Names differ over the engines of one run; each run has servers of its own.
static NEXT: AtomicU32 = AtomicU32::new(0);

const LONG: Duration = Duration::from_secs(30);

/// Topics of its own, on the servers of the run.
pub struct Kafka {
    location: KafkaLocation,
    handles: Vec<Arc<KafkaLog>>,
}

impl Kafka {
    pub fn new() -> Kafka {
        Kafka::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut topics::Topics)) -> Kafka {
        let location = Kafka::place();
        let mut declared = declared(nodes());
        change(&mut declared);
        topics::apply(&location, &declared).unwrap();
        Kafka {
            location,
            handles: Vec::new(),
        }
    }

    /// A place without topics.
    fn place() -> KafkaLocation {
        let url = std::env::var("PREPX_TEST_KAFKA");
        let url = url.expect("PREPX_TEST_KAFKA says where Kafka is: run `make test-kafka`");
        let prefix = format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let Ok(Location::Kafka(location)) = Location::parse(&url) else {
            panic!("PREPX_TEST_KAFKA is {url}; kafka://127.0.0.1:9092 would be right");
        };
        KafkaLocation { prefix, ..location }
    }

    fn handle(&mut self) -> Arc<KafkaLog> {
        let id = format!("handle-{}", self.handles.len());
        let log = KafkaLog::open(self.location.clone(), small(&id)).unwrap();
        self.handles.push(Arc::clone(&log));
        log
    }
}

fn nodes() -> u16 {
    std::env::var("PREPX_TEST_KAFKA_NODES").map_or(1, |nodes| nodes.parse().unwrap())
}

/// Small enough that every check meets full buffers and several transactions.
fn small(id: &str) -> Config {
    Config {
        buffer_bytes: 64 << 10,
        batch_bytes_max: 8 << 10,
        transaction_bytes_max: 4 << 10,
        patience: LONG,
        ..Config::named(id)
    }
}

/// The topics of the file, with as few partitions as the suite can do with.
fn declared(nodes: u16) -> topics::Topics {
    let mut declared = topics::Topics::shipped();
    declared.retain(|name| name.parse::<Topic>().is_ok());
    declared.replicate(nodes, if nodes > 1 { 2 } else { 1 });
    for &topic in Topic::ALL {
        let partitions = match topic {
            Topic::AuditLogs => 8,
            Topic::OrderProcessing => 3,
            Topic::AccountJournal => 2,
            _ => 1,
        };
        declared.set_partitions(topic.name(), partitions);
    }
    declared
}

impl Engine for Kafka {
    fn open(&mut self) -> Arc<dyn Log> {
        self.crash();
        self.handle()
    }

    fn rival(&mut self) -> Arc<dyn Log> {
        self.handle()
    }

    /// The process is killed; the brokers have not noticed when the next one opens.
    fn crash(&mut self) {
        for handle in self.handles.drain(..) {
            handle.abandon();
        }
    }

    fn settle(&mut self) {
        for handle in &self.handles {
            // A handle whose owner has been fenced has nothing to wait for any more.
            let _ = handle.flush(LONG);
        }
    }

    fn dense_offsets(&self) -> bool {
        false
    }

    fn buffer_bytes(&self) -> u64 {
        small("any").buffer_bytes
    }
}

#[test]
fn on_kafka() {
    conformance::run(Kafka::new);
}

/// Records that are there, committed or not: what only a reader who does not care for that sees.
fn written(location: &KafkaLocation, topic: Topic) -> i64 {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &location.brokers)
        .set("isolation.level", "read_uncommitted")
        .create()
        .unwrap();
    let name = format!("{}.{topic}", location.prefix);
    consumer.fetch_watermarks(&name, 0, LONG).unwrap().1
}

fn texts(log: &dyn Log, topic: Topic) -> Vec<String> {
    let records = log
        .read(topic.partition(0), 0, 1 << 20)
        .unwrap()
        .into_iter();
    records
        .map(|record| String::from_utf8(record.payload.to_vec()).unwrap())
        .collect()
}

fn batch(records: &[(Topic, &str)]) -> Batch {
    let mut batch = Batch::new();
    for (topic, payload) in records {
        batch.push(topic.partition(0), payload.as_bytes());
    }
    batch
}

/// An owner is killed between the records of its batch and the commit. Nobody sees past them until the
/// next owner has fenced, which gives them up; then they are never seen.
#[test]
fn a_takeover_ends_the_open_transaction_of_an_owner_that_was_killed() {
    let (journal, output) = (Topic::AccountJournal, Topic::PortfolioUpdates);
    let mut kafka = Kafka::new();
    let killed = kafka.handle();
    let stale = killed.fence(journal.partition(0), "killed").unwrap();
    let first = killed
        .append(Some(stale), &batch(&[(journal, "1")]))
        .unwrap();
    killed.wait_durable(first, LONG).unwrap();
    killed.abandon();
    killed
        .append(Some(stale), &batch(&[(journal, "2"), (output, "2")]))
        .unwrap();
    let mut tries = 1_000;
    while written(&kafka.location, output) == 0 {
        tries -= 1;
        assert!(
            tries > 0,
            "the records of the open transaction were never written"
        );
    }

    let next = kafka.handle();
    assert_eq!(
        (next.end(output.partition(0)), texts(&*next, output).len()),
        (0, 0)
    );
    let owner = next.fence(journal.partition(0), "next").unwrap();
    assert_eq!(owner.epoch, stale.epoch + 1);
    assert_eq!(texts(&*next, journal), ["1"]);
    let last = next
        .append(Some(owner), &batch(&[(journal, "3"), (output, "3")]))
        .unwrap();
    next.wait_durable(last, LONG).unwrap();
    assert_eq!(texts(&*next, journal), ["1", "3"]);
    assert_eq!(texts(&*next, output), ["3"]);
    assert!(written(&kafka.location, output) > 2, "nothing was aborted");
}

/// The epoch is in the newest record of a journal, so retention leaves that one.
#[test]
fn epochs_rise_over_retention_of_the_whole_journal() {
    let journal = Topic::AccountJournal.partition(1);
    let mut kafka = Kafka::new();
    let log = kafka.handle();
    let first = log.fence(journal, "first").unwrap();
    log.truncate_before(journal, u64::MAX).unwrap();
    assert!(log.start(journal) < log.end(journal));
    kafka.crash();
    let second = kafka.handle().fence(journal, "second").unwrap();
    assert_eq!((first.epoch, second.epoch), (1, 2));
}

/// What was planned is made, once; settings follow the file, counts of partitions never do.
#[test]
fn topics_become_what_the_file_says() {
    let kafka = Kafka::new();
    let mut file = declared(nodes());
    until_nothing_is_planned(&kafka.location, &file);
    file.set_partitions("audit-logs", 9);
    let refused = topics::apply(&kafka.location, &file)
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("audit-logs has 8 partitions and the file says 9"),
        "{refused}"
    );
}

#[test]
fn processes_that_start_together_make_the_topics_once() {
    let (location, file) = (Kafka::place(), declared(nodes()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| topics::apply(&location, &file).unwrap());
        }
    });
    until_nothing_is_planned(&location, &file);
}

/// Brokers hear of what was made one after the other, and any of them may be asked: so often that all
/// have heard long before the last time.
fn until_nothing_is_planned(location: &KafkaLocation, file: &topics::Topics) {
    let mut plans = (0..2_000).map(|_| topics::plan(location, file).unwrap());
    assert!(plans.any(|plan| plan.is_empty()), "still planned");
}

/// A group of its own, on the servers of the run.
struct Groups {
    location: KafkaLocation,
    session: Duration,
}

impl conformance::leases::Engine for Groups {
    fn join(&mut self) -> Arc<dyn Leases> {
        let membership = Membership {
            session: self.session,
            ..Membership::of("conformance", Topic::AuditLogs, "a test")
        };
        Arc::new(KafkaLeases::join(&self.location, membership).unwrap())
    }

    /// Nobody asks it any more, and the suite waits until the others have what it had: the brokers take it
    /// for dead meanwhile.
    fn silence(&mut self, _: &Arc<dyn Leases>) {}
}

#[test]
fn leases_on_kafka() {
    conformance::leases::run(|| {
        let kafka = Kafka::with(|declared| {
            declared.set_partitions(Topic::AuditLogs.name(), conformance::leases::PARTITIONS);
        });
        Groups {
            location: kafka.location,
            session: Duration::from_secs(1),
        }
    });
}

#[test]
fn a_session_that_brokers_do_not_allow_is_told() {
    let location = Kafka::new().location;
    let membership = Membership {
        session: Duration::from_millis(10),
        ..Membership::of("hasty", Topic::AuditLogs, "a test")
    };
    let leases = KafkaLeases::join(&location, membership).unwrap();
    let refused = (0..3_000).find_map(|_| leases.next(Duration::from_millis(10)).err());
    let refused = refused.unwrap().to_string();
    assert!(
        refused.contains("group.min.session.timeout.ms"),
        "{refused}"
    );
}

#[test]
fn who_has_a_lease_is_known_to_those_who_only_ask() {
    let kafka = Kafka::new();
    let (group, topic) = ("asked", Topic::AccountJournal);
    let holder = || holder(&kafka.location, group, topic, 0).unwrap();
    assert_eq!(holder(), None);
    let member = Membership::of(group, topic, "who-has-it");
    let member = KafkaLeases::join(&kafka.location, member).unwrap();
    while member.next(LONG).unwrap() != Some(Change::Granted(0)) {}
    let has = (0..3_000).find_map(|_| {
        member.next(Duration::from_millis(10)).unwrap();
        holder().filter(|has| has.starts_with("who-has-it at "))
    });
    assert!(has.is_some(), "{:?}", holder());
    drop(member);
    assert!((0..3_000).any(|_| holder().is_none()), "{:?}", holder());
}
