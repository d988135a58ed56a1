//! What the user service refuses, and the closed code of each refusal.

use prepx_auth::Scope;
use prepx_domain::{Code, text};

use crate::domain::{email, password};
use crate::vault::NotOurs;

/// A result of a use case.
pub type Result<T> = std::result::Result<T, Error>;

/// A refusal or a fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address breaks a rule.
    #[error("email: {0}")]
    Email(#[from] email::Problem),
    /// The password breaks a rule.
    #[error("password: {0}")]
    Password(#[from] password::Problem),
    /// Somebody has this address.
    #[error("there is a user with this e-mail address: sign in, or use another address")]
    EmailTaken,
    /// Unknown address or wrong password: one answer for both.
    #[error("the e-mail address or the password is wrong")]
    WrongPassword,
    /// Too many passwords were tried for this address.
    #[error("too many tries for this address: try again in {} s", retry_after_ms.div_ceil(1_000))]
    Throttled {
        /// Milliseconds until the next try.
        retry_after_ms: u64,
    },
    /// As many passwords are being checked as fit into memory. Nothing was done.
    #[error("too many passwords are being checked: try again in {} s", retry_after_ms.div_ceil(1_000))]
    Busy {
        /// Milliseconds until there should be room.
        retry_after_ms: u64,
    },
    /// The refresh token is made up, used up, or its session is over.
    #[error("the refresh token is not good, or its session is over: sign in again")]
    WrongRefreshToken,
    /// Only sessions can be signed out of.
    #[error("the caller came with an API key, which has no session: revoke the key instead")]
    NoSession,
    /// The name of a key cannot be kept.
    #[error("name {0}")]
    KeyName(text::Error),
    /// No such scope.
    #[error("scopes: `{0}` is none; they look like `orders:write`")]
    UnknownScope(String),
    /// The caller cannot give what it does not have.
    #[error("scopes: the caller itself lacks `{0}`")]
    ScopeNotHeld(Scope),
    /// The caller has as many keys as are allowed.
    #[error("there are {0} keys already: revoke one first")]
    TooManyKeys(usize),
    /// The caller has no such key.
    #[error("there is no key `{0}`")]
    UnknownKey(String),
    /// There is no such user.
    #[error("there is no user `{0}`")]
    UnknownUser(String),
    /// The account stage did not open the account. No user was made.
    #[error("the trading account cannot be opened right now: nothing was made, try again")]
    NoAccount(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A check on the caller failed.
    #[error(transparent)]
    Auth(#[from] prepx_auth::Error),
    /// The store failed or is busy.
    #[error(transparent)]
    Store(#[from] prepx_store::Error),
    /// A sealed value does not open.
    #[error(transparent)]
    Vault(#[from] NotOurs),
    /// Tokens cannot be signed.
    #[error(transparent)]
    Signing(#[from] prepx_auth::SigningKeyError),
    /// Something that cannot be: its text is for the log.
    #[error("{0}")]
    Fault(String),
}

impl Error {
    /// The closed code.
    pub fn code(&self) -> Code {
        match self {
            Error::Email(_)
            | Error::Password(_)
            | Error::NoSession
            | Error::KeyName(_)
            | Error::UnknownScope(_)
            | Error::ScopeNotHeld(_) => Code::Invalid,
            Error::EmailTaken | Error::TooManyKeys(_) => Code::Conflict,
            Error::WrongPassword | Error::WrongRefreshToken => Code::Unauthenticated,
            Error::Throttled { .. } => Code::TooManyRequests,
            Error::UnknownKey(_) | Error::UnknownUser(_) => Code::NotFound,
            Error::Busy { .. } | Error::NoAccount(_) => Code::Unavailable,
            Error::Auth(error) => error.code(),
            Error::Store(error) if error.is_retryable() => Code::Unavailable,
            Error::Store(_) | Error::Vault(_) | Error::Signing(_) | Error::Fault(_) => {
                Code::Internal
            }
        }
    }

    /// The stable word for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Error::Email(_) => "INVALID_EMAIL",
            Error::Password(_) => "WEAK_PASSWORD",
            Error::EmailTaken => "EMAIL_TAKEN",
            Error::WrongPassword => "WRONG_PASSWORD",
            Error::Throttled { .. } => "TOO_MANY_TRIES",
            Error::Busy { .. } => "BUSY",
            Error::WrongRefreshToken => "WRONG_REFRESH_TOKEN",
            Error::NoSession => "NO_SESSION",
            Error::KeyName(_) => "INVALID_NAME",
            Error::UnknownScope(_) => "UNKNOWN_SCOPE",
            Error::ScopeNotHeld(_) => "SCOPE_NOT_HELD",
            Error::TooManyKeys(_) => "TOO_MANY_KEYS",
            Error::UnknownKey(_) => "UNKNOWN_KEY",
            Error::UnknownUser(_) => "UNKNOWN_USER",
            Error::NoAccount(_) => "ACCOUNT_UNAVAILABLE",
            Error::Auth(error) => error.reason(),
            Error::Store(error) if error.is_retryable() => "BUSY",
            Error::Store(_) | Error::Vault(_) | Error::Signing(_) | Error::Fault(_) => "INTERNAL",
        }
    }

    /// When it makes sense to try again, in milliseconds.
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Error::Throttled { retry_after_ms } | Error::Busy { retry_after_ms } => {
                Some(*retry_after_ms)
            }
            _ if self.code() == Code::Unavailable => Some(1_000),
            _ => None,
        }
    }
}
