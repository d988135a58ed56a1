//! How far a consumer has read a source, stored in the transaction that has its effects (I2).

use crate::error::Gap;
use crate::{Connection, Error, Tx, Value, query};

/// One partition of a topic, or one lane, as a consumer reads it. Sequences are dense and begin at 1; a log
/// offset `o` is sequence `o + 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// The consumer, such as `ledger`.
    pub consumer: &'a str,
    /// The source, such as `portfolio-updates`.
    pub topic: &'a str,
    /// The partition of the topic.
    pub partition: u32,
}

/// The position of a consumer that a reader must see.
pub type Seen = (Source<'static>, u64);

/// Whether what a connection reads has all of it.
pub(crate) async fn has_seen(on: impl Into<Connection<'_>>, seen: &[Seen]) -> crate::Result<bool> {
    // A source of which nothing was applied yet has no row.
    let wanted = seen.iter().filter(|(_, sequence)| *sequence > 0);
    let (mut sql, mut before) = (query("SELECT COUNT(*) FROM positions"), " WHERE ");
    let mut count = 0i64;
    for (source, sequence) in wanted {
        sql.push(before)
            .push("(consumer, topic, source_partition) = ");
        sql.push_list([
            Value::from(source.consumer),
            source.topic.into(),
            source.partition.into(),
        ]);
        sql.push(" AND sequence >= ").push_bind(stored(*sequence));
        before = " OR ";
        count += 1;
    }
    Ok(count == 0 || sql.scalar(on).await? == Some(count))
}

fn stored(sequence: u64) -> i64 {
    i64::try_from(sequence).expect("63 bits of records do not fit on any disk")
}

/// How many records at the head of the batch `first..=last` are repeats, when everything up to `position`
/// has been applied.
fn repeats(position: u64, first: u64, last: u64) -> Result<usize, Gap> {
    assert!(
        first >= 1 && last >= first,
        "a batch {first}..={last} is empty or begins before 1"
    );
    if first > position.saturating_add(1) {
        return Err(Gap {
            expected: position.saturating_add(1),
            found: first,
        });
    }
    Ok(position.min(last).saturating_add(1).saturating_sub(first) as usize)
}

/// The last sequence that a consumer has applied and committed; 0 before the first.
pub(crate) async fn position(
    on: impl Into<Connection<'_>>,
    source: &Source<'_>,
) -> crate::Result<u64> {
    let sequence: Option<i64> = query(
        "SELECT sequence FROM positions
         WHERE consumer = $1 AND topic = $2 AND source_partition = $3",
    )
    .bind(source.consumer)
    .bind(source.topic)
    .bind(source.partition)
    .scalar(on)
    .await?;
    Ok(sequence.map_or(0, |sequence| {
        sequence.try_into().expect("written from a u64")
    }))
}

impl Tx {
    /// The last sequence that a consumer has applied, as this transaction sees it; 0 before the first.
    pub async fn position(&mut self, source: &Source<'_>) -> crate::Result<u64> {
        position(self, source).await
    }

    /// Moves a consumer over the records `first..=last`; returns how many at their head it has applied
    /// before and must skip. The rest takes effect with this transaction (I2). [`Error::Gap`] if records
    /// are missing before `first`: the consumer must stop.
    pub async fn advance(
        &mut self,
        source: &Source<'_>,
        first: u64,
        last: u64,
    ) -> crate::Result<usize> {
        let before = position(&mut *self, source).await?;
        let skip = repeats(before, first, last).map_err(|gap| {
            tracing::error!(?source, %gap, "alarm: a consumer was given a gap and stops");
            Error::Gap {
                consumer: source.consumer.to_owned(),
                topic: source.topic.to_owned(),
                partition: source.partition,
                gap,
            }
        })?;
        if last > before {
            query(
                "INSERT INTO positions (consumer, topic, source_partition, sequence)
                 VALUES ($1, $2, $3, $4)
                 ON CONFLICT (consumer, topic, source_partition)
                 DO UPDATE SET sequence = excluded.sequence",
            )
            .bind(source.consumer)
            .bind(source.topic)
            .bind(source.partition)
            .bind(stored(last))
            .execute(self)
            .await?;
        }
        Ok(skip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever overlapping batches a source delivers, each record is applied exactly once.
        #[test]
        fn every_record_is_applied_once(batches in prop::collection::vec((0u64..6, 1u64..9), 1..60)) {
            let (mut position, mut applied) = (0u64, Vec::new());
            for (back, length) in batches {
                let first = (position + 1).saturating_sub(back).max(1);
                let last = first + length - 1;
                let skip = repeats(position, first, last).expect("no gap");
                applied.extend((first..=last).skip(skip));
                position = position.max(last);
            }
            prop_assert_eq!(applied, (1..=position).collect::<Vec<_>>());
        }

        #[test]
        fn a_gap_is_never_skipped(position in 0u64..1_000, hole in 1u64..50, length in 1u64..9) {
            let first = position + 1 + hole;
            prop_assert_eq!(
                repeats(position, first, first + length - 1),
                Err(Gap { expected: position + 1, found: first })
            );
        }
    }
}
