//! `prepx-bench generate|run|report`: see README.md beside this crate; `./run` does it all.

// Measuring time is what this program is for.
#![allow(clippy::disallowed_methods)]

mod report;

use std::fs::File;
use std::io::BufWriter;
use std::time::Instant;

use prepx_bench::stream::{self, Stream};
use prepx_bench::{PARCEL, Peer, crates, execute_all, ours, read};

/// The seed of the stream; any other gives a stream of the same kind.
const SEED: u64 = 2;
/// How many operations go before the measured ones through the filled book, so that slabs, caches
/// and branch predictors are in their steady state. exchange-core's JVM gets whole rounds instead.
const WARM_SHARE: usize = 10;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["generate", orders, count, file] => generate(number(orders), number(count), file),
        ["run", peer, file] => run_peer(peer, file),
        ["instructions", peer, file] => instructions(peer, file),
        ["report", results] => report::print(results),
        _ => panic!(
            "generate ORDERS COUNT FILE | run PEER FILE | instructions PEER FILE | report RESULTS"
        ),
    }
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

fn generate(orders: usize, count: usize, file: &str) {
    let stream = stream::generate(SEED, orders, count);
    let share = |kind| {
        let of = stream.run.iter().filter(|op| op.kind == kind).count();
        of as f64 * 100.0 / stream.run.len() as f64
    };
    println!(
        "{file}: {} operations fill the book, {} are measured: GTC {:.1} %, IOC {:.1} %, cancel {:.1} %, move {:.1} %",
        stream.fill.len(),
        stream.run.len(),
        share(stream::Kind::Gtc),
        share(stream::Kind::Ioc),
        share(stream::Kind::Cancel),
        share(stream::Kind::Move),
    );
    let file = File::create(file).expect("a writable file");
    stream
        .write(BufWriter::new(file))
        .expect("the stream is written");
}

fn run_peer(peer: &str, file: &str) {
    let stream = read(file);
    match peer {
        "prepx" => measure(peer, &stream, || ours::Ours::new(false)),
        "prepx+outputs" => measure(peer, &stream, || ours::Ours::new(true)),
        "prepx-singly" => measure(peer, &stream, ours::Ours::singly),
        "matchcore" => measure(peer, &stream, crates::Matchcore::default),
        "orderbook-rs" => measure(peer, &stream, crates::OrderbookRs::default),
        _ => panic!("prepx, prepx+outputs, prepx-singly, matchcore or orderbook-rs"),
    }
}

/// What this thread has run so far, in nanoseconds: on a shared machine the clock on the wall also
/// counts what others run.
fn cpu_nanos() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    nanos.expect("a number")
}

/// One round: throughput over all measured operations, then on a fresh book the time of each.
fn measure<P: Peer>(name: &str, stream: &Stream, new: impl Fn() -> P) {
    let (fill, run) = P::commands(stream);
    let (warm, timed) = run.split_at(run.len() / WARM_SHARE);
    let ready = || {
        let mut peer = new();
        execute_all(&mut peer, &fill);
        execute_all(&mut peer, warm);
        peer
    };
    let mut peer = ready();
    let (start, start_cpu) = (Instant::now(), cpu_nanos());
    execute_all(&mut peer, timed);
    let (elapsed, cpu) = (start.elapsed(), cpu_nanos() - start_cpu);
    drop(peer);
    let mut peer = ready();
    let mut nanos: Vec<u32> = Vec::with_capacity(timed.len());
    for parcel in timed.chunks(PARCEL) {
        for at in 0..parcel.len() {
            let start = Instant::now();
            peer.execute(parcel, at);
            nanos.push(start.elapsed().as_nanos().min(u128::from(u32::MAX)) as u32);
        }
    }
    drop(peer);
    nanos.sort_unstable();
    let quantile = |q: f64| nanos[((nanos.len() - 1) as f64 * q) as usize];
    let totals = ready().totals(timed);
    println!(
        "{name}\t{:.0}\t{:.1}\t{}\t{}\t{}\t{}\t{}",
        timed.len() as f64 / elapsed.as_secs_f64(),
        cpu as f64 / timed.len() as f64,
        quantile(0.5),
        quantile(0.99),
        quantile(0.999),
        totals.trades,
        totals.volume,
    );
}

/// For callgrind: `--toggle-collect=*measured_part*` counts what is inside.
fn instructions(peer: &str, file: &str) {
    let stream = read(file);
    match peer {
        "prepx" => count_instructions(&stream, ours::Ours::new(false)),
        "prepx+outputs" => count_instructions(&stream, ours::Ours::new(true)),
        "matchcore" => count_instructions(&stream, crates::Matchcore::default()),
        _ => panic!("prepx, prepx+outputs or matchcore"),
    }
}

fn count_instructions<P: Peer>(stream: &Stream, mut peer: P) {
    let (fill, run) = P::commands(stream);
    execute_all(&mut peer, &fill);
    measured_part(&mut peer, &run);
    println!("{} operations", run.len());
}

#[inline(never)]
fn measured_part<P: Peer>(peer: &mut P, run: &[P::Command]) {
    execute_all(peer, run);
}
