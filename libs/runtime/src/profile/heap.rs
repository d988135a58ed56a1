//! Heap profiles: what has allocated memory, as jemalloc has sampled it since the process began. It samples if
//! told so at the start (`_RJEM_MALLOC_CONF=prof:true`); otherwise it costs nothing and there is no profile.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::AsRawFd as _;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use tikv_jemalloc_ctl::{Access as _, AsName as _, profiling};
use tokio::task::spawn_blocking;

use super::pprof::{Profile, Stack, Value};
use super::{Error, Turn};

/// The allocated memory now.
pub(super) async fn profile(turn: Turn) -> Result<Vec<u8>, Error> {
    if !profiling::prof::read()? {
        return Err(Error::NotSampled);
    }
    spawn_blocking(move || {
        let _turn = turn;
        let (stacks, period) = parsed(&dumped()?)?;
        let space = Value("inuse_space", "bytes");
        let profile = Profile {
            values: [Value("inuse_objects", "count"), space],
            period: (Value("space", "bytes"), period),
            time: Duration::ZERO,
            stacks,
        };
        Ok(profile.encode()?)
    })
    .await?
}

/// jemalloc's own dump. It keeps the name of the file for as long as the process lives, so it is always given the
/// same one: that of a file in memory.
fn dumped() -> Result<String, Error> {
    static PLACE: OnceLock<(File, &'static [u8])> = OnceLock::new();
    let (file, name) = match PLACE.get() {
        Some(place) => place,
        None => {
            let file =
                File::from(memfd_create("heap", MemfdFlags::CLOEXEC).map_err(io::Error::from)?);
            let name = format!("/proc/self/fd/{}\0", file.as_raw_fd()).into_bytes();
            PLACE.get_or_init(|| (file, name.leak()))
        }
    };
    b"prof.dump\0".name().write(*name)?;
    let (mut file, mut text) = (file, String::new());
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// The stacks of a dump (`heap_v2/PERIOD`, then for each stack a line with its addresses and one with objects and
/// bytes), and its sampling period in bytes.
fn parsed(text: &str) -> Result<(Vec<Stack>, i64), io::Error> {
    let wrong = |line: &str| io::Error::new(io::ErrorKind::InvalidData, line.to_owned());
    let mut lines = text.lines().map(str::trim);
    let head = lines.next().unwrap_or_default();
    let period = head
        .strip_prefix("heap_v2/")
        .and_then(|period| period.parse().ok());
    let period: i64 = period.ok_or_else(|| wrong(head))?;
    let (mut stacks, mut addresses) = (Vec::new(), None);
    // After the stacks come the mappings of the process.
    for line in lines.take_while(|line| !line.starts_with("MAPPED_LIBRARIES")) {
        if let Some(words) = line.strip_prefix('@') {
            let read = |word: &str| usize::from_str_radix(word.trim_start_matches("0x"), 16);
            let read: Result<Vec<usize>, _> = words.split_whitespace().map(read).collect();
            addresses = Some(read.map_err(|_| wrong(line))?);
        } else if let Some(addresses) = line.strip_prefix("t*:").and(addresses.take()) {
            let values = taken(line, period).ok_or_else(|| wrong(line))?;
            let thread = None;
            stacks.push(Stack {
                addresses,
                values,
                thread,
            });
        }
    }
    Ok((stacks, period))
}

/// Objects and bytes of `t*: OBJECTS: BYTES [...]`: the sampled ones are scaled to an estimate of all, as jemalloc
/// documents it (prof_data.c, "The unbiasing story is long").
fn taken(line: &str, period: i64) -> Option<Vec<i64>> {
    let mut words = line.split_whitespace().skip(1);
    let objects: f64 = words.next()?.strip_suffix(':')?.parse().ok()?;
    let bytes: f64 = words.next()?.parse().ok()?;
    let share = if objects > 0.0 {
        1.0 - (-(bytes / objects) / period as f64).exp()
    } else {
        1.0
    };
    Some(vec![
        (objects / share).round() as i64,
        (bytes / share).round() as i64,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sampled_stands_for_what_is_taken() {
        let text = "heap_v2/524288\n  t*: 3: 2098176 [0: 0]\n  t0: 3: 2098176 [0: 0]\n\
                    @ 0x10 0xff\n  t*: 1: 1024 [0: 0]\n  t0: 1: 1024 [0: 0]\n\
                    @ 0x20\n  t*: 2: 2097152 [0: 0]\n\nMAPPED_LIBRARIES:\n@ x\n";
        let (stacks, period) = parsed(text).unwrap();
        assert_eq!(period, 524_288);
        let read = |stack: &Stack| (stack.addresses.clone(), stack.values.clone());
        // One object of 1 KiB in 512 is sampled, and most of 1 MiB.
        let small = (vec![0x10, 0xff], vec![513, 524_800]);
        let large = (vec![0x20], vec![2, 2_425_393]);
        assert_eq!(stacks.iter().map(read).collect::<Vec<_>>(), [small, large]);
    }

    #[test]
    fn what_is_no_dump_is_refused() {
        for text in [
            "",
            "heap profile: 1",
            "heap_v2/1\n@ 0xzz\n",
            "heap_v2/1\n@ 0x1\nt*: many\n",
        ] {
            assert!(parsed(text).is_err(), "{text:?}");
        }
    }
}
