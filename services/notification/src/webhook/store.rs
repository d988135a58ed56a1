//! Endpoints in SQL.

#[cfg(test)]
mod plans;

use prepx_domain::{AccountId, Micros};
use prepx_store::{Change, Error, Migration, Pool, Result, Row, query};
use uuid::Uuid;

use super::Networks;
use super::endpoint::{Endpoint, Events, Place};

/// The schema `notification`, from the first migration on.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "webhooks",
        change: Change::Expand,
        sql: include_str!("../../migrations/0001_webhooks.sql"),
    },
    Migration {
        version: 2,
        name: "errands",
        change: Change::Expand,
        sql: prepx_errand::TABLES,
    },
];

/// Accounts per query.
const ACCOUNTS: usize = 1_000;
const SELECT: &str =
    "SELECT webhook_id, account_id, url, events, created_at_us, disabled_at_us FROM webhooks ";

/// The table of endpoints. Every write is durable when it returns.
#[derive(Clone, Debug)]
pub struct Store(Pool);

impl Store {
    /// On a pool that was opened with [`MIGRATIONS`].
    pub const fn new(pool: Pool) -> Store {
        Store(pool)
    }

    /// Adds an endpoint unless its account has `most`; returns whether it did.
    pub async fn insert(&self, endpoint: &Endpoint, most: u32) -> Result<bool> {
        let account = endpoint.account.raw();
        let mut tx = self.0.begin_of(&account.to_be_bytes()).await?;
        let count = query("SELECT count(*) FROM webhooks WHERE account_id = $1").bind(account);
        let count: Option<i64> = count.scalar(&mut tx).await?;
        if count.unwrap_or(0) >= i64::from(most) {
            return Ok(false);
        }
        query(
            "INSERT INTO webhooks (webhook_id, account_id, url, events, created_at_us)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(endpoint.id.as_bytes().as_slice())
        .bind(account)
        .bind(&endpoint.place.url)
        .bind(endpoint.events.0)
        .bind(endpoint.created_at.0)
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// An account's endpoints, oldest first.
    pub async fn of_account(&self, account: AccountId) -> Result<Vec<Endpoint>> {
        let mut found = query(SELECT);
        found.push("WHERE account_id = ").push_bind(account.raw());
        found.push(" ORDER BY created_at_us, webhook_id");
        let rows = found.fetch_all(&mut self.0.read().await?).await?;
        rows.iter().map(read).collect()
    }

    /// Deletes an endpoint of an account; returns whether there was one.
    pub async fn delete(&self, account: AccountId, id: Uuid) -> Result<bool> {
        let mut tx = self.0.begin_of(&account.raw().to_be_bytes()).await?;
        let gone = query("DELETE FROM webhooks WHERE account_id = $1 AND webhook_id = $2")
            .bind(account.raw())
            .bind(id.as_bytes().as_slice())
            .execute(&mut tx)
            .await?;
        tx.commit().await?;
        Ok(gone == 1)
    }

    /// Whether there is any endpoint to send to.
    pub async fn any(&self) -> Result<bool> {
        let any = query(
            "SELECT account_id FROM webhooks WHERE disabled_at_us IS NULL
             ORDER BY account_id LIMIT 1",
        );
        let mut reader = self.0.read().await?;
        Ok(any.fetch_optional(&mut reader).await?.is_some())
    }

    /// The endpoints of these accounts to send to, oldest first.
    pub async fn live(&self, accounts: &[AccountId]) -> Result<Vec<Endpoint>> {
        let mut endpoints = Vec::new();
        let mut reader = self.0.read().await?;
        for accounts in accounts.chunks(ACCOUNTS) {
            let mut found = query(SELECT);
            found.push("WHERE disabled_at_us IS NULL AND account_id IN ");
            found.push_list(accounts.iter().map(|account| account.raw()));
            found.push(" ORDER BY created_at_us, webhook_id");
            for row in found.fetch_all(&mut reader).await? {
                endpoints.push(read(&row)?);
            }
        }
        Ok(endpoints)
    }

    /// An endpoint, if events are to be sent to it.
    pub async fn get(&self, id: Uuid) -> Result<Option<Endpoint>> {
        let mut found = query(SELECT);
        found
            .push("WHERE disabled_at_us IS NULL AND webhook_id = ")
            .push_bind(id.as_bytes().as_slice());
        let row = found.fetch_optional(&mut self.0.read().await?).await?;
        row.as_ref().map(read).transpose()
    }

    /// Marks an endpoint as gone.
    pub async fn disable(&self, id: Uuid, now: Micros) -> Result<()> {
        let mut tx = self.0.begin_of(id.as_bytes()).await?;
        query("UPDATE webhooks SET disabled_at_us = $2 WHERE webhook_id = $1 AND disabled_at_us IS NULL")
            .bind(id.as_bytes().as_slice())
            .bind(now.0)
            .execute(&mut tx)
            .await?;
        tx.commit().await
    }
}

fn read(row: &Row) -> Result<Endpoint> {
    let url: String = row.get("url")?;
    Ok(Endpoint {
        id: Uuid::from_slice(row.get("webhook_id")?).map_err(|_| Error::Damaged("webhook_id"))?,
        account: AccountId::new(row.get("account_id")?).ok_or(Error::Damaged("account_id"))?,
        // Whether the URL is allowed now is checked where it is sent to.
        place: Place::parse(&url, Networks::Any).map_err(|_| Error::Damaged("url"))?,
        events: Events(row.get("events")?),
        created_at: Micros(row.get("created_at_us")?),
        disabled_at: row.get::<Option<i64>>("disabled_at_us")?.map(Micros),
    })
}

#[cfg(test)]
mod tests {
    use prepx_proto::notification::v1::TradeEvent;
    use prepx_store::{Durability, Options};

    use super::*;

    pub(super) fn endpoint(id: u128, account: i64) -> Endpoint {
        Endpoint {
            id: Uuid::from_u128(id),
            account: AccountId::new(account).unwrap(),
            place: Place::parse("https://example.com/events", Networks::Public).unwrap(),
            events: Events::of([TradeEvent::Fill]),
            created_at: Micros(id as i64),
            disabled_at: None,
        }
    }

    #[tokio::test]
    async fn i9_endpoints_are_kept_by_account_and_bounded() {
        let directory = tempfile::TempDir::new().unwrap();
        let location = prepx_store::suite::location(directory.path()).await;
        let options = Options::new("notification", Durability::Source);
        let pool = Pool::open(&location, &options, MIGRATIONS).await.unwrap();
        let store = Store::new(pool);
        assert!(!store.any().await.unwrap());
        let [first, second, other] = [endpoint(1, 7), endpoint(2, 7), endpoint(3, 8)];
        for one in [&first, &second, &other] {
            assert!(store.insert(one, 2).await.unwrap());
        }
        assert!(
            !store.insert(&endpoint(4, 7), 2).await.unwrap(),
            "two at most"
        );
        let own = store.of_account(first.account).await.unwrap();
        assert_eq!(own, [first.clone(), second.clone()]);
        assert!(
            !store.delete(other.account, first.id).await.unwrap(),
            "I9: not its own"
        );
        assert!(store.delete(first.account, first.id).await.unwrap());
        assert!(!store.delete(first.account, first.id).await.unwrap());
        store.disable(second.id, Micros(9)).await.unwrap();
        store.disable(second.id, Micros(10)).await.unwrap();
        let own = store.of_account(first.account).await.unwrap();
        assert_eq!(own[0].disabled_at, Some(Micros(9)));
        let accounts = [first.account, other.account];
        let live = store.live(&accounts).await.unwrap();
        assert_eq!(live, std::slice::from_ref(&other));
        assert_eq!(store.get(second.id).await.unwrap(), None);
        assert_eq!(store.get(other.id).await.unwrap(), Some(other));
        assert!(store.any().await.unwrap());
    }
}
