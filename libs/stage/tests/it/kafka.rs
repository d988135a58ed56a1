//! The same on Apache Kafka, on the servers that `make test-kafka` starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use prepx_bus::kafka::{Config, topics};
use prepx_bus::{KafkaLocation, KafkaLog, Location, Log, Topic};

use crate::ground::{Ground, Stations};
use crate::world::TOPOLOGY;
use crate::{archives, awaited, shadows, skips, standbys, stations};

/// Names differ over the tests of one run; each run has servers of its own.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Topics of its own, on the servers of the run.
struct Kafka {
    location: KafkaLocation,
    handles: Vec<Arc<KafkaLog>>,
}

impl Kafka {
    fn new() -> Kafka {
        let url = std::env::var("PREPX_TEST_KAFKA");
        let url = url.expect("PREPX_TEST_KAFKA says where Kafka is: run `make test-kafka`");
        let prefix = format!("stage-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let Ok(Location::Kafka(location)) = Location::parse(&url) else {
            panic!("PREPX_TEST_KAFKA is {url}; kafka://127.0.0.1:9092 would be right");
        };
        let location = KafkaLocation { prefix, ..location };
        let nodes = std::env::var("PREPX_TEST_KAFKA_NODES");
        let nodes = nodes.map_or(1, |nodes| nodes.parse().unwrap());
        let mut declared = topics::Topics::shipped();
        declared.retain(|name| name.parse::<Topic>().is_ok());
        declared.replicate(nodes, if nodes > 1 { 2 } else { 1 });
        for &topic in Topic::ALL {
            declared.set_partitions(topic.name(), TOPOLOGY.partitions(topic));
        }
        topics::apply(&location, &declared).unwrap();
        Kafka {
            location,
            handles: Vec::new(),
        }
    }
}

impl Ground for Kafka {
    fn handle(&mut self) -> Arc<dyn Log> {
        let config = Config::named(format!("handle-{}", self.handles.len()));
        let log = KafkaLog::open(self.location.clone(), config).unwrap();
        self.handles.push(Arc::clone(&log));
        log
    }

    fn settle(&mut self) {
        for handle in &self.handles {
            // A handle whose owner has been fenced has nothing to wait for any more.
            let _ = handle.flush(Duration::from_secs(30));
        }
    }
}

fn on_kafka() -> Stations<Kafka> {
    Stations::new(Kafka::new())
}

#[test]
fn a_command_goes_through_both_stages_and_back() {
    stations::through_both_stages(on_kafka());
}

#[test]
fn a_takeover_in_the_middle_of_a_batch_loses_and_doubles_nothing() {
    stations::takeover_in_a_batch(on_kafka(), false);
    stations::takeover_in_a_batch(on_kafka(), true);
}

#[test]
fn a_stale_owner_tells_nobody_and_its_successor_tells_the_first_decision() {
    stations::stale_owner(on_kafka());
}

#[test]
fn a_repeat_is_told_the_first_decision_and_changes_nothing() {
    stations::repeats(on_kafka());
}

#[test]
fn a_partition_moves_to_whoever_stands_by() {
    standbys::moves_warm(on_kafka());
}

#[test]
fn a_journal_is_archived_whole_and_leaves_the_log() {
    archives::archived_whole(on_kafka());
}

#[test]
fn what_was_decided_is_decided_again() {
    shadows::decided_again(on_kafka());
}

#[test]
fn what_kafka_has_let_go_of_is_read_from_the_archive() {
    shadows::archived(on_kafka());
}

#[test]
fn a_message_that_stops_a_station_is_skipped_as_an_operator_says() {
    skips::skipped_by_an_operator(on_kafka());
}

#[test]
fn what_comes_is_taken_while_others_wait_for_what_does_not() {
    awaited::taken_all_the_same(Kafka::new());
}
