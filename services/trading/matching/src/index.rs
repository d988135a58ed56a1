//! Order id → place in memory: a hash table of buckets, one cache line each.
//!
//! An entry is 32 bits of the id's hash and the place. The hash alone says where an entry belongs,
//! so growing touches no order. A look-up compares all of a bucket's hashes at once and goes on to
//! the next bucket only when entries have been pushed there; removal shifts nothing and leaves no
//! tombstones. So a book that turns over for years never stops to clean up.

use prepx_domain::OrderId;

const ENTRIES: usize = 7;
const INITIAL_BITS: u32 = 8;
/// A free entry; no id has this tag.
const FREE: u32 = 0;

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bucket {
    /// The last one is always free: eight are compared as fast as seven.
    tags: [u32; ENTRIES + 1],
    places: [u32; ENTRIES],
    /// How many entries that belong here or before are in later buckets.
    pushed_on: u32,
}

const EMPTY: Bucket = Bucket {
    tags: [FREE; ENTRIES + 1],
    places: [0; ENTRIES],
    pushed_on: 0,
};

/// At least half of the entries are free. Several ids may name one place.
#[derive(Debug)]
pub(crate) struct Index {
    buckets: Vec<Bucket>,
    /// A tag's high bits name its bucket: this many low ones do not.
    shift: u32,
    len: usize,
}

/// Fibonacci hashing: ids of one writer follow each other and spread evenly.
fn tag(id: OrderId) -> u32 {
    ((id.raw() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 | 1
}

impl Bucket {
    /// A bit for each entry with this tag.
    fn matches(&self, tag: u32) -> u32 {
        let mut bits = 0;
        for (at, &other) in self.tags.iter().enumerate() {
            bits |= u32::from(other == tag) << at;
        }
        bits
    }

    /// The first entry with this tag whose place is the one that is looked for.
    fn find(&self, tag: u32, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        let mut bits = self.matches(tag);
        while bits != 0 {
            let at = bits.trailing_zeros() as usize % ENTRIES;
            if is_it(self.places[at]) {
                return Some(at);
            }
            bits &= bits - 1;
        }
        None
    }
}

impl Index {
    pub(crate) fn new() -> Index {
        Index {
            buckets: vec![EMPTY; 1 << INITIAL_BITS],
            shift: u32::BITS - INITIAL_BITS,
            len: 0,
        }
    }

    fn home(&self, tag: u32) -> usize {
        tag.wrapping_shr(self.shift) as usize
    }

    fn next(&self, bucket: usize) -> usize {
        (bucket + 1) & (self.buckets.len() - 1)
    }

    /// The place of `id`; `is_it` compares the id with what stands at a place.
    pub(crate) fn get(&self, id: OrderId, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = tag(id);
        let mut at = self.home(tag);
        loop {
            let bucket = &self.buckets[at];
            if let Some(entry) = bucket.find(tag, &is_it) {
                return Some(bucket.places[entry]);
            }
            if bucket.pushed_on == 0 {
                return None;
            }
            at = self.next(at);
        }
    }

    /// Adds an id that is not in the index.
    pub(crate) fn insert(&mut self, id: OrderId, place: u32) {
        self.len += 1;
        if self.len * 2 > self.buckets.len() * ENTRIES {
            self.grow();
        }
        self.put(tag(id), place);
    }

    fn put(&mut self, tag: u32, place: u32) {
        let mut at = self.home(tag);
        loop {
            let bucket = &mut self.buckets[at];
            let entry = bucket.matches(FREE).trailing_zeros() as usize;
            if entry < ENTRIES {
                bucket.tags[entry] = tag;
                bucket.places[entry] = place;
                return;
            }
            bucket.pushed_on += 1;
            at = self.next(at);
        }
    }

    fn grow(&mut self) {
        self.shift -= 1;
        let grown = vec![EMPTY; self.buckets.len() * 2];
        for bucket in std::mem::replace(&mut self.buckets, grown) {
            let entries = bucket.tags.into_iter().zip(bucket.places);
            for (tag, place) in entries.filter(|entry| entry.0 != FREE) {
                self.put(tag, place);
            }
        }
    }

    /// Removes an id that is in the index with this place.
    pub(crate) fn remove(&mut self, id: OrderId, place: u32) {
        let tag = tag(id);
        let mut at = self.home(tag);
        loop {
            let bucket = &mut self.buckets[at];
            if let Some(entry) = bucket.find(tag, |other| other == place) {
                bucket.tags[entry] = FREE;
                self.len -= 1;
                return;
            }
            assert!(bucket.pushed_on > 0, "an id that lives is in the index");
            bucket.pushed_on -= 1;
            at = self.next(at);
        }
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
        for _ in 0..400_000 {
            // Few ids, so that most operations meet a known one, spread by a stride like real ids.
            let id = OrderId::new(rng.random_range(0..9_000i64) << 22).expect("not negative");
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
