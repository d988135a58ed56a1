//! The use cases of the user service: load, decide, commit.

mod keys;
mod sessions;
pub(crate) mod signing;

use std::sync::Arc;

use prepx_auth::{ApiKey, Revocations, Role, SecretHash};
use prepx_cache::{Cache, Limiter};
use prepx_domain::AccountId;
use prepx_env::{Clock, Random};
use uuid::Uuid;

use crate::accounts::Accounts;
use crate::domain::user::SealedEmail;
use crate::domain::{Email, User, password};
use crate::hasher::Hasher;
use crate::store::Store;
use crate::vault::Vault;
use crate::{Config, Deps, Error, Result, domain};

pub use sessions::Tokens;
pub use signing::Signer;

/// The dependencies of the use cases.
pub struct App<S> {
    config: Config,
    store: S,
    accounts: Arc<dyn Accounts>,
    clock: Arc<dyn Clock>,
    random: Arc<Random>,
    vault: Vault,
    hasher: Hasher,
    signer: Signer,
    cache: Cache,
    /// How often a password may be tried for one address.
    sign_ins: Limiter,
    revocations: Arc<Revocations>,
}

/// A user with the decrypted address, for the user and for operators.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The user.
    pub user: User,
    /// The address; empty once erased.
    pub email: String,
}

/// The name of the keys that a platform begins with.
const FIRST_KEY: &str = "made at the first start";

/// One of the users that a platform begins with, as it is now.
pub(crate) struct FirstUser {
    /// The account of a trader; also none when the address is somebody else's.
    pub account_id: Option<AccountId>,
    /// Whether the first key opens anything: it is the user's, and was not revoked.
    pub is_good: bool,
}

impl FirstUser {
    fn of(key: &domain::ApiKey, user: &User) -> FirstUser {
        FirstUser {
            account_id: user.account_id,
            is_good: key.revoked_at.is_none(),
        }
    }
}

impl<S: Store> App<S> {
    /// The use cases over an open store and vault; creates the signing keys at the first start.
    pub(crate) async fn new(config: Config, deps: Deps, store: S, vault: Vault) -> Result<App<S>> {
        let Deps {
            accounts,
            clock,
            random,
            cache,
            revocations,
            ..
        } = deps;
        let hasher = Hasher::new(&config, Arc::clone(&random))?;
        let app = App {
            signer: Signer::new(),
            sign_ins: sessions::sign_ins(&config),
            cache,
            hasher,
            config,
            store,
            accounts,
            clock,
            random,
            vault,
            revocations,
        };
        app.rotate_signing_keys().await?;
        Ok(app)
    }

    /// Creates a user with a password and a trading account.
    pub async fn sign_up(&self, email: &str, password: String) -> Result<Profile> {
        let email = Email::parse(email)?;
        password::check(&password, &email)?;
        self.refuse_taken(&email).await?;
        let hash = self.hasher.hash(password).await?;
        let id = self.random.uuid();
        let user = self
            .open(id, Role::Trader, &email, false, Some(hash))
            .await?;
        self.insert(&user, None).await?;
        tracing::info!(user_id = %user.id, "a user signed up");
        Ok(Profile {
            user,
            email: email.as_str().to_owned(),
        })
    }

    /// Creates a trader without a password, with an account and a key that has all of a trader's rights.
    pub async fn add_account(&self, email: &str, simulated: bool) -> Result<(User, ApiKey)> {
        let email = Email::parse(email)?;
        self.refuse_taken(&email).await?;
        let id = self.random.uuid();
        let user = self.open(id, Role::Trader, &email, simulated, None).await?;
        let issued = ApiKey::generate(&self.random);
        self.insert(
            &user,
            Some(&self.key_of(&user, &issued, "made by an operator")),
        )
        .await?;
        Ok((user, issued))
    }

    /// Creates a user with a given key unless the key exists: for the fixed keys of development and the first keys of a
    /// new platform. A key that was revoked, also by erasing its user, stays so. A first user who exists with another key
    /// gets this one as well: whoever has the data directory has lost the file with the first.
    pub(crate) async fn ensure(
        &self,
        role: Role,
        email: &str,
        issued: &ApiKey,
    ) -> Result<FirstUser> {
        if let Some((key, user)) = self.store.key(&issued.key_id).await? {
            return Ok(FirstUser::of(&key, &user));
        }
        let email = Email::parse(email)?;
        let lookup = self.vault.lookup(&email);
        if let Some(user) = self.store.user_by_email(&lookup).await? {
            return self.give_key(role, &user, issued).await;
        }
        // Whoever tries, and however often: it is one user, and one account that is opened.
        let id = self.vault.first_user_id(&issued.key_id);
        let user = self.open(id, role, &email, false, None).await?;
        let key = self.key_of(&user, issued, FIRST_KEY);
        match self.insert(&user, Some(&key)).await {
            Ok(()) => Ok(FirstUser::of(&key, &user)),
            Err(Error::EmailTaken) => self.first_with(issued).await,
            Err(error) => Err(error),
        }
    }

    /// Another process was first with the same key.
    async fn first_with(&self, issued: &ApiKey) -> Result<FirstUser> {
        let (key, user) = (self.store.key(&issued.key_id).await?).ok_or(Error::EmailTaken)?;
        Ok(FirstUser::of(&key, &user))
    }

    /// Gives a first user another key. Nobody else gets one who has taken the address.
    async fn give_key(&self, role: Role, user: &User, issued: &ApiKey) -> Result<FirstUser> {
        let keys = self.store.keys(user.id).await?;
        let is_first = |key: &domain::ApiKey| self.vault.first_user_id(&key.id) == user.id;
        if user.role != role || !keys.iter().any(is_first) {
            return Ok(FirstUser {
                account_id: None,
                is_good: false,
            });
        }
        let key = domain::ApiKey {
            created_at: self.clock.now(),
            ..self.key_of(user, issued, FIRST_KEY)
        };
        match self.store.insert_key(&key, keys::KEYS_MAX).await {
            Ok(true) => Ok(FirstUser::of(&key, user)),
            Ok(false) => Err(Error::TooManyKeys(keys::KEYS_MAX)),
            Err(prepx_store::Error::Conflict(_)) => self.first_with(issued).await,
            Err(error) => Err(error.into()),
        }
    }

    /// The calling user.
    pub async fn profile(&self, user_id: Uuid) -> Result<Profile> {
        let user = self.store.user(user_id).await?;
        let user = user.ok_or_else(|| Error::UnknownUser(user_id.to_string()))?;
        let email = self.email_of(&user)?;
        Ok(Profile { user, email })
    }

    /// Erases a user's personal data, and ends all sessions and keys.
    pub async fn erase(&self, user_id: &str) -> Result<()> {
        let unknown = || Error::UnknownUser(user_id.chars().take(64).collect());
        let id = Uuid::try_parse(user_id).map_err(|_| unknown())?;
        let now = self.clock.now();
        let ended = self.store.erase_user(id, now).await?.ok_or_else(unknown)?;
        for key_id in &ended {
            self.revocations.revoke(key_id, now).await;
        }
        tracing::info!(user_id = %id, "a user was erased");
        Ok(())
    }

    fn email_of(&self, user: &User) -> Result<String> {
        let Some(email) = &user.email else {
            return Ok(String::new());
        };
        let plain =
            self.vault
                .unseal_personal(&email.user_key, &email.sealed, user.id.as_bytes())?;
        String::from_utf8(plain).map_err(|_| Error::Fault("a sealed address is no text".to_owned()))
    }

    async fn refuse_taken(&self, email: &Email) -> Result<()> {
        match self.store.user_by_email(&self.vault.lookup(email)).await? {
            Some(_) => Err(Error::EmailTaken),
            None => Ok(()),
        }
    }

    /// Opens an account for a user who is not stored yet. If the user is never stored, the account belongs to nobody and
    /// stays empty.
    async fn open(
        &self,
        id: Uuid,
        role: Role,
        email: &Email,
        simulated: bool,
        password_hash: Option<String>,
    ) -> Result<User> {
        let account_id = match role {
            Role::Operator => None,
            Role::Trader => {
                let opened = self.accounts.open_account(id, simulated).await;
                Some(opened.map_err(Error::NoAccount)?)
            }
        };
        let text = email.as_str().as_bytes();
        let (user_key, sealed) = self.vault.seal_personal(text, id.as_bytes(), &self.random);
        let email = SealedEmail {
            lookup: self.vault.lookup(email),
            sealed,
            user_key,
        };
        let created_at = self.clock.now();
        let email = Some(email);
        Ok(User {
            id,
            role,
            simulated,
            account_id,
            email,
            password_hash,
            created_at,
        })
    }

    async fn insert(&self, user: &User, key: Option<&domain::ApiKey>) -> Result<()> {
        self.store
            .insert_user(user, key)
            .await
            .map_err(|error| match error {
                // Another caller took the address after we looked.
                prepx_store::Error::Conflict(_) => Error::EmailTaken,
                other => Error::Store(other),
            })
    }

    fn key_of(&self, user: &User, issued: &ApiKey, name: &str) -> domain::ApiKey {
        domain::ApiKey {
            id: issued.key_id.clone(),
            user_id: user.id,
            secret: SecretHash::of(&issued.secret),
            name: name.to_owned(),
            scopes: user.role.scopes(),
            created_at: user.created_at,
            revoked_at: None,
        }
    }
}
