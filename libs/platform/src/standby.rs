//! Several processes of a service of which one does what only one may do: whoever has the lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prepx_bus::{Change, LeaseError, Leases, Topic};
use prepx_runtime::{Drain, Service, TaskError};
use prepx_stage::Duty;

use crate::engines;
use crate::platform::Platform;

/// How long to wait for the group's word.
const CALL: Duration = Duration::from_millis(100);
/// How often to look whether whoever takes has let go.
const LOOK: Duration = Duration::from_millis(5);

impl Platform {
    /// The duty of this group of processes, such as `ledger`, and the task that finds out whose it is: of
    /// whoever has the one partition of the owners' topic in that group.
    ///
    /// # Errors
    /// When the log cannot be used.
    pub fn duty(&self, group: &'static str) -> Result<(Duty, Service), TaskError> {
        let leases = engines::leases(
            &self.settings.shared_log()?,
            (group, Topic::StageOwners),
            &self.process,
            Duration::from_millis(self.settings.lease_timeout_ms),
        )?;
        let duty = Duty::standing_by();
        let told = duty.clone();
        let task = Service::new().task("lease", async move |drain: Drain| {
            let leaving = Arc::new(AtomicBool::new(false));
            let seen = Arc::clone(&leaving);
            let following = tokio::task::spawn_blocking(move || follow(&*leases, &told, &seen));
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
        Ok((duty, task))
    }
}

/// Takes the duty up and lays it down as the group says, until this process leaves.
fn follow(leases: &dyn Leases, duty: &Duty, leaving: &AtomicBool) -> Result<(), LeaseError> {
    let (mut held, mut left) = (false, false);
    loop {
        if leaving.load(Ordering::Acquire) && !left {
            leases.leave();
            left = true;
        }
        if left && !held {
            return Ok(());
        }
        match leases.next(CALL)? {
            None => {}
            Some(Change::Granted(_)) => {
                tracing::info!("this process is on duty");
                held = true;
                duty.begin();
            }
            Some(Change::Revoked(partition)) => {
                lay_down(duty, leases.session() / 2);
                held = false;
                leases.release(partition);
            }
            Some(Change::Lost(_)) => {
                tracing::warn!("the duty of this process is another's");
                held = false;
                duty.end();
            }
        }
    }
}

/// Waits, but not for ever, until whoever takes has let go. One who has not is refused by the positions in
/// the store.
fn lay_down(duty: &Duty, at_most: Duration) {
    duty.end();
    let mut looks = at_most.as_millis() / LOOK.as_millis();
    while !duty.is_free() && looks > 0 {
        std::thread::sleep(LOOK);
        looks -= 1;
    }
    tracing::info!("this process stands by");
}

#[cfg(test)]
mod tests {
    use prepx_bus::lease::Group;

    use super::*;

    #[tokio::test]
    async fn a_duty_is_handed_over_when_whoever_takes_has_let_go() {
        let group = Group::new(1, Duration::from_secs(60));
        let mut members = Vec::new();
        for _ in 0..2 {
            let (duty, leaving) = (Duty::standing_by(), Arc::new(AtomicBool::new(false)));
            let (told, seen) = (duty.clone(), Arc::clone(&leaving));
            let leases = group.join();
            let thread = std::thread::spawn(move || follow(&*leases, &told, &seen));
            members.push((duty, leaving, thread));
        }
        let on_duty = async |duty: &Duty| duty.taken().await;
        let (first, second) = (&members[0].0, &members[1].0);
        let taking = tokio::select! {
            taking = on_duty(first) => taking,
            taking = on_duty(second) => taking,
        };
        let active = usize::from(second.is_mine());
        let (_, leaving, _) = &members[active];
        leaving.store(true, Ordering::Release);
        members[active].0.over().await;
        assert!(!members[1 - active].0.is_mine(), "it has not let go");
        drop(taking);
        drop(members[1 - active].0.taken().await);
        for (_, leaving, _) in &members {
            leaving.store(true, Ordering::Release);
        }
        for (_, _, thread) in members {
            let left = thread.join().expect("does not panic");
            left.expect("leaves well");
        }
    }
}
