//! What this process should do with a partition that it has been granted.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// What its thread is to do. An order is followed until a stronger one comes, or [`Orders::keep`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Own it.
    Work,
    /// Own it until another process takes it over, which fences this one: the lease is another's, or nobody's.
    Yield,
    /// Bring what is in flight to its end, then let go.
    LetGo,
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
            1 => Order::Yield,
            2 => Order::LetGo,
            _ => Order::Drop,
        }
    }

    /// Takes [`Order::Yield`] back; false when the thread has ended by it, or has a stronger order.
    pub fn keep(&self) -> bool {
        self.replace(Order::Yield, Order::Work).is_ok()
    }

    /// Whether a thread that does not own the partition has nothing more to do.
    pub fn is_over(&self) -> bool {
        match self.replace(Order::Yield, Order::Drop) {
            Ok(_) => true,
            Err(other) => other != Order::Work as u8,
        }
    }

    fn replace(&self, current: Order, new: Order) -> Result<u8, u8> {
        let (current, new) = (current as u8, new as u8);
        self.order
            .compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
    }

    /// Nothing of the partition is here any more.
    pub fn finish(&self) {
        self.finished.store(true, Ordering::Release);
    }

    pub fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_that_yields_goes_on_when_it_is_to_keep_the_partition_and_else_ends() {
        let orders = Orders::default();
        assert!(!orders.keep(), "it does not yield");
        assert!(!orders.is_over());
        orders.give(Order::Yield);
        assert!(orders.keep());
        assert!(!orders.is_over());
        orders.give(Order::Yield);
        assert!(orders.is_over());
        assert!(!orders.keep(), "it has ended");
    }

    #[test]
    fn a_stronger_order_is_not_taken_back() {
        let orders = Orders::default();
        orders.give(Order::LetGo);
        orders.give(Order::Yield);
        assert_eq!(orders.current(), Order::LetGo);
        assert!(!orders.keep());
        assert!(orders.is_over());
    }
}
