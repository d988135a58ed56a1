//! Order id → place in memory: a hash table of buckets, one cache line each.
//!
//! An entry is 32 bits of the id's hash and the place. The hash alone says where an entry belongs,
//! so growing touches no order. A look-up compares seven bits of all of a bucket's hashes at once
//! and goes on to the next bucket only when entries have been pushed there; removal shifts nothing
//! and leaves no tombstones. So a book that turns over for years never stops to clean up.

use prefetch_index::prefetch_index;
use prepx_domain::OrderId;

const ENTRIES: usize = 7;
const INITIAL_BITS: u32 = 8;

/// One in each of the seven bytes that tell of entries.
const ONES: u64 = 0x0001_0101_0101_0101;
/// The bit of each of these bytes that is set when its entry is free.
const FREE: u64 = ONES << 7;
/// What the highest byte counts.
const PUSHED_ON: u64 = 1 << 56;

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bucket {
    /// A byte for each entry: seven bits of its hash, or free. The highest byte counts the entries
    /// that belong here or before but are in later buckets; it stays at its end once it is there.
    control: u64,
    hashes: [u32; ENTRIES],
    places: [u32; ENTRIES],
}

const EMPTY: Bucket = Bucket {
    control: FREE,
    hashes: [0; ENTRIES],
    places: [0; ENTRIES],
};

/// At most three quarters of the entries are used. Several ids may name one place.
#[derive(Debug)]
pub(crate) struct Index {
    buckets: Vec<Bucket>,
    /// A hash's high bits name its bucket: this many low ones do not.
    shift: u32,
    len: usize,
    /// With so many ids it grows.
    len_max: usize,
}

/// Three quarters of the entries.
fn len_max(buckets: usize) -> usize {
    buckets * ENTRIES * 3 / 4
}

/// Fibonacci hashing: ids of one writer follow each other and spread evenly.
fn hash(id: OrderId) -> u32 {
    ((id.raw() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

/// The seven bits of a hash that a bucket's control word holds.
fn short(hash: u32) -> u64 {
    u64::from(hash & 0x7f)
}

/// The first entry whose byte has a bit of [`FREE`] in `bits`.
fn entry_of(bits: u64) -> usize {
    // It is never more; said so, the compiler needs no check where it is used.
    ((bits.trailing_zeros() / 8) as usize).min(ENTRIES - 1)
}

impl Bucket {
    /// The entry with this hash whose place is the one that is looked for.
    fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        // A byte that equals the short hash becomes zero, and borrows when one is taken from it. A
        // byte after it may seem equal too: the whole hash decides.
        let differs = self.control ^ short(hash).wrapping_mul(ONES);
        let mut equal = differs.wrapping_sub(ONES) & !differs & FREE;
        while equal != 0 {
            let at = entry_of(equal);
            if self.hashes[at] == hash && is_it(self.places[at]) {
                return Some(at);
            }
            equal &= equal - 1;
        }
        None
    }

    fn free(&self) -> Option<usize> {
        let free = self.control & FREE;
        (free != 0).then(|| entry_of(free))
    }

    /// Writes the byte of an entry.
    fn mark(&mut self, at: usize, byte: u64) {
        let shift = at as u32 * 8;
        self.control &= !0xffu64.wrapping_shl(shift);
        self.control |= byte.wrapping_shl(shift);
    }

    fn has_pushed_on(&self) -> bool {
        self.control >= PUSHED_ON
    }

    fn push_on(&mut self) {
        self.control = self.control.checked_add(PUSHED_ON).unwrap_or(self.control);
    }

    fn pull_back(&mut self) {
        // A count that has reached its end is not known any more.
        if self.control >> 56 != 0xff {
            self.control -= PUSHED_ON;
        }
    }
}

impl Index {
    pub(crate) fn new() -> Index {
        Index {
            buckets: vec![EMPTY; 1 << INITIAL_BITS],
            shift: u32::BITS - INITIAL_BITS,
            len: 0,
            len_max: len_max(1 << INITIAL_BITS),
        }
    }

    fn home(&self, hash: u32) -> usize {
        hash.wrapping_shr(self.shift) as usize
    }

    fn next(&self, bucket: usize) -> usize {
        (bucket + 1) & (self.buckets.len() - 1)
    }

    /// The place of `id`; `is_it` compares the id with what stands at a place.
    pub(crate) fn get(&self, id: OrderId, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let hash = hash(id);
        let mut at = self.home(hash);
        loop {
            let bucket = &self.buckets[at];
            if let Some(entry) = bucket.find(hash, &is_it) {
                return Some(bucket.places[entry]);
            }
            if !bucket.has_pushed_on() {
                return None;
            }
            at = self.next(at);
        }
    }

    /// Asks memory for the bucket that `id` belongs in.
    pub(crate) fn prefetch(&self, id: OrderId) {
        prefetch_index(&self.buckets, self.home(hash(id)));
    }

    /// Where `id` most likely is, without a look at the order that stands there.
    pub(crate) fn guess(&self, id: OrderId) -> Option<u32> {
        let hash = hash(id);
        let bucket = &self.buckets[self.home(hash)];
        let entry = bucket.find(hash, |_| true);
        entry.map(|entry| bucket.places[entry])
    }

    /// Adds an id that is not in the index.
    pub(crate) fn insert(&mut self, id: OrderId, place: u32) {
        if self.len == self.len_max {
            self.grow();
        }
        self.len += 1;
        self.put(hash(id), place);
    }

    fn put(&mut self, hash: u32, place: u32) {
        let mut at = self.home(hash);
        loop {
            let bucket = &mut self.buckets[at];
            if let Some(entry) = bucket.free() {
                bucket.mark(entry, short(hash));
                bucket.hashes[entry] = hash;
                bucket.places[entry] = place;
                return;
            }
            bucket.push_on();
            at = self.next(at);
        }
    }

    #[cold]
    fn grow(&mut self) {
        self.shift -= 1;
        let grown = vec![EMPTY; self.buckets.len() * 2];
        self.len_max = len_max(grown.len());
        for bucket in std::mem::replace(&mut self.buckets, grown) {
            for at in 0..ENTRIES {
                if bucket.control & (0x80 << (at * 8)) == 0 {
                    self.put(bucket.hashes[at], bucket.places[at]);
                }
            }
        }
    }

    /// Removes an id that is in the index with this place.
    pub(crate) fn remove(&mut self, id: OrderId, place: u32) {
        let hash = hash(id);
        let mut at = self.home(hash);
        loop {
            let bucket = &mut self.buckets[at];
            if let Some(entry) = bucket.find(hash, |other| other == place) {
                bucket.mark(entry, 0x80);
                self.len -= 1;
                return;
            }
            assert!(bucket.has_pushed_on(), "an id that lives is in the index");
            bucket.pull_back();
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

    #[test]
    fn a_bucket_that_everything_is_pushed_through_loses_nothing() {
        // The inverse of the hash's factor: these ids all belong into the first bucket, and more are
        // pushed through it than it can count.
        const INVERSE: u64 = 0xf1de83e19937733d;
        let hashes = (0..2_000u64).map(|hash| (hash << 32).wrapping_mul(INVERSE));
        let ids = hashes.filter_map(|raw| OrderId::new(raw as i64));
        let ids: Vec<OrderId> = ids.take(500).collect();
        assert!(ids.len() == 500 && ids.iter().all(|&id| hash(id) < 2_000));
        let mut index = Index::new();
        for (place, &id) in (0..).zip(&ids) {
            index.insert(id, place);
        }
        assert_eq!(index.buckets[0].control >> 56, 0xff);
        for (place, &id) in (0..).zip(&ids) {
            assert_eq!(index.get(id, |at| at == place), Some(place));
            index.remove(id, place);
        }
        assert_eq!(index.len, 0);
    }
}
