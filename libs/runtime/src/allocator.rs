//! Where the memory of a process comes from.
//!
//! Owns the choice of the allocator for every program that hosts services, and for the C libraries in it. jemalloc: of
//! what a core does for orders, glibc's took a sixth and it takes a fourteenth (`bench/README.md`); what was freed goes
//! back to the kernel by a thread of its own, so that an idle process is as small as with glibc's.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;
