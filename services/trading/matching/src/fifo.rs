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
        if self.tail == NONE {
            self.head = at;
        } else {
            items[self.tail as usize].link_mut().next = at;
        }
        self.tail = at;
    }

    /// Puts the unlinked item `at` first.
    pub(crate) fn push_first<T: Linked>(&mut self, items: &mut [T], at: u32) {
        *items[at as usize].link_mut() = Link {
            next: self.head,
            prev: NONE,
        };
        if self.head == NONE {
            self.tail = at;
        } else {
            items[self.head as usize].link_mut().prev = at;
        }
        self.head = at;
    }

    /// Takes the item `at`, which stands in this queue, out of it.
    pub(crate) fn unlink<T: Linked>(&mut self, items: &mut [T], at: u32) {
        let Link { next, prev } = items[at as usize].link();
        if prev == NONE {
            self.head = next;
        } else {
            items[prev as usize].link_mut().next = next;
        }
        if next == NONE {
            self.tail = prev;
        } else {
            items[next as usize].link_mut().prev = prev;
        }
    }
}
