//! Which process works on which partition: leases that a group divides among its processes.
//!
//! Owns: the seam ([`Leases`]) and its engine in memory. Refuses: to be a lock. A lease says who is to try;
//! what a process does after it has lost its lease is stopped by the journal's fence
//! ([`Log::fence`](crate::Log::fence)).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What has become of a lease. By the number of the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The partition is this member's, until it hears otherwise.
    Granted(u32),
    /// The partition is wanted elsewhere. It stays this member's until it is released ([`Leases::release`]).
    Revoked(u32),
    /// The partition is this member's no more, and may be another's already: the group has not heard of
    /// this member for a session.
    Lost(u32),
}

/// Why a member of a group will hear nothing more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the group {group} does not take this member: {why}")]
pub struct LeaseError {
    /// Which group.
    pub group: String,
    /// What stands in the way.
    pub why: String,
}

/// A member of a group that shares the partitions of one topic out.
///
/// Contract of every engine (the `conformance` module holds it to account):
///
/// - Of the members that are heard of, no two have one partition; each partition is some member's, once those
///   who let go have done so, and members have as many as the others or one more.
/// - A partition that one member has heard to be [`Change::Revoked`] is granted to the next only when it has
///   been released, or the member has not been heard of for a session.
/// - A member is heard of while [`Leases::next`] is called again and again, at least once a session.
pub trait Leases: Send + Sync {
    /// The next change, in order; waits for one, at most for `timeout`. The first call may be what joins the group.
    ///
    /// # Errors
    /// When the group never takes this member.
    fn next(&self, timeout: Duration) -> Result<Option<Change>, LeaseError>;

    /// Lets a partition go that was revoked. Anything else changes nothing.
    fn release(&self, partition: u32);

    /// Leaves the group: all that is this member's is revoked, which [`Self::next`] tells, and nothing more
    /// granted. Dropped without, a member's partitions are free at once.
    fn leave(&self);

    /// For how long a member may be unheard of before its partitions are another's.
    fn session(&self) -> Duration;
}

/// A group in memory: for one process, and for tests of many.
pub struct Group {
    partitions: u32,
    session: Duration,
    members: Mutex<Members>,
    moved: Condvar,
}

#[derive(Default)]
struct Members {
    next_id: u64,
    by_id: BTreeMap<u64, Standing>,
}

/// What the group knows of a member.
#[derive(Default)]
struct Standing {
    changes: VecDeque<Change>,
    /// Granted and neither released nor lost.
    held: BTreeSet<u32>,
    /// Those of them that it is to release.
    revoked: BTreeSet<u32>,
    /// Whether it gets nothing more.
    leaving: bool,
    /// Whether it is unheard of.
    away: bool,
}

impl Standing {
    fn keeps(&self) -> usize {
        self.held.len() - self.revoked.len()
    }

    fn is_active(&self) -> bool {
        !self.leaving && !self.away
    }

    fn revoke_down_to(&mut self, count: usize) {
        let over = self.keeps().saturating_sub(count);
        let mut kept: Vec<u32> = self.held.difference(&self.revoked).copied().collect();
        for partition in kept.split_off(kept.len() - over) {
            self.revoked.insert(partition);
            self.changes.push_back(Change::Revoked(partition));
        }
    }

    fn lose_all(&mut self) {
        self.changes.clear();
        self.revoked.clear();
        let held = std::mem::take(&mut self.held);
        self.changes.extend(held.into_iter().map(Change::Lost));
    }
}

/// A member of a [`Group`].
pub struct Member {
    group: Arc<Group>,
    id: u64,
}

impl Group {
    /// A group without members yet. `session` is what they are told; nobody is timed.
    pub fn new(partitions: u32, session: Duration) -> Arc<Group> {
        Arc::new(Group {
            partitions,
            session,
            members: Mutex::default(),
            moved: Condvar::new(),
        })
    }

    /// One more member.
    pub fn join(self: &Arc<Group>) -> Arc<Member> {
        let mut members = self.lock();
        let id = members.next_id;
        members.next_id += 1;
        members.by_id.insert(id, Standing::default());
        self.share_out(&mut members);
        let group = Arc::clone(self);
        Arc::new(Member { group, id })
    }

    /// Takes from those who have too much, gives what is free to those who have too little.
    fn share_out(&self, members: &mut Members) {
        let mut active: Vec<&mut Standing> = Vec::new();
        for standing in members.by_id.values_mut() {
            match standing.is_active() {
                true => active.push(standing),
                false => standing.revoke_down_to(0),
            }
        }
        // Those who have most keep most.
        active.sort_by_key(|standing| std::cmp::Reverse(standing.keeps()));
        let count = active.len().max(1);
        let (share, more) = (
            self.partitions as usize / count,
            self.partitions as usize % count,
        );
        for (place, standing) in active.iter_mut().enumerate() {
            standing.revoke_down_to(share + usize::from(place < more));
        }
        let held: BTreeSet<u32> = members
            .by_id
            .values()
            .flat_map(|standing| standing.held.iter().copied())
            .collect();
        for free in (0..self.partitions).filter(|partition| !held.contains(partition)) {
            let active = members.by_id.values_mut().filter(|each| each.is_active());
            if let Some(standing) = active.min_by_key(|standing| standing.keeps()) {
                standing.held.insert(free);
                standing.changes.push_back(Change::Granted(free));
            }
        }
        self.moved.notify_all();
    }

    /// Nothing under this lock is left half done by a panic.
    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// As if the member had not been heard of for a session: it has lost what it had, and is back when it
    /// asks what has changed.
    pub fn expire(&self) {
        self.change(|standing| {
            standing.away = true;
            standing.lose_all();
        });
    }

    fn change(&self, change: impl FnOnce(&mut Standing)) {
        let mut members = self.group.lock();
        members.by_id.get_mut(&self.id).map(change);
        self.group.share_out(&mut members);
    }
}

impl Leases for Member {
    fn next(&self, timeout: Duration) -> Result<Option<Change>, LeaseError> {
        let id = self.id;
        let mut members = self.group.lock();
        if let Some(standing) = members.by_id.get_mut(&id).filter(|each| each.away) {
            standing.away = false;
            self.group.share_out(&mut members);
        }
        let silent = |members: &mut Members| {
            let standing = members.by_id.get(&id);
            standing.is_some_and(|standing| standing.changes.is_empty())
        };
        let waited = self
            .group
            .moved
            .wait_timeout_while(members, timeout, silent);
        let mut members = waited.unwrap_or_else(PoisonError::into_inner).0;
        let standing = members.by_id.get_mut(&id);
        Ok(standing.and_then(|standing| standing.changes.pop_front()))
    }

    fn release(&self, partition: u32) {
        self.change(|standing| {
            if standing.revoked.remove(&partition) {
                standing.held.remove(&partition);
            }
        });
    }

    fn leave(&self) {
        self.change(|standing| standing.leaving = true);
    }

    fn session(&self) -> Duration {
        self.group.session
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut members = self.group.lock();
        members.by_id.remove(&self.id);
        self.group.share_out(&mut members);
    }
}
