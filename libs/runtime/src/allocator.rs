//! Where the memory of a process comes from.
//!
//! Owns the choice of the allocator for every program that hosts services: jemalloc, which takes a fourteenth of
//! what a core does for orders where glibc's took a sixth (`bench/README.md`). The C libraries in a program keep
//! the system's `malloc`: jemalloc in its place begins before a library that is loaded ahead of it can, and
//! libfaketime, by which tests set clocks, then hangs the process. It runs without a background thread: with one,
//! the 46 MiB for hashing a password would stay taken until that thread wakes. Heap sampling is built in but off,
//! unless `_RJEM_MALLOC_CONF` turns it on at the start (`profile/heap.rs`).

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;
