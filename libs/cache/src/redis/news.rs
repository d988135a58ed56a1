//! The messages between processes as bytes: the sender, the kind, a name and the content.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

pub(super) const ORIGIN_BYTES: usize = 8;

const MESSAGE: u8 = 1;
const REMOVED: u8 = 2;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct News {
    /// The sending process, which has acted on it already.
    pub(super) origin: [u8; ORIGIN_BYTES],
    /// A topic, or a space.
    pub(super) name: String,
    pub(super) content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A message on a topic.
    Message(Bytes),
    /// A key of a space was removed or has a new value.
    Removed(Bytes),
}

impl News {
    pub(super) fn message(origin: [u8; ORIGIN_BYTES], topic: &str, message: Bytes) -> News {
        let (name, content) = (topic.to_owned(), Content::Message(message));
        News {
            origin,
            name,
            content,
        }
    }

    pub(super) fn removed(origin: [u8; ORIGIN_BYTES], space: &str, key: &[u8]) -> News {
        let content = Content::Removed(Bytes::copy_from_slice(key));
        let name = space.to_owned();
        News {
            origin,
            name,
            content,
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        let (kind, rest) = match &self.content {
            Content::Message(message) => (MESSAGE, message),
            Content::Removed(key) => (REMOVED, key),
        };
        let mut bytes = BytesMut::with_capacity(ORIGIN_BYTES + 3 + self.name.len() + rest.len());
        bytes.put_slice(&self.origin);
        bytes.put_u8(kind);
        bytes.put_u16(self.name.len() as u16);
        bytes.put_slice(self.name.as_bytes());
        bytes.put_slice(rest);
        bytes.freeze()
    }

    /// `None` for bytes that are no message, such as those of another version.
    pub(super) fn decode(mut bytes: Bytes) -> Option<News> {
        let origin = bytes.get(..ORIGIN_BYTES)?.try_into().ok()?;
        bytes.advance(ORIGIN_BYTES);
        let kind = bytes.try_get_u8().ok()?;
        let length = usize::from(bytes.try_get_u16().ok()?);
        let name = std::str::from_utf8(bytes.get(..length)?).ok()?.to_owned();
        bytes.advance(length);
        let content = match kind {
            MESSAGE => Content::Message(bytes),
            REMOVED => Content::Removed(bytes),
            _ => return None,
        };
        Some(News {
            origin,
            name,
            content,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_read_as_they_were_told_and_rubbish_is_none() {
        for news in [
            News::message(*b"12345678", "weather", Bytes::from_static(b"rain")),
            News::removed(*b"87654321", "of keys", b""),
        ] {
            let bytes = news.encode();
            assert_eq!(News::decode(bytes.clone()), Some(news.clone()));
            let name_end = ORIGIN_BYTES + 3 + news.name.len();
            for end in 0..name_end {
                assert_eq!(News::decode(bytes.slice(..end)), None, "{end} bytes");
            }
        }
        let unknown = b"12345678\x09\0\0";
        assert_eq!(News::decode(Bytes::from_static(unknown)), None);
    }
}
