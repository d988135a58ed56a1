//! The signed checkpoint: what everything came to that has been dropped from the log, and where
//! `prepx verify` starts from then on. There is one, in the log's directory; a new one takes the place
//! of the one before whole, and says which that was.
//!
//! The first line is the Ed25519 signature in hex, by the key that signs the audit's roots, of the
//! rest of the file: one line of JSON.

use std::io;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use prepx_analytics::{Head, hex};
use prepx_bus::file::Dir;
use prepx_bus::{Topic, TopicPartition};
use prepx_domain::update::Book;
use prepx_domain::{AccountId, Micros};
use prepx_stage::port::Line;
use serde::{Deserialize, Serialize};

use super::past::{LaneHead, Past};

/// The file in the log's directory.
pub const NAME: &str = "checkpoint";
const TEMPORARY: &str = "checkpoint.part";
const FORMAT: u32 = 1;

/// What is signed.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Body {
    format: u32,
    /// Dense from 1.
    number: u64,
    created_at_us: i64,
    /// BLAKE3 of the checkpoint before, in hex; empty in the first.
    previous: String,
    address: u64,
    next_offsets: Vec<(String, u32, u64)>,
    /// Account partition, last message, its transition.
    told: Vec<(u32, u64, u64)>,
    /// Topic, partition, next offset, hash in hex.
    heads: Vec<(String, u32, u64, String)>,
    /// Account partition, book, account, asset, minor units.
    books: Vec<(u32, String, Option<i64>, String, i64)>,
}

/// A checkpoint whose signature was good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which one it is, from 1.
    pub number: u64,
    /// When it was made.
    pub created_at: Micros,
    /// What everything before came to.
    pub past: Past,
    hash: String,
}

impl Checkpoint {
    /// The last transition of each account partition that is in it.
    pub fn transitions(&self) -> Vec<u64> {
        self.past.sent.values().map(|head| head.seq).collect()
    }
}

/// The checkpoint of a log, if it has one. `data_dir` has the key.
///
/// # Errors
/// When it is not as it was signed.
pub fn read(dir: &dyn Dir, data_dir: &Path) -> Result<Option<Checkpoint>> {
    let file = match dir.open(NAME) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = vec![0; usize::try_from(file.size()?)?];
    file.read_at(0, &mut bytes)?;
    let damaged = "the checkpoint of what was dropped from the log (log/checkpoint) is damaged, or \
                   not by the key of this platform (audit.key): restore it from a copy";
    let split = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .context(damaged)?;
    let (signature, body) = (&bytes[..split], &bytes[split + 1..]);
    let key = prepx_analytics::public_key(data_dir)?.context(damaged)?;
    let signature = std::str::from_utf8(signature).ok().and_then(hex::decode);
    let good =
        signature.is_some_and(|signature| prepx_analytics::is_sealed(&key, body, &signature));
    ensure!(good, damaged);
    let parsed: Body = serde_json::from_slice(body).context(damaged)?;
    parsed
        .open(hex::encode(&prepx_analytics::hash(body)))
        .context(damaged)
        .map(Some)
}

/// Writes the checkpoint that follows `before`, durably.
///
/// # Errors
/// When there is no key to sign with, or the directory fails.
pub fn write(
    dir: &dyn Dir,
    data_dir: &Path,
    before: Option<&Checkpoint>,
    now: Micros,
    past: &Past,
) -> Result<()> {
    let body = serde_json::to_vec(&Body::of(before, now, past))?;
    let signature = prepx_analytics::seal(data_dir, &body)?
        .ok_or_else(|| anyhow!("there is no audit.key to sign a checkpoint with"))?;
    let mut bytes = hex::encode(&signature).into_bytes();
    bytes.push(b'\n');
    bytes.extend_from_slice(&body);
    match dir.remove(TEMPORARY) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let file = dir.create(TEMPORARY)?;
    file.write_at(0, &bytes)?;
    file.sync()?;
    dir.rename(TEMPORARY, NAME)?;
    Ok(dir.sync()?)
}

impl Body {
    fn of(before: Option<&Checkpoint>, now: Micros, past: &Past) -> Body {
        let name = |at: &TopicPartition| (at.topic.name().to_owned(), at.partition);
        Body {
            format: FORMAT,
            number: before.map_or(0, |before| before.number) + 1,
            created_at_us: now.0,
            previous: before.map_or_else(String::new, |before| before.hash.clone()),
            address: past.address,
            next_offsets: (past.next.iter())
                .map(|(at, next)| (name(at).0, at.partition, *next))
                .collect(),
            told: (past.sent.iter())
                .map(|(partition, head)| (*partition, head.number, head.seq))
                .collect(),
            heads: (past.heads.iter())
                .map(|(at, head)| {
                    (
                        name(at).0,
                        at.partition,
                        head.next_offset,
                        hex::encode(&head.hash),
                    )
                })
                .collect(),
            books: past.books.iter().map(row).collect(),
        }
    }

    fn open(self, hash: String) -> Result<Checkpoint> {
        ensure!(
            self.format == FORMAT,
            "its format is {}; this program reads {FORMAT}",
            self.format
        );
        let at = |topic: &str, partition| -> Result<TopicPartition> {
            Ok(topic.parse::<Topic>()?.partition(partition))
        };
        let next =
            |(topic, partition, next): &(String, u32, u64)| Ok((at(topic, *partition)?, *next));
        let sent =
            |&(partition, number, seq): &(u32, u64, u64)| (partition, LaneHead { number, seq });
        let head = |(topic, partition, next_offset, hash): &(String, u32, u64, String)| {
            let journal = at(topic, *partition)?;
            let head = Head {
                journal,
                next_offset: *next_offset,
                hash: hex::decode(hash).context("a hash is no hash")?,
            };
            Ok((journal, head))
        };
        let past = Past {
            address: self.address,
            next: self.next_offsets.iter().map(next).collect::<Result<_>>()?,
            sent: self.told.iter().map(sent).collect(),
            heads: self.heads.iter().map(head).collect::<Result<_>>()?,
            books: self.books.iter().map(line).collect::<Result<_>>()?,
        };
        Ok(Checkpoint {
            number: self.number,
            created_at: Micros(self.created_at_us),
            past,
            hash,
        })
    }
}

type Row = (u32, String, Option<i64>, String, i64);

fn row((&(partition, book, asset), &minor): (&Line, &i64)) -> Row {
    let (name, account) = match book {
        Book::Available(account) => ("available", Some(account.raw())),
        Book::Held(account) => ("held", Some(account.raw())),
        Book::Clearing => ("clearing", None),
        Book::Fees => ("fees", None),
        Book::Outside => ("outside", None),
    };
    (
        partition,
        name.to_owned(),
        account,
        asset.to_string(),
        minor,
    )
}

fn line((partition, name, account, asset, minor): &Row) -> Result<(Line, i64)> {
    let account = account.and_then(AccountId::new);
    let book = match (name.as_str(), account) {
        ("available", Some(account)) => Book::Available(account),
        ("held", Some(account)) => Book::Held(account),
        ("clearing", None) => Book::Clearing,
        ("fees", None) => Book::Fees,
        ("outside", None) => Book::Outside,
        _ => return Err(anyhow!("{name} is no book")),
    };
    Ok(((*partition, book, asset.parse()?), *minor))
}
