//! Order id → place in memory: open addressing with linear probing and backward shifts.
//!
//! An entry is eight bytes: 32 bits of the id's hash and the place. The hash alone says where an
//! entry belongs, so growing and shifting touch no order. Removal leaves no tombstones: a book that
//! turns over for years never stops to clean up.

use prepx_domain::OrderId;

use crate::fifo::NONE;

#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: u32,
    /// `NONE` when the entry is free.
    place: u32,
}

const FREE: Entry = Entry {
    tag: 0,
    place: NONE,
};
const INITIAL_BITS: u32 = 10;

/// At least half of the entries are free. Several ids may name one place.
#[derive(Debug)]
pub(crate) struct Index {
    entries: Vec<Entry>,
    /// A tag's high bits say where its entry belongs: this many low ones do not.
    shift: u32,
    len: usize,
}

/// Fibonacci hashing: ids of one writer follow each other and spread evenly.
fn tag(id: OrderId) -> u32 {
    ((id.raw() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

impl Index {
    pub(crate) fn new() -> Index {
        Index {
            entries: vec![FREE; 1 << INITIAL_BITS],
            shift: u32::BITS - INITIAL_BITS,
            len: 0,
        }
    }

    fn mask(&self) -> usize {
        self.entries.len() - 1
    }

    fn home(&self, tag: u32) -> usize {
        tag.wrapping_shr(self.shift) as usize
    }

    /// The place of `id`; `is_it` compares the id with what stands at a place.
    pub(crate) fn get(&self, id: OrderId, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = tag(id);
        let mut at = self.home(tag);
        loop {
            let entry = self.entries[at];
            if entry.place == NONE {
                return None;
            }
            if entry.tag == tag && is_it(entry.place) {
                return Some(entry.place);
            }
            at = (at + 1) & self.mask();
        }
    }

    /// Adds an id that is not in the index.
    pub(crate) fn insert(&mut self, id: OrderId, place: u32) {
        if (self.len + 1) * 2 > self.entries.len() {
            self.grow();
        }
        self.put(Entry {
            tag: tag(id),
            place,
        });
        self.len += 1;
    }

    fn put(&mut self, entry: Entry) {
        let mut at = self.home(entry.tag);
        while self.entries[at].place != NONE {
            at = (at + 1) & self.mask();
        }
        self.entries[at] = entry;
    }

    fn grow(&mut self) {
        self.shift -= 1;
        let grown = vec![FREE; self.entries.len() * 2];
        for entry in std::mem::replace(&mut self.entries, grown) {
            if entry.place != NONE {
                self.put(entry);
            }
        }
    }

    /// Removes an id that is in the index with this place.
    pub(crate) fn remove(&mut self, id: OrderId, place: u32) {
        let tag = tag(id);
        let mut hole = self.home(tag);
        loop {
            let entry = self.entries[hole];
            if entry.tag == tag && entry.place == place {
                break;
            }
            assert!(entry.place != NONE, "an id that lives is in the index");
            hole = (hole + 1) & self.mask();
        }
        // Every entry behind the hole that would not be found across it moves into it.
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask();
            let entry = self.entries[at];
            if entry.place == NONE {
                break;
            }
            let from_home = at.wrapping_sub(self.home(entry.tag)) & self.mask();
            let from_hole = at.wrapping_sub(hole) & self.mask();
            if from_home >= from_hole {
                self.entries[hole] = entry;
                hole = at;
            }
        }
        self.entries[hole] = FREE;
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use std::collections::BTreeMap;

    #[test]
    fn it_equals_a_map_under_churn() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let (mut index, mut map) = (Index::new(), BTreeMap::new());
        for _ in 0..200_000 {
            // Few ids, so that most operations meet a known one, spread by a stride like real ids.
            let id = OrderId::new(rng.random_range(0..3_000i64) << 22).expect("not negative");
            let place = (id.raw() >> 22) as u32;
            assert_eq!(index.get(id, |at| at == place), map.get(&id).copied());
            if map.remove(&id).is_some() {
                index.remove(id, place);
            } else {
                map.insert(id, place);
                index.insert(id, place);
            }
        }
        assert_eq!(index.len, map.len());
        for (&id, &place) in &map {
            assert_eq!(index.get(id, |at| at == place), Some(place));
        }
    }
}
