//! Short names held in place, so that they are `Copy` and cost no allocation on the order path.

use std::fmt;
use std::str::FromStr;

/// An asset's name, at most 12 characters: `USD`, `BTC`, `AAPL`.
pub type Asset = Ascii<12>;

/// An instrument's symbol, at most 24 characters: `AAPL`, `BTC/USD`.
pub type Symbol = Ascii<24>;

/// Upper-case letters, digits, `.`, `-` and `/`, one to `N` of them, the rest zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ascii<const N: usize>([u8; N]);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Empty, or longer than the type holds.
    #[error("{text:?} has {len} characters; a name has 1 to {max}")]
    Length {
        /// The text, cut to a readable length.
        text: String,
        /// How many bytes it had.
        len: usize,
        /// How many are allowed.
        max: usize,
    },
    /// A character that no name has.
    #[error("{text:?} has the character {found:?}; a name is made of A-Z, 0-9, '.', '-' and '/'")]
    Character {
        /// The text.
        text: String,
        /// The first character that is not allowed.
        found: char,
    },
}

/// A symbol as it is looked up: clients may leave out the slash of a pair, so `BTCUSD` finds `BTC/USD`. More
/// slashes than that one are left, so that `BTC//USD` finds nothing.
pub fn without_slash(symbol: &str) -> String {
    symbol.replacen('/', "", 1)
}

/// Whether a client means a symbol: `BTC/USD` and `BTCUSD` mean `BTC/USD`.
pub fn is_named(symbol: &str, given: &str) -> bool {
    given == symbol || given == without_slash(symbol)
}

impl<const N: usize> Ascii<N> {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        let len = self.0.iter().position(|&byte| byte == 0).unwrap_or(N);
        std::str::from_utf8(&self.0[..len]).expect("only ASCII is ever stored")
    }
}

impl<const N: usize> FromStr for Ascii<N> {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() || text.len() > N {
            let shown: String = text.chars().take(40).collect();
            return Err(Error::Length {
                text: shown,
                len: text.len(),
                max: N,
            });
        }
        let allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || ".-/".contains(c);
        if let Some(found) = text.chars().find(|&c| !allowed(c)) {
            return Err(Error::Character {
                text: text.to_owned(),
                found,
            });
        }
        let mut bytes = [0; N];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Ascii(bytes))
    }
}

impl<const N: usize> fmt::Display for Ascii<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Ascii<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expect: Expect) {
        expect.assert_eq(&match text.parse::<Asset>() {
            Ok(asset) => asset.to_string(),
            Err(error) => error.to_string(),
        });
    }

    #[test]
    fn names_are_short_upper_case_ascii() {
        check("USD", expect!["USD"]);
        check("ABCDEFGHIJKL", expect!["ABCDEFGHIJKL"]);
        check("", expect![[r#""" has 0 characters; a name has 1 to 12"#]]);
        check(
            "ABCDEFGHIJKLM",
            expect![[r#""ABCDEFGHIJKLM" has 13 characters; a name has 1 to 12"#]],
        );
        check(
            "usd",
            expect![[
                r#""usd" has the character 'u'; a name is made of A-Z, 0-9, '.', '-' and '/'"#
            ]],
        );
        check(
            "A\0B",
            expect![[
                r#""A\0B" has the character '\0'; a name is made of A-Z, 0-9, '.', '-' and '/'"#
            ]],
        );
    }
}
