//! Why a caller is refused, in words that the caller may read.

use prepx_domain::Code;

use crate::{Role, Scope};

/// A result of a check.
pub type Result<T> = std::result::Result<T, Error>;

/// A refusal. Its text goes to the caller and has nothing that helps to guess.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The method needs a principal and the request has no credentials.
    #[error(
        "credentials are missing: send APCA-API-KEY-ID and APCA-API-SECRET-KEY, or an access token \
         as `Authorization: Bearer`"
    )]
    Missing,
    /// The headers cannot be read as credentials.
    #[error("the credentials cannot be read: {0}")]
    Malformed(&'static str),
    /// No such key, a revoked one, or another secret: one answer for all three.
    #[error("the key is unknown or revoked, or its secret is wrong")]
    WrongKey,
    /// The token is not one of ours: its form, signature, key, issuer or audience.
    #[error("the access token is not valid: {0}")]
    BadToken(&'static str),
    /// The token has expired.
    #[error("the access token has expired: refresh it or sign in again")]
    Expired,
    /// The session or key behind the token was revoked.
    #[error("the key or session was revoked: sign in again or use another key")]
    Revoked,
    /// The method is for another role.
    #[error("this needs the role {needs}, the caller is {is}")]
    Role {
        /// The role that the method asks for.
        needs: Role,
        /// The role of the caller.
        is: Role,
    },
    /// The key or token was not given this scope.
    #[error("the key lacks the scope `{0}`")]
    Scope(Scope),
    /// The caller has no trading account.
    #[error("the caller has no trading account")]
    NoAccount,
    /// Only services of this platform may call, and no key of a platform was shown.
    #[error(
        "only services of this platform may call this: the header prepx-cluster-key is missing; a \
         service sends it when its cluster_key is set (PREPX_CLUSTER_KEY)"
    )]
    NoClusterKey,
    /// The key that was shown is that of another platform, or of none.
    #[error(
        "the key in prepx-cluster-key is not that of this platform: give all of its services the same \
         cluster_key (PREPX_CLUSTER_KEY)"
    )]
    WrongClusterKey,
    /// The platform's key was used for a method whose answer depends on who asks.
    #[error(
        "the key of the platform opens only what `data:read` opens: a service that asks for somebody \
         sends that caller's credentials along"
    )]
    Platform,
    /// The user service cannot be asked now. Nothing was done.
    #[error("credentials cannot be checked right now: try again in a second")]
    Unavailable,
}

impl Error {
    /// The closed code that clients see.
    pub fn code(&self) -> Code {
        match self {
            Error::Missing
            | Error::Malformed(_)
            | Error::WrongKey
            | Error::BadToken(_)
            | Error::Expired
            | Error::Revoked
            | Error::NoClusterKey
            | Error::WrongClusterKey => Code::Unauthenticated,
            Error::Role { .. } | Error::Scope(_) | Error::NoAccount | Error::Platform => {
                Code::Forbidden
            }
            Error::Unavailable => Code::Unavailable,
        }
    }

    /// The stable reason for programs, beside the code.
    pub fn reason(&self) -> &'static str {
        match self {
            Error::Missing => "CREDENTIALS_MISSING",
            Error::Malformed(_) => "CREDENTIALS_MALFORMED",
            Error::WrongKey => "WRONG_KEY",
            Error::BadToken(_) => "BAD_TOKEN",
            Error::Expired => "TOKEN_EXPIRED",
            Error::Revoked => "TOKEN_REVOKED",
            Error::Role { .. } => "ROLE_REQUIRED",
            Error::Scope(_) => "SCOPE_REQUIRED",
            Error::NoAccount => "NO_ACCOUNT",
            Error::NoClusterKey | Error::WrongClusterKey => "CLUSTER_KEY",
            Error::Platform => "PRINCIPAL_REQUIRED",
            Error::Unavailable => "AUTH_UNAVAILABLE",
        }
    }
}
