//! What the user service keeps.

#[cfg(test)]
mod plans;
pub mod sql;
#[cfg(test)]
mod suite;

use prepx_domain::Micros;
use prepx_store::{Change, Migration, Result};
use uuid::Uuid;

use crate::domain::{ApiKey, Session, User};
use crate::vault::Sealed;

/// The schema, from the first migration on.
pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "users",
    change: Change::Expand,
    sql: include_str!("../migrations/0001_users.sql"),
}];

/// A private key of access tokens at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSigningKey {
    /// When it was drawn.
    pub created_at: Micros,
    /// The key under the master key.
    pub sealed: Sealed,
}

/// Users, sessions and keys at rest. Every write is durable when it returns.
pub trait Store: Send + Sync + 'static {
    /// Adds a user, and a key with it. [`prepx_store::Error::Conflict`] when the address, the id or
    /// the key's id is taken.
    fn insert_user(
        &self,
        user: &User,
        key: Option<&ApiKey>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The user with this look-up of an address.
    fn user_by_email(&self, lookup: &[u8; 32])
    -> impl Future<Output = Result<Option<User>>> + Send;

    /// The user with this id.
    fn user(&self, id: Uuid) -> impl Future<Output = Result<Option<User>>> + Send;

    /// Destroys the user's key, address and password, ends all sessions and revokes all keys; the
    /// ids of those sessions and keys, or `None` when there is no such user.
    fn erase_user(
        &self,
        id: Uuid,
        now: Micros,
    ) -> impl Future<Output = Result<Option<Vec<String>>>> + Send;

    /// Adds a session, and ends the user's oldest beyond `live_max`; the ids of those ended.
    fn insert_session(
        &self,
        session: &Session,
        live_max: usize,
    ) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// The session with this id.
    fn session(&self, id: &str) -> impl Future<Output = Result<Option<Session>>> + Send;

    /// Counts a session's generation up, if it is still `generation`: one of two callers at once wins.
    fn next_generation(
        &self,
        id: &str,
        generation: i64,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Ends a session.
    fn end_session(&self, id: &str) -> impl Future<Output = Result<()>> + Send;

    /// Adds a key unless the user has `live_max` that are not revoked; whether it was added.
    fn insert_key(
        &self,
        key: &ApiKey,
        live_max: usize,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// The key with this id, revoked or not, and its owner.
    fn key(&self, id: &str) -> impl Future<Output = Result<Option<(ApiKey, User)>>> + Send;

    /// A user's keys that are not revoked, oldest first.
    fn keys(&self, user_id: Uuid) -> impl Future<Output = Result<Vec<ApiKey>>> + Send;

    /// Revokes a key of this user; whether there was one, revoked before or not.
    fn revoke_key(
        &self,
        user_id: Uuid,
        id: &str,
        now: Micros,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// All signing keys, newest first.
    fn signing_keys(&self) -> impl Future<Output = Result<Vec<StoredSigningKey>>> + Send;

    /// Adds a signing key and drops those that were drawn before `oldest`.
    fn insert_signing_key(
        &self,
        key: &StoredSigningKey,
        oldest: Micros,
    ) -> impl Future<Output = Result<()>> + Send;
}
