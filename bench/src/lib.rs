//! The stream of operations, the peers that execute it, and ours.

pub mod crates;
pub mod ours;
pub mod stream;

use std::fs::File;
use std::io::BufReader;

use stream::Stream;

/// Something that executes the stream.
pub trait Peer {
    /// An operation as the peer takes it, built before the clock starts.
    type Command;

    /// The commands that fill the book, and those that are measured.
    fn commands(stream: &Stream) -> (Vec<Self::Command>, Vec<Self::Command>);

    /// Executes the command at `at` of a parcel, after those before it. A peer may look ahead.
    fn execute(&mut self, parcel: &[Self::Command], at: usize);

    /// Executes everything and counts, for the comparison of the peers with each other.
    fn totals(&mut self, commands: &[Self::Command]) -> Totals;
}

/// How many commands come together, as in the batches of the whole path's benchmark (`load/`): so far
/// a peer may look ahead.
pub const PARCEL: usize = 100;

/// Executes everything, parcel by parcel.
pub fn execute_all<P: Peer>(peer: &mut P, commands: &[P::Command]) {
    for parcel in commands.chunks(PARCEL) {
        for at in 0..parcel.len() {
            peer.execute(parcel, at);
        }
    }
}

/// What the measured operations traded: the same for every peer, or they did not do the same work.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Totals {
    /// How many.
    pub trades: i64,
    /// Lots.
    pub volume: i64,
}

/// A stream that `prepx-bench generate` wrote.
pub fn read(file: &str) -> Stream {
    let file = File::open(file).expect("a stream made by generate");
    Stream::read(BufReader::new(file)).expect("a whole stream")
}
