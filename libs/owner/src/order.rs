//! What this process should do with a partition that it has been granted.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// What its thread is to do. An order is followed until one that is stronger comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Own it.
    Work,
    /// Bring what is in flight to its end, then let go.
    HandOver,
    /// Let go at once.
    Drop,
}

/// The order that holds, and whether it has been followed to its end.
#[derive(Default)]
pub(crate) struct Orders {
    order: AtomicU8,
    finished: AtomicBool,
}

impl Orders {
    pub fn give(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::AcqRel);
    }

    pub fn current(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::Work,
            1 => Order::HandOver,
            _ => Order::Drop,
        }
    }

    /// Nothing of the partition is here any more.
    pub fn finish(&self) {
        self.finished.store(true, Ordering::Release);
    }

    pub fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }
}
