//! Texts that callers choose: names, reasons, keys of their own. Owns how long they may be, and refuses the character
//! that PostgreSQL cannot store.

use std::ops::RangeInclusive;

/// Why a text is not taken. It reads on behind the name of what the text was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// PostgreSQL has no text with it.
    #[error("has the character U+0000, which is not allowed")]
    Zero,
    /// It is too long, or too short.
    #[error("has {chars} characters: give {least} to {most}")]
    Length {
        /// How many it has.
        chars: usize,
        /// How many it must have.
        least: usize,
        /// How many it may have.
        most: usize,
    },
}

/// Whether a text with so many characters can be kept as it is.
///
/// # Errors
/// Says what is wrong with it.
pub fn check(text: &str, chars: RangeInclusive<usize>) -> Result<(), Error> {
    if text.contains('\0') {
        return Err(Error::Zero);
    }
    let given = text.chars().count();
    match chars.contains(&given) {
        true => Ok(()),
        false => Err(Error::Length {
            chars: given,
            least: *chars.start(),
            most: *chars.end(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_kept_says_why() {
        assert_eq!(check("", 0..=3), Ok(()));
        assert_eq!(check("äöü", 1..=3), Ok(()));
        let told = |text| check(text, 1..=3).unwrap_err().to_string();
        assert_eq!(told(""), "has 0 characters: give 1 to 3");
        assert_eq!(told("abcd"), "has 4 characters: give 1 to 3");
        assert_eq!(
            told("a\0b"),
            "has the character U+0000, which is not allowed"
        );
    }
}
