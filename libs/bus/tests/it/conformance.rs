//! The embedded log passes the suite of the seam, on files and on the faulty disk, and so do the brokers
//! in memory, which stand for Kafka in the simulation.

use prepx_bus::conformance;

use crate::engines::{Faulty, InMemory, Real};

#[test]
fn on_files() {
    conformance::run(|| Real::new(false));
}

#[test]
fn on_files_with_the_writer() {
    conformance::run(|| Real::new(true));
}

#[test]
fn on_the_faulty_disk() {
    for seed in 0..50 {
        eprintln!("seed {seed}");
        conformance::run(|| Faulty::new(seed));
    }
}

#[test]
fn on_brokers_in_memory() {
    for seed in 0..50 {
        eprintln!("seed {seed}");
        conformance::run(|| InMemory::new(seed));
    }
}
