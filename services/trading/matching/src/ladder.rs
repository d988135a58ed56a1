//! Queues of orders in the order of a key (a price, a time): a trie over the key's bits, 64 children a
//! node.
//!
//! A node stands only where keys part (path compression), so a narrow dense book is two or three
//! nodes deep however large its prices, and a book spread over the whole range costs at most one
//! node a level. A bitmap in each node finds the neighbour of a new level; levels are linked to
//! their neighbours, so walking the book never touches the trie. Levels and nodes know the node
//! above, so a search starts near a known level: most orders move by little. Nodes and levels come
//! from slabs with free lists: memory is kept, the steady state allocates nothing.

use crate::fifo::{Fifo, NONE};

/// A reference with this bit names a level, without it a node.
const LEVEL: u32 = 1 << 31;
const DIGIT_BITS: u32 = 6;
const FANOUT: usize = 1 << DIGIT_BITS;

/// One ordered set of levels; its nodes and levels live in [`Levels`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ladder {
    root: u32,
    /// The level with the smallest key.
    pub(crate) first: u32,
}

impl Ladder {
    pub(crate) const EMPTY: Ladder = Ladder {
        root: NONE,
        first: NONE,
    };
}

/// The orders of one key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    /// What all orders here have left. The quantity of one order fits 48 bits; a sum over any
    /// number of them fits here.
    pub(crate) lots: i128,
    pub(crate) key: i64,
    pub(crate) queue: Fifo,
    /// The neighbour with the next larger key; the next free level when this one is free.
    pub(crate) after: u32,
    /// The neighbour with the next smaller key.
    before: u32,
    /// The node that holds this level; `NONE` when it is the root itself.
    above: u32,
}

#[derive(Debug)]
struct Node {
    /// Which children there are.
    bits: u64,
    /// What all keys below share; the rest of its bits are zero.
    prefix: u64,
    /// Where this node's digit starts in a key.
    shift: u32,
    /// The node that holds this one; `NONE` when it is the root. The next free node when free.
    above: u32,
    children: [u32; FANOUT],
}

/// The levels and nodes of all ladders.
#[derive(Debug)]
pub(crate) struct Levels {
    levels: Vec<Level>,
    nodes: Vec<Node>,
    free_level: u32,
    free_node: u32,
}

/// Keys as bits that sort like the numbers.
fn sortable(key: i64) -> u64 {
    (key as u64) ^ (1 << 63)
}

impl Node {
    /// The child that `bits` belongs to; beyond the last when this node's prefix is another one.
    fn digit(&self, bits: u64) -> u64 {
        (bits ^ self.prefix).wrapping_shr(self.shift)
    }

    fn covers(&self, bits: u64) -> bool {
        self.digit(bits) < FANOUT as u64
    }

    fn put(&mut self, digit: u64, child: u32) {
        self.bits |= 1u64.wrapping_shl(digit as u32);
        self.children[digit as usize % FANOUT] = child;
    }

    fn child(&self, digit: u64) -> u32 {
        self.children[digit as usize % FANOUT]
    }

    fn clear(&mut self, digit: u64) {
        self.bits &= !1u64.wrapping_shl(digit as u32);
        self.children[digit as usize % FANOUT] = NONE;
    }
}

impl Levels {
    pub(crate) fn new() -> Levels {
        Levels {
            levels: Vec::new(),
            nodes: Vec::new(),
            free_level: NONE,
            free_node: NONE,
        }
    }

    pub(crate) fn get(&self, level: u32) -> &Level {
        &self.levels[level as usize]
    }

    pub(crate) fn get_mut(&mut self, level: u32) -> &mut Level {
        &mut self.levels[level as usize]
    }

    /// The level at `key`, if any order stands there.
    pub(crate) fn find(&self, ladder: &Ladder, key: i64) -> Option<u32> {
        let bits = sortable(key);
        let mut at = ladder.root;
        while at & LEVEL == 0 {
            let node = &self.nodes[at as usize];
            if !node.covers(bits) {
                return None;
            }
            at = node.child(node.digit(bits));
        }
        let level = at & !LEVEL;
        (at != NONE && self.get(level).key == key).then_some(level)
    }

    /// The level at `key`, a new empty one if need be. The search starts at the level `near`, any of
    /// this ladder's.
    pub(crate) fn find_or_insert(&mut self, ladder: &mut Ladder, key: i64, near: u32) -> u32 {
        let bits = sortable(key);
        if near == NONE {
            let level = self.new_level(key);
            *ladder = Ladder {
                root: level | LEVEL,
                first: level,
            };
            return level;
        }
        // The nearest node above that the key belongs under, or the root.
        let mut above = self.get(near).above;
        while above != NONE && !self.nodes[above as usize].covers(bits) {
            above = self.nodes[above as usize].above;
        }
        let mut at = if above == NONE { ladder.root } else { above };
        loop {
            let other_bits = if at & LEVEL != 0 {
                let level = at & !LEVEL;
                if self.get(level).key == key {
                    return level;
                }
                sortable(self.get(level).key)
            } else {
                let node = &mut self.nodes[at as usize];
                let digit = node.digit(bits);
                if digit < FANOUT as u64 {
                    let child = node.child(digit);
                    if child == NONE {
                        return self.insert(ladder, at, digit, key);
                    }
                    above = at;
                    at = child;
                    continue;
                }
                above = node.above;
                node.prefix
            };
            return self.part(ladder, above, (at, other_bits), key);
        }
    }

    /// A new level in a node, where nothing has this digit yet.
    fn insert(&mut self, ladder: &mut Ladder, node: u32, digit: u64, key: i64) -> u32 {
        let level = self.new_level(key);
        self.get_mut(level).above = node;
        self.nodes[node as usize].put(digit, level | LEVEL);
        self.link(ladder, node, digit, level);
        level
    }

    /// A new level for `key` beside `other`, which the node `above` holds: a new node where the two
    /// part takes that one's place.
    fn part(&mut self, ladder: &mut Ladder, above: u32, other: (u32, u64), key: i64) -> u32 {
        let (other, other_bits) = other;
        let bits = sortable(key);
        let highest_bit = u64::BITS - 1 - (bits ^ other_bits).leading_zeros();
        let shift = highest_bit / DIGIT_BITS * DIGIT_BITS;
        let prefix = (bits >> shift >> DIGIT_BITS) << DIGIT_BITS << shift;
        let at = self.new_node(prefix, shift);
        self.hold(ladder, above, at, bits);
        self.hold(ladder, at, other, other_bits);
        self.insert(ladder, at, self.nodes[at as usize].digit(bits), key)
    }

    /// Puts `child`, below which `bits` lie, under the node `above`, or makes it the root.
    fn hold(&mut self, ladder: &mut Ladder, above: u32, child: u32, bits: u64) {
        if above == NONE {
            ladder.root = child;
        } else {
            let node = &mut self.nodes[above as usize];
            node.put(node.digit(bits), child);
        }
        if child & LEVEL != 0 {
            self.get_mut(child & !LEVEL).above = above;
        } else {
            self.nodes[child as usize].above = above;
        }
    }

    /// Links a new level to its neighbours. A node has two children at least, so a neighbour is
    /// always below the same node.
    fn link(&mut self, ladder: &mut Ladder, node: u32, digit: u64, level: u32) {
        let node = &self.nodes[node as usize];
        let smaller = node.bits & (1u64.wrapping_shl(digit as u32) - 1);
        let (before, after) = if smaller != 0 {
            let nearest = u64::from(u64::BITS - 1 - smaller.leading_zeros());
            let before = self.last_under(node.child(nearest));
            (before, self.get(before).after)
        } else {
            let larger = node.bits & (u64::MAX << 1).wrapping_shl(digit as u32);
            let after = self.first_under(node.child(u64::from(larger.trailing_zeros())));
            (self.get(after).before, after)
        };
        let new = self.get_mut(level);
        new.before = before;
        new.after = after;
        self.join(ladder, before, level);
        if after != NONE {
            self.get_mut(after).before = level;
        }
    }

    /// Makes `level` the next one after `before`, or the first.
    fn join(&mut self, ladder: &mut Ladder, before: u32, level: u32) {
        match before {
            NONE => ladder.first = level,
            before => self.get_mut(before).after = level,
        }
    }

    fn first_under(&self, mut at: u32) -> u32 {
        while at & LEVEL == 0 {
            let node = &self.nodes[at as usize];
            at = node.child(u64::from(node.bits.trailing_zeros()));
        }
        at & !LEVEL
    }

    fn last_under(&self, mut at: u32) -> u32 {
        while at & LEVEL == 0 {
            let node = &self.nodes[at as usize];
            at = node.child(u64::from(u64::BITS - 1 - node.bits.leading_zeros()));
        }
        at & !LEVEL
    }

    /// Removes a level that has no orders left.
    pub(crate) fn remove(&mut self, ladder: &mut Ladder, level: u32) {
        let free_level = self.free_level;
        let gone = self.get_mut(level);
        let (before, after, above) = (gone.before, gone.after, gone.above);
        let bits = sortable(gone.key);
        gone.after = free_level;
        self.free_level = level;
        self.join(ladder, before, after);
        if after != NONE {
            self.get_mut(after).before = before;
        }
        if above == NONE {
            ladder.root = NONE;
            return;
        }
        let node = &mut self.nodes[above as usize];
        node.clear(node.digit(bits));
        if node.bits.is_power_of_two() {
            self.collapse(ladder, above, bits);
        }
    }

    /// Puts a node's only child in the node's own place; `bits` belong under the node.
    fn collapse(&mut self, ladder: &mut Ladder, at: u32, bits: u64) {
        let node = &mut self.nodes[at as usize];
        let digit = u64::from(node.bits.trailing_zeros());
        let child = node.child(digit);
        node.clear(digit);
        let above = node.above;
        node.above = self.free_node;
        self.free_node = at;
        self.hold(ladder, above, child, bits);
    }

    fn new_level(&mut self, key: i64) -> u32 {
        let level = Level {
            lots: 0,
            key,
            queue: Fifo::EMPTY,
            after: NONE,
            before: NONE,
            above: NONE,
        };
        if self.free_level == NONE {
            self.levels.push(level);
            return self.levels.len() as u32 - 1;
        }
        let at = self.free_level;
        self.free_level = self.get(at).after;
        *self.get_mut(at) = level;
        at
    }

    /// A node without children: those of a free node were cleared one by one.
    fn new_node(&mut self, prefix: u64, shift: u32) -> u32 {
        if self.free_node == NONE {
            self.nodes.push(Node {
                bits: 0,
                prefix,
                shift,
                above: NONE,
                children: [NONE; FANOUT],
            });
            return self.nodes.len() as u32 - 1;
        }
        let at = self.free_node;
        let node = &mut self.nodes[at as usize];
        self.free_node = node.above;
        node.prefix = prefix;
        node.shift = shift;
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use std::collections::BTreeMap;

    fn walk(levels: &Levels, ladder: &Ladder) -> Vec<(i64, u32)> {
        let mut walked = Vec::new();
        let (mut before, mut at) = (NONE, ladder.first);
        while at != NONE {
            let level = levels.get(at);
            assert_eq!(level.before, before);
            walked.push((level.key, at));
            (before, at) = (at, level.after);
        }
        walked
    }

    /// Random insertions and removals equal an ordered map, for keys that `draw` spreads.
    fn check(seed: u64, draw: impl Fn(&mut ChaCha8Rng) -> i64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut levels, mut ladder) = (Levels::new(), Ladder::EMPTY);
        let mut map = BTreeMap::new();
        for step in 0..60_000 {
            let key = draw(&mut rng);
            assert_eq!(levels.find(&ladder, key), map.get(&key).copied());
            // Grow for a while, then shrink, so that nodes come and go.
            let removes = rng.random_range(0..10) < if step / 10_000 % 2 == 0 { 3 } else { 7 };
            if !removes {
                let mut near: Vec<u32> = map
                    .range(..key)
                    .next_back()
                    .map(|at| *at.1)
                    .into_iter()
                    .collect();
                near.extend(map.values().next());
                let near = near.get(rng.random_range(0..2)).or(near.first());
                let near = near.copied().unwrap_or(NONE);
                let level = levels.find_or_insert(&mut ladder, key, near);
                assert_eq!(*map.entry(key).or_insert(level), level);
            } else if let Some((&key, &level)) = map.range(key..).next() {
                map.remove(&key);
                levels.remove(&mut ladder, level);
            }
            if step % 500 == 0 {
                let expected: Vec<_> = map.iter().map(|(&key, &level)| (key, level)).collect();
                assert_eq!(walk(&levels, &ladder), expected);
            }
        }
    }

    #[test]
    fn it_equals_an_ordered_map_when_narrow() {
        check(1, |rng| rng.random_range(6_122_900..6_123_500));
    }

    #[test]
    fn it_equals_an_ordered_map_when_wide() {
        check(2, |rng| {
            let bits = rng.random_range(0..64);
            rng.random::<i64>() >> bits
        });
    }

    #[test]
    fn it_holds_the_ends_of_the_range() {
        let (mut levels, mut ladder) = (Levels::new(), Ladder::EMPTY);
        let keys = [i64::MAX, i64::MIN, 0, -1, 1, i64::MAX - 1, i64::MIN + 1];
        for key in keys {
            let near = ladder.first;
            levels.find_or_insert(&mut ladder, key, near);
        }
        let mut sorted = keys;
        sorted.sort_unstable();
        let walked: Vec<_> = walk(&levels, &ladder).iter().map(|at| at.0).collect();
        assert_eq!(walked, sorted);
    }
}
