//! CPU profiles: samples of whatever thread is running, at a rate per second of CPU time.

use std::time::Duration;

use ::pprof::{ProfilerGuard, ProfilerGuardBuilder};
use tokio::task::spawn_blocking;

use super::pprof::{Profile, Stack, Value};
use super::{Error, Turn};

/// Samples per second of CPU time, of all processors together. Not a round number, so as not to keep step with
/// timers.
const HERTZ: i32 = 99;
const NANOSECONDS_PER_LOOK: i64 = 1_000_000_000 / HERTZ as i64;

/// What the threads did in this time. Ends at once when its caller has gone.
pub(super) async fn profile(turn: Turn, time: Duration) -> Result<Vec<u8>, Error> {
    // To begin and to end takes up to a few hundred milliseconds: samples take 18 MB, and symbols are looked up.
    let builder = ProfilerGuardBuilder::default().frequency(HERTZ);
    // Together, so that the turn is given up last, wherever this ends.
    let (sampling, turn) = spawn_blocking(|| (builder.build(), turn)).await?;
    let under_way = (sampling?, turn);
    tokio::time::sleep(time).await;
    let told = move || {
        let (sampling, _turn) = &under_way;
        of(sampling, time)
    };
    spawn_blocking(told).await?
}

fn of(sampling: &ProfilerGuard<'_>, time: Duration) -> Result<Vec<u8>, Error> {
    let looks = sampling.report().build_unresolved()?.data;
    let stacks = looks.into_iter().map(|(seen, times)| {
        let times = times as i64;
        let name = &seen.thread_name[..seen.thread_name_length];
        Stack {
            addresses: seen.frames.iter().map(|frame| frame.ip).collect(),
            values: vec![times, times * NANOSECONDS_PER_LOOK],
            thread: Some(String::from_utf8_lossy(name).into_owned()),
        }
    });
    let cpu = Value("cpu", "nanoseconds");
    let profile = Profile {
        values: [Value("samples", "count"), cpu],
        period: (cpu, NANOSECONDS_PER_LOOK),
        time,
        stacks: stacks.collect(),
    };
    Ok(profile.encode()?)
}
