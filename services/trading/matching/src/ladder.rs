//! Queues of orders in the order of a key (a price, a time): a trie over the key's bits, 64 children a
//! node.
//!
//! The leaves hold the levels of 64 neighbouring keys. Above them a node stands only where keys part
//! (path compression), so a narrow dense book is two or three nodes deep however large its prices, and a
//! book spread over the whole range costs at most two nodes a level. Levels and nodes know the node
//! above, so a search starts near a known level: most orders move by little, within their leaf. Levels do
//! not know their neighbours: a bitmap in each node finds the next one for those few who walk the
//! book, and the many who come and go touch nobody beside them.
//!
//! Whether an order comes to a new level and whether the one it leaves stays is anybody's guess, so neither is
//! a branch: a level that stands nowhere is kept empty and ready, and the leaf is written either way.
//! Nodes and levels come from slabs with free lists: memory is kept, the steady state allocates nothing.

#[cfg(test)]
mod tests;

use crate::fifo::{Fifo, NONE};

const DIGIT_BITS: u32 = 6;
const FANOUT: usize = 1 << DIGIT_BITS;

/// One ordered set of levels; its nodes and levels live in [`Levels`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ladder {
    root: u32,
    /// The level with the smallest key.
    pub(crate) first: u32,
    /// That key; the largest there is when no level stands here.
    first_key: i64,
}

impl Ladder {
    pub(crate) const EMPTY: Ladder = Ladder {
        root: NONE,
        first: NONE,
        first_key: i64::MAX,
    };

    /// Whether any level stands here at `last_key` or before.
    pub(crate) fn reaches(&self, last_key: i64) -> bool {
        self.first_key <= last_key && self.first != NONE
    }
}

/// The orders of one key: one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Level {
    /// What all orders here have left. The quantity of one order fits 48 bits; a sum over any
    /// number of them fits here.
    pub(crate) lots: i128,
    pub(crate) key: i64,
    pub(crate) queue: Fifo,
    /// The leaf that holds this level; the next free level when this one is free.
    leaf: u32,
}

#[derive(Debug)]
struct Node {
    /// Which children there are.
    bits: u64,
    /// The smallest key that belongs below, whether it stands there or not.
    smallest: i64,
    /// Where this node's digit starts in a key: zero in a leaf.
    shift: u32,
    /// The node that holds this one; `NONE` when it is the root. The next free node when free.
    above: u32,
    /// Levels in a leaf, nodes otherwise.
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

/// The smallest key below a node whose digit starts at `shift` and below which `key` belongs.
fn smallest_below(key: i64, shift: u32) -> i64 {
    let beyond = shift + DIGIT_BITS;
    match beyond < i64::BITS {
        true => key >> beyond << beyond,
        false => i64::MIN,
    }
}

/// The digit of a key in its leaf.
fn last_digit(key: i64) -> u64 {
    key as u64 % FANOUT as u64
}

impl Node {
    /// The child that `key` belongs to; beyond the last when it belongs elsewhere.
    fn digit(&self, key: i64) -> u64 {
        ((key ^ self.smallest) as u64).wrapping_shr(self.shift)
    }

    fn covers(&self, key: i64) -> bool {
        self.digit(key) < FANOUT as u64
    }

    fn child(&self, digit: u64) -> u32 {
        self.children[digit as usize % FANOUT]
    }

    /// Puts a child there, or takes it away when it is `NONE`.
    fn put(&mut self, digit: u64, child: u32) {
        let digit = digit as usize % FANOUT;
        self.children[digit] = child;
        self.bits = self.bits & !(1 << digit) | u64::from(child != NONE) << digit;
    }

    fn first_child(&self) -> u32 {
        self.child(u64::from(self.bits.trailing_zeros()))
    }

    /// The child with the next larger digit.
    fn child_after(&self, digit: u64) -> u32 {
        match self.bits & (u64::MAX << 1).wrapping_shl(digit as u32) {
            0 => NONE,
            larger => self.child(u64::from(larger.trailing_zeros())),
        }
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
        let mut at = ladder.root;
        while at != NONE {
            let node = &self.nodes[at as usize];
            if !node.covers(key) {
                return None;
            }
            at = node.child(node.digit(key));
            if node.shift == 0 {
                break;
            }
        }
        (at != NONE).then_some(at)
    }

    /// The level at `key`, a new empty one if need be. The search starts at the level `near`, any of
    /// this ladder's.
    pub(crate) fn find_or_insert(&mut self, ladder: &mut Ladder, key: i64, near: u32) -> u32 {
        if self.free_level == NONE {
            self.add_free_level();
        }
        let at = match near {
            NONE => self.new_node(ladder, NONE, key, 0),
            near => self.leaf_beside(ladder, key, near),
        };
        let leaf = &mut self.nodes[at as usize];
        let known = leaf.child(last_digit(key));
        let is_new = known == NONE;
        let level_at = if is_new { self.free_level } else { known };
        leaf.put(last_digit(key), level_at);
        let level = &mut self.levels[level_at as usize];
        let next_free = level.leaf;
        self.free_level = if is_new { next_free } else { self.free_level };
        (level.key, level.leaf) = (key, at);
        if key <= ladder.first_key {
            (ladder.first, ladder.first_key) = (level_at, key);
        }
        level_at
    }

    /// Takes a level away if `is_empty`, that is, if it has no orders left.
    pub(crate) fn remove_if(&mut self, ladder: &mut Ladder, level_at: u32, is_empty: bool) {
        if level_at == ladder.first {
            self.find_first(ladder);
        }
        let level = &mut self.levels[level_at as usize];
        let at = level.leaf;
        let leaf = &mut self.nodes[at as usize];
        leaf.put(
            last_digit(level.key),
            if is_empty { NONE } else { level_at },
        );
        let is_bare = leaf.bits == 0;
        let free_level = self.free_level;
        level.leaf = if is_empty { free_level } else { at };
        self.free_level = if is_empty { level_at } else { free_level };
        if is_bare {
            self.remove_leaf(ladder, at);
        }
    }

    /// Makes the next level the first one if the first has no orders left.
    #[cold]
    fn find_first(&self, ladder: &mut Ladder) {
        if self.get(ladder.first).queue.is_empty() {
            ladder.first = self.after(ladder.first);
            ladder.first_key = match ladder.first {
                NONE => i64::MAX,
                first => self.get(first).key,
            };
        }
    }

    /// The level with the next larger key.
    pub(crate) fn after(&self, level: u32) -> u32 {
        let Level { key, leaf, .. } = *self.get(level);
        let mut at = leaf;
        while at != NONE {
            let node = &self.nodes[at as usize];
            let after = node.child_after(node.digit(key));
            if after != NONE {
                return match node.shift {
                    0 => after,
                    _ => self.first_under(after),
                };
            }
            at = node.above;
        }
        NONE
    }

    /// The first level below a node.
    fn first_under(&self, mut at: u32) -> u32 {
        loop {
            let node = &self.nodes[at as usize];
            at = node.first_child();
            if node.shift == 0 {
                return at;
            }
        }
    }

    /// The leaf for `key`, a new one if need be. The search starts at the level `near`.
    fn leaf_beside(&mut self, ladder: &mut Ladder, key: i64, near: u32) -> u32 {
        let Level {
            key: other, leaf, ..
        } = *self.get(near);
        match other >> DIGIT_BITS == key >> DIGIT_BITS {
            true => leaf,
            false => self.find_or_insert_leaf(ladder, key, leaf),
        }
    }

    /// The leaf for `key`, a new one if need be. The search starts at the leaf `near`, which is another.
    #[inline(never)]
    fn find_or_insert_leaf(&mut self, ladder: &mut Ladder, key: i64, near: u32) -> u32 {
        let mut at = self.nodes[near as usize].above;
        while at != NONE && !self.nodes[at as usize].covers(key) {
            at = self.nodes[at as usize].above;
        }
        if at == NONE {
            return self.part(ladder, ladder.root, key);
        }
        loop {
            let node = &self.nodes[at as usize];
            let child = node.child(node.digit(key));
            if child == NONE {
                return self.new_node(ladder, at, key, 0);
            }
            let node = &self.nodes[child as usize];
            if !node.covers(key) {
                return self.part(ladder, child, key);
            }
            if node.shift == 0 {
                return child;
            }
            at = child;
        }
    }

    /// A new leaf for `key` beside the node `other`: a new node where the two part takes that one's place.
    #[cold]
    fn part(&mut self, ladder: &mut Ladder, other: u32, key: i64) -> u32 {
        let Node {
            smallest, above, ..
        } = self.nodes[other as usize];
        let highest_bit = u64::BITS - 1 - (key ^ smallest).leading_zeros();
        let shift = highest_bit / DIGIT_BITS * DIGIT_BITS;
        let at = self.new_node(ladder, above, key, shift);
        self.hold(ladder, at, other);
        self.new_node(ladder, at, key, 0)
    }

    /// Puts the node `child` under the node `above`, or makes it the root.
    fn hold(&mut self, ladder: &mut Ladder, above: u32, child: u32) {
        let held = &mut self.nodes[child as usize];
        held.above = above;
        let key = held.smallest;
        match above {
            NONE => ladder.root = child,
            above => {
                let node = &mut self.nodes[above as usize];
                node.put(node.digit(key), child);
            }
        }
    }

    /// Removes a leaf that has no levels left.
    #[cold]
    fn remove_leaf(&mut self, ladder: &mut Ladder, leaf: u32) {
        let Node {
            smallest, above, ..
        } = self.nodes[leaf as usize];
        self.free_node(leaf);
        if above == NONE {
            ladder.root = NONE;
            return;
        }
        let node = &mut self.nodes[above as usize];
        node.put(node.digit(smallest), NONE);
        // A node's only child takes the node's own place.
        if node.bits.is_power_of_two() {
            let (child, beyond) = (node.first_child(), node.above);
            node.put(node.digit(smallest), NONE);
            self.hold(ladder, beyond, child);
            self.free_node(above);
        }
    }

    fn add_free_level(&mut self) {
        self.free_level = self.levels.len() as u32;
        self.levels.push(Level {
            lots: 0,
            key: 0,
            queue: Fifo::EMPTY,
            leaf: NONE,
        });
    }

    /// A node without children, below which `key` belongs, under the node `above`.
    #[cold]
    fn new_node(&mut self, ladder: &mut Ladder, above: u32, key: i64, shift: u32) -> u32 {
        let node = Node {
            bits: 0,
            smallest: smallest_below(key, shift),
            shift,
            above,
            children: [NONE; FANOUT],
        };
        let mut at = self.free_node;
        if at == NONE {
            at = self.nodes.len() as u32;
            self.nodes.push(node);
        } else {
            self.free_node = self.nodes[at as usize].above;
            self.nodes[at as usize] = node;
        }
        self.hold(ladder, above, at);
        at
    }

    fn free_node(&mut self, at: u32) {
        self.nodes[at as usize].above = self.free_node;
        self.free_node = at;
    }
}
