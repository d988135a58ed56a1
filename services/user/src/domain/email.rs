//! E-mail addresses in the normal form in which they are compared.

use std::fmt;

/// An address: ASCII, in lower case, with the form `local@domain.tld`.
///
/// Only what mail systems agree on is normalised: the case of letters and the space around it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

/// What an address breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// More than 254 characters.
    #[error("the address has {0} characters, at most 254 are allowed")]
    TooLong(usize),
    /// A letter that is not ASCII, or one that no address has.
    #[error(
        "the address has `{0}`, only ASCII letters, digits and .!#$%&'*+/=?^_{{|}}~- are allowed"
    )]
    Letter(char),
    /// It has not the form of an address.
    #[error("`{0}` is no address: it should look like name@example.com")]
    Form(String),
}

impl Email {
    /// Reads an address as people type it.
    pub fn parse(text: &str) -> Result<Email, Problem> {
        let address = text.trim().to_ascii_lowercase();
        if address.len() > 254 {
            return Err(Problem::TooLong(address.chars().count()));
        }
        let (local, domain) = address
            .rsplit_once('@')
            .ok_or_else(|| Problem::Form(address.clone()))?;
        if let Some(wrong) = local.chars().find(|letter| !is_local(*letter)) {
            return Err(Problem::Letter(wrong));
        }
        if let Some(wrong) = domain.chars().find(|letter| !is_domain(*letter)) {
            return Err(Problem::Letter(wrong));
        }
        let dots = |part: &str| part.split('.').all(|label| !label.is_empty());
        let labels = || domain.split('.');
        let label =
            |label: &str| label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-');
        if local.len() > 64
            || !dots(local)
            || !dots(domain)
            || labels().count() < 2
            || !labels().all(label)
        {
            return Err(Problem::Form(address));
        }
        Ok(Email(address))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Hides the address, which is personal data, from logs.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

fn is_local(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(letter)
}

fn is_domain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '.' || letter == '-'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_compared_in_one_form() {
        let parse = |text| Email::parse(text).map(|email| email.0);
        assert_eq!(
            parse(" Ada.Lovelace+x@Example.COM "),
            Ok("ada.lovelace+x@example.com".into())
        );
        let wrong = [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@example",
            "ada@.com",
            "ada@-x.com",
            ".a@x.com",
            "a..b@x.com",
            "a b@x.com",
            "ada@exa_mple.com",
            "ada@x.com\r\nBcc: b@x.com",
            "é@x.com",
            "a@b@x.com",
        ];
        for text in wrong {
            assert!(Email::parse(text).is_err(), "{text:?}");
        }
        assert!(matches!(
            parse(&format!("a@{}.com", "x".repeat(260))),
            Err(Problem::TooLong(_))
        ));
    }

    proptest! {
        #[test]
        fn reading_never_fails_badly_and_is_stable(text in ".{0,300}") {
            if let Ok(email) = Email::parse(&text) {
                prop_assert_eq!(Email::parse(email.as_str()), Ok(email.clone()));
                prop_assert!(email.as_str().is_ascii());
            }
        }
    }
}
