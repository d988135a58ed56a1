//! Stations of the toy stages on any log, with somebody who asks them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use prepx_bus::brokers::{self, Brokers};
use prepx_bus::embedded::Config;
use prepx_bus::faulty::FaultyDir;
use prepx_bus::{EmbeddedLog, Log, Topic};
use prepx_domain::Micros;
use prepx_stage::desk::{Bounds, Question};
use prepx_stage::{
    Codec, Desk, Error, Handles, Origin, Partition, Seat, Snapshots, Stage, Station, Takeover,
};
use prepx_trace::Trace;

use crate::world::{TOPOLOGY, check_fold, fold};
use prepx_tests::toy::{BankCodec, BankInput, HouseCodec, HouseInput, reply, slot};

pub const NOW: Micros = Micros(1_800_000_000_000_000);

/// A log on which stations stand.
pub trait Ground {
    /// A handle as a process has one for each partition.
    fn handle(&mut self) -> Arc<dyn Log>;

    /// Sees to it that what has been accepted becomes durable.
    fn settle(&mut self);
}

/// The embedded log: one handle for all, durable when it is flushed.
pub struct Disk(pub Arc<EmbeddedLog>);

impl Disk {
    pub fn new(buffer_bytes: u64) -> Disk {
        let config = Config {
            segment_bytes: 256 << 10,
            buffer_bytes,
            batch_bytes_max: buffer_bytes,
            holder: "a test".into(),
            ..Config::default()
        };
        Disk(EmbeddedLog::open(FaultyDir::new(1), config).unwrap())
    }
}

impl Ground for Disk {
    fn handle(&mut self) -> Arc<dyn Log> {
        self.0.clone()
    }

    fn settle(&mut self) {
        self.0.flush().unwrap();
    }
}

/// Brokers in memory, which do what Kafka may.
pub struct InMemory(pub Brokers);

impl InMemory {
    pub fn new(seed: u64) -> InMemory {
        let config = brokers::Config {
            partitions: |topic| TOPOLOGY.partitions(topic),
            buffer_bytes: 8 << 20,
            batch_bytes_max: 4 << 20,
        };
        InMemory(Brokers::new(seed, config))
    }
}

impl Ground for InMemory {
    fn handle(&mut self) -> Arc<dyn Log> {
        self.0.handle()
    }

    fn settle(&mut self) {
        self.0.settle();
    }
}

/// Stations, and the desk of whoever asks them.
pub struct Stations<G> {
    pub ground: G,
    pub snapshots: Snapshots,
    pub banks: Vec<Station<BankCodec>>,
    pub houses: Vec<Station<HouseCodec>>,
    pub desk: Desk<i64>,
    /// What was told of each command, in the order in which it came.
    pub heard: BTreeMap<i64, Vec<bool>>,
    pub now: Duration,
}

impl<G: Ground> Stations<G> {
    pub fn new(mut ground: G) -> Stations<G> {
        let snapshots = Snapshots::new(FaultyDir::new(2));
        let banks = TOPOLOGY.seats(Stage::ACCOUNT);
        let banks = banks.map(|seat| open(&mut ground, &snapshots, BankCodec, seat, false));
        let banks = banks.collect();
        let houses = TOPOLOGY.seats(Stage::MATCHING);
        let houses = houses.map(|seat| open(&mut ground, &snapshots, HouseCodec, seat, false));
        let houses = houses.collect();
        let desk = desk(ground.handle(), 1 << 40);
        Stations {
            ground,
            snapshots,
            banks,
            houses,
            desk,
            heard: BTreeMap::new(),
            now: Duration::ZERO,
        }
    }

    /// Somebody takes a bank's partition over; the station before.
    pub fn take_over(&mut self, partition: u32, reemit: bool) -> Station<BankCodec> {
        let seat = Stage::ACCOUNT.seat(partition);
        let successor = open(&mut self.ground, &self.snapshots, BankCodec, seat, reemit);
        std::mem::replace(&mut self.banks[partition as usize], successor)
    }

    /// Somebody takes a bank's partition over who may have stood by for it.
    pub fn take_over_from(&mut self, origin: &impl Origin<BankCodec>, partition: u32) {
        let seat = Stage::ACCOUNT.seat(partition);
        let successor = open(&mut self.ground, origin, BankCodec, seat, false);
        self.banks[partition as usize] = successor;
    }

    pub fn deposit(&mut self, id: i64, account: i64, amount: i64) {
        let input = BankInput::Deposit {
            id,
            account,
            amount,
        };
        self.ask(id, account, &input, None);
    }

    pub fn transfer(&mut self, id: i64, from: i64, to: i64, amount: i64) {
        self.transfer_traced(id, (from, to), amount, None);
    }

    /// The same of which a trace may be told.
    pub fn transfer_traced(
        &mut self,
        id: i64,
        (from, to): (i64, i64),
        amount: i64,
        trace: Option<Trace>,
    ) {
        let input = BankInput::Transfer {
            id,
            from,
            to,
            amount,
        };
        self.ask(id, from, &input, trace);
    }

    fn ask(&mut self, id: i64, account: i64, input: &BankInput, trace: Option<Trace>) {
        let partition = slot(account).partition(TOPOLOGY.account_partitions);
        let mut bytes = Vec::new();
        prepx_trace::put(trace, &mut bytes);
        BankCodec.encode_input(input, &mut bytes);
        let question = Question {
            who: id,
            to: Topic::TradingCommands.partition(partition),
            input: bytes,
            repeats: true,
        };
        self.desk.ask(question, self.now).unwrap();
    }

    /// An operator's gift to everybody.
    pub fn gift(&mut self, id: i64, amount: i64) {
        let mut bytes = Vec::new();
        HouseCodec.encode_input(&HouseInput::Gift { amount }, &mut bytes);
        let question = Question {
            who: id,
            to: Topic::InstrumentCommands.partition(0),
            input: bytes,
            repeats: false,
        };
        self.desk.ask(question, self.now).unwrap();
    }

    /// Every station has a turn.
    pub fn turn(&mut self) {
        for bank in &mut self.banks {
            bank.turn(NOW).unwrap();
        }
        for house in &mut self.houses {
            house.turn(NOW).unwrap();
        }
    }

    /// Takes note of the replies that have come.
    pub fn hear(&mut self) {
        for (id, bytes) in self.desk.hear().unwrap() {
            let done = bytes.is_none_or(|bytes| {
                let (named, done) = reply(&bytes);
                assert_eq!(named, id, "the reply to another command");
                done
            });
            self.heard.entry(id).or_default().push(done);
        }
    }

    /// Everybody has turns until something is so.
    pub fn until(&mut self, what: &str, is: impl Fn(&Stations<G>) -> bool) {
        for _ in 0..100_000 {
            self.ground.settle();
            self.turn();
            self.hear();
            if is(self) {
                return;
            }
        }
        panic!("it never came to that: {what}");
    }

    pub fn until_heard(&mut self, count: usize) {
        self.until("all are told", |all| all.heard.len() == count);
    }

    pub fn balance(&self, account: i64) -> i64 {
        let partition = slot(account).partition(TOPOLOGY.account_partitions);
        let bank = self.banks[partition as usize].partition().machine();
        bank.balances.get(&account).copied().unwrap_or_default()
    }

    /// That the fold of every journal is the live state (I6).
    pub fn check(&mut self) {
        let log = self.ground.handle();
        self.check_on(&log);
    }

    /// The same, where a log has the journals.
    pub fn check_on(&mut self, log: &Arc<dyn Log>) {
        self.ground.settle();
        let (tell, news) = mpsc::channel();
        log.on_news(Box::new(move || {
            // The check may have ended.
            let _ = tell.send(());
        }));
        for bank in &self.banks {
            until_shown(&BankCodec, (&**log, &news), bank.partition());
            check_fold(&BankCodec, &**log, bank.partition());
        }
        for house in &self.houses {
            until_shown(&HouseCodec, (&**log, &news), house.partition());
            check_fold(&HouseCodec, &**log, house.partition());
        }
    }
}

/// Waits until another handle sees the last transition: on Kafka a moment after it is durable.
fn until_shown<C: Codec>(codec: &C, (log, news): (&dyn Log, &Receiver<()>), live: &Partition<C>) {
    for _ in 0..200 {
        if fold(codec, log, live.seat()).head.seq == live.head().seq {
            return;
        }
        // Not all that becomes visible is news: it is looked at again all the same.
        let _ = news.recv_timeout(Duration::from_millis(50));
    }
}

pub fn desk(log: Arc<dyn Log>, first_token: u64) -> Desk<i64> {
    let bounds = Bounds {
        waiting_max: 5_000,
        ..Bounds::default()
    };
    Desk::open(log, Topic::CommandReplies.partition(0), first_token, bounds)
}

fn open<G: Ground, C: Codec>(
    ground: &mut G,
    origin: &impl Origin<C>,
    codec: C,
    seat: Seat,
    reemit: bool,
) -> Station<C> {
    let (codec, log) = (Arc::new(codec), ground.handle());
    let takeover = Takeover {
        who: "a test",
        now: NOW,
        reemit,
        watch: &(),
    };
    let (own, replies) = (Arc::clone(&log), log);
    let handles = Handles { own, replies };
    let opened: Result<_, Error> = Station::open(codec, seat, TOPOLOGY, handles, origin, takeover);
    opened.unwrap()
}
