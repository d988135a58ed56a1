//! Queues of orders ordered by price (or by time): a trie over the key's bits, 64 children a node.
//!
//! A node stands only where keys part (path compression), so a narrow dense book is two or three
//! nodes deep however large its prices, and a book spread over the whole range costs at most one
//! node a level. A bitmap in each node finds the neighbour of a new level; levels are linked to
//! their neighbours, so that walking the book never touches the trie. Nodes and levels come from
//! slabs with free lists: memory is kept, the steady state allocates nothing.

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
    pub(crate) lowest: u32,
    /// The level with the largest key.
    pub(crate) highest: u32,
}

impl Ladder {
    pub(crate) const EMPTY: Ladder = Ladder {
        root: NONE,
        lowest: NONE,
        highest: NONE,
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
    /// The neighbour with the next smaller key; the next free level when this one is free.
    pub(crate) lower: u32,
    /// The neighbour with the next larger key.
    pub(crate) higher: u32,
}

#[derive(Debug)]
struct Node {
    /// Which children there are.
    bits: u64,
    /// What all keys below share; the rest of its bits are zero.
    prefix: u64,
    /// Where this node's digit starts in a key; the next free node when this one is free.
    shift: u32,
    children: [u32; FANOUT],
}

/// Where a reference to a trie's part is kept: a node and its digit, or the root.
type Holder = Option<(u32, usize)>;

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
    /// The child that `bits` belongs to; `None` when this node's prefix is another one.
    fn digit(&self, bits: u64) -> Option<usize> {
        let digit = (bits ^ self.prefix) >> self.shift;
        (digit < FANOUT as u64).then_some(digit as usize)
    }

    fn put(&mut self, digit: usize, child: u32) {
        self.bits |= 1 << digit;
        self.children[digit] = child;
    }

    fn clear(&mut self, digit: usize) {
        self.bits &= !(1 << digit);
        self.children[digit] = NONE;
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
            at = node.children[node.digit(bits)?];
        }
        let level = at & !LEVEL;
        (at != NONE && self.get(level).key == key).then_some(level)
    }

    /// The level at `key`, a new empty one if need be.
    pub(crate) fn find_or_insert(&mut self, ladder: &mut Ladder, key: i64) -> u32 {
        let bits = sortable(key);
        let mut holder: Holder = None;
        let mut at = ladder.root;
        if at == NONE {
            let level = self.new_level(key);
            *ladder = Ladder {
                root: level | LEVEL,
                lowest: level,
                highest: level,
            };
            return level;
        }
        loop {
            let other_bits = if at & LEVEL != 0 {
                let level = at & !LEVEL;
                if self.get(level).key == key {
                    return level;
                }
                sortable(self.get(level).key)
            } else {
                let node = &self.nodes[at as usize];
                match node.digit(bits) {
                    Some(digit) if node.children[digit] == NONE => {
                        let level = self.new_level(key);
                        self.nodes[at as usize].put(digit, level | LEVEL);
                        self.link(ladder, at, digit, level);
                        return level;
                    }
                    Some(digit) => {
                        holder = Some((at, digit));
                        at = node.children[digit];
                        continue;
                    }
                    None => node.prefix,
                }
            };
            return self.part(ladder, holder, (at, other_bits), key);
        }
    }

    /// A new node where `key` parts from what `holder` holds, and the new level for `key` in it.
    fn part(&mut self, ladder: &mut Ladder, holder: Holder, other: (u32, u64), key: i64) -> u32 {
        let (other, other_bits) = other;
        let bits = sortable(key);
        let highest_bit = u64::BITS - 1 - (bits ^ other_bits).leading_zeros();
        let shift = highest_bit / DIGIT_BITS * DIGIT_BITS;
        let prefix = (bits >> shift >> DIGIT_BITS) << DIGIT_BITS << shift;
        let level = self.new_level(key);
        let at = self.new_node(prefix, shift);
        let node = &mut self.nodes[at as usize];
        let digit = ((bits ^ prefix) >> shift) as usize;
        node.put(digit, level | LEVEL);
        node.put(((other_bits ^ prefix) >> shift) as usize, other);
        self.hold(ladder, holder, at);
        self.link(ladder, at, digit, level);
        level
    }

    fn hold(&mut self, ladder: &mut Ladder, holder: Holder, child: u32) {
        match holder {
            None => ladder.root = child,
            Some((node, digit)) => self.nodes[node as usize].children[digit] = child,
        }
    }

    /// Links a new level to its neighbours. A node has two children at least, so a neighbour is
    /// always below the same node.
    fn link(&mut self, ladder: &mut Ladder, node: u32, digit: usize, level: u32) {
        let node = &self.nodes[node as usize];
        let below = node.bits & ((1 << digit) - 1);
        let (lower, higher) = if below != 0 {
            let nearest = (u64::BITS - 1 - below.leading_zeros()) as usize;
            let lower = self.highest_under(node.children[nearest]);
            (lower, self.get(lower).higher)
        } else {
            let above = node.bits & (u64::MAX << digit << 1);
            let higher = self.lowest_under(node.children[above.trailing_zeros() as usize]);
            (self.get(higher).lower, higher)
        };
        let new = self.get_mut(level);
        new.lower = lower;
        new.higher = higher;
        match lower {
            NONE => ladder.lowest = level,
            lower => self.get_mut(lower).higher = level,
        }
        match higher {
            NONE => ladder.highest = level,
            higher => self.get_mut(higher).lower = level,
        }
    }

    fn lowest_under(&self, mut at: u32) -> u32 {
        while at & LEVEL == 0 {
            let node = &self.nodes[at as usize];
            at = node.children[node.bits.trailing_zeros() as usize];
        }
        at & !LEVEL
    }

    fn highest_under(&self, mut at: u32) -> u32 {
        while at & LEVEL == 0 {
            let node = &self.nodes[at as usize];
            at = node.children[(u64::BITS - 1 - node.bits.leading_zeros()) as usize];
        }
        at & !LEVEL
    }

    /// Removes a level that has no orders left.
    pub(crate) fn remove(&mut self, ladder: &mut Ladder, level: u32) {
        let Level {
            key, lower, higher, ..
        } = *self.get(level);
        match lower {
            NONE => ladder.lowest = higher,
            lower => self.get_mut(lower).higher = higher,
        }
        match higher {
            NONE => ladder.highest = lower,
            higher => self.get_mut(higher).lower = lower,
        }
        self.unhold(ladder, sortable(key));
        self.get_mut(level).lower = self.free_level;
        self.free_level = level;
    }

    /// Takes the level with these key bits out of the trie; a node with one child left goes too.
    fn unhold(&mut self, ladder: &mut Ladder, bits: u64) {
        let mut above: Holder = None;
        let mut holder: Holder = None;
        let mut at = ladder.root;
        while at & LEVEL == 0 {
            let node = &self.nodes[at as usize];
            let digit = node.digit(bits).expect("a level that lives is in the trie");
            above = holder;
            holder = Some((at, digit));
            at = node.children[digit];
        }
        let Some((at, digit)) = holder else {
            ladder.root = NONE;
            return;
        };
        let node = &mut self.nodes[at as usize];
        node.clear(digit);
        if node.bits.is_power_of_two() {
            let last = node.bits.trailing_zeros() as usize;
            let child = node.children[last];
            node.clear(last);
            node.shift = self.free_node;
            self.free_node = at;
            self.hold(ladder, above, child);
        }
    }

    fn new_level(&mut self, key: i64) -> u32 {
        let level = Level {
            lots: 0,
            key,
            queue: Fifo::EMPTY,
            lower: NONE,
            higher: NONE,
        };
        if self.free_level == NONE {
            self.levels.push(level);
            return self.levels.len() as u32 - 1;
        }
        let at = self.free_level;
        self.free_level = self.get(at).lower;
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
                children: [NONE; FANOUT],
            });
            return self.nodes.len() as u32 - 1;
        }
        let at = self.free_node;
        let node = &mut self.nodes[at as usize];
        self.free_node = node.shift;
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
        let (mut upward, mut downward) = (Vec::new(), Vec::new());
        let mut at = ladder.lowest;
        while at != NONE {
            upward.push((levels.get(at).key, at));
            at = levels.get(at).higher;
        }
        at = ladder.highest;
        while at != NONE {
            downward.push((levels.get(at).key, at));
            at = levels.get(at).lower;
        }
        downward.reverse();
        assert_eq!(upward, downward);
        upward
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
                let level = levels.find_or_insert(&mut ladder, key);
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
            levels.find_or_insert(&mut ladder, key);
        }
        let mut sorted = keys;
        sorted.sort_unstable();
        let walked: Vec<_> = walk(&levels, &ladder).iter().map(|at| at.0).collect();
        assert_eq!(walked, sorted);
    }
}
