//! Whether this process still owns a partition: proved now and then, and never taken for granted for longer than
//! half the session of the lease, after which another process may have it.
//!
//! What is appended needs no proof: the log refuses a stale owner. A read from memory does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::claim::Claim;

/// What is known of one partition's ownership.
pub(crate) struct Proof {
    /// A proof older than this is none.
    age_max: Duration,
    /// When it was last certain, in microseconds of the monotonic clock.
    at_us: AtomicU64,
    /// The owner, while the partition is owned.
    claim: Mutex<Option<Claim>>,
    open: AtomicBool,
    refuted: AtomicBool,
}

impl Proof {
    /// The proof under a lease with this session; nothing is owned yet.
    pub fn new(session: Duration) -> Proof {
        Proof {
            age_max: session / 2,
            at_us: AtomicU64::new(0),
            claim: Mutex::default(),
            open: AtomicBool::new(false),
            refuted: AtomicBool::new(false),
        }
    }

    /// The partition is owned, which was certain at `at`.
    pub fn open(&self, claim: Claim, at: Duration) {
        *self.claim() = Some(claim);
        self.refuted.store(false, Ordering::Release);
        self.prove(at);
        self.open.store(true, Ordering::Release);
    }

    /// The partition is owned no more.
    pub fn close(&self) {
        self.open.store(false, Ordering::Release);
        *self.claim() = None;
    }

    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// It was certain at `at`.
    pub fn prove(&self, at: Duration) {
        let at_us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        self.at_us.fetch_max(at_us, Ordering::AcqRel);
    }

    /// Nothing is certain any more until the log has been asked: another process may have owned the partition meanwhile.
    pub fn doubt(&self) {
        self.at_us.store(0, Ordering::Release);
    }

    /// Whether it is certain enough to show what is in memory.
    pub fn is_fresh(&self, now: Duration) -> bool {
        self.age(now) < self.age_max
    }

    /// Whether somebody else has been seen to own the partition.
    pub fn is_refuted(&self) -> bool {
        self.refuted.load(Ordering::Acquire)
    }

    /// Asks the log, if the last proof is old enough for that. Blocks. Whether it was refuted.
    pub fn renew(&self, now: Duration) -> bool {
        if !self.is_open() || self.age(now) < self.age_max / 4 {
            return false;
        }
        let Some(claim) = self.claim().clone() else {
            return false;
        };
        let held = claim.ask();
        // Meanwhile it may have been dropped, or taken over here again.
        let now_claimed = self.claim();
        let same = now_claimed.as_ref().map(Claim::owner) == Some(claim.owner());
        match held.filter(|_| same) {
            Some(true) => self.prove(now),
            Some(false) => self.refuted.store(true, Ordering::Release),
            None => {}
        }
        self.is_refuted()
    }

    fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(Duration::from_micros(self.at_us.load(Ordering::Acquire)))
    }

    fn claim(&self) -> MutexGuard<'_, Option<Claim>> {
        self.claim.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
