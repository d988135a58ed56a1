//! What a consumer of stage outputs implements: its position, and how it processes a batch.

use std::future::Future;
use std::time::Duration;

use prepx_bus::TopicPartition;

use crate::follow::{self, Batch};

/// A consumer of stage outputs, such as a projection.
pub trait Consumer: Send + 'static {
    /// Why it cannot process something.
    type Error: std::error::Error + From<follow::Error> + Send + Sync + 'static;

    /// Its name on the log. Processes with the same name that take different partitions are one consumer.
    const NAME: &'static str;
    /// How far the store may lag behind the log while nobody waits for it. Many small commits cost more time and
    /// more writes than few large ones, but a large batch occupies a core that the order path shares. Zero means that it
    /// never pauses.
    const PAUSE: Duration;
    /// After how many batches, of at most about a mebibyte each, the log is released. Not after each, because with a
    /// store that costs a sync.
    const BATCHES_BETWEEN_RELEASES: u32;
    /// Whether its thread has a lower priority than others. It then lags while cores are busy, and catches up later.
    const YIELDS: bool = true;

    /// Whether it follows the partitions that other processes take too ([`Self::see`]). A consumer that does not waits
    /// until all partitions are its own.
    const SEES: bool = false;

    /// Its name in metrics, alarms and on its thread.
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    /// Whether somebody waits for its progress, so that it must not pause.
    fn is_awaited(&self) -> bool {
        false
    }

    /// The partitions that it follows.
    fn sources(&self) -> Vec<TopicPartition>;

    /// Its position in a partition: the offset to read from. Called for all partitions at the start and after each
    /// failure, and for one when this process begins to take it.
    fn resume(
        &mut self,
        partition: TopicPartition,
    ) -> impl Future<Output = Result<u64, Self::Error>> + Send;

    /// Called after [`Self::resume`] of all partitions, before the first batch.
    fn prepare(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        async { Ok(()) }
    }

    /// Processes a batch, all of it or nothing.
    fn take(&mut self, batch: Batch) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Called with a batch that another process takes, for what readers here must know of it.
    ///
    /// # Errors
    /// When it cannot be understood.
    fn see(&mut self, _batch: &Batch) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Makes everything processed so far survive a power failure. Called before the log is released: otherwise the
    /// consumer's position could fall back before the start of the log.
    fn sync(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        async { Ok(()) }
    }

    /// Called after a failure: whatever happened since [`Self::resume`] is repeated.
    fn interrupted(&mut self) {}
}
