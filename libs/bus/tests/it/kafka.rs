//! The Kafka engine passes the suite of the seam, on the servers that `make test-kafka` starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use prepx_bus::conformance::{self, Engine};
use prepx_bus::kafka::{Config, topics};
use prepx_bus::{KafkaLocation, KafkaLog, Location, Log, Topic};

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
        let url = std::env::var("PREPX_TEST_KAFKA");
        let url = url.expect("PREPX_TEST_KAFKA says where Kafka is: run `make test-kafka`");
        let prefix = format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let Ok(Location::Kafka(location)) = Location::parse(&format!("{url}/{prefix}")) else {
            panic!("PREPX_TEST_KAFKA is {url}; kafka://127.0.0.1:9092 would be right");
        };
        topics::apply(&location, &declared(nodes())).unwrap();
        Kafka {
            location,
            handles: Vec::new(),
        }
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

/// What was planned is made, once; settings follow the file, counts of partitions never do.
#[test]
fn topics_become_what_the_file_says() {
    let kafka = Kafka::new();
    let mut file = declared(nodes());
    assert_eq!(topics::plan(&kafka.location, &file).unwrap(), []);
    file.set_partitions("audit-logs", 9);
    let refused = topics::apply(&kafka.location, &file)
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("audit-logs has 8 partitions and the file says 9"),
        "{refused}"
    );
}
