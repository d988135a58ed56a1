//! Users, sessions and keys in SQL.

use prepx_auth::{Role, Scopes, SecretHash};
use prepx_domain::{AccountId, Micros};
use prepx_store::{Connection, Error, Pool, Result, Row, Tx, query};
use uuid::Uuid;

use crate::domain::user::SealedEmail;
use crate::domain::{ApiKey, Session, User};
use crate::store::{Store, StoredSigningKey};
use crate::vault::Sealed;

/// The schema `user`.
#[derive(Clone, Debug)]
pub struct Sql(Pool);

impl Sql {
    /// On an open pool that has had [`crate::store::MIGRATIONS`].
    pub const fn new(pool: Pool) -> Sql {
        Sql(pool)
    }

    /// Begins a write that takes turns with others about this user.
    async fn begin(&self, user: Uuid) -> Result<Tx> {
        self.0.begin_of(user.as_bytes()).await
    }
}

const SELECT_USER: &str = "SELECT u.user_id, u.role, u.simulated, u.account_id, u.email_lookup, u.email_sealed, \
     u.password_hash, u.created_at_us, k.sealed AS user_key \
     FROM users u LEFT JOIN user_keys k ON k.user_id = u.user_id WHERE u.user_id = $1";

const SELECT_KEY: &str = "SELECT key_id, user_id, secret_hash, name, scopes, created_at_us, \
     revoked_at_us FROM api_keys WHERE key_id = $1";

impl Store for Sql {
    async fn insert_user(&self, user: &User, key: Option<&ApiKey>) -> Result<()> {
        let mut tx = self.begin(user.id).await?;
        insert_user(&mut tx, user).await?;
        if let Some(key) = key {
            insert_key(&mut tx, key).await?;
        }
        tx.commit().await
    }

    async fn user_by_email(&self, lookup: &[u8; 32]) -> Result<Option<User>> {
        let owner = query("SELECT user_id FROM emails WHERE email_lookup = $1");
        let mut reader = self.0.read().await?;
        let owner = owner
            .bind(lookup.as_slice())
            .fetch_optional(&mut reader)
            .await?;
        match owner {
            Some(row) => user(&mut reader, read_uuid(&row, "user_id")?).await,
            None => Ok(None),
        }
    }

    async fn user(&self, id: Uuid) -> Result<Option<User>> {
        user(&mut self.0.read().await?, id).await
    }

    async fn erase_user(&self, id: Uuid, now: Micros) -> Result<Option<Vec<String>>> {
        let mut tx = self.begin(id).await?;
        if user(&mut tx, id).await?.is_none() {
            return Ok(None);
        }
        let bytes = id.as_bytes().as_slice();
        let ended = "SELECT session_id FROM sessions WHERE user_id = $1
                     UNION ALL SELECT key_id FROM api_keys WHERE user_id = $1";
        let ended = query(ended).bind(bytes).scalars(&mut tx).await?;
        for sql in [
            "DELETE FROM emails WHERE email_lookup =
                 (SELECT email_lookup FROM users WHERE user_id = $1)",
            "DELETE FROM user_keys WHERE user_id = $1",
            "DELETE FROM sessions WHERE user_id = $1",
            "UPDATE users SET email_lookup = NULL, email_sealed = NULL, password_hash = NULL
             WHERE user_id = $1",
            // Names of keys are the user's own words.
            "UPDATE api_keys SET name = '' WHERE user_id = $1",
        ] {
            query(sql).bind(bytes).execute(&mut tx).await?;
        }
        query(
            "UPDATE api_keys SET revoked_at_us = $2 WHERE user_id = $1 AND revoked_at_us IS NULL",
        )
        .bind(bytes)
        .bind(now.0)
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(Some(ended))
    }

    async fn insert_session(&self, session: &Session, live_max: usize) -> Result<Vec<String>> {
        let mut tx = self.begin(session.user_id).await?;
        query(
            "INSERT INTO sessions (session_id, user_id, generation, created_at_us, ends_at_us)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&session.id)
        .bind(session.user_id.as_bytes().as_slice())
        .bind(session.generation)
        .bind(session.created_at.0)
        .bind(session.ends_at.0)
        .execute(&mut tx)
        .await?;
        let ended = query(
            "DELETE FROM sessions WHERE session_id IN (
                SELECT session_id FROM sessions WHERE user_id = $1 AND session_id <> $2
                ORDER BY created_at_us DESC, session_id LIMIT 9223372036854775807 OFFSET $3)
             RETURNING session_id",
        )
        .bind(session.user_id.as_bytes().as_slice())
        .bind(&session.id)
        .bind(bounded(live_max.saturating_sub(1)))
        .scalars(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(ended)
    }

    async fn session(&self, id: &str) -> Result<Option<Session>> {
        let sql = "SELECT session_id, user_id, generation, created_at_us, ends_at_us
                   FROM sessions WHERE session_id = $1";
        let mut reader = self.0.read().await?;
        let row = query(sql).bind(id).fetch_optional(&mut reader).await?;
        row.as_ref().map(read_session).transpose()
    }

    async fn next_generation(&self, id: &str, generation: i64) -> Result<bool> {
        let sql = "UPDATE sessions SET generation = generation + 1
                   WHERE session_id = $1 AND generation = $2";
        let mut tx = self.0.begin_of(id.as_bytes()).await?;
        let done = query(sql)
            .bind(id)
            .bind(generation)
            .execute(&mut tx)
            .await?;
        tx.commit().await?;
        Ok(done == 1)
    }

    async fn end_session(&self, id: &str) -> Result<()> {
        let mut tx = self.0.begin_of(id.as_bytes()).await?;
        let sql = "DELETE FROM sessions WHERE session_id = $1";
        query(sql).bind(id).execute(&mut tx).await?;
        tx.commit().await
    }

    async fn insert_key(&self, key: &ApiKey, live_max: usize) -> Result<bool> {
        let sql = "SELECT count(*) FROM api_keys WHERE user_id = $1 AND revoked_at_us IS NULL";
        let mut tx = self.begin(key.user_id).await?;
        let live = query(sql).bind(key.user_id.as_bytes().as_slice());
        let live: Option<i64> = live.scalar(&mut tx).await?;
        if live.unwrap_or(0) >= bounded(live_max) {
            return Ok(false);
        }
        insert_key(&mut tx, key).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn key(&self, id: &str) -> Result<Option<(ApiKey, User)>> {
        let mut reader = self.0.read().await?;
        let row = query(SELECT_KEY)
            .bind(id)
            .fetch_optional(&mut reader)
            .await?;
        let Some(key) = row.as_ref().map(read_key).transpose()? else {
            return Ok(None);
        };
        let owner = user(&mut reader, key.user_id).await?;
        Ok(owner.map(|owner| (key, owner)))
    }

    async fn keys(&self, user_id: Uuid) -> Result<Vec<ApiKey>> {
        let sql = "SELECT key_id, user_id, secret_hash, name, scopes, created_at_us, revoked_at_us
                   FROM api_keys WHERE user_id = $1 AND revoked_at_us IS NULL
                   ORDER BY created_at_us, key_id";
        let mut reader = self.0.read().await?;
        let rows = query(sql).bind(user_id.as_bytes().as_slice());
        let rows = rows.fetch_all(&mut reader).await?;
        rows.iter().map(read_key).collect()
    }

    async fn revoke_key(&self, user_id: Uuid, id: &str, now: Micros) -> Result<bool> {
        let sql = "UPDATE api_keys SET revoked_at_us = coalesce(revoked_at_us, $3)
                   WHERE user_id = $1 AND key_id = $2";
        let mut tx = self.begin(user_id).await?;
        let query = query(sql)
            .bind(user_id.as_bytes().as_slice())
            .bind(id)
            .bind(now.0);
        let done = query.execute(&mut tx).await?;
        tx.commit().await?;
        Ok(done == 1)
    }

    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>> {
        let sql = "SELECT created_at_us, sealed FROM signing_keys ORDER BY created_at_us DESC";
        let mut reader = self.0.read().await?;
        let rows = query(sql).fetch_all(&mut reader).await?;
        let read = |row: &Row| {
            Ok(StoredSigningKey {
                created_at: Micros(row.get("created_at_us")?),
                sealed: Sealed(row.get("sealed")?),
            })
        };
        rows.iter().map(read).collect()
    }

    async fn insert_signing_key(&self, key: &StoredSigningKey, oldest: Micros) -> Result<()> {
        let mut tx = self.0.begin().await?;
        query("INSERT INTO signing_keys (created_at_us, sealed) VALUES ($1, $2)")
            .bind(key.created_at.0)
            .bind(key.sealed.0.as_slice())
            .execute(&mut tx)
            .await?;
        let sql = "DELETE FROM signing_keys WHERE created_at_us < $1";
        query(sql).bind(oldest.0).execute(&mut tx).await?;
        tx.commit().await
    }
}

async fn insert_user(tx: &mut Tx, user: &User) -> Result<()> {
    let id = user.id.as_bytes().as_slice();
    query(
        "INSERT INTO users (user_id, role, simulated, account_id, email_lookup, email_sealed,
            password_hash, created_at_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(id)
    .bind(user.role.name())
    .bind(i64::from(user.simulated))
    .bind(user.account_id.map(AccountId::raw))
    .bind(user.email.as_ref().map(|email| email.lookup.as_slice()))
    .bind(user.email.as_ref().map(|email| email.sealed.0.as_slice()))
    .bind(user.password_hash.as_deref())
    .bind(user.created_at.0)
    .execute(&mut *tx)
    .await?;
    if let Some(email) = &user.email {
        query("INSERT INTO emails (email_lookup, user_id) VALUES ($1, $2)")
            .bind(email.lookup.as_slice())
            .bind(id)
            .execute(&mut *tx)
            .await?;
        query("INSERT INTO user_keys (user_id, sealed) VALUES ($1, $2)")
            .bind(id)
            .bind(email.user_key.0.as_slice())
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

async fn insert_key(tx: &mut Tx, key: &ApiKey) -> Result<()> {
    query(
        "INSERT INTO api_keys (key_id, user_id, secret_hash, name, scopes, created_at_us)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&key.id)
    .bind(key.user_id.as_bytes().as_slice())
    .bind(key.secret.as_bytes().as_slice())
    .bind(&key.name)
    .bind(key.scopes.to_string())
    .bind(key.created_at.0)
    .execute(&mut *tx)
    .await?;
    Ok(())
}

async fn user(on: impl Into<Connection<'_>>, id: Uuid) -> Result<Option<User>> {
    let row = query(SELECT_USER).bind(id.as_bytes().as_slice());
    let row = row.fetch_optional(on).await?;
    row.as_ref().map(read_user).transpose()
}

fn read_user(row: &Row) -> Result<User> {
    let email = match (
        row.get::<Option<Vec<u8>>>("email_lookup")?,
        row.get::<Option<Vec<u8>>>("email_sealed")?,
        row.get::<Option<Vec<u8>>>("user_key")?,
    ) {
        (Some(lookup), Some(sealed), Some(user_key)) => Some(SealedEmail {
            lookup: lookup
                .try_into()
                .map_err(|_| Error::Damaged("email_lookup"))?,
            sealed: Sealed(sealed),
            user_key: Sealed(user_key),
        }),
        _ => None,
    };
    let account: Option<i64> = row.get("account_id")?;
    Ok(User {
        id: read_uuid(row, "user_id")?,
        role: row
            .get::<String>("role")?
            .parse::<Role>()
            .map_err(|()| Error::Damaged("role"))?,
        simulated: row.get::<i64>("simulated")? != 0,
        account_id: match account {
            Some(raw) => Some(AccountId::new(raw).ok_or(Error::Damaged("account_id"))?),
            None => None,
        },
        email,
        password_hash: row.get("password_hash")?,
        created_at: Micros(row.get("created_at_us")?),
    })
}

fn read_session(row: &Row) -> Result<Session> {
    Ok(Session {
        id: row.get("session_id")?,
        user_id: read_uuid(row, "user_id")?,
        generation: row.get("generation")?,
        created_at: Micros(row.get("created_at_us")?),
        ends_at: Micros(row.get("ends_at_us")?),
    })
}

fn read_key(row: &Row) -> Result<ApiKey> {
    let secret: Vec<u8> = row.get("secret_hash")?;
    let scopes: String = row.get("scopes")?;
    Ok(ApiKey {
        id: row.get("key_id")?,
        user_id: read_uuid(row, "user_id")?,
        secret: SecretHash::from_stored(&secret).ok_or(Error::Damaged("secret_hash"))?,
        name: row.get("name")?,
        scopes: Scopes::parse(&scopes).map_err(|_| Error::Damaged("scopes"))?,
        created_at: Micros(row.get("created_at_us")?),
        revoked_at: row.get::<Option<i64>>("revoked_at_us")?.map(Micros),
    })
}

fn read_uuid(row: &Row, column: &'static str) -> Result<Uuid> {
    Uuid::from_slice(row.get(column)?).map_err(|_| Error::Damaged(column))
}

fn bounded(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use prepx_store::{Durability, Options};

    use super::*;
    use crate::store::{MIGRATIONS, suite};

    #[tokio::test]
    async fn users_are_kept_as_promised() {
        let directory = tempfile::TempDir::new().unwrap();
        let location = prepx_store::suite::location(directory.path()).await;
        let options = Options::new("user", Durability::Source);
        let pool = Pool::open(&location, &options, MIGRATIONS).await.unwrap();
        suite::run(&Sql::new(pool)).await;
    }
}
