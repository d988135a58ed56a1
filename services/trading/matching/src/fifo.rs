//! First-in-first-out queues through links inside the queued items: no memory of their own.

/// No item: the end of a queue, or no queue at all.
pub(crate) const NONE: u32 = u32::MAX;

/// An item's place in a queue. Items are named by their index in a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) next: u32,
    pub(crate) prev: u32,
}

impl Link {
    pub(crate) const UNLINKED: Link = Link {
        next: NONE,
        prev: NONE,
    };
}

/// An item that can stand in a queue.
pub(crate) trait Linked {
    fn link(&self) -> Link;
    fn link_mut(&mut self) -> &mut Link;
}

/// The ends of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fifo {
    pub(crate) head: u32,
    pub(crate) tail: u32,
}

impl Fifo {
    pub(crate) const EMPTY: Fifo = Fifo {
        head: NONE,
        tail: NONE,
    };

    pub(crate) fn is_empty(&self) -> bool {
        self.head == NONE
    }

    /// Puts the unlinked item `at` last.
    pub(crate) fn push<T: Linked>(&mut self, items: &mut [T], at: u32) {
        *items[at as usize].link_mut() = Link {
            next: NONE,
            prev: self.tail,
        };
        *next_of(items, self.tail, &mut self.head) = at;
        self.tail = at;
    }

    /// Puts the unlinked item `at` first.
    pub(crate) fn push_first<T: Linked>(&mut self, items: &mut [T], at: u32) {
        *items[at as usize].link_mut() = Link {
            next: self.head,
            prev: NONE,
        };
        *prev_of(items, self.head, &mut self.tail) = at;
        self.head = at;
    }

    /// Takes the item `at`, which stands in this queue, out of it; says whether it was the only one. The item
    /// itself tells: nobody waits for memory to show the queue.
    pub(crate) fn unlink<T: Linked>(&mut self, items: &mut [T], at: u32) -> bool {
        let Link { next, prev } = items[at as usize].link();
        *next_of(items, prev, &mut self.head) = next;
        *prev_of(items, next, &mut self.tail) = prev;
        (next, prev) == (NONE, NONE)
    }
}

/// What says who follows the item `at`: the queue's head when there is no such item. Whether there is one
/// is anybody's guess, so this is a choice of a place to write to and no branch.
fn next_of<'a, T: Linked>(items: &'a mut [T], at: u32, head: &'a mut u32) -> &'a mut u32 {
    match items.get_mut(at as usize) {
        Some(item) => &mut item.link_mut().next,
        None => head,
    }
}

/// What says whom the item `at` follows: the queue's tail when there is no such item.
fn prev_of<'a, T: Linked>(items: &'a mut [T], at: u32, tail: &'a mut u32) -> &'a mut u32 {
    match items.get_mut(at as usize) {
        Some(item) => &mut item.link_mut().prev,
        None => tail,
    }
}
