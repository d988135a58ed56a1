//! Prefetches the memory that the next inputs of a parcel will touch.
//!
//! With a million orders nearly everything that an input touches is outside the processor's caches, and is found only step
//! by step: the index leads to the order, the order to its neighbours and its pair. A single input has to wait for each
//! step; prefetching does the steps while earlier inputs are decided. Nothing here decides or changes anything, and a
//! wrong guess costs no more than a cache line.

use prepx_domain::OrderId;
use prepx_domain::message::{BookReplace, ToMatching};

use crate::Engine;
use crate::event::Input;

/// How many inputs ahead the index is prefetched.
const INDEX_AHEAD: usize = 6;
/// How many inputs ahead the order is prefetched that the index leads to.
const ORDER_AHEAD: usize = 4;
/// How many inputs ahead that order's neighbours are prefetched.
const NEIGHBOURS_AHEAD: usize = 2;
/// Fewer orders than this fit into the caches anyway.
const ORDERS_MIN: usize = 8 << 10;

impl Engine {
    #[inline]
    pub(crate) fn prefetch_inputs(&self, parcel: &[Input], at: usize) {
        if parcel.len() > 1 && self.orders.hot.len() >= ORDERS_MIN {
            self.look_ahead(parcel, at);
        }
    }

    // Not inlined, so that a small book pays for the condition only.
    #[inline(never)]
    pub(crate) fn look_ahead(&self, parcel: &[Input], at: usize) {
        for input in comes_in_sight(parcel, at, INDEX_AHEAD) {
            for order in [lives(input), arrives(input)].into_iter().flatten() {
                self.orders.prefetch_index_of(order);
            }
        }
        for order in comes_in_sight(parcel, at, ORDER_AHEAD).filter_map(lives) {
            self.orders.prefetch_order(order);
        }
        for order in comes_in_sight(parcel, at, NEIGHBOURS_AHEAD).filter_map(lives) {
            self.orders.prefetch_neighbours(order);
        }
    }
}

/// The inputs that are at most `ahead` after the one at `at`, and were not yet when the one before it
/// was next: one of them, and all at the start.
fn comes_in_sight<I>(parcel: &[I], at: usize, ahead: usize) -> impl Iterator<Item = &I> {
    let known = if at == 0 { 0 } else { at + ahead };
    parcel.iter().take(at + ahead + 1).skip(known)
}

/// The living order that an input is about.
fn lives(input: &Input) -> Option<OrderId> {
    match input {
        Input::Command(ToMatching::Replace(BookReplace { old, .. })) => Some(*old),
        Input::Command(ToMatching::Cancel { order, .. }) => Some(*order),
        _ => None,
    }
}

/// The order that an input brings.
fn arrives(input: &Input) -> Option<OrderId> {
    match input {
        Input::Command(ToMatching::Place(new) | ToMatching::Replace(BookReplace { new, .. })) => {
            Some(new.order)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_comes_in_sight_once_and_in_time() {
        for len in 0..20 {
            let parcel: Vec<usize> = (0..len).collect();
            let mut seen: Vec<usize> = Vec::new();
            for at in 0..len {
                seen.extend(comes_in_sight(&parcel, at, INDEX_AHEAD));
                assert_eq!(&seen, &parcel[..len.min(at + INDEX_AHEAD + 1)]);
            }
        }
    }
}
