//! The closed set of error codes. Every interface answers with one of these, over HTTP and gRPC
//! alike; the numbers are the ones that clients of the Alpaca API recognise.

use std::fmt;

/// What kind of refusal an error is. The HTTP status is the first three digits of the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// The body or the request could not be read at all (400).
    Unreadable,
    /// No credentials, or wrong ones (401).
    Unauthenticated,
    /// The principal may not do this (403).
    Forbidden,
    /// The account lacks the cash or the position that the request needs (403).
    InsufficientBalance,
    /// The account or the instrument is stopped by an operator or by a limit (403).
    TradingBlocked,
    /// There is no such thing, or it belongs to somebody else (404).
    NotFound,
    /// The path exists, the method does not (405).
    MethodNotAllowed,
    /// It exists already in another form, or is in a state that forbids this (409).
    Conflict,
    /// The body is larger than the limit (413).
    TooLarge,
    /// A value is malformed, out of range, or breaks a rule (422).
    Invalid,
    /// Too many requests; nothing was accepted (429).
    TooManyRequests,
    /// The header of the request is larger than the limit (431).
    HeaderTooLarge,
    /// A fault of ours (500).
    Internal,
    /// Not able to answer now: nothing was accepted, or the outcome is unknown and the message says
    /// how to ask (503).
    Unavailable,
    /// A read took longer than its limit; never the answer to a write (504).
    DeadlineExceeded,
}

impl Code {
    /// All codes, in order of their numbers.
    pub const ALL: [Code; 15] = [
        Code::Unreadable,
        Code::Unauthenticated,
        Code::Forbidden,
        Code::InsufficientBalance,
        Code::TradingBlocked,
        Code::NotFound,
        Code::MethodNotAllowed,
        Code::Conflict,
        Code::TooLarge,
        Code::Invalid,
        Code::TooManyRequests,
        Code::HeaderTooLarge,
        Code::Internal,
        Code::Unavailable,
        Code::DeadlineExceeded,
    ];

    /// The eight-digit number that clients see as `code`.
    pub const fn number(self) -> u32 {
        match self {
            Code::Unreadable => 40_010_001,
            Code::Unauthenticated => 40_110_000,
            Code::Forbidden => 40_300_000,
            Code::InsufficientBalance => 40_310_000,
            Code::TradingBlocked => 40_320_000,
            Code::NotFound => 40_410_000,
            Code::MethodNotAllowed => 40_510_000,
            Code::Conflict => 40_910_000,
            Code::TooLarge => 41_310_000,
            Code::Invalid => 42_210_000,
            Code::TooManyRequests => 42_910_000,
            Code::HeaderTooLarge => 43_110_000,
            Code::Internal => 50_010_000,
            Code::Unavailable => 50_310_000,
            Code::DeadlineExceeded => 50_410_000,
        }
    }

    /// The HTTP status of the answer.
    pub const fn http_status(self) -> u16 {
        (self.number() / 100_000) as u16
    }

    /// The code with this number.
    pub fn from_number(number: u32) -> Option<Code> {
        Code::ALL.into_iter().find(|code| code.number() == number)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_sorted_and_name_their_status() {
        assert!(
            Code::ALL
                .windows(2)
                .all(|pair| pair[0].number() < pair[1].number())
        );
        for code in Code::ALL {
            assert_eq!(Code::from_number(code.number()), Some(code));
            assert!((400..=504).contains(&code.http_status()), "{code:?}");
        }
        assert_eq!(Code::Invalid.http_status(), 422);
    }
}
