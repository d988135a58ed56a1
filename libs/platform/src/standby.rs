//! Several processes of a service, of which only one at a time may do each part of the work: the one that has the
//! part's lease.
//!
//! Owns one process's membership in the group, and which parts it has. A lease only assigns the work. What prevents
//! two processes from writing is the position in the store, which rejects the late one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prepx_bus::{Change, LeaseError, Leases, Topic};
use prepx_runtime::{Drain, Service, TaskError};
use prepx_stage::{Duties, Duty};

use crate::engines;
use crate::platform::Platform;

/// How long to wait for a change in the group.
const CALL: Duration = Duration::from_millis(100);
/// How often to check whether a consumer has stopped.
const LOOK: Duration = Duration::from_millis(5);

impl Platform {
    /// The only duty of this group of processes, such as `audit`, and the task that follows whose it is:
    /// that of the process with the only partition of the owners' topic in that group.
    ///
    /// # Errors
    /// When the log cannot be used.
    pub fn duty(&self, group: &str) -> Result<(Duty, Service), TaskError> {
        let duty = Duty::standing_by();
        let task = self.follow_group((group, Topic::StageOwners), duty.clone().into())?;
        Ok((duty, task))
    }

    /// The partitions of a topic as the processes that write them to the same store divide them, and the task that
    /// follows which are this process's.
    ///
    /// # Errors
    /// When the log cannot be used.
    pub fn duties(&self, topic: Topic) -> Result<(Duties, Service), TaskError> {
        let duties = Duties::standing_by(self.settings.topology().partitions(topic));
        let group = format!("{}-takers", topic.name());
        let task = self.follow_group((&group, topic), duties.clone())?;
        Ok((duties, task))
    }

    fn follow_group(&self, group: (&str, Topic), duties: Duties) -> Result<Service, TaskError> {
        let leases = engines::leases(
            &self.settings.shared_log()?,
            group,
            &self.process,
            Duration::from_millis(self.settings.lease_timeout_ms),
        )?;
        let task = Service::new().task("lease", async move |drain: Drain| {
            let leaving = Arc::new(AtomicBool::new(false));
            let seen = Arc::clone(&leaving);
            let following =
                tokio::task::spawn_blocking(move || Share::new(&*leases, &duties).follow(&seen));
            tokio::pin!(following);
            let followed = tokio::select! {
                followed = &mut following => followed?,
                () = drain.draining() => {
                    leaving.store(true, Ordering::Release);
                    following.await?
                }
            };
            Ok(followed?)
        });
        Ok(task)
    }
}

/// This process's share of its group's work.
struct Share<'l> {
    leases: &'l dyn Leases,
    duties: &'l Duties,
    /// The partitions of this process; for those that another process is to have, how many more checks to wait
    /// for the consumer to stop.
    held: BTreeMap<u32, Option<u128>>,
}

impl<'l> Share<'l> {
    fn new(leases: &'l dyn Leases, duties: &'l Duties) -> Share<'l> {
        Share {
            leases,
            duties,
            held: BTreeMap::new(),
        }
    }

    /// Begins and ends duties as the group says, until this process leaves.
    fn follow(mut self, leaving: &AtomicBool) -> Result<(), LeaseError> {
        let mut left = false;
        loop {
            if leaving.load(Ordering::Acquire) && !left {
                self.leases.leave();
                left = true;
            }
            if left && self.held.is_empty() {
                return Ok(());
            }
            let lays_down = self.held.values().any(Option::is_some);
            match self.leases.next(if lays_down { LOOK } else { CALL })? {
                Some(change) => self.apply(change),
                None => self.let_go(),
            }
        }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Granted(partition) => {
                tracing::info!(partition, "this process is on duty");
                self.held.insert(partition, None);
                self.duties.of(partition).begin();
            }
            Change::Revoked(partition) => {
                self.duties.of(partition).end();
                let looks = (self.leases.session() / 2).as_millis() / LOOK.as_millis();
                self.held.insert(partition, Some(looks));
            }
            Change::Lost(partition) => {
                tracing::warn!(partition, "the duty of this process is another's");
                self.held.remove(&partition);
                self.duties.of(partition).end();
            }
        }
    }

    /// Gives back partitions whose consumers have stopped. A consumer that has not stopped after a while is rejected
    /// by the positions in the store.
    fn let_go(&mut self) {
        let (leases, duties) = (self.leases, self.duties);
        self.held.retain(|partition, looks| {
            let Some(looks) = looks else {
                return true;
            };
            *looks = looks.saturating_sub(1);
            let is_done = *looks == 0 || duties.of(*partition).is_free();
            if is_done {
                tracing::info!(partition, "this process stands by");
                leases.release(*partition);
            }
            !is_done
        });
    }
}

#[cfg(test)]
mod tests {
    use std::thread::JoinHandle;

    use prepx_bus::lease::Group;

    use super::*;

    struct Process {
        duties: Duties,
        leaving: Arc<AtomicBool>,
        thread: JoinHandle<Result<(), LeaseError>>,
    }

    impl Process {
        fn join(group: &Arc<Group>, duties: Duties) -> Process {
            let leaving = Arc::new(AtomicBool::new(false));
            let (told, seen) = (duties.clone(), Arc::clone(&leaving));
            let leases = group.join();
            let thread = std::thread::spawn(move || Share::new(&*leases, &told).follow(&seen));
            Process {
                duties,
                leaving,
                thread,
            }
        }

        fn begin_to_leave(&self) {
            self.leaving.store(true, Ordering::Release);
        }

        fn leave(self) {
            self.begin_to_leave();
            let left = self.thread.join().expect("does not panic");
            left.expect("leaves well");
        }
    }

    #[tokio::test]
    async fn a_duty_is_handed_over_when_whoever_takes_has_let_go() {
        let group = Group::new(1, Duration::from_secs(60));
        let join = || Process::join(&group, Duty::standing_by().into());
        let (mut active, mut other) = (join(), join());
        let taking = tokio::select! {
            taking = active.duties.of(0).taken() => taking,
            taking = other.duties.of(0).taken() => {
                std::mem::swap(&mut active, &mut other);
                taking
            }
        };
        active.begin_to_leave();
        active.duties.of(0).over().await;
        assert!(!other.duties.of(0).is_mine(), "it has not let go");
        drop(taking);
        drop(other.duties.of(0).taken().await);
        active.leave();
        other.leave();
    }

    #[tokio::test]
    async fn partitions_are_shared_out_and_each_is_handed_over_by_itself() {
        const COUNT: u32 = 4;
        let group = Group::new(COUNT, Duration::from_secs(60));
        let first = Process::join(&group, Duties::standing_by(COUNT));
        let mut takings = Vec::new();
        for partition in 0..COUNT {
            takings.push(first.duties.of(partition).taken().await);
        }
        let second = Process::join(&group, Duties::standing_by(COUNT));
        let revoked = [2, 3];
        for partition in revoked {
            first.duties.of(partition).over().await;
        }
        // One partition is given back while the other one is still held.
        drop(takings.pop());
        drop(second.duties.of(3).taken().await);
        assert!(!second.duties.of(2).is_mine(), "it has not let go");
        drop(takings.pop());
        drop(second.duties.of(2).taken().await);
        let kept = [0, 1].map(|partition| first.duties.of(partition).is_mine());
        assert_eq!(kept, [true, true]);
        drop(takings);
        first.leave();
        for partition in 0..COUNT {
            drop(second.duties.of(partition).taken().await);
        }
        second.leave();
    }
}
