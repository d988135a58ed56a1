//! How far a consumer has come in a source, kept in the transaction that holds its effects (I2).

use crate::error::Gap;

/// One partition of a topic, or one lane, as one consumer reads it. Sequences are dense and begin
/// at 1; a log offset `o` is sequence `o + 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// Who applies, such as `ledger`.
    pub consumer: &'a str,
    /// Whose records, such as `portfolio-updates`.
    pub topic: &'a str,
    /// Which partition of the topic.
    pub partition: u32,
}

/// How many records at the head of the batch `first..=last` are repeats when everything up to
/// `position` has been applied.
pub(crate) fn repeats(position: u64, first: u64, last: u64) -> Result<usize, Gap> {
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
