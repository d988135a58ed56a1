//! The matching stage: price-time priority books, pure.
