//! A trace is followed through both stages, and changes nothing that they decide.

use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use prepx_bus::{Log, Topic, TopicPartition};
use prepx_domain::Slot;
use prepx_env::Random;
use prepx_stage::follow::{self, Batch};
use prepx_stage::{Consumer, Runner, Turn, lane};
use prepx_trace::{FinishedSpan, Sampling, Sink, Trace};

use crate::awaited;
use crate::ground::{Disk, Stations};
use crate::world::{TOPOLOGY, World};
use prepx_tests::toy::{BankInput, slot};

/// Every span that this process has exported; a process has one sink.
static EXPORTED: Mutex<Vec<FinishedSpan>> = Mutex::new(Vec::new());

struct Collector;

impl Sink for Collector {
    fn export(&self, span: FinishedSpan) {
        EXPORTED.lock().unwrap().push(span);
    }
}

fn install() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let sampling = Sampling {
            sampled_ppm: 0,
            slow: Duration::MAX,
            continues: false,
        };
        let random = Random::from_seed(7);
        assert!(prepx_trace::install(sampling, Box::new(Collector), &random));
    });
}

fn trace(id: u128) -> Option<Trace> {
    Some(Trace {
        id,
        span: 9,
        sampled: true,
    })
}

/// The spans of a trace in the order of their ends: what each was, and where its parent stands among them.
fn exported(id: u128) -> Vec<(String, String, Option<usize>)> {
    let all = EXPORTED.lock().unwrap();
    let own: Vec<_> = all.iter().filter(|span| span.trace.id == id).collect();
    let place = |of: u64| own.iter().position(|span| span.trace.span == of);
    let by = |span: &FinishedSpan| {
        let attributes = span.details.attributes.iter();
        let mut by = attributes.filter(|(name, _)| *name == "messaging.consumer.group.name");
        match by.next() {
            Some((_, prepx_trace::Value::Text(by))) => by.to_string(),
            other => panic!("{other:?} names nobody"),
        }
    };
    let shown = |span: &&FinishedSpan| {
        let parent = span.parent.and_then(place);
        (span.details.name.to_string(), by(span), parent)
    };
    own.iter().map(shown).collect()
}

/// The slots of two accounts whose partitions are different.
const FROM: i64 = 5;
const TO: i64 = 8;

fn transfer() -> BankInput {
    BankInput::Transfer {
        id: 2,
        from: FROM,
        to: TO,
        amount: 30,
    }
}

fn partition(account: i64) -> u32 {
    Slot::partition(slot(account), TOPOLOGY.account_partitions)
}

/// Every record of a topic as it stands on the log.
fn records(world: &World, topic: Topic) -> Vec<Vec<u8>> {
    let partitions = (0..TOPOLOGY.partitions(topic)).map(|number| topic.partition(number));
    let records = partitions.flat_map(|at| world.log.read(at, 0, usize::MAX).unwrap());
    records.map(|record| record.payload.to_vec()).collect()
}

fn run(trace: Option<Trace>) -> World {
    let mut world = World::new(31);
    world.deposit(1, FROM, 100);
    world.pipeline.submit(2, slot(FROM), transfer(), trace);
    while world.pipeline.turn().unwrap() != Turn::Idle {}
    world.flush();
    world.check();
    world
}

#[test]
fn a_command_is_followed_through_both_stages() {
    install();
    run(trace(0xa11));
    // Each decision is under the one that has caused it.
    let (from, to) = (partition(FROM), partition(TO));
    let mut spans = exported(0xa11);
    let house = std::mem::take(&mut spans[1].1);
    assert!(house.starts_with("matching/"), "{house}");
    let expected = [
        (
            "process trading-commands".to_owned(),
            format!("account/{from}"),
            None,
        ),
        (
            "process order-processing".to_owned(),
            String::new(),
            Some(0),
        ),
        (
            "process order-executions".to_owned(),
            format!("account/{to}"),
            Some(1),
        ),
    ];
    assert_eq!(spans, expected);
}

#[test]
fn i7_a_trace_changes_no_journal_and_lanes_only_by_its_context() {
    let (plain, traced) = (run(None), run(trace(0xb22)));
    for journal in [Topic::AccountJournal, Topic::MatchingJournal] {
        assert_eq!(records(&plain, journal), records(&traced, journal));
    }
    let commands = Topic::TradingCommands;
    assert_eq!(records(&plain, commands), records(&traced, commands));
    for lanes in [
        Topic::OrderProcessing,
        Topic::OrderExecutions,
        Topic::PortfolioUpdates,
    ] {
        let (plain, traced) = (records(&plain, lanes), records(&traced, lanes));
        assert_ne!(plain, traced, "{lanes} says what belongs to the trace");
        let messages = |records: &[Vec<u8>]| {
            let runs = records
                .iter()
                .map(|bytes| lane::Run::decode(bytes).unwrap());
            let messages = runs.flat_map(|run| run.messages().collect::<Vec<_>>());
            let messages = messages.map(|message| message.unwrap());
            messages
                .map(|(number, bytes)| (number, bytes.to_vec()))
                .collect::<Vec<_>>()
        };
        assert_eq!(messages(&plain), messages(&traced));
    }
}

#[test]
fn i7_stations_follow_it_through_records_alone() {
    install();
    let mut all = Stations::new(Disk::new(8 << 20));
    all.deposit(1, FROM, 100);
    all.transfer_traced(2, (FROM, TO), 30, trace(0xc33));
    all.until_heard(2);
    all.until("it has arrived", |all| all.balance(TO) == 30);
    all.check();
    let names = |spans: Vec<(String, String, Option<usize>)>| {
        spans
            .into_iter()
            .map(|(name, by, _)| (name, by))
            .collect::<Vec<_>>()
    };
    let (from, to) = (partition(FROM), partition(TO));
    let found = names(exported(0xc33));
    assert_eq!(
        found[0],
        ("process trading-commands".into(), format!("account/{from}"))
    );
    assert_eq!(found[1].0, "process order-processing");
    assert_eq!(
        found[2],
        ("process order-executions".into(), format!("account/{to}"))
    );
    assert_eq!(found.len(), 3);
}

/// Takes what account stages tell, and remembers nothing.
struct Reader;

impl Consumer for Reader {
    type Error = follow::Error;

    const NAME: &'static str = "reader";
    const PAUSE: Duration = Duration::ZERO;
    const BATCHES_BETWEEN_RELEASES: u32 = 1;

    fn sources(&self) -> Vec<TopicPartition> {
        let partitions = 0..TOPOLOGY.account_partitions;
        partitions
            .map(|number| Topic::PortfolioUpdates.partition(number))
            .collect()
    }

    async fn resume(&mut self, _: TopicPartition) -> Result<u64, follow::Error> {
        Ok(0)
    }

    async fn take(&mut self, _: Batch) -> Result<(), follow::Error> {
        Ok(())
    }
}

#[tokio::test]
async fn a_consumer_tells_what_it_has_taken() {
    install();
    let world = run(trace(0xd44));
    let following = awaited::following(world.log.clone());
    let mut reader = Runner::open(following, Reader).await.unwrap();
    reader.catch_up(|_| {}).await.unwrap();
    let spans = exported(0xd44);
    let taken = |under| {
        (
            "process portfolio-updates".to_owned(),
            "reader".to_owned(),
            Some(under),
        )
    };
    // What was debited belongs to the command, what was credited to what came of it.
    let mut found = spans[3..].to_vec();
    found.sort();
    assert_eq!(found, [taken(0), taken(2)]);
}
