//! Hashes, keys and signatures as text: two lower-case hexadecimal digits a byte.

use std::fmt::Write as _;

/// Bytes as digits.
pub fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

/// The bytes that the digits, of either case, stand for; `None` unless they are just so many.
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let bytes = [0x00, 0x0f, 0xa5, 0xff];
        assert_eq!(encode(&bytes), "000fa5ff");
        assert_eq!(decode("000fA5ff"), Some(bytes));
        for wrong in [
            "",
            "000fa5f",
            "000fa5ff0",
            "000fa5fg",
            "+00fa5ff",
            "000fa5\u{e9}",
        ] {
            assert_eq!(decode::<4>(wrong), None, "{wrong}");
        }
    }
}
