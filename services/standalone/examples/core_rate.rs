//! How many orders a second the core takes through account → matching → account with the log on,
//! acknowledged when durable, and how
//! long a restart takes after them: `cargo run --release -p prepx-standalone --example core_rate
//! [seconds] [batch] [callers]`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prepx_domain::instrument::Instrument;
use prepx_domain::message::{Action, Command, PlaceOrder, ToMatching};
use prepx_domain::order::{OrderKind, Side, TimeInForce};
use prepx_domain::update::Ack;
use prepx_domain::{AccountId, InstrumentId, Micros, Slot, Symbol, fixture};
use prepx_env::{Clock, Random, SystemClock};
use prepx_stage::port::SubmitError;
use prepx_standalone::core::{Core, Options, Pipeline};
use prepx_trace::Traces;
use uuid::Uuid;

const SYMBOLS: [&str; 4] = ["AAA/USD", "BBB/USD", "CCC/USD", "DDD/USD"];
const ACCOUNTS: usize = 64;

fn instrument(symbol: &str) -> Instrument {
    Instrument {
        id: InstrumentId::next(Slot::of_symbol(symbol), Micros(0), None),
        symbol: symbol.parse().expect("a symbol"),
        base: symbol[..3].parse().expect("an asset"),
        collar_ppm: 900_000,
        taker_fee_ppm: 1_000,
        seed_reference_ticks: Some(10_000),
        ..fixture::bitcoin()
    }
}

struct Load {
    core: Core,
    clock: SystemClock,
    random: Random,
    accounts: Vec<AccountId>,
    acknowledged: AtomicU64,
    rejected: AtomicU64,
    busy: AtomicU64,
    latency_us: std::sync::Mutex<Vec<u64>>,
}

impl Load {
    fn command(&self, slot: Slot, action: Action) -> Command {
        Command {
            id: self.random.uuid(),
            stamped_at: self.clock.now(),
            slot,
            action,
        }
    }

    fn order(&self, draw: u64) -> Command {
        let account = self.accounts[draw as usize % ACCOUNTS];
        let symbol: Symbol = SYMBOLS[(draw >> 8) as usize % 4].parse().expect("a symbol");
        let side = match (draw >> 16) & 1 {
            0 => Side::Buy,
            _ => Side::Sell,
        };
        let ticks = 10_000 + ((draw >> 20) % 7) as i64 - 3;
        self.command(
            account.slot(),
            Action::Place(PlaceOrder {
                account,
                symbol,
                side,
                kind: OrderKind::Limit {
                    limit: ticks * 1_000_000,
                },
                time_in_force: TimeInForce::GoodTilCanceled,
                qty_minor: 10_000 * (1 + (draw >> 32) as i64 % 10),
                post_only: false,
                extended_hours: false,
                expires_at: None,
                client_order_id: format!("{draw:016x}"),
            }),
        )
    }

    async fn caller(&self, batch: usize, until: Duration) {
        while self.clock.monotonic() < until {
            let commands = (0..batch)
                .map(|_| self.order(self.random.next_u64()))
                .collect();
            let sent = self.clock.monotonic();
            match self.core.submit_batch(commands, Traces::default()).await {
                Ok(replies) => {
                    let took = self.clock.monotonic() - sent;
                    let done = replies
                        .iter()
                        .flatten()
                        .filter(|reply| reply.outcome.is_ok());
                    let done = done.count();
                    self.acknowledged.fetch_add(done as u64, Ordering::Relaxed);
                    self.rejected
                        .fetch_add((batch - done) as u64, Ordering::Relaxed);
                    let mut latency_us = self.latency_us.lock().expect("nobody panics");
                    latency_us.push(took.as_micros() as u64);
                }
                Err(SubmitError::Busy { retry_after }) => {
                    self.busy.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(retry_after).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

async fn prepare(core: Core) -> Load {
    let mut load = Load {
        core,
        clock: SystemClock::new(),
        random: Random::from_seed(1),
        accounts: Vec::new(),
        acknowledged: AtomicU64::new(0),
        rejected: AtomicU64::new(0),
        busy: AtomicU64::new(0),
        latency_us: std::sync::Mutex::default(),
    };
    for symbol in SYMBOLS {
        let define = ToMatching::Define(instrument(symbol));
        load.core.submit_instrument(define).await.expect("defined");
    }
    for _ in 0..ACCOUNTS {
        let user = Uuid::from_u128(u128::from(load.random.next_u64()) << 32);
        let open = Action::OpenAccount {
            user,
            simulated: true,
        };
        let command = load.command(Slot::of_user(user), open);
        let reply = load.core.submit(command).await.expect("opened");
        let Ok(Ack::Opened(account)) = reply.outcome else {
            panic!("{reply:?}");
        };
        load.accounts.push(account);
        for asset in ["USD", "AAA", "BBB", "CCC", "DDD"] {
            let deposit = Action::Deposit {
                account,
                asset: asset.parse().expect("an asset"),
                amount_minor: 1_000_000_000_000_000,
            };
            let command = load.command(account.slot(), deposit);
            let reply = load.core.submit(command).await.expect("deposited");
            reply.outcome.expect("accepted");
        }
    }
    load
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| {
        arguments
            .next()
            .map_or(default, |a| a.parse().expect("a number"))
    };
    let (seconds, batch, callers) = (number(5), number(100) as usize, number(32) as usize);
    let directory = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(SystemClock::new());
    let options = Options::new(directory.path());
    let (core, running) = Core::open(options, clock.clone()).expect("the core opens");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let load = Arc::new(runtime.block_on(prepare(core)));
    let begun = load.clock.monotonic();
    let until = begun + Duration::from_secs(seconds);
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for _ in 0..callers {
            let load = Arc::clone(&load);
            tasks.push(tokio::spawn(async move { load.caller(batch, until).await }));
        }
        for task in tasks {
            task.await.expect("a caller ends in peace");
        }
    });
    let took = load.clock.monotonic() - begun;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let mut latency_us = load.latency_us.lock().expect("nobody panics").clone();
    latency_us.sort_unstable();
    let percentile = |p: usize| {
        latency_us
            .get(latency_us.len() * p / 100)
            .copied()
            .unwrap_or(0)
    };
    println!(
        "{} orders acknowledged in {:.2} s: {:.0} a second; {} rejected, {} busy; \
         a batch of {batch} took p50 {} us, p99 {} us",
        count(&load.acknowledged),
        took.as_secs_f64(),
        count(&load.acknowledged) as f64 / took.as_secs_f64(),
        count(&load.rejected),
        count(&load.busy),
        percentile(50),
        percentile(99),
    );
    let core = load.core.clone();
    let events = runtime
        .block_on(core.query(events))
        .expect("the core is there");
    running.stop().expect("the core stops in peace");
    drop((load, core));

    let begun = clock.monotonic();
    let options = Options::new(directory.path());
    let (_core, running) = Core::open(options, clock.clone()).expect("the core opens again");
    let took = clock.monotonic() - begun;
    println!(
        "{events} events; opened again in {:.2} s",
        took.as_secs_f64()
    );
    running.stop().expect("the core stops in peace");
}

fn events(pipeline: &Pipeline) -> u64 {
    let accounts = pipeline.accounts().map(|partition| partition.head().events);
    let matching = pipeline.matching().map(|partition| partition.head().events);
    accounts.sum::<u64>() + matching.sum::<u64>()
}
