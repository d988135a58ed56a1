//! The commands that are sent to Memcached and its answers: its meta protocol, of version 1.6.
//!
//! Owns: encoding and decoding, bounded. Refuses: to go on after an answer that it does not know, because then nobody
//! knows where the next one begins.

use std::io;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

/// The largest value that is sent or accepted, below the default limit of servers.
pub(super) const VALUE_BYTES_MAX: usize = 1_000_000;
/// The longest first line of an answer; errors are in one.
const LINE_BYTES_MAX: u64 = 4_096;

/// Asks whether a server answers.
pub(super) const NO_OP: Bytes = Bytes::from_static(b"mn\r\n");

/// Asks for a server's statistics.
pub(super) const STATS: Bytes = Bytes::from_static(b"stats\r\n");
/// How many lines of statistics are read at most.
const STATS_MAX: usize = 1_000;

/// A server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is there.
    Here,
    /// It keeps the value.
    Kept,
    /// It does not keep the value, and the connection is to be given up.
    Refused,
    /// It has nothing under that name.
    Absent,
    /// A value and the time that it has left.
    Found(Bytes, Duration),
    /// How many values it has evicted since it was started.
    Evicted(u64),
}

/// Asks for the value under a name, of letters, digits and colons.
pub(super) fn get(name: &str) -> Bytes {
    format!("mg {name} v t\r\n").into()
}

/// Asks to keep a value for so many seconds.
pub(super) fn set(name: &str, value: &[u8], seconds: u64) -> Bytes {
    let line = format!("ms {name} {} T{seconds}\r\n", value.len());
    let mut bytes = BytesMut::with_capacity(line.len() + value.len() + 2);
    bytes.put_slice(line.as_bytes());
    bytes.put_slice(value);
    bytes.put_slice(b"\r\n");
    bytes.freeze()
}

/// Reads an answer.
///
/// # Errors
/// The connection breaks, or the bytes are no answer.
pub(super) async fn answer(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Answer> {
    let line = line(from).await?;
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["MN"] => Ok(Answer::Here),
        ["HD"] => Ok(Answer::Kept),
        ["EN"] => Ok(Answer::Absent),
        ["NS"] | ["SERVER_ERROR", ..] => Ok(Answer::Refused),
        ["VA", length, left] => {
            let known = |length: &usize| *length <= VALUE_BYTES_MAX;
            let length = length.parse().ok().filter(known);
            let left = left.strip_prefix('t');
            let left = left.and_then(|seconds| seconds.parse().ok());
            let (length, left) = length.zip(left).ok_or_else(|| unknown(&line))?;
            let value = value(from, length).await?;
            Ok(Answer::Found(value, Duration::from_secs(left)))
        }
        ["STAT", ..] => Ok(Answer::Evicted(evictions(from, line).await?)),
        _ => Err(unknown(&line)),
    }
}

async fn line(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<String> {
    let mut line = Vec::new();
    let mut bounded = from.take(LINE_BYTES_MAX);
    bounded.read_until(b'\n', &mut line).await?;
    let text = line.strip_suffix(b"\r\n").map(<[u8]>::to_vec);
    let text = text.and_then(|line| String::from_utf8(line).ok());
    text.ok_or_else(|| unknown(&String::from_utf8_lossy(&line)))
}

fn unknown(line: &str) -> io::Error {
    let problem = format!("Memcached answers {line:?}");
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

async fn value(from: &mut (impl AsyncBufRead + Unpin), length: usize) -> io::Result<Bytes> {
    let mut bytes = BytesMut::zeroed(length + 2);
    from.read_exact(&mut bytes).await?;
    if bytes.split_off(length) != b"\r\n"[..] {
        let problem = format!("a value of Memcached does not end after its {length} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    Ok(bytes.freeze())
}

/// From a server's statistics, one per line.
async fn evictions(from: &mut (impl AsyncBufRead + Unpin), mut told: String) -> io::Result<u64> {
    let mut evictions = None;
    for _ in 0..STATS_MAX {
        match told.split(' ').collect::<Vec<_>>()[..] {
            ["STAT", "evictions", count] => evictions = count.parse().ok(),
            ["STAT", ..] => {}
            ["END"] => return evictions.ok_or_else(|| unknown("no count of evictions")),
            _ => break,
        }
        told = line(from).await?;
    }
    Err(unknown(&told))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn read(mut bytes: &[u8]) -> Result<(Answer, usize), io::ErrorKind> {
        let answer = answer(&mut bytes).await.map_err(|error| error.kind())?;
        Ok((answer, bytes.len()))
    }

    #[test]
    fn commands_are_lines_and_a_value_follows_its_own() {
        assert_eq!(get("x:1"), "mg x:1 v t\r\n");
        assert_eq!(set("x:1", b"a\r\nb", 7), "ms x:1 4 T7\r\na\r\nb\r\n");
    }

    #[tokio::test]
    async fn answers_are_read_to_their_end_and_no_further() {
        let found = Answer::Found(Bytes::from_static(b"a\r\nb"), Duration::from_secs(9));
        for (bytes, expected) in [
            (&b"MN\r\nEN\r\n"[..], Ok((Answer::Here, 4))),
            (b"HD\r\n", Ok((Answer::Kept, 0))),
            (b"EN\r\n", Ok((Answer::Absent, 0))),
            (b"NS\r\n", Ok((Answer::Refused, 0))),
            (b"SERVER_ERROR out of memory\r\n", Ok((Answer::Refused, 0))),
            (b"VA 4 t9\r\na\r\nb\r\nMN\r\n", Ok((found, 4))),
            (
                b"VA 0 t1\r\n\r\n",
                Ok((Answer::Found(Bytes::new(), Duration::from_secs(1)), 0)),
            ),
            (
                b"STAT pid 1\r\nSTAT evictions 7\r\nEND\r\nMN\r\n",
                Ok((Answer::Evicted(7), 4)),
            ),
            (b"STAT pid 1\r\nEND\r\n", Err(io::ErrorKind::InvalidData)),
            (
                b"STAT evictions 7\r\nEN\r\n",
                Err(io::ErrorKind::InvalidData),
            ),
            (b"VA 1 t1\r\nabc\r\n", Err(io::ErrorKind::InvalidData)),
            (b"VA 1 t-1\r\na\r\n", Err(io::ErrorKind::InvalidData)),
            (b"VA 1000001 t1\r\n", Err(io::ErrorKind::InvalidData)),
            (b"VA 9 t1\r\na", Err(io::ErrorKind::UnexpectedEof)),
            (
                b"CLIENT_ERROR bad command line format\r\n",
                Err(io::ErrorKind::InvalidData),
            ),
            (b"HD", Err(io::ErrorKind::InvalidData)),
            (b"", Err(io::ErrorKind::InvalidData)),
        ] {
            assert_eq!(
                read(bytes).await,
                expected,
                "{}",
                String::from_utf8_lossy(bytes)
            );
        }
        assert!(read(&vec![b'x'; 1 << 20]).await.is_err());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_an_answer_or_an_error(bytes: Vec<u8>, value in "VA [0-9]{1,9} t[0-9]{1,25}") {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let after = [value.as_bytes(), b"\r\n", &bytes].concat();
            for bytes in [bytes, after] {
                if let Ok((Answer::Found(value, _), _)) = runtime.block_on(read(&bytes)) {
                    assert!(value.len() < bytes.len());
                }
            }
        }
    }
}
