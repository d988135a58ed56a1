//! The thread of one granted partition: takes it over, runs its station when the log has news, and lets reads look into its
//! memory. When the lease goes to another process it works on until that one has taken over, so that the partition is
//! without an owner for as short as possible: a lease says who should work, and the fence keeps the others from it.
//!
//! When the log or the brokers fail, it tries again with a new handle for as long as it holds the lease. A
//! fault in an input, in a journal or in the machine ends the process, unless this owner was already stale
//! when it met that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use prepx_bus::{AppendError, Batch, Log, Progress, ReadError, Reading, Topic};
use prepx_stage::{
    Archived, Begun, Codec, Error, Handles, Partition, Seat, Standby, Station, SteadyClock,
    Takeover, Turn,
};

use crate::Options;
use crate::bell::Bell;
use crate::claim::Claim;
use crate::order::{Order, Orders};
use crate::proof::Proof;
use crate::release::{Deliver, Release};

/// How often a station looks whether an order expires.
const TICK: Duration = Duration::from_millis(50);
/// Reads that are shown between two turns.
const LOOKS_MAX: usize = 256;
/// How long what is in flight may take when the partition is let go of.
const SETTLE: Duration = Duration::from_secs(2);
const SETTLE_LOOK: Duration = Duration::from_millis(5);
/// Between two tries of taking the partition over: twice as long each time, up to the second.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How many tries in a row may fail before the process gives the partition up: another one may do better.
const TRIES_MAX: u32 = 30;

/// A look into the memory of a partition; what it returns hands the result over.
pub(crate) type Look<C> = Box<dyn FnOnce(&Partition<C>) -> Deliver + Send>;

/// The way to a partition's thread.
pub(crate) struct Seated<C: Codec> {
    looks: SyncSender<Look<C>>,
    post: Arc<Post>,
}

/// What a partition's thread shares with those around it.
pub(crate) struct Post {
    pub seat: Seat,
    pub bell: Arc<Bell>,
    pub orders: Orders,
    pub proof: Proof,
    /// The last epoch under which this process had the partition.
    pub epoch: Arc<AtomicU32>,
    /// How many events the partition has seen.
    pub events: AtomicU64,
}

impl<C: Codec> Clone for Seated<C> {
    fn clone(&self) -> Seated<C> {
        Seated {
            looks: self.looks.clone(),
            post: Arc::clone(&self.post),
        }
    }
}

impl<C: Codec> Seated<C> {
    /// Asks for a look; false when there is no room or nobody is there.
    pub fn look(&self, look: Look<C>) -> bool {
        let sent = self.post.proof.is_open() && self.looks.try_send(look).is_ok();
        self.post.bell.ring();
        sent
    }

    pub fn post(&self) -> &Arc<Post> {
        &self.post
    }
}

impl Post {
    /// Says what is to become of the partition.
    pub fn order(&self, order: Order) {
        self.orders.give(order);
        self.bell.ring();
    }
}

/// Starts the thread of a partition that is granted, and that `standby` may have a copy of. `session` is that of the
/// lease.
pub(crate) fn start<C: Codec>(
    codec: &Arc<C>,
    standby: Arc<Standby<C>>,
    options: &Options,
    session: Duration,
    epoch: Arc<AtomicU32>,
) -> std::io::Result<(Seated<C>, JoinHandle<()>)> {
    let (seat, (looks, asked)) = (standby.seat(), sync_channel(options.reads_max));
    let post = Arc::new(Post {
        seat,
        bell: Arc::default(),
        orders: Orders::default(),
        proof: Proof::new(session),
        epoch,
        events: AtomicU64::new(0),
    });
    let seated = Seated {
        looks,
        post: Arc::clone(&post),
    };
    let sitter = Sitter {
        codec: Arc::clone(codec),
        options: options.clone(),
        session,
        looks: asked,
        standby,
        post,
    };
    let thread = std::thread::Builder::new().name(seat.to_string());
    let thread = thread.spawn(move || sitter.run())?;
    Ok((seated, thread))
}

/// How a partition's thread goes on.
enum End {
    /// It was told to end, and has.
    Stopped,
    /// Tried again after this long.
    Again(Duration, Error),
    /// The process ends.
    Fatal(Error),
}

/// What a partition's thread has whether it owns the partition or not yet.
struct Sitter<C: Codec> {
    codec: Arc<C>,
    options: Options,
    session: Duration,
    looks: Receiver<Look<C>>,
    standby: Arc<Standby<C>>,
    post: Arc<Post>,
}

impl<C: Codec> Sitter<C> {
    fn run(self) {
        let _alarm = self.options.failure.alarm();
        let (mut tries, seat) = (0, self.post.seat);
        while !self.post.orders.is_over() {
            let (end, was_open) = self.sit(tries);
            self.post.proof.close();
            // Who asked is told that nobody is here.
            self.looks.try_iter().for_each(drop);
            tries = if was_open { 0 } else { tries + 1 };
            match end {
                End::Stopped => break,
                End::Fatal(error) => self.options.failure.fail(&error.to_string()),
                End::Again(_, error) if self.post.orders.current() != Order::Work => {
                    tracing::info!(%seat, %error, "let go of");
                }
                End::Again(_, error) if tries == TRIES_MAX => {
                    let why = format!("{seat} could not be taken over {TRIES_MAX} times: {error}");
                    self.options.failure.fail(&why);
                }
                End::Again(pause, error) => {
                    tracing::warn!(%seat, %error, ?pause, "dropped; taken over again unless the lease goes");
                    self.pause(pause);
                }
            }
            if self.options.failure.get().is_some() {
                break;
            }
        }
        self.post.orders.finish();
    }

    /// Owns the partition until something ends that. Whether it came to own it.
    fn sit(&self, tries: u32) -> (End, bool) {
        let pause = (PAUSE * 2u32.saturating_pow(tries)).min(PAUSE_MAX);
        let driver = match Driver::open(self) {
            Ok(driver) => driver,
            Err(error) => return (self.end(None, error, pause), false),
        };
        let claim = driver.claim.clone();
        match driver.run() {
            Ok(()) => (End::Stopped, true),
            Err(error) => (self.end(Some(&claim), error, pause), true),
        }
    }

    /// What follows from an error. A stale owner meets all kinds of them: its batches are lost, and it reads
    /// answers to what only its successor asked. If its lease is gone too, that is heard within a session.
    fn end(&self, claim: Option<&Claim>, error: Error, pause: Duration) -> End {
        match claim.map_or(Some(true), Claim::ask) {
            Some(false) if self.options.alone => End::Fatal(error),
            Some(false) | None => End::Again(self.session, error),
            Some(true) if may_pass(&error) => End::Again(pause, error),
            Some(true) => End::Fatal(error),
        }
    }

    fn pause(&self, pause: Duration) {
        let clock = &self.options.clock;
        let until = clock.monotonic() + pause;
        while self.post.orders.current() == Order::Work {
            match until.saturating_sub(clock.monotonic()) {
                Duration::ZERO => break,
                left => self.post.bell.wait(left),
            }
        }
    }
}

/// Whether another try may do better. What else there is will be met again.
fn may_pass(error: &Error) -> bool {
    matches!(
        error,
        Error::Fence(_)
            | Error::Append(_)
            | Error::Snapshot(_)
            | Error::Read(ReadError::Io(_) | ReadError::Truncated { .. })
    )
}

/// How long a takeover has taken, and what it began with.
fn tell_takeover(seat: Seat, taken: Duration, Begun { warm, records }: Begun) {
    tracing::info!(%seat, ?taken, warm, records, "taken over");
    let gauge = |name: &'static str| metrics::gauge!(name, "partition" => seat.to_string());
    gauge("prepx_takeover_seconds").set(taken.as_secs_f64());
    gauge("prepx_takeover_warm").set(f64::from(u8::from(warm)));
    gauge("prepx_takeover_records").set(records as f64);
}

struct Driver<'a, C: Codec> {
    station: Station<C>,
    log: Arc<dyn Log>,
    claim: Claim,
    steady: SteadyClock,
    release: Arc<Release>,
    sitter: &'a Sitter<C>,
    /// A transition whose commit will prove that this is the owner, and when that was at the earliest.
    proving: Option<(prepx_bus::Position, Duration)>,
}

impl<'a, C: Codec> Driver<'a, C> {
    fn open(sitter: &'a Sitter<C>) -> Result<Driver<'a, C>, Error> {
        let (options, post) = (&sitter.options, &sitter.post);
        let since = options.clock.monotonic();
        let name = post.seat.to_string().replace('/', "-");
        let log = (options.logs)(&name, Reading::Prompt)
            .map_err(|error| Error::Read(ReadError::Io(std::io::Error::other(error))))?;
        let replies = Arc::clone(&options.replies);
        // Where every snapshot is damaged, the journal is folded from before what the log has.
        let log = Archived::of(log, options.archives.as_ref());
        let mut steady = SteadyClock::new(&*options.clock);
        let takeover = Takeover {
            who: &options.who,
            now: steady.now(&*options.clock),
            // A transition and its outputs are one transaction: none has left without the other.
            reemit: false,
            watch: &(),
        };
        let opening = options.clock.monotonic();
        let (codec, own) = (Arc::clone(&sitter.codec), Arc::clone(&log));
        let (topology, standby) = (options.topology, &*sitter.standby);
        let handles = Handles { own, replies };
        let station = Station::open(codec, post.seat, topology, handles, standby, takeover)?;
        let release = Arc::new(Release::default());
        let (released, rung) = (Arc::clone(&release), Arc::clone(&post.bell));
        log.watermark().subscribe(move |progress| match progress {
            Progress::Durable(position) => released.advance(*position),
            Progress::Failed(_) => released.kill(),
        });
        log.on_news(Box::new(move || rung.ring()));
        let owner = station.partition().owner();
        let claim = Claim::new(Arc::clone(&log), owner);
        let driver = Driver {
            station,
            log,
            claim,
            steady,
            release,
            sitter,
            proving: None,
        };
        driver.publish(owner)?;
        post.epoch.store(owner.epoch, Ordering::Release);
        post.proof.open(driver.claim.clone(), opening);
        let taken = options.clock.monotonic() - since;
        tell_takeover(post.seat, taken, driver.station.partition().begun());
        Ok(driver)
    }

    /// Tells everybody who owns the partition now, as its owner: nobody who is fenced can.
    fn publish(&self, owner: prepx_bus::Owner) -> Result<(), Error> {
        let seat = self.sitter.post.seat;
        let record = crate::directory::record(seat, owner.epoch, &self.sitter.options.address);
        let mut batch = Batch::new();
        let key = seat.to_string();
        batch.push_keyed(Topic::StageOwners.partition(0), key.as_bytes(), &record);
        self.log.append(Some(owner), &batch)?;
        Ok(())
    }

    fn run(mut self) -> Result<(), Error> {
        let worked = self.work();
        self.settle();
        worked
    }

    /// Owns the partition until it is to be let go of, or is another's.
    fn work(&mut self) -> Result<(), Error> {
        let post = &self.sitter.post;
        let clock = Arc::clone(&self.sitter.options.clock);
        let mut next_tick = Duration::ZERO;
        while post.orders.current() <= Order::Yield {
            let now = clock.monotonic();
            if now >= next_tick {
                self.station.tick();
                next_tick = now + TICK;
            }
            let turn = self.station.turn(self.steady.now(&*clock))?;
            self.prove(now);
            self.show();
            let events = self.station.partition().head().events;
            post.events.store(events, Ordering::Relaxed);
            if post.proof.is_refuted() {
                let (owner, current) = (self.claim.owner(), self.claim.owner().epoch + 1);
                return Err(AppendError::Fenced { owner, current }.into());
            }
            if turn != Turn::More {
                post.bell.wait(next_tick.saturating_sub(clock.monotonic()));
            }
        }
        Ok(())
    }

    /// Decides nothing more, and brings what is in flight to its end: what is durable is answered.
    fn settle(&mut self) {
        let post = &self.sitter.post;
        post.proof.close();
        let mut looks = SETTLE.as_millis() / SETTLE_LOOK.as_millis();
        while looks > 0
            && post.orders.current() != Order::Drop
            && matches!(self.station.settle(), Ok(false))
        {
            post.bell.wait(SETTLE_LOOK);
            looks -= 1;
        }
    }

    /// A transition that is committed was its owner's, at least when it was appended.
    fn prove(&mut self, before: Duration) {
        match self.proving {
            Some((position, at)) if position <= self.log.durable() => {
                self.sitter.post.proof.prove(at);
                self.proving = None;
            }
            None if self.station.head() > self.log.durable() => {
                self.proving = Some((self.station.head(), before));
            }
            _ => {}
        }
    }

    /// What reads have seen may leave when the head is durable. They see nothing where it is not certain that
    /// this is the owner still.
    fn show(&mut self) {
        let partition = self.station.partition();
        let looks = self.sitter.looks.try_iter().take(LOOKS_MAX);
        let seen: Vec<Deliver> = looks.map(|look| look(partition)).collect();
        if seen.is_empty() || !self.is_certain() {
            return;
        }
        if seen.len() == LOOKS_MAX {
            self.sitter.post.bell.ring();
        }
        self.release.hold(self.station.head(), seen.into_iter());
        self.release.advance(self.log.durable());
    }

    /// Whether nobody can have taken the partition over and decided anything yet. Where another process may do so at any
    /// moment, the log is asked each time.
    fn is_certain(&self) -> bool {
        let post = &self.sitter.post;
        match post.orders.current() {
            Order::Yield => self.claim.ask() == Some(true),
            _ => post.proof.is_fresh(self.sitter.options.clock.monotonic()),
        }
    }
}
