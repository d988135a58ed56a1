//! The protobuf wire format, a field at a time.

use prost::encoding::{WireType, decode_varint, encode_varint};

/// Bytes that are not a protobuf message, or not one of the expected type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A value as it stands on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    /// Reads a value of this wire type from the front.
    pub fn read(wire_type: WireType, input: &mut &'a [u8]) -> Result<Wire<'a>, Malformed> {
        match wire_type {
            WireType::Varint => Ok(Wire::Varint(varint(input)?)),
            WireType::SixtyFourBit => {
                let (head, tail) = input.split_first_chunk().ok_or(Malformed)?;
                *input = tail;
                Ok(Wire::Fixed64(u64::from_le_bytes(*head)))
            }
            WireType::ThirtyTwoBit => {
                let (head, tail) = input.split_first_chunk().ok_or(Malformed)?;
                *input = tail;
                Ok(Wire::Fixed32(u32::from_le_bytes(*head)))
            }
            WireType::LengthDelimited => {
                let length = usize::try_from(varint(input)?).map_err(|_| Malformed)?;
                let (head, tail) = input.split_at_checked(length).ok_or(Malformed)?;
                *input = tail;
                Ok(Wire::Bytes(head))
            }
            WireType::StartGroup | WireType::EndGroup => Err(Malformed),
        }
    }

    /// The bytes of a string, a message or a packed list.
    pub fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Wire::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed),
        }
    }

    /// The text of a string.
    pub fn text(self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    /// The raw bits of a varint.
    pub fn varint(self) -> Result<u64, Malformed> {
        match self {
            Wire::Varint(value) => Ok(value),
            _ => Err(Malformed),
        }
    }
}

/// The next field of a message, `None` at its end.
pub(crate) fn field<'a>(input: &mut &'a [u8]) -> Result<Option<(u32, Wire<'a>)>, Malformed> {
    if input.is_empty() {
        return Ok(None);
    }
    let key = u32::try_from(varint(input)?).map_err(|_| Malformed)?;
    let wire_type = WireType::try_from(u64::from(key & 7)).map_err(|_| Malformed)?;
    if key >> 3 == 0 {
        return Err(Malformed);
    }
    Ok(Some((key >> 3, Wire::read(wire_type, input)?)))
}

fn varint(input: &mut &[u8]) -> Result<u64, Malformed> {
    match input.split_first() {
        Some((&byte, tail)) if byte < 0x80 => {
            *input = tail;
            Ok(u64::from(byte))
        }
        _ => decode_varint(input).map_err(|_| Malformed),
    }
}

/// Appends the length of everything after `start` in front of it. The body is written first because
/// its length is not known before; the few bytes of the length are then rotated into place.
pub(crate) fn prefix_length(out: &mut Vec<u8>, start: usize) {
    let end = out.len();
    encode_varint((end - start) as u64, out);
    let prefix = out.len() - end;
    out[start..].rotate_right(prefix);
}

/// Appends bytes with their length in front.
pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Maps a signed number to the unsigned one that `sint32` and `sint64` write.
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
