//! Commands and replies as they stand on the log.
//!
//! Owns the bytes around what a stage's codec writes: of a command, where its reply is wanted; of a
//! reply, which of those who wait it is for. Refuses: to look at what is inside.
//!
//! Layout of a command, version 1: version (1 byte), 0 or 1 for whether a reply is wanted, then
//! partition and token, then the codec's bytes. Of replies, version 1: version, count, then of each
//! its token, 0 or 1 for whether the stage gave a reply, and that after its length. Numbers are varints.
//! Before the codec's bytes of a command of which a trace is told stands its context (`prepx-trace`).

use crate::DecodeError;
use crate::journal::wire::{Reader, put_prefixed, put_varint};

const VERSION: u8 = 1;

/// Where the reply to a command on the log is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplyTo {
    /// Which partition of [`CommandReplies`](prepx_bus::Topic::CommandReplies) is read by whoever waits.
    pub partition: u32,
    /// What they call the command there. Never used twice, not even after a restart.
    pub token: u64,
}

/// Appends a command. `input` appends what the stage's codec makes of it.
pub fn encode(reply_to: Option<ReplyTo>, input: impl FnOnce(&mut Vec<u8>), to: &mut Vec<u8>) {
    to.push(VERSION);
    to.push(u8::from(reply_to.is_some()));
    if let Some(ReplyTo { partition, token }) = reply_to {
        put_varint(to, u64::from(partition));
        put_varint(to, token);
    }
    input(to);
}

/// Where the reply to a command is wanted, and the codec's bytes.
///
/// # Errors
/// Bytes that are no command's.
pub fn decode(bytes: &[u8]) -> Result<(Option<ReplyTo>, &[u8]), DecodeError> {
    let mut reader = reader("a command on the log", bytes)?;
    let mut reply_to = None;
    if reader.flag()? {
        let partition = reader.varint_u32()?;
        let token = reader.varint()?;
        reply_to = Some(ReplyTo { partition, token });
    }
    Ok((reply_to, reader.rest()))
}

/// The replies of one record: of each its token and what the stage's codec wrote, if it gave one.
pub type Replies<'a> = Vec<(u64, Option<&'a [u8]>)>;

/// Appends replies: of each the token, and the codec's bytes if there are some.
pub(crate) fn encode_replies(replies: &[(u64, Option<Vec<u8>>)], to: &mut Vec<u8>) {
    to.push(VERSION);
    put_varint(to, replies.len() as u64);
    for (token, reply) in replies {
        put_varint(to, *token);
        to.push(u8::from(reply.is_some()));
        if let Some(reply) = reply {
            put_prefixed(to, |to| to.extend_from_slice(reply));
        }
    }
}

/// Replies from exactly the bytes of one record.
///
/// # Errors
/// Bytes that are not those.
pub fn decode_replies(bytes: &[u8]) -> Result<Replies<'_>, DecodeError> {
    let mut reader = reader("a record of replies", bytes)?;
    let mut replies = Vec::new();
    for _ in 0..reader.count()? {
        let token = reader.varint()?;
        let reply = match reader.flag()? {
            true => Some(reader.prefixed()?),
            false => None,
        };
        replies.push((token, reply));
    }
    reader.finish()?;
    Ok(replies)
}

fn reader<'a>(what: &'static str, bytes: &'a [u8]) -> Result<Reader<'a>, DecodeError> {
    let mut reader = Reader::new(what, bytes);
    let version = reader.byte()?;
    match version == VERSION {
        true => Ok(reader),
        false => Err(reader.error(format!(
            "it is of version {version}; this program reads {VERSION}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn golden_bytes_of_a_command() {
        let reply_to = Some(ReplyTo {
            partition: 3,
            token: 1_000,
        });
        let put = |to: &mut Vec<u8>| to.extend_from_slice(b"buy");
        let (mut asked, mut untold) = (Vec::new(), Vec::new());
        encode(reply_to, put, &mut asked);
        encode(None, put, &mut untold);
        expect!["010103e807627579"].assert_eq(&hex(&asked));
        expect!["0100627579"].assert_eq(&hex(&untold));
        assert_eq!(decode(&asked), Ok((reply_to, &b"buy"[..])));
        assert_eq!(decode(&untold), Ok((None, &b"buy"[..])));
        for wrong in [&b""[..], b"\x02\x00x", b"\x01\x02x", b"\x01\x01\x03"] {
            assert!(decode(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn golden_bytes_of_replies() {
        let mut bytes = Vec::new();
        encode_replies(&[(7, Some(b"done".to_vec())), (300, None)], &mut bytes);
        expect!["0102070104646f6e65ac0200"].assert_eq(&hex(&bytes));
        let found = decode_replies(&bytes).unwrap();
        assert_eq!(found, [(7, Some(&b"done"[..])), (300, None)]);
        for cut in 0..bytes.len() {
            assert!(decode_replies(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}
