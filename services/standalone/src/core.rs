//! The order path of the standalone process: the account and matching stages on one thread over a bounded
//! ring, a second thread that writes and syncs the log, a third that makes snapshots.
//!
//! Owns the event log of the data directory and all stage partitions. Refuses what does not fit (I10,
//! before anything is accepted), and to show anything that is not durable (I8). When the stages or the log
//! fail, [`Core::failed`] says so: the process must end then.

mod driver;
pub(crate) mod keepers;
pub mod manifest;
mod options;
mod ports;
mod running;
#[cfg(test)]
pub(crate) mod tests;
mod timed;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

use prepx_account as account;
use prepx_bus::{EmbeddedLog, Log, Position};
use prepx_domain::Slot;
use prepx_domain::message::{Command, ToMatching};
use prepx_domain::update::Reply;
use prepx_matching as matching;
use prepx_owner::{Deliver, Failure, Gate, RETRY_AFTER};
use prepx_risk::AccountCodec;
use prepx_stage::port::{ReadError, SubmitError};
use prepx_stage::{Retention, Topology};
use prepx_trace::Traces;
use prepx_trading::MatchingCodec;
use tokio::sync::oneshot;

use driver::Request;

pub use options::{OpenError, Options};
pub use running::Running;

/// Both stages as the core runs them.
pub type Pipeline = prepx_stage::Pipeline<AccountCodec, MatchingCodec>;

/// A handle on the stages. Clones are the same.
#[derive(Clone)]
pub struct Core(Arc<Shared>);

struct Shared {
    ring: SyncSender<Request>,
    commands: Gate,
    reads: Gate,
    closed: AtomicBool,
    log: Arc<EmbeddedLog>,
    retention: Arc<Retention>,
    topology: Topology,
    failure: Failure,
}

impl Core {
    /// Has commands decided in order; returns one answer for each, when all are durable. Only what was
    /// accepted can be [`SubmitError::Unknown`]. `traces` as in [`AccountPort::submit`].
    ///
    /// [`AccountPort::submit`]: prepx_stage::port::AccountPort::submit
    pub async fn submit_batch(
        &self,
        commands: Vec<Command>,
        traces: Traces,
    ) -> Result<Vec<Option<Reply>>, SubmitError> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let pass = self.0.commands.enter(commands.len()).ok_or(BUSY)?;
        let (answer, answered) = oneshot::channel();
        self.send(Request::Commands {
            commands,
            traces,
            answer,
            pass,
        })?;
        answered.await.map_err(|_| self.unknown())
    }

    /// Has one command decided.
    pub async fn submit(&self, command: Command) -> Result<Reply, SubmitError> {
        let mut replies = self.submit_batch(vec![command], Traces::default()).await?;
        replies.pop().flatten().ok_or_else(|| self.unknown())
    }

    /// Has an operator's command on an instrument decided; returns when it is durable, and every account
    /// partition knows of it.
    pub async fn submit_instrument(&self, command: ToMatching) -> Result<(), SubmitError> {
        let pass = self.0.commands.enter(1).ok_or(BUSY)?;
        let (answer, answered) = oneshot::channel();
        self.send(Request::Instrument {
            slot: command.slot(),
            command,
            answer,
            pass,
        })?;
        answered.await.map_err(|_| self.unknown())
    }

    /// Reads the memory of both stages; returns when everything that was read is durable. `look` runs on
    /// the core's thread: it must be short.
    pub async fn query<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Pipeline) -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        let busy = ReadError::Busy {
            retry_after: RETRY_AFTER,
        };
        let pass = self.0.reads.enter(1).ok_or(busy)?;
        let (answer, answered) = oneshot::channel();
        let look = Box::new(move |pipeline: &Pipeline| -> Deliver {
            let seen = look(pipeline);
            Box::new(move || {
                drop(pass);
                // The caller may have gone.
                let _ = answer.send(seen);
            })
        });
        let unavailable = |error: SubmitError| ReadError::Unavailable(error.to_string());
        self.send(Request::Look(look)).map_err(unavailable)?;
        answered.await.map_err(|_| unavailable(self.unknown()))
    }

    /// Reads the account partition of a slot. See [`Self::query`].
    pub async fn query_account<T: Send + 'static>(
        &self,
        slot: Slot,
        look: impl FnOnce(&account::Stage) -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        self.query(move |pipeline| look(pipeline.account_partition(slot).machine()))
            .await
    }

    /// Reads the matching partition of a slot. See [`Self::query`].
    pub async fn query_matching<T: Send + 'static>(
        &self,
        slot: Slot,
        look: impl FnOnce(&matching::Engine) -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        self.query(move |pipeline| look(pipeline.matching_partition(slot).machine()))
            .await
    }

    fn send(&self, request: Request) -> Result<(), SubmitError> {
        if self.0.closed.load(Ordering::Acquire) {
            return Err(SubmitError::Closed("this process is draining".into()));
        }
        self.0.ring.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => BUSY,
            TrySendError::Disconnected(_) => SubmitError::Closed(self.0.failure.words()),
        })
    }

    fn unknown(&self) -> SubmitError {
        SubmitError::Unknown(self.0.failure.words())
    }

    /// Waits until the core has failed, and says why: the process must end then (I8).
    pub async fn failed(&self) -> Arc<str> {
        self.0.failure.first().await
    }

    /// The event log, for consumers of the stages' outputs.
    pub fn log(&self) -> Arc<dyn Log> {
        self.0.log.clone()
    }

    /// The event log, with access to its files.
    pub fn embedded(&self) -> Arc<EmbeddedLog> {
        Arc::clone(&self.0.log)
    }

    /// Where consumers register how much of the log they need.
    pub fn retention(&self) -> Arc<Retention> {
        Arc::clone(&self.0.retention)
    }

    /// The number of partitions.
    pub fn topology(&self) -> Topology {
        self.0.topology
    }

    /// The last durable position of the log.
    pub fn durable(&self) -> Position {
        self.0.log.durable()
    }

    /// The end of the last transition that the stages have decided when this is called; returns when that
    /// is durable.
    pub async fn head(&self) -> Result<Position, ReadError> {
        self.query(Pipeline::head).await
    }
}

pub(crate) const BUSY: SubmitError = SubmitError::Busy {
    retry_after: RETRY_AFTER,
};
