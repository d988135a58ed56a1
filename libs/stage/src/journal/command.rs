//! Commands and replies in the form in which the log has them.
//!
//! Owns the bytes around what a stage's codec writes: for a command, where its reply is wanted; for a
//! reply, which command it answers. Refuses: to look at the codec's bytes.
//!
//! Layout of a command, version 1: version (1 byte), 0 or 1 for whether a reply is wanted, then partition
//! and token, then the codec's bytes. Of replies, version 1: version, count, then for each its token, 0 or
//! 1 for whether the stage gave a reply, and that reply after its length. Numbers are varints. The codec's
//! bytes of a sampled command are preceded by its trace context (`prepx-trace`).

use crate::DecodeError;
use crate::journal::wire::{Reader, put_prefixed, put_varint};

const VERSION: u8 = 1;

/// Where the reply to a command on the log is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplyTo {
    /// The partition of [`CommandReplies`](prepx_bus::Topic::CommandReplies) that the sender reads.
    pub partition: u32,
    /// The sender's number of the command. Never used twice, not even after a restart.
    pub token: u64,
}

/// Appends a command. `input` appends the bytes of the stage's codec.
pub fn encode(reply_to: Option<ReplyTo>, input: impl FnOnce(&mut Vec<u8>), to: &mut Vec<u8>) {
    to.push(VERSION);
    to.push(u8::from(reply_to.is_some()));
    if let Some(ReplyTo { partition, token }) = reply_to {
        put_varint(to, u64::from(partition));
        put_varint(to, token);
    }
    input(to);
}

/// Splits a command into where its reply is wanted and the codec's bytes.
///
/// # Errors
/// Bytes that are not a command.
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

/// The replies of one record: for each its token, and what the stage's codec wrote, if there is a reply.
pub type Replies<'a> = Vec<(u64, Option<&'a [u8]>)>;

/// Appends replies: for each its token, and the codec's bytes if there is a reply.
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

/// Decodes all replies of one record.
///
/// # Errors
/// Bytes that are not a record of replies.
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
