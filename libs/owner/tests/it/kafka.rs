//! The scenarios on Apache Kafka, on the servers that `make test-kafka` starts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prepx_bus::kafka::{Config, Membership, topics};
use prepx_bus::{KafkaLeases, KafkaLocation, KafkaLog, Leases, Location, Log};
use prepx_owner::Logs;
use prepx_stage::Stage;

use crate::process::{Ground, TOPOLOGY};
use crate::scenarios;

/// Names differ over the tests of one run; each run has servers of its own.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Short, so that nobody waits long for those who are gone.
const SESSION: Duration = Duration::from_secs(2);

/// Handles by process.
type Handles = Arc<Mutex<BTreeMap<String, Vec<Arc<KafkaLog>>>>>;

/// Topics of its own, on the servers of the run.
struct Kafka {
    directory: tempfile::TempDir,
    location: KafkaLocation,
    handles: Handles,
}

fn ground() -> Kafka {
    let url = std::env::var("PREPX_TEST_KAFKA");
    let url = url.expect("PREPX_TEST_KAFKA says where Kafka is: run `make test-kafka`");
    let prefix = format!("owner-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let Ok(Location::Kafka(location)) = Location::parse(&url) else {
        panic!("PREPX_TEST_KAFKA is {url}; kafka://127.0.0.1:9092 would be right");
    };
    let location = KafkaLocation { prefix, ..location };
    let nodes = std::env::var("PREPX_TEST_KAFKA_NODES");
    let nodes = nodes.map_or(1, |nodes| nodes.parse().unwrap());
    let mut declared = prepx_owner::kafka::declared(TOPOLOGY, nodes, None);
    declared.retain(|name| name.parse::<prepx_bus::Topic>().is_ok());
    topics::apply(&location, &declared).unwrap();
    Kafka {
        directory: tempfile::tempdir().unwrap(),
        location,
        handles: Handles::default(),
    }
}

impl Ground for Kafka {
    fn logs(&self, process: &str) -> Logs {
        let (location, handles) = (self.location.clone(), Arc::clone(&self.handles));
        let process = process.to_owned();
        Arc::new(move |name, reading| {
            let config = Config {
                reading,
                ..Config::named(format!("{process}.{name}"))
            };
            let log = KafkaLog::open(location.clone(), config)?;
            let mut handles = handles.lock().unwrap();
            let of_process = handles.entry(process.clone()).or_default();
            of_process.push(Arc::clone(&log));
            Ok(log as Arc<dyn Log>)
        })
    }

    fn join(&mut self, stage: Stage, process: &str) -> Arc<dyn Leases> {
        let membership = Membership {
            session: SESSION,
            ..Membership::of(stage.journal.name(), stage.journal, process)
        };
        Arc::new(KafkaLeases::join(&self.location, membership).unwrap())
    }

    /// Who does not ask is taken for dead after a while.
    fn silence(&mut self, _: &[Arc<dyn Leases>]) {}

    fn kill(&mut self, process: &str) {
        let handles = self.handles.lock().unwrap();
        let of_process = handles.get(process).into_iter().flatten();
        of_process.for_each(|handle| handle.abandon());
    }

    fn snapshots(&self) -> PathBuf {
        self.directory.path().join("snapshots")
    }
}

scenarios::tests_on!(ground());
