//! The rules for passwords: long enough, and not among the most common.
//!
//! A minimum length and a list of common passwords, but no rules about digits and symbols, as NIST SP 800-63B advises.

use crate::domain::Email;

const CHARS_MIN: usize = 10;
const CHARS_MAX: usize = 128;

/// The most used passwords of ten characters and more.
const COMMON: &[&str] = &[
    "1q2w3e4r5t",
    "1qaz2wsx3edc",
    "0123456789",
    "1234567890",
    "12345678910",
    "123456789a",
    "a123456789",
    "q1w2e3r4t5",
    "qwerty12345",
    "qwerty123456",
    "qwertyuiop",
    "qwertyuiop1",
    "asdfghjkl1",
    "zxcvbnm123",
    "password12",
    "password123",
    "password1234",
    "passw0rd123",
    "administrator",
    "changeme123",
    "iloveyou123",
    "letmein123",
    "welcome123",
    "football123",
    "baseball123",
    "princess123",
    "sunshine123",
    "superman123",
    "trustno1trustno1",
    "abcdefghij",
    "abcd123456",
    "abc1234567",
    "0987654321",
    "9876543210",
    "1122334455",
    "1231231231",
    "correcthorsebatterystaple",
    "mypassword",
    "mypassword1",
    "secretpassword",
    "thisismypassword",
];

/// What a password breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Fewer characters than are safe.
    #[error("the password has {0} characters, at least 10 are needed")]
    TooShort(usize),
    /// More characters than are worth hashing.
    #[error("the password has {0} characters, at most 128 are allowed")]
    TooLong(usize),
    /// The same character over and over.
    #[error("the password is one repeated character: mix several")]
    Repeated,
    /// The user's own address, or its part before the @.
    #[error("the password is the e-mail address: choose something that others do not know")]
    Address,
    /// On everybody's list.
    #[error("the password is among the most common ones: choose something that nobody else would")]
    Common,
}

/// Whether this may be the password of the user with this address.
pub fn check(password: &str, email: &Email) -> Result<(), Problem> {
    let chars = password.chars().count();
    if chars < CHARS_MIN {
        return Err(Problem::TooShort(chars));
    }
    if chars > CHARS_MAX {
        return Err(Problem::TooLong(chars));
    }
    let mut letters = password.chars();
    let first = letters.next();
    if letters.all(|letter| Some(letter) == first) {
        return Err(Problem::Repeated);
    }
    let lower = password.to_lowercase();
    let local = email.as_str().split('@').next().unwrap_or_default();
    if lower == email.as_str() || lower == local {
        return Err(Problem::Address);
    }
    if COMMON.contains(&lower.as_str()) {
        Err(Problem::Common)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_its_own_answer() {
        let email = Email::parse("ada.lovelace@example.com").unwrap();
        let check = |password: &str| check(password, &email);
        assert_eq!(check("violet kiln 93"), Ok(()));
        assert_eq!(
            check("日本語のパスワードです"),
            Ok(()),
            "characters are counted, not bytes"
        );
        assert_eq!(check("short"), Err(Problem::TooShort(5)));
        assert_eq!(check(&"ab".repeat(65)), Err(Problem::TooLong(130)));
        assert_eq!(check("aaaaaaaaaaaa"), Err(Problem::Repeated));
        assert_eq!(check("Ada.Lovelace@example.com"), Err(Problem::Address));
        assert_eq!(check("ada.lovelace"), Err(Problem::Address));
        assert_eq!(check("Password123"), Err(Problem::Common));
    }

    #[test]
    fn every_common_password_would_otherwise_pass() {
        for common in COMMON {
            assert!(
                common.chars().count() >= CHARS_MIN,
                "{common} is refused for its length"
            );
            assert_eq!(*common, common.to_lowercase());
        }
    }
}
