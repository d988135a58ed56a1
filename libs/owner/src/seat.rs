//! The thread of one partition: gives its station turns when the log has news, shows its memory to reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use prepx_bus::{Log, Progress};
use prepx_env::Clock;
use prepx_stage::{Codec, Partition, Seat, Station, SteadyClock, Takeover, Turn};

use crate::bell::Bell;
use crate::release::{Deliver, Release};
use crate::{BoxError, Options};

/// How often a station looks whether an order expires.
const TICK: Duration = Duration::from_millis(50);
/// Reads that are shown between two turns.
const LOOKS_MAX: usize = 256;

/// A look into the memory of a partition; what it returns hands the result over.
pub(crate) type Look<C> = Box<dyn FnOnce(&Partition<C>) -> Deliver + Send>;

/// The way to a partition's thread.
pub(crate) struct Seated<C: Codec> {
    looks: SyncSender<Look<C>>,
    bell: Arc<Bell>,
    events: Arc<AtomicU64>,
}

impl<C: Codec> Seated<C> {
    /// Asks for a look; false when there is no room or nobody is there.
    pub fn look(&self, look: Look<C>) -> bool {
        let sent = self.looks.try_send(look).is_ok();
        self.bell.ring();
        sent
    }

    pub fn ring(&self) {
        self.bell.ring();
    }

    /// How many events the partition has seen.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }
}

struct Driver<C: Codec> {
    station: Station<C>,
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    steady: SteadyClock,
    looks: Receiver<Look<C>>,
    bell: Arc<Bell>,
    release: Arc<Release>,
    events: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

/// Starts the thread of a partition. It says by `opened` when it is its owner, or why it is not.
pub(crate) fn start<C: Codec>(
    codec: &Arc<C>,
    seat: Seat,
    options: &Options,
    stop: &Arc<AtomicBool>,
    opened: std::sync::mpsc::Sender<Result<(), BoxError>>,
) -> std::io::Result<(Seated<C>, JoinHandle<()>)> {
    let (looks, asked) = sync_channel(options.reads_max);
    let seated = Seated {
        looks,
        bell: Arc::default(),
        events: Arc::default(),
    };
    let (codec, options, stop) = (Arc::clone(codec), options.clone(), Arc::clone(stop));
    let (bell, events) = (Arc::clone(&seated.bell), Arc::clone(&seated.events));
    let name = seat.to_string();
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        let _alarm = options.failure.alarm();
        let driver = Driver::open(codec, seat, &options, stop, asked, (bell, events));
        let driver = driver.map_err(|error| opened.send(Err(error)));
        let Ok(driver) = driver else { return };
        // Whoever waits for it has given up when another could not be opened.
        let _ = opened.send(Ok(()));
        drop(opened);
        if let Err(error) = driver.run() {
            options.failure.fail(&error.to_string());
        }
    })?;
    Ok((seated, thread))
}

impl<C: Codec> Driver<C> {
    fn open(
        codec: Arc<C>,
        seat: Seat,
        options: &Options,
        stop: Arc<AtomicBool>,
        looks: Receiver<Look<C>>,
        (bell, events): (Arc<Bell>, Arc<AtomicU64>),
    ) -> Result<Driver<C>, BoxError> {
        let log = (options.logs)(&seat.to_string().replace('/', "-"))?;
        let mut steady = SteadyClock::new(&*options.clock);
        let takeover = Takeover {
            who: &options.who,
            now: steady.now(&*options.clock),
            // A transition and its outputs are one transaction: none has left without the other.
            reemit: false,
        };
        let (topology, snapshots) = (options.topology, &options.snapshots);
        let own = Arc::clone(&log);
        let station = Station::open(codec, seat, topology, own, snapshots, takeover)?;
        let release = Arc::new(Release::default());
        let (released, rung) = (Arc::clone(&release), Arc::clone(&bell));
        log.watermark().subscribe(move |progress| match progress {
            Progress::Durable(position) => released.advance(*position),
            Progress::Failed(_) => released.kill(),
        });
        log.on_news(Box::new(move || rung.ring()));
        Ok(Driver {
            station,
            log,
            clock: Arc::clone(&options.clock),
            steady,
            looks,
            bell,
            release,
            events,
            stop,
        })
    }

    fn run(mut self) -> Result<(), prepx_stage::Error> {
        let mut next_tick = Duration::ZERO;
        while !self.stop.load(Ordering::Acquire) {
            let now = self.clock.monotonic();
            if now >= next_tick {
                self.station.tick();
                next_tick = now + TICK;
            }
            let turn = self.station.turn(self.steady.now(&*self.clock))?;
            self.show();
            let events = self.station.partition().head().events;
            self.events.store(events, Ordering::Relaxed);
            if turn != Turn::More {
                let left = next_tick.saturating_sub(self.clock.monotonic());
                self.bell.wait(left);
            }
        }
        Ok(())
    }

    /// What reads have seen may leave when the head is durable.
    fn show(&mut self) {
        let partition = self.station.partition();
        let looks = self.looks.try_iter().take(LOOKS_MAX);
        let seen: Vec<Deliver> = looks.map(|look| look(partition)).collect();
        if seen.is_empty() {
            return;
        }
        if seen.len() == LOOKS_MAX {
            self.bell.ring();
        }
        self.release.hold(self.station.head(), seen.into_iter());
        self.release.advance(self.log.durable());
    }
}
