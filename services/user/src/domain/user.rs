//! Users, sign-in sessions and API keys, as the use cases see them.

use prepx_auth::{Principal, Role, Scopes, SecretHash};
use prepx_domain::{AccountId, Micros};
use uuid::Uuid;

use crate::vault::Sealed;

/// A user. Personal data is sealed; what is not is ids, numbers and hashes.
#[derive(Clone, Debug)]
pub struct User {
    /// Random, drawn once; decides the user's slot.
    pub id: Uuid,
    /// Trader or operator.
    pub role: Role,
    /// Whether this is one of the simulated traders.
    pub simulated: bool,
    /// The trading account: every trader has one from the start, operators have none.
    pub account_id: Option<AccountId>,
    /// The address; gone once the user is erased.
    pub email: Option<SealedEmail>,
    /// The argon2id hash in PHC form; users that an operator made have none.
    pub password_hash: Option<String>,
    /// When the user was made.
    pub created_at: Micros,
}

/// A user's address at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedEmail {
    /// A keyed hash, to find the user by the address.
    pub lookup: [u8; 32],
    /// The address under the user's own key.
    pub sealed: Sealed,
    /// The user's own key under the master key. Destroying it erases the user.
    pub user_key: Sealed,
}

impl User {
    /// The principal of a session or key of this user.
    pub fn principal(&self, key_id: &str, scopes: Scopes) -> Principal {
        Principal {
            user_id: self.id,
            account_id: self.account_id,
            role: self.role,
            scopes,
            key_id: key_id.to_owned(),
        }
    }
}

/// A sign-in session. Its refresh tokens are numbered; only the newest is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Random: 20 characters.
    pub id: String,
    /// Whose it is.
    pub user_id: Uuid,
    /// The number of the newest refresh token.
    pub generation: i64,
    /// When it began.
    pub created_at: Micros,
    /// When it ends, whatever is refreshed.
    pub ends_at: Micros,
}

/// What a genuine refresh token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// It is the newest of a live session.
    Good,
    /// The session is over.
    Ended,
    /// It was used before: somebody has a copy, and nobody knows who of the two is the thief.
    Reused,
}

impl Session {
    /// What a genuine token of this generation is worth at `now`.
    pub fn state(&self, generation: i64, now: Micros) -> SessionState {
        if self.ends_at <= now {
            SessionState::Ended
        } else if generation == self.generation {
            SessionState::Good
        } else {
            SessionState::Reused
        }
    }
}

/// An API key.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its public id.
    pub id: String,
    /// Whose it is.
    pub user_id: Uuid,
    /// What is kept of its secret.
    pub secret: SecretHash,
    /// Its name for people.
    pub name: String,
    /// What it may do, as its owner chose; never more than the owner may.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Micros,
    /// When it was revoked.
    pub revoked_at: Option<Micros>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_token_of_a_live_session_is_good() {
        let session = Session {
            id: "SE".to_owned(),
            user_id: Uuid::nil(),
            generation: 3,
            created_at: Micros(0),
            ends_at: Micros(10),
        };
        assert_eq!(session.state(3, Micros(9)), SessionState::Good);
        assert_eq!(session.state(2, Micros(9)), SessionState::Reused);
        assert_eq!(session.state(3, Micros(10)), SessionState::Ended);
    }
}
