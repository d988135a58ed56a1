//! The auditor's thread: when it makes a pass, while that is its process's duty, and what it does after a failure.

use std::collections::BTreeMap;
use std::time::Duration;

use prepx_runtime::{Drain, TaskError};
use prepx_stage::Duty;
use prepx_stage::consume::on_a_thread;

use super::{Auditor, CONSUMER, Pass};
use crate::error::{Error, Result};

/// Between two passes when there is nothing to take, and after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two passes while orders come: hashing a second's records at once would keep a core from the order
/// path for longer than an order may take.
const PAUSE_TAKING: Duration = Duration::from_millis(100);
/// Between two looks at whether the months to come are made.
const MONTHS_PAUSE: Duration = Duration::from_secs(6 * 3_600);
/// The same after a failure: roots have where to go meanwhile.
const MONTHS_PAUSE_FAILED: Duration = Duration::from_secs(60);

impl Auditor {
    /// Runs until the process ends, on a thread of its own.
    pub async fn run(self, drain: Drain) -> std::result::Result<(), TaskError> {
        let ended = on_a_thread(CONSUMER, move || async move {
            prepx_env::yield_to_others();
            self.follow(&drain).await
        });
        Ok(ended.await??)
    }

    /// While it is this process's duty, until the process ends.
    async fn follow(mut self, drain: &Drain) -> Result<()> {
        let duty = self.duty.clone();
        let mut knows_where = duty.is_mine();
        if !knows_where {
            self.lag.publish(&BTreeMap::new(), self.heads.len());
        }
        loop {
            let _taking = tokio::select! {
                taking = duty.taken() => taking,
                () = drain.stopping() => return Ok(()),
            };
            if !std::mem::replace(&mut knows_where, true) {
                self.carry_on(drain).await?;
            }
            if self.keep(&duty, drain).await? {
                // What was decided until now gets its root; the next start takes what this does not reach.
                return self.pass(true).await.map(|_| ());
            }
            self.lag.publish(&BTreeMap::new(), self.heads.len());
            knows_where = false;
        }
    }

    /// Takes over from another process; tries until it can.
    async fn carry_on(&mut self, drain: &Drain) -> Result<()> {
        loop {
            match self.go_on_from_schema().await {
                Err(dead @ Error::Poisoned(_)) => return Err(dead),
                Err(error) if !drain.is_draining() => alarm(&error),
                _ => return Ok(()),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Now and then, makes the months to come. Roots do not wait for it.
    async fn look_at_months(&mut self) {
        let now = self.clock.monotonic();
        if self.months_due > now {
            return;
        }
        let pause = match self.audit.make_months(self.clock.now()).await {
            Ok(_) => MONTHS_PAUSE,
            Err(error) => {
                alarm(&error);
                MONTHS_PAUSE_FAILED
            }
        };
        self.months_due = now + pause;
    }

    /// Makes passes. Answers whether the process ends; if not, the duty is over.
    async fn keep(&mut self, duty: &Duty, drain: &Drain) -> Result<bool> {
        while duty.is_mine() {
            self.look_at_months().await;
            let pause = match self.pass(false).await {
                Ok(Pass::Part) if !drain.is_draining() => continue,
                Ok(Pass::All) => PAUSE_TAKING,
                Ok(_) => PAUSE,
                Err(dead @ Error::Poisoned(_)) => return Err(dead),
                Err(error) => {
                    alarm(&error);
                    PAUSE
                }
            };
            tokio::select! {
                () = drain.stopping() => return Ok(true),
                () = duty.over() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        Ok(false)
    }
}

fn alarm(error: &Error) {
    tracing::error!(%error, "alarm: the audit cannot go on; it is tried again");
}
