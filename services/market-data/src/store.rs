//! The schema `market_data`: the rows of a batch of the log and its position, written in one transaction
//! (I2).

#[cfg(test)]
mod plans;
mod read;
mod write;

use prepx_bus::TopicPartition;
use prepx_domain::InstrumentId;
use prepx_domain::market::Bar;
use prepx_domain::update::MarketUpdate;
use prepx_proto::journal;
use prepx_stage::follow::Batch;
use prepx_store::{Change, Location, Migration, Options, Pool, Reader, Result, Source, Tx};

use crate::domain::market::{Markets, Quote, Rows, Trade};
use crate::page::Range;
use crate::projection::Error;

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "market",
    change: Change::Expand,
    sql: include_str!("../migrations/0001_market.sql"),
}];

/// The most bytes of a trade, a quote or a bar, with its key and the free space of pages.
const ROW_BYTES: u64 = 256;

/// How much of an instrument's past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The newest trades, and as many quotes.
    pub rows: u64,
    /// The newest bars of a minute; all if `None`. Hours and days are kept for ever.
    pub minutes: Option<u64>,
}

impl Default for Keep {
    /// Half a million trades, and of quotes: about 50 MB of each.
    fn default() -> Keep {
        Keep {
            rows: 500_000,
            minutes: None,
        }
    }
}

/// Markets in SQL. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: Pool,
    bytes_max: Option<u64>,
}

/// A batch that is being applied.
pub struct Taking {
    tx: Tx,
    /// The new messages in it, in order.
    pub updates: Vec<MarketUpdate>,
}

fn position_of(partition: TopicPartition) -> Source<'static> {
    Source {
        consumer: "market-data",
        topic: partition.topic.name(),
        partition: partition.partition,
    }
}

impl Store {
    /// Makes what was applied so far survive a loss of power.
    pub async fn sync(&self) -> Result<()> {
        self.pool.sync().await
    }

    /// Opens the schema; creates it if it does not exist.
    pub async fn open(location: &Location) -> Result<Store> {
        Store::open_within(location, None).await
    }

    /// The same, with a bound on its size: beyond it the oldest trades, quotes and minutes are deleted.
    pub async fn open_within(location: &Location, bytes_max: Option<u64>) -> Result<Store> {
        let (options, bytes_max) = Options::projection("market_data", bytes_max);
        let pool = Pool::open(location, &options, MIGRATIONS).await?;
        Ok(Store { pool, bytes_max })
    }

    /// The offset at which to continue in a partition.
    pub async fn position(&self, partition: TopicPartition) -> Result<u64> {
        self.pool.position(&position_of(partition)).await
    }

    /// Markets of these instruments, as of the stored positions.
    pub async fn markets(&self, of: impl Fn(InstrumentId) -> bool) -> Result<Markets> {
        read::markets(&mut self.pool.read().await?, of).await
    }

    /// Begins to apply a batch: skips what was applied before. Dropped without [`Self::finish`], it has no
    /// effect.
    pub async fn begin(&self, batch: &Batch) -> std::result::Result<Taking, Error> {
        let mut tx = (self.pool)
            .begin_of(&batch.partition.partition.to_be_bytes())
            .await?;
        let mut updates = Vec::with_capacity(batch.len());
        for run in &batch.runs {
            let skip = tx
                .advance(&position_of(run.source), run.first, run.last())
                .await?;
            for message in &run.messages[skip..] {
                let update = journal::decode(&message.payload);
                updates.push(update.map_err(|error| batch.poison(message, error))?);
            }
        }
        let offsets = position_of(batch.partition);
        tx.advance(&offsets, batch.from + 1, batch.next).await?;
        Ok(Taking { tx, updates })
    }

    /// Writes the rows of the batch, prunes the given histories, and commits.
    pub async fn finish(
        &self,
        mut taking: Taking,
        rows: &Rows,
        prune: &[(InstrumentId, Keep)],
    ) -> Result<()> {
        write::rows(&mut taking.tx, rows).await?;
        for &(instrument, keep) in prune {
            write::prune(&mut taking.tx, instrument, keep).await?;
        }
        taking.tx.commit().await
    }

    /// How much of its past each of this many instruments may keep.
    pub fn keep(&self, instruments: usize) -> Keep {
        let Some(bytes_max) = self.bytes_max else {
            return Keep::default();
        };
        let rows = bytes_max / (ROW_BYTES * 3 * instruments.max(1) as u64);
        Keep {
            rows: Keep::default().rows.min(rows),
            minutes: Some(rows),
        }
    }

    /// The past of all instruments, at least as new as these offsets of the partitions.
    pub async fn view_past(&self, taken: &[(TopicPartition, u64)]) -> Result<View> {
        let seen = taken.iter().map(|(of, offset)| (position_of(*of), *offset));
        Ok(View(self.pool.read_past(&seen.collect::<Vec<_>>()).await?))
    }
}

/// The past of instruments, as one reader sees it.
pub struct View(Reader);

impl View {
    /// Trades of an instrument.
    pub async fn trades(&mut self, instrument: InstrumentId, range: &Range) -> Result<Vec<Trade>> {
        read::trades(&mut self.0, instrument, range).await
    }

    /// Quotes of an instrument.
    pub async fn quotes(&mut self, instrument: InstrumentId, range: &Range) -> Result<Vec<Quote>> {
        read::quotes(&mut self.0, instrument, range).await
    }

    /// Stored bars of a width of an instrument that start in the range.
    pub async fn bars(
        &mut self,
        instrument: InstrumentId,
        width_us: i64,
        range: &Range,
    ) -> Result<Vec<Bar>> {
        read::bars(&mut self.0, instrument, width_us, range).await
    }
}
