//! A pipeline of toy stages on a disk that can fail.

use std::sync::Arc;
use std::time::Duration;

use prepx_bus::embedded::Config;
use prepx_bus::faulty::FaultyDir;
use prepx_bus::{EmbeddedLog, Log, Record, Topic, TopicPartition};
use prepx_domain::Micros;
use prepx_env::ManualClock;
use prepx_stage::{
    Codec, Partition, Pipeline, PipelineDeps, Seat, Snapshots, Stage, State, Topology, Turn,
};

use prepx_tests::toy::{BankCodec, BankInput, BankOutput, HouseCodec, slot};

pub const TOPOLOGY: Topology = Topology {
    account_partitions: 4,
    matching_partitions: 3,
};

pub struct World {
    pub log_dir: Arc<FaultyDir>,
    pub snapshot_dir: Arc<FaultyDir>,
    pub log: Arc<EmbeddedLog>,
    pub clock: Arc<ManualClock>,
    pub pipeline: Pipeline<BankCodec, HouseCodec>,
    buffer_bytes: u64,
}

fn open_log(dir: &Arc<FaultyDir>, buffer_bytes: u64) -> Arc<EmbeddedLog> {
    let config = Config {
        segment_bytes: 256 << 10,
        buffer_bytes,
        batch_bytes_max: buffer_bytes.min(1 << 20),
        tail_bytes: 64 << 10,
        holder: "a test".into(),
        ..Config::default()
    };
    EmbeddedLog::open(dir.clone(), config).unwrap()
}

fn open_pipeline(
    log: &Arc<EmbeddedLog>,
    snapshots: &Arc<FaultyDir>,
    clock: &Arc<ManualClock>,
) -> Pipeline<BankCodec, HouseCodec> {
    Pipeline::open(
        (Arc::new(BankCodec), Arc::new(HouseCodec)),
        PipelineDeps {
            log: log.clone(),
            snapshots: &Snapshots::new(snapshots.clone()),
            topology: TOPOLOGY,
            clock: clock.clone(),
            who: "a test",
            watch: &(),
        },
    )
    .unwrap()
}

impl World {
    pub fn new(seed: u64) -> World {
        World::with_buffer(seed, 8 << 20)
    }

    pub fn with_buffer(seed: u64, buffer_bytes: u64) -> World {
        let (log_dir, snapshot_dir) = (FaultyDir::new(seed), FaultyDir::new(!seed));
        let log = open_log(&log_dir, buffer_bytes);
        let clock = Arc::new(ManualClock::new(Micros(1_800_000_000_000_000)));
        let pipeline = open_pipeline(&log, &snapshot_dir, &clock);
        World {
            log_dir,
            snapshot_dir,
            log,
            clock,
            pipeline,
            buffer_bytes,
        }
    }

    /// Loses the power and comes back.
    pub fn crash(&mut self) {
        self.log_dir = self.log_dir.crash();
        self.snapshot_dir = self.snapshot_dir.crash();
        self.log = open_log(&self.log_dir, self.buffer_bytes);
        self.pipeline = open_pipeline(&self.log, &self.snapshot_dir, &self.clock);
    }

    pub fn deposit(&mut self, id: i64, account: i64, amount: i64) {
        let input = BankInput::Deposit {
            id,
            account,
            amount,
        };
        self.pipeline.submit(id as u64, slot(account), input, None);
    }

    pub fn transfer(&mut self, id: i64, from: i64, to: i64, amount: i64) {
        let input = BankInput::Transfer {
            id,
            from,
            to,
            amount,
        };
        self.pipeline.submit(id as u64, slot(from), input, None);
    }

    /// Takes a turn, flushing whenever the log is full; the replies by command, in their order.
    pub fn run(&mut self) -> Vec<(i64, bool)> {
        while self.pipeline.turn().unwrap() == Turn::Blocked {
            self.flush();
        }
        let decided = self.pipeline.drain_decided();
        let reply = |decided: prepx_stage::Decided<BankOutput>| match decided.reply {
            Some(BankOutput::Reply { id, done }) => {
                assert_eq!(id as u64, decided.token, "the reply to another command");
                (id, done)
            }
            other => panic!("command {} was answered {other:?}", decided.token),
        };
        decided.map(reply).collect()
    }

    pub fn flush(&self) {
        self.log.flush().unwrap();
    }

    pub fn advance_s(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub fn balance(&self, account: i64) -> i64 {
        let bank = self.pipeline.account_partition(slot(account)).machine();
        bank.balances.get(&account).copied().unwrap_or_default()
    }

    /// All money of all banks.
    pub fn total(&self) -> i64 {
        self.pipeline
            .accounts()
            .flat_map(|bank| bank.machine().balances.values())
            .sum()
    }

    /// That the fold of every journal is the live state, head and bytes (I6).
    pub fn check(&self) {
        self.flush();
        for bank in self.pipeline.accounts() {
            check_fold(&BankCodec, &*self.log, bank);
        }
        for house in self.pipeline.matching() {
            assert!(
                house.machine().queue.is_empty(),
                "a follow-up was forgotten"
            );
            check_fold(&HouseCodec, &*self.log, house);
        }
    }

    /// Every durable record of every partition.
    pub fn everything(&self) -> Vec<(TopicPartition, Vec<Record>)> {
        let partitions = Topic::ALL
            .iter()
            .flat_map(|topic| (0..4).map(|p| topic.partition(p)));
        partitions
            .map(|at| (at, self.log.read(at, 0, usize::MAX).unwrap()))
            .collect()
    }
}

/// The state after all of a journal.
pub fn fold<C: Codec>(codec: &C, log: &dyn Log, seat: Seat) -> State<C> {
    let (mut state, mut next) = (State::initial(codec), 0);
    loop {
        let records = log.read(seat.journal(), next, usize::MAX).unwrap();
        let Some(last) = records.last() else {
            return state;
        };
        next = last.offset + 1;
        for record in records {
            state.fold(codec, &record.payload).unwrap();
        }
    }
}

pub fn bytes_of<C: Codec>(codec: &C, machine: &C::Machine) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec.encode_state(machine, &mut bytes);
    bytes
}

/// That the fold of a journal is the live state, head and bytes (I6).
pub fn check_fold<C: Codec>(codec: &C, log: &dyn Log, live: &Partition<C>) {
    let folded = fold(codec, log, live.seat());
    assert_eq!(&folded.head, live.head());
    assert!(
        bytes_of(codec, &folded.machine) == bytes_of(codec, live.machine()),
        "I6"
    );
}

/// Account partition `partition`.
pub fn account(partition: u32) -> Seat {
    Stage::ACCOUNT.seat(partition)
}

/// Matching partition `partition`.
pub fn matching(partition: u32) -> Seat {
    Stage::MATCHING.seat(partition)
}
