//! The primitives of the stage's own records: little-endian numbers, varints (LEB128), length-prefixed
//! bytes. Refuses to read past the end, and overlong numbers.

use prepx_bus::{Topic, TopicPartition};

use crate::DecodeError;

pub(crate) fn put_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

pub(crate) fn put_partition(to: &mut Vec<u8>, at: TopicPartition) {
    put_varint(to, u64::from(at.topic.code()));
    put_varint(to, u64::from(at.partition));
}

/// Appends what `encode` appends, after its length. Most values are short, so one byte is reserved for the
/// length, and the value is moved only if that is not enough.
pub(crate) fn put_prefixed(to: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
    let at = to.len();
    to.push(0);
    encode(to);
    let len = to.len() - at - 1;
    if len < 0x80 {
        to[at] = len as u8;
        return;
    }
    let mut prefix = Vec::with_capacity(10);
    put_varint(&mut prefix, len as u64);
    to.splice(at..=at, prefix);
}

/// Reads a record from its start.
pub(crate) struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Reader<'a> {
        Reader { what, rest: bytes }
    }

    pub(crate) fn error(&self, why: impl ToString) -> DecodeError {
        DecodeError::new(self.what, why)
    }

    pub(crate) fn bytes(&mut self, len: u64) -> Result<&'a [u8], DecodeError> {
        let taken = usize::try_from(len)
            .ok()
            .and_then(|len| self.rest.split_at_checked(len));
        let Some((bytes, rest)) = taken else {
            return Err(self.error(format!("{len} bytes are due, {} are left", self.rest.len())));
        };
        self.rest = rest;
        Ok(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self.bytes(N as u64)?;
        Ok(bytes.try_into().expect("as many as were asked for"))
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.error(format!("{other} is neither yes nor no"))),
        }
    }

    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if (part << shift) >> shift != part {
                break;
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.error("a number has more than 64 bits"))
    }

    pub(crate) fn varint_u32(&mut self) -> Result<u32, DecodeError> {
        let value = self.varint()?;
        u32::try_from(value).map_err(|_| self.error(format!("{value} has more than 32 bits")))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn prefixed(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.varint()?;
        self.bytes(len)
    }

    pub(crate) fn partition(&mut self) -> Result<TopicPartition, DecodeError> {
        let code = self.varint_u32()?;
        let topic = u16::try_from(code).ok().and_then(Topic::from_code);
        let topic = topic.ok_or_else(|| self.error(format!("no topic has the code {code}")))?;
        Ok(topic.partition(self.varint_u32()?))
    }

    /// The number of items that follow. Each has at least one byte, so a damaged count cannot ask for more
    /// memory than the record has bytes.
    pub(crate) fn count(&mut self) -> Result<usize, DecodeError> {
        let count = self.varint()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.rest.len() => Ok(count),
            _ => Err(self.error(format!("{count} things in {} bytes", self.rest.len()))),
        }
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(self.error(format!("{left} bytes too many"))),
        }
    }
}

/// The `count` byte strings of which `bytes` must consist, each after its length.
pub(crate) fn all_prefixed<'a>(
    what: &'static str,
    bytes: &'a [u8],
    count: u64,
) -> impl Iterator<Item = Result<&'a [u8], DecodeError>> + use<'a> {
    let (mut reader, mut left) = (Reader::new(what, bytes), count);
    std::iter::from_fn(move || match (left, reader.is_empty()) {
        (0, true) => None,
        (0, false) => {
            let surplus = reader.finish().err();
            reader.rest();
            surplus.map(Err)
        }
        _ => {
            left -= 1;
            Some(reader.prefixed().inspect_err(|_| left = 0))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(value: u64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut reader = Reader::new("a number", &bytes);
            prop_assert_eq!(reader.varint(), Ok(value));
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn prefixed_bytes_come_back(value in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut bytes = vec![7];
            put_prefixed(&mut bytes, |to| to.extend_from_slice(&value));
            let mut reader = Reader::new("bytes", &bytes[1..]);
            prop_assert_eq!(reader.prefixed(), Ok(&value[..]));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn garbage_is_refused_or_read_but_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut reader = Reader::new("garbage", &bytes);
            let _ = (reader.count(), reader.partition(), reader.prefixed(), reader.i64());
        }
    }

    #[test]
    fn an_overlong_number_is_refused() {
        let mut reader = Reader::new("a number", &[0xff; 11]);
        assert!(reader.varint().is_err());
        let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Reader::new("a number", &most).varint(), Ok(u64::MAX));
    }
}
