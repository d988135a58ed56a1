//! Proves that our engine's steady state allocates nothing, outputs included, with an allocator that
//! counts. A program of its own, so that counting costs the peers nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use prepx_bench::{Peer, execute_all, ours::Ours, read};

struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is handed to the system's allocator unchanged; counting has no effect on it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract, which is the system allocator's own.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from `alloc` above, so from the system's allocator, with this layout.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as for `dealloc`; the caller answers for `size`.
        unsafe { System.realloc(at, layout, size) }
    }
}

fn main() {
    let file = std::env::args().nth(1).expect("a stream made by generate");
    let stream = read(&file);
    let (fill, run) = Ours::commands(&stream);
    let (warm, timed) = run.split_at(run.len() / 2);
    let mut ours = Ours::new(true);
    execute_all(&mut ours, &fill);
    execute_all(&mut ours, warm);
    let before = COUNT.load(Ordering::Relaxed);
    execute_all(&mut ours, timed);
    let allocations = COUNT.load(Ordering::Relaxed) - before;
    println!(
        "{allocations} allocations in {} operations of the steady state",
        timed.len()
    );
    // A slab that is fuller than ever before doubles: that is no steady state, and not per operation.
    assert!(allocations <= 4, "the steady state must not allocate");
}
