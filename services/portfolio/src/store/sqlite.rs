//! Transfers in SQLite.

use prepx_domain::{AccountId, Micros};
use prepx_store::Result;
use prepx_store::sqlite::Pool;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::Store;
use crate::transfer::{Direction, Transfer, Wanted};

/// The schema in its file.
#[derive(Clone, Debug)]
pub struct Sqlite(Pool);

impl Sqlite {
    /// On an open pool that has had [`super::MIGRATIONS`].
    pub fn new(pool: Pool) -> Sqlite {
        Sqlite(pool)
    }
}

#[tonic::async_trait]
impl Store for Sqlite {
    async fn remember(&self, transfer: &Transfer) -> Result<Transfer> {
        let mut tx = self.0.begin().await?;
        sqlx::query(
            "INSERT INTO transfers (account_id, idempotency_key, command_id, stamped_at_us,
                                    direction, asset, amount_minor, settled)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 0)
             ON CONFLICT (account_id, idempotency_key) DO NOTHING",
        )
        .bind(transfer.wanted.account.raw())
        .bind(&transfer.idempotency_key)
        .bind(transfer.command.as_bytes().as_slice())
        .bind(transfer.stamped_at.0)
        .bind(code(transfer.wanted.direction))
        .bind(transfer.wanted.asset.as_str())
        .bind(transfer.wanted.amount_minor)
        .execute(&mut *tx)
        .await?;
        let row = sqlx::query(
            "SELECT account_id, idempotency_key, command_id, stamped_at_us, direction, asset,
                    amount_minor, settled
             FROM transfers WHERE account_id = $1 AND idempotency_key = $2",
        )
        .bind(transfer.wanted.account.raw())
        .bind(&transfer.idempotency_key)
        .fetch_one(&mut *tx)
        .await?;
        let stands = read(&row)?;
        tx.commit().await?;
        Ok(stands)
    }

    async fn settle(&self, transfer: &Transfer) -> Result<()> {
        self.change(
            "UPDATE transfers SET settled = 1 WHERE account_id = $1 AND idempotency_key = $2",
            transfer,
        )
        .await
    }

    async fn forget(&self, transfer: &Transfer) -> Result<()> {
        self.change(
            "DELETE FROM transfers WHERE account_id = $1 AND idempotency_key = $2 AND settled = 0",
            transfer,
        )
        .await
    }
}

impl Sqlite {
    async fn change(&self, sql: &'static str, transfer: &Transfer) -> Result<()> {
        let mut tx = self.0.begin().await?;
        let change = sqlx::query(sql)
            .bind(transfer.wanted.account.raw())
            .bind(&transfer.idempotency_key);
        change.execute(&mut *tx).await?;
        tx.commit().await
    }
}

const INCOMING: i64 = 1;
const OUTGOING: i64 = 2;

const fn code(direction: Direction) -> i64 {
    match direction {
        Direction::Incoming => INCOMING,
        Direction::Outgoing => OUTGOING,
    }
}

fn read(row: &SqliteRow) -> sqlx::Result<Transfer> {
    let damaged = |column: &str| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: "not a value that this service writes".into(),
    };
    let account =
        AccountId::new(row.try_get("account_id")?).ok_or_else(|| damaged("account_id"))?;
    let asset: String = row.try_get("asset")?;
    let command: Vec<u8> = row.try_get("command_id")?;
    Ok(Transfer {
        wanted: Wanted {
            account,
            direction: match row.try_get("direction")? {
                INCOMING => Direction::Incoming,
                OUTGOING => Direction::Outgoing,
                _ => return Err(damaged("direction")),
            },
            asset: asset.parse().map_err(|_| damaged("asset"))?,
            amount_minor: row.try_get("amount_minor")?,
        },
        idempotency_key: row.try_get("idempotency_key")?,
        command: Uuid::from_slice(&command).map_err(|_| damaged("command_id"))?,
        stamped_at: Micros(row.try_get("stamped_at_us")?),
        settled: row.try_get::<i64, _>("settled")? == 1,
    })
}
