//! What a consumer of stage outputs implements: where it stands, and how it takes a batch.

use std::future::Future;
use std::time::Duration;

use prepx_bus::TopicPartition;

use crate::follow::{self, Batch};

/// Whoever takes what stages tell.
pub trait Consumer: Send + 'static {
    /// Why it cannot take something.
    type Error: std::error::Error + From<follow::Error> + Send + Sync + 'static;

    /// Its name on the log. Those of one name that take different partitions are one.
    const NAME: &'static str;
    /// How much later than the log a store may be while nobody waits for it: many small commits cost
    /// more than few large, in time and in what is written; but what has come together is work for a core, which
    /// orders then have to share. Zero: not at all.
    const PAUSE: Duration;
    /// The log is let go of after so many batches, of at most about a mebibyte each, because with a
    /// store it costs a sync.
    const BATCHES_BETWEEN_RELEASES: u32;
    /// Whether it lets others go first where cores are scarce: what it lags by then, it catches up
    /// with when there is room.
    const YIELDS: bool = true;

    /// Whether it sees what other processes take ([`Self::see`]). One that does not waits until everything is
    /// its to take.
    const SEES: bool = false;

    /// Its name in metrics, in alarms and on its thread.
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    /// Whether somebody waits for everything that it takes, so that it does not pause.
    fn is_awaited(&self) -> bool {
        false
    }

    /// What it follows.
    fn sources(&self) -> Vec<TopicPartition>;

    /// Where it stands in a partition: what to read from. Asked of all at the beginning and after each failure, and of
    /// one when it becomes this process's to take.
    fn resume(
        &mut self,
        partition: TopicPartition,
    ) -> impl Future<Output = Result<u64, Self::Error>> + Send;

    /// Makes ready for the first batch after [`Self::resume`] of all.
    fn prepare(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        async { Ok(()) }
    }

    /// Takes a batch, all of it or nothing.
    fn take(&mut self, batch: Batch) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Another process takes this batch: what readers here have to know of it.
    ///
    /// # Errors
    /// When it cannot be understood.
    fn see(&mut self, _batch: &Batch) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Makes what was taken survive the loss of power: otherwise the consumer could fall back
    /// behind where the log begins once it is let go of.
    fn sync(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        async { Ok(()) }
    }

    /// Something has failed and everything since [`Self::resume`] begins anew.
    fn interrupted(&mut self) {}
}
