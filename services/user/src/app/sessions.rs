//! Signing in, refreshing and signing out.

use std::time::Duration;

use prepx_auth::{ACCESS_TOKEN_LIFE, Principal};
use prepx_cache::{Limiter, Rate};
use prepx_domain::Micros;

use crate::app::{App, Profile};
use crate::domain::{Email, Session, SessionState, User};
use crate::store::Store;
use crate::{Config, Error, Result};

/// Sessions that a user may have at a time; the oldest end.
const SESSIONS_MAX: usize = 50;
const DAY_US: i64 = 86_400_000_000;
/// Session ids begin with this, key ids do not.
const SESSION_PREFIX: &str = "SE";

/// A session with its newest tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The session.
    pub session: Session,
    /// The signed token.
    pub access_token: String,
    /// For how many seconds it is valid.
    pub expires_in_s: i64,
    /// The token that gets the next ones, once.
    pub refresh_token: String,
    /// The session's user.
    pub profile: Profile,
}

/// How often a password may be tried for one address. Unknown addresses are limited alike, so that the answer reveals
/// nothing. A right password resets the count.
pub(super) fn sign_ins(config: &Config) -> Limiter {
    let window = Duration::from_secs(u64::from(config.sign_in_window_s));
    Limiter::new("sign_in", Rate::new(config.sign_in_tries_max, window)).blocking(window)
}

/// Counts sessions for operators. A client that is signed in renews its session once in the life of an access token, so
/// the sessions begun or renewed in that time are the active ones.
fn count(event: &'static str) {
    metrics::counter!("prepx_sessions_total", "event" => event).increment(1);
}

impl<S: Store> App<S> {
    /// Starts a session. Unknown addresses take the same path and time, and get the same answer, as wrong passwords.
    pub async fn sign_in(&self, email: &str, password: String) -> Result<Tokens> {
        // A text that is not an address belongs to no user, and saying so reveals nothing.
        let email = Email::parse(email)?;
        let lookup = self.vault.lookup(&email);
        let now = self.clock.now();
        // Before the password is looked at, so that many tries at once do not slip through.
        let counted = self.cache.take(&self.sign_ins, &lookup, 1).await;
        if !counted.allowed {
            let retry_after_ms = counted.retry_after_ms();
            return Err(Error::Throttled { retry_after_ms });
        }
        // A password over the limit cannot be right, and must not be hashed.
        let password = if password.len() > 1_024 {
            String::new()
        } else {
            password
        };
        let user = self.store.user_by_email(&lookup).await?;
        let stored = user.as_ref().and_then(|user| user.password_hash.clone());
        let right = self.hasher.verify(password, stored).await?;
        let user = user.filter(|_| right).ok_or(Error::WrongPassword)?;
        self.cache.forgive(&self.sign_ins, &lookup).await;
        self.begin_session(user, now).await
    }

    /// The next tokens of a session, for its newest refresh token.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Tokens> {
        let (id, generation) = self
            .vault
            .read_refresh_token(refresh_token)
            .ok_or(Error::WrongRefreshToken)?;
        let mut session = self
            .store
            .session(id)
            .await?
            .ok_or(Error::WrongRefreshToken)?;
        let now = self.clock.now();
        match session.state(generation, now) {
            SessionState::Good => {}
            SessionState::Ended => return Err(Error::WrongRefreshToken),
            SessionState::Reused => return self.end_stolen(id).await,
        }
        if !self.store.next_generation(id, generation).await? {
            return self.end_stolen(id).await;
        }
        session.generation += 1;
        let user = self
            .store
            .user(session.user_id)
            .await?
            .ok_or(Error::WrongRefreshToken)?;
        count("renewed");
        self.tokens(session, user, now).await
    }

    /// Ends the caller's session.
    pub async fn sign_out(&self, caller: &Principal) -> Result<()> {
        if !caller.key_id.starts_with(SESSION_PREFIX) {
            return Err(Error::NoSession);
        }
        self.store.end_session(&caller.key_id).await?;
        self.revocations
            .revoke(&caller.key_id, self.clock.now())
            .await;
        count("ended");
        Ok(())
    }

    async fn begin_session(&self, user: User, now: Micros) -> Result<Tokens> {
        let drawn = prepx_auth::ApiKey::generate(&self.random).key_id;
        let session = Session {
            id: format!("{SESSION_PREFIX}{}", &drawn[SESSION_PREFIX.len()..]),
            user_id: user.id,
            generation: 1,
            created_at: now,
            ends_at: now.plus_us(i64::from(self.config.session_days) * DAY_US),
        };
        for ended in self.store.insert_session(&session, SESSIONS_MAX).await? {
            self.revocations.revoke(&ended, now).await;
        }
        count("begun");
        self.tokens(session, user, now).await
    }

    async fn end_stolen<T>(&self, id: &str) -> Result<T> {
        tracing::warn!(
            session_id = id,
            "a refresh token was used twice: its session is ended"
        );
        self.store.end_session(id).await?;
        self.revocations.revoke(id, self.clock.now()).await;
        Err(Error::WrongRefreshToken)
    }

    async fn tokens(&self, session: Session, user: User, now: Micros) -> Result<Tokens> {
        let principal = user.principal(&session.id, user.role.scopes());
        let (access_token, _) = self.signer.sign(principal, now).await?;
        let email = self.email_of(&user)?;
        Ok(Tokens {
            access_token,
            expires_in_s: ACCESS_TOKEN_LIFE.as_secs() as i64,
            refresh_token: self.vault.refresh_token(&session.id, session.generation),
            session,
            profile: Profile { user, email },
        })
    }
}
