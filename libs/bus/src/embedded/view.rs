//! What readers may see: the durable part of the log (I8), its sparse index and its recent tail.
//!
//! Refuses: anything that has not been synced. The writer adds to it after the sync, recovery
//! after reading, both through [`View::absorb`].

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::frame::{Frame, Kind};
use super::gather::{Block, Place, Span, TailSpan};
use super::partitions::PartitionMap;
use super::segment::{Segment, Standing};
use crate::{ReadError, TopicPartition};

/// A partition has an index entry at least this often, so that reading from any offset looks at
/// no more than this many bytes before it finds it.
pub const SPACING_BYTES: u64 = 32 << 10;

/// The durable log in memory: everything about it but the frames that are only on disk.
pub struct View {
    /// In the order of their addresses; the last one is written to.
    pub segments: VecDeque<Arc<Segment>>,
    /// The address after the last durable frame.
    pub end: u64,
    partitions: PartitionMap<Partition>,
    tail: VecDeque<Block>,
    tail_bytes: usize,
    tail_bytes_max: usize,
}

#[derive(Default)]
struct Partition {
    standing: Standing,
    /// Some of the partition's records, at least the first in each segment.
    index: VecDeque<Entry>,
}

/// The first record of the partition in the frame at `address` has this offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub offset: u64,
    pub address: u64,
}

impl View {
    /// A view of segments whose frames are still to be absorbed, from the last one's base on.
    pub fn new(segments: VecDeque<Arc<Segment>>, tail_bytes_max: usize) -> View {
        let (Some(first), Some(last)) = (segments.front(), segments.back()) else {
            unreachable!("a log has at least the segment that is written to");
        };
        let mut partitions = PartitionMap::<Partition>::default();
        for (at, standing) in last.standings.iter() {
            partitions.get_mut(at).standing = *standing;
        }
        // What was in segments that are gone cannot be read, whatever the last header knew.
        for (at, standing) in first.standings.iter() {
            let start = &mut partitions.get_mut(at).standing.start;
            *start = standing.end.max(*start);
        }
        let end = last.base;
        View {
            segments,
            end,
            partitions,
            tail: VecDeque::new(),
            tail_bytes: 0,
            tail_bytes_max,
        }
    }

    pub fn standing(&self, partition: TopicPartition) -> Standing {
        self.partitions
            .get(partition)
            .map(|known| known.standing)
            .unwrap_or_default()
    }

    /// Where every partition stands at the end, for the header of the next segment.
    pub fn standings(&self) -> PartitionMap<Standing> {
        let mut standings = PartitionMap::default();
        for (at, partition) in self.partitions.iter() {
            *standings.get_mut(at) = partition.standing;
        }
        standings
    }

    /// Adds the next durable frame; an error says how it contradicts what came before.
    pub fn absorb(&mut self, frame: &Frame<'_>) -> Result<(), String> {
        let segment_base = self.segments.back().map_or(0, |segment| segment.base);
        if let (Kind::Fence, Some(owner)) = (frame.kind, frame.owner) {
            let epoch = &mut self.partitions.get_mut(owner.journal).standing.epoch;
            if owner.epoch <= *epoch {
                return Err(format!("{} goes back from epoch {epoch}", owner.journal));
            }
            *epoch = owner.epoch;
        }
        for record in frame.records() {
            let partition = self.partitions.get_mut(record.to);
            let end = partition.standing.end;
            if record.offset != end {
                return Err(format!(
                    "{} goes from {end} to {}",
                    record.to, record.offset
                ));
            }
            partition.standing.end += 1;
            partition.note(
                Entry {
                    offset: end,
                    address: frame.address,
                },
                segment_base,
            );
        }
        self.end = frame.end();
        Ok(())
    }

    /// Adds whole frames that have just been synced, and keeps them in the tail.
    pub fn publish(&mut self, frames: Bytes) -> Result<(), String> {
        let address = self.end;
        while self.end < address + frames.len() as u64 {
            let rest = &frames[(self.end - address) as usize..];
            let frame = Frame::trust(rest, self.end).map_err(|invalid| invalid.to_string())?;
            self.absorb(&frame)?;
        }
        self.tail_bytes += frames.len();
        self.tail.push_back(Block { address, frames });
        while self.tail_bytes > self.tail_bytes_max && self.tail.len() > 1 {
            self.tail_bytes -= self.tail.pop_front().map_or(0, |block| block.frames.len());
        }
        Ok(())
    }

    /// Adds the index of a sealed segment, in order.
    pub fn add_index(&mut self, entries: impl IntoIterator<Item = (TopicPartition, Entry)>) {
        for (at, entry) in entries {
            self.partitions.get_mut(at).index.push_back(entry);
        }
    }

    /// The index of the segment from `base` on.
    pub fn index_from(&self, base: u64) -> impl Iterator<Item = (TopicPartition, Entry)> {
        self.partitions.iter().flat_map(move |(at, partition)| {
            let first = partition
                .index
                .partition_point(|entry| entry.address < base);
            partition
                .index
                .range(first..)
                .map(move |entry| (at, *entry))
        })
    }

    /// Where an offset of a partition is found.
    pub fn find(&self, partition: TopicPartition, offset: u64) -> Result<Place, ReadError> {
        let (address, stop) = self.locate(partition, offset)?;
        match self.tail.front() {
            Some(oldest) if address >= oldest.address => {
                Ok(Place::Tail(self.tail_from(address, stop)))
            }
            _ => self.span(address, stop).map(Place::Disk),
        }
    }

    /// The first frame to look at for `offset`, and where it cannot be any more.
    fn locate(&self, partition: TopicPartition, offset: u64) -> Result<(u64, u64), ReadError> {
        let start = self.standing(partition).start;
        ReadError::check(partition, offset, (start, u64::MAX))?;
        let index = self.partitions.get(partition).map(|known| &known.index);
        let entry = index.and_then(|index| {
            let next = index.partition_point(|entry| entry.offset <= offset);
            index.get(next.checked_sub(1)?)
        });
        match entry {
            // Had it come later than that, it would have an entry of its own.
            Some(entry) => Ok((entry.address, entry.address + SPACING_BYTES)),
            None => {
                let what = format!("the index of {partition} does not know offset {offset}");
                Err(ReadError::Damaged(what))
            }
        }
    }

    fn span(&self, address: u64, stop: u64) -> Result<Span, ReadError> {
        let after = self
            .segments
            .partition_point(|segment| segment.base <= address);
        let end = self.segments.get(after).map_or(self.end, |next| next.base);
        match after.checked_sub(1).and_then(|at| self.segments.get(at)) {
            Some(segment) => Ok(Span {
                segment: Arc::clone(segment),
                address,
                stop: stop.min(end),
                end,
            }),
            None => Err(ReadError::Damaged(format!(
                "no segment holds address {address}"
            ))),
        }
    }

    fn tail_from(&self, address: u64, stop: u64) -> TailSpan {
        let first = self
            .tail
            .partition_point(|block| block.address <= address)
            .saturating_sub(1);
        let wanted = self.tail.range(first..);
        TailSpan {
            blocks: wanted
                .take_while(|block| block.address < stop)
                .cloned()
                .collect(),
            address,
            stop,
        }
    }

    /// Raises the first needed offset of a partition.
    pub fn truncate(&mut self, partition: TopicPartition, offset: u64) {
        let standing = &mut self.partitions.get_mut(partition).standing;
        standing.start = standing.start.max(offset.min(standing.end));
    }

    /// The oldest segment and its end, if nothing in it is needed.
    pub fn unneeded(&self) -> Option<(Arc<Segment>, u64)> {
        let next = self.segments.get(1)?;
        let needed = |(at, then): (_, &Standing)| self.standing(at).start < then.end;
        match next.standings.iter().any(needed) {
            true => None,
            false => self
                .segments
                .front()
                .map(|oldest| (Arc::clone(oldest), next.base)),
        }
    }

    /// Forgets the oldest segment.
    pub fn forget_oldest(&mut self) {
        self.segments.pop_front();
        let base = self
            .segments
            .front()
            .map_or(self.end, |segment| segment.base);
        for (_, partition) in self.partitions.iter_mut() {
            let gone = partition
                .index
                .partition_point(|entry| entry.address < base);
            partition.index.drain(..gone);
        }
    }
}

impl Partition {
    fn note(&mut self, entry: Entry, segment_base: u64) {
        let needed = self.index.back().is_none_or(|last| {
            last.address < segment_base || entry.address >= last.address + SPACING_BYTES
        });
        if needed {
            self.index.push_back(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::super::frame::{Stamp, encode_batch};
    use super::*;
    use crate::faulty::FaultyDir;
    use crate::{Batch, Topic};

    fn empty(tail_bytes_max: usize) -> View {
        let dir = FaultyDir::new(0);
        let segment = Segment::create(&*dir, 0, PartitionMap::default(), 4_096).unwrap();
        View::new(VecDeque::from([Arc::new(segment)]), tail_bytes_max)
    }

    fn frame(address: u64, offset: u64) -> Bytes {
        let (mut batch, mut out) = (Batch::new(), BytesMut::new());
        batch.push(Topic::MarketData.partition(0), &[7; 100]);
        let stamp = Stamp {
            address,
            synced: address,
            owner: None,
        };
        encode_batch(&mut out, stamp, &batch, |_| offset);
        out.freeze()
    }

    #[test]
    fn i10_the_tail_keeps_the_newest_frames_within_its_bound() {
        let mut view = empty(1_000);
        for offset in 0..100 {
            view.publish(frame(view.end, offset)).unwrap();
            assert!(
                view.tail
                    .iter()
                    .map(|block| block.frames.len())
                    .sum::<usize>()
                    <= 1_000
            );
        }
        assert!(view.tail.len() > 1);
        assert_eq!(
            view.tail
                .iter()
                .map(|block| block.frames.len())
                .sum::<usize>(),
            view.tail_bytes
        );
        assert!(
            view.tail
                .back()
                .is_some_and(|block| block.address < view.end)
        );
    }

    #[test]
    fn frames_that_contradict_what_came_before_are_refused() {
        let mut view = empty(1_000);
        view.publish(frame(0, 0)).unwrap();
        let contradiction = view.publish(frame(view.end, 5)).unwrap_err();
        assert_eq!(contradiction, "market-data/0 goes from 1 to 5");

        let journal = Topic::AccountJournal.partition(0);
        let fence = |epoch, address| {
            let mut out = BytesMut::new();
            let owner = Some(crate::Owner { journal, epoch });
            super::super::frame::encode_fence(
                &mut out,
                Stamp {
                    address,
                    synced: 0,
                    owner,
                },
                "x",
            );
            out.freeze()
        };
        view.publish(fence(3, view.end)).unwrap();
        let contradiction = view.publish(fence(3, view.end)).unwrap_err();
        assert_eq!(contradiction, "account-journal/0 goes back from epoch 3");
    }
}
