//! The trading vocabulary: ids, numbers, instruments, orders, and what the stages say to each other.
