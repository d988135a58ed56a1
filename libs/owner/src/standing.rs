//! Which partitions a process stands by for: some that others own, as many as its memory may hold.
//!
//! Owns when a copy is begun, kept up and given up. Refuses: to load a copy while the partition may be on its
//! way to this process (its new owner would have to wait for nothing), and to retry at once, again and again,
//! what has just failed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prepx_bus::Log;
use prepx_stage::{Codec, Error, Standby};

/// How long a partition that could not be stood by for is left alone: twice as long each time, up to the second.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// How much a process stands by for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standbys {
    /// Most partitions of the stage; 0 for none.
    pub partitions: usize,
    /// Most bytes that their snapshots have together. What they take in memory is a few times as much.
    pub bytes: u64,
}

/// What the group has given this process: of each partition that is granted how many events it has seen, once it is
/// owned.
pub(crate) type Here = BTreeMap<u32, Option<u64>>;

pub(crate) struct Standing<C: Codec> {
    journal: &'static str,
    standbys: Vec<Arc<Standby<C>>>,
    limits: Standbys,
    /// A partition is not loaded before it has been elsewhere for so long.
    settled: Duration,
    /// Not all processes begin with the same partition.
    first: usize,
    /// Since when each partition has been elsewhere.
    away: BTreeMap<usize, Duration>,
    failed: BTreeMap<usize, Failed>,
}

/// What could not be stood by for.
struct Failed {
    tries: u32,
    until: Duration,
}

impl<C: Codec> Standing<C> {
    pub fn new(
        journal: &'static str,
        standbys: Vec<Arc<Standby<C>>>,
        limits: Standbys,
        settled: Duration,
        who: &str,
    ) -> Standing<C> {
        let mixed = who.bytes().fold(0_usize, |mixed, byte| {
            mixed.wrapping_mul(31).wrapping_add(byte.into())
        });
        Standing {
            first: mixed % standbys.len().max(1),
            journal,
            standbys,
            limits,
            settled,
            away: BTreeMap::new(),
            failed: BTreeMap::new(),
        }
    }

    /// Makes as many copies as there is room for and has them catch up, before this process has any partition: what it is
    /// given first, it takes over warm. Blocks.
    pub fn warm_up(&mut self, log: &dyn Log, now: Duration) {
        for at in self.rotated() {
            if !self.has_room() {
                break;
            }
            let standby = &self.standbys[at];
            if let Err(error) = standby.load().and_then(|()| standby.catch_up(log)) {
                self.fail(at, &error, now);
            }
        }
        self.bound(now);
        self.publish();
    }

    /// Keeps up with what is stood by for, gives up what is owned here, and begins with one partition more if there is
    /// room. Whether there is more to do at once.
    pub fn look(&mut self, log: &dyn Log, here: &Here, now: Duration) -> bool {
        if self.limits.partitions == 0 {
            return false;
        }
        let mut more = false;
        for at in self.rotated() {
            match here.get(&(at as u32)) {
                // Its owner has taken the copy, or begun without one.
                Some(Some(_)) => self.standbys[at].forget(),
                // Its owner is about to: the nearer the copy is to the end, the better.
                Some(None) => more |= self.follow(at, log, now),
                None => {
                    self.away.entry(at).or_insert(now);
                    more |= self.follow(at, log, now);
                    continue;
                }
            }
            self.away.remove(&at);
        }
        more |= self.begin(now);
        self.bound(now);
        self.publish();
        more
    }

    fn rotated(&self) -> impl Iterator<Item = usize> + use<C> {
        let (first, count) = (self.first, self.standbys.len());
        (0..count).map(move |at| (first + at) % count)
    }

    fn follow(&mut self, at: usize, log: &dyn Log, now: Duration) -> bool {
        if self.standbys[at].next_offset().is_none() {
            return false;
        }
        match self.standbys[at].follow(log) {
            Ok(more) => more,
            Err(error) => {
                self.fail(at, &error, now);
                false
            }
        }
    }

    /// Loads the copy of the next partition that is to be stood by for. One at a time: others are kept up between.
    fn begin(&mut self, now: Duration) -> bool {
        if !self.has_room() {
            return false;
        }
        let due = |at: &usize| {
            let settled = |since: &Duration| now.saturating_sub(*since) >= self.settled;
            self.away.get(at).is_some_and(settled)
                && self.failed.get(at).is_none_or(|failed| failed.until <= now)
                && self.standbys[*at].next_offset().is_none()
        };
        let Some(at) = self.rotated().find(due) else {
            return false;
        };
        match self.standbys[at].load() {
            Ok(()) => {
                let seat = self.standbys[at].seat();
                tracing::info!(%seat, "this process stands by for a partition");
            }
            Err(error) => self.fail(at, &error, now),
        }
        true
    }

    /// Gives up copies until the rest fits: the largest first.
    fn bound(&mut self, now: Duration) {
        while self.bytes() > self.limits.bytes {
            let largest = self.held().max_by_key(|at| self.standbys[*at].bytes());
            let Some(at) = largest else { return };
            let (seat, limit) = (self.standbys[at].seat(), self.limits.bytes);
            tracing::warn!(%seat, limit, "a standby does not fit into what is allowed for all; it is given up");
            self.standbys[at].forget();
            self.pause(at, now);
        }
    }

    /// Without the copy a takeover is cold; another one is begun after a while.
    fn fail(&mut self, at: usize, error: &Error, now: Duration) {
        let seat = self.standbys[at].seat();
        tracing::warn!(%seat, %error, "a standby cannot follow; a takeover would be cold until it can");
        metrics::counter!("prepx_standby_failures_total", "partition" => seat.to_string())
            .increment(1);
        self.pause(at, now);
    }

    fn pause(&mut self, at: usize, now: Duration) {
        // One that has gone well for long begins anew.
        let recent = |failed: &&Failed| now.saturating_sub(failed.until) < PAUSE_MAX;
        let failed = self.failed.get(&at).filter(recent);
        let tries = failed.map_or(0, |failed| failed.tries);
        let pause = PAUSE.saturating_mul(2u32.saturating_pow(tries));
        let failed = Failed {
            tries: tries + 1,
            until: now + pause.min(PAUSE_MAX),
        };
        self.failed.insert(at, failed);
    }

    fn has_room(&self) -> bool {
        self.held().count() < self.limits.partitions && self.bytes() < self.limits.bytes
    }

    fn held(&self) -> impl Iterator<Item = usize> {
        (0..self.standbys.len()).filter(|at| self.standbys[*at].next_offset().is_some())
    }

    fn bytes(&self) -> u64 {
        self.standbys
            .iter()
            .filter_map(|standby| standby.bytes())
            .sum()
    }

    fn publish(&self) {
        let gauge = |name: &'static str| metrics::gauge!(name, "stage" => self.journal);
        gauge("prepx_standby_partitions").set(self.held().count() as f64);
        gauge("prepx_standby_bytes").set(self.bytes() as f64);
    }
}

#[cfg(test)]
mod tests {
    use prepx_bus::brokers::{self, Brokers};
    use prepx_bus::faulty::FaultyDir;
    use prepx_stage::{Snapshots, Stage, State};

    use super::*;
    use prepx_tests::toy::BankCodec;

    const SETTLED: Duration = Duration::from_secs(3);
    const PARTITIONS: u32 = 4;

    /// Of four partitions that another process has, with a snapshot of each; and how large one of them is.
    fn standing(limits: impl FnOnce(u64) -> Standbys) -> (Standing<BankCodec>, Arc<dyn Log>) {
        let snapshots = Snapshots::new(FaultyDir::new(1));
        let standby = |partition| {
            let (codec, seat) = (Arc::new(BankCodec), Stage::ACCOUNT.seat(partition));
            let state = State::initial(&*codec);
            let written = snapshots.write(&*codec, seat, 1, &state, 0);
            (
                Arc::new(Standby::new(codec, seat, snapshots.clone())),
                written.unwrap(),
            )
        };
        let (standbys, bytes): (Vec<_>, Vec<_>) = (0..PARTITIONS).map(standby).unzip();
        let brokers = Brokers::new(
            1,
            brokers::Config {
                partitions: |_| PARTITIONS,
                buffer_bytes: 1 << 20,
                batch_bytes_max: 1 << 20,
            },
        );
        let standing = Standing::new("account", standbys, limits(bytes[0]), SETTLED, "a test");
        (standing, brokers.handle())
    }

    /// Looks for so many seconds, once each; how many partitions are stood by for after each.
    fn look(
        (standing, log): &mut (Standing<BankCodec>, Arc<dyn Log>),
        here: &Here,
        seconds: std::ops::Range<u64>,
    ) -> Vec<usize> {
        let mut held = |at| {
            while standing.look(&**log, here, Duration::from_secs(at)) {}
            standing.held().count()
        };
        seconds.map(&mut held).collect()
    }

    fn all(count: u64) -> Standbys {
        Standbys {
            partitions: 100,
            bytes: count,
        }
    }

    #[test]
    fn what_is_elsewhere_for_a_while_is_stood_by_for_and_what_is_owned_here_is_not() {
        let mut ground = standing(|_| all(1 << 20));
        assert_eq!(look(&mut ground, &Here::new(), 0..4), [0, 0, 0, 4]);
        let here = |events| Here::from([(0, events), (1, events)]);
        assert_eq!(
            look(&mut ground, &here(None), 4..6),
            [4, 4],
            "until its owner has it"
        );
        assert_eq!(look(&mut ground, &here(Some(7)), 6..7), [2]);
        assert_eq!(look(&mut ground, &Here::new(), 7..11), [2, 2, 2, 4]);
    }

    #[test]
    fn i10_no_more_is_held_than_may_be() {
        let two = |partitions| Standbys {
            partitions,
            bytes: 1 << 20,
        };
        assert_eq!(look(&mut standing(|_| two(2)), &Here::new(), 0..5)[4], 2);
        assert_eq!(look(&mut standing(|_| two(0)), &Here::new(), 0..5)[4], 0);
        let mut ground = standing(|each| all(3 * each - 1));
        let held = look(&mut ground, &Here::new(), 0..60);
        assert!(held.iter().all(|held| *held <= 2), "{held:?}");
        assert_eq!(held[59], 2);
    }

    #[test]
    fn what_fails_is_left_alone_for_longer_each_time() {
        let mut ground = standing(|_| all(0));
        ground.0.limits.bytes = 1;
        look(&mut ground, &Here::new(), 0..100);
        let tries = ground.0.failed.values().map(|failed| failed.tries);
        assert!(
            tries.clone().all(|tries| (4..8).contains(&tries)),
            "{:?}",
            tries.collect::<Vec<_>>()
        );
    }
}
