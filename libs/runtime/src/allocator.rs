//! Where the memory of a process comes from.
//!
//! Owns the choice of the allocator for every program that hosts services, and for the C libraries in it. jemalloc: of
//! what a core does for orders, glibc's took a sixth and it takes a fourteenth (`bench/README.md`). It has no thread that
//! gives memory back: with one, what hashing a password took stays until that wakes, 46 MiB each. That it can sample who takes
//! memory is built in, and off unless `MALLOC_CONF` says so at the start (`profile/heap.rs`).

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;
