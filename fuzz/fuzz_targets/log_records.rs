//! Whatever bytes are found where frames should be, the log answers with an error or with
//! records, and never with a panic; what it opened it can read.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use prepx_bus::embedded::frame::{Frame, HEADER_BYTES, seal};
use prepx_bus::embedded::{Config, EmbeddedLog};
use prepx_bus::faulty::FaultyDir;
use prepx_bus::file::Dir;
use prepx_bus::{Log, Topic};

const SEGMENT: &str = "00000000000000000000.seg";
const SEGMENT_HEADER_BYTES: u64 = 36;

fuzz_target!(|data: &[u8]| {
    let _ = Frame::parse(data, 0);
    open(data);
    let mut signed = data.to_vec();
    sign(&mut signed);
    open(&signed);
});

/// Makes frames of garbage: lengths that fit, right addresses and checksums, so that what is
/// behind these checks is reached.
fn sign(bytes: &mut [u8]) {
    let mut at = 0;
    while bytes.len() - at >= HEADER_BYTES {
        let frame = &mut bytes[at..];
        let claimed = u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
        let length = HEADER_BYTES + claimed % (frame.len() - HEADER_BYTES + 1);
        let frame = &mut frame[..length];
        frame[0..4].copy_from_slice(&(length as u32).to_le_bytes());
        frame[8..16].copy_from_slice(&(at as u64).to_le_bytes());
        frame[16..20].fill(0);
        seal(frame);
        at += length;
    }
}

/// Opens a log whose only segment has these bytes behind its header, and reads all of it.
fn open(frames: &[u8]) {
    let dir = FaultyDir::new(0);
    let config = Config { segment_bytes: 4_096, ..Config::default() };
    let as_dir: Arc<dyn Dir> = dir.clone();
    drop(EmbeddedLog::open(as_dir, config.clone()).expect("an empty directory opens"));
    let file = dir.open(SEGMENT).expect("the first segment is there");
    file.write_at(SEGMENT_HEADER_BYTES, frames).expect("the disk in memory takes it");
    let as_dir: Arc<dyn Dir> = dir.clone();
    let Ok(log) = EmbeddedLog::open(as_dir, config) else { return };
    log.check().expect("what was opened reads back");
    for &topic in Topic::ALL {
        for partition in (0..300).map(|number| topic.partition(number)) {
            let mut at = log.start(partition);
            while at < log.end(partition) {
                let records = log.read(partition, at, 1_000).expect("what was opened is readable");
                at = records.last().expect("a read before the end finds a record").offset + 1;
            }
        }
    }
}
