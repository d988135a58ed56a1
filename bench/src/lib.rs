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

    fn execute(&mut self, command: &Self::Command);

    /// Executes everything and counts, for the comparison of the peers with each other.
    fn totals(&mut self, commands: &[Self::Command]) -> Totals;
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
