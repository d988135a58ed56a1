//! Transfers in SQL.

use prepx_domain::{AccountId, Micros};
use prepx_store::{Error, Pool, Result, Row, Shards, Tx, query};
use uuid::Uuid;

use super::Store;
use crate::domain::transfer::{Direction, Transfer, Wanted};

/// The schema `transfers`.
#[derive(Clone, Debug)]
pub struct Sql(Shards);

impl Sql {
    /// On shards that were opened with [`super::MIGRATIONS`].
    pub const fn new(shards: Shards) -> Sql {
        Sql(shards)
    }

    /// All shards.
    pub fn shards(&self) -> &[Pool] {
        self.0.all()
    }

    /// Waits for running calls and closes the schema.
    pub async fn close(self) {
        self.0.close().await;
    }
}

#[tonic::async_trait]
impl Store for Sql {
    async fn remember(&self, transfer: &Transfer) -> Result<Transfer> {
        let mut tx = self.begin(transfer).await?;
        query(
            "INSERT INTO transfers (account_id, idempotency_key, command_id, stamped_at_us,
                                    direction, asset, amount_minor, settled)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 0)
             ON CONFLICT (account_id, idempotency_key) DO NOTHING",
        )
        .bind(transfer.wanted.account.raw())
        .bind(&transfer.idempotency_key)
        .bind(transfer.command.as_bytes().as_slice())
        .bind(transfer.stamped_at.0)
        .bind(transfer.wanted.direction.code())
        .bind(transfer.wanted.asset.as_str())
        .bind(transfer.wanted.amount_minor)
        .execute(&mut tx)
        .await?;
        let row = query(
            "SELECT account_id, idempotency_key, command_id, stamped_at_us, direction, asset,
                    amount_minor, settled
             FROM transfers WHERE account_id = $1 AND idempotency_key = $2",
        )
        .bind(transfer.wanted.account.raw())
        .bind(&transfer.idempotency_key)
        .fetch_one(&mut tx)
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

impl Sql {
    /// Begins a write that takes turns with others for this account.
    async fn begin(&self, transfer: &Transfer) -> Result<Tx> {
        let account = transfer.wanted.account;
        let pool = self
            .0
            .of(account.slot().partition(self.0.layout().partitions()));
        pool.begin_of(&account.raw().to_be_bytes()).await
    }

    async fn change(&self, sql: &'static str, transfer: &Transfer) -> Result<()> {
        let mut tx = self.begin(transfer).await?;
        let change = query(sql)
            .bind(transfer.wanted.account.raw())
            .bind(&transfer.idempotency_key);
        change.execute(&mut tx).await?;
        tx.commit().await
    }
}

fn read(row: &Row) -> Result<Transfer> {
    let account = AccountId::new(row.get("account_id")?).ok_or(Error::Damaged("account_id"))?;
    let asset: String = row.get("asset")?;
    let command: Vec<u8> = row.get("command_id")?;
    Ok(Transfer {
        wanted: Wanted {
            account,
            direction: Direction::of_code(row.get("direction")?)
                .ok_or(Error::Damaged("direction"))?,
            asset: asset.parse().map_err(|_| Error::Damaged("asset"))?,
            amount_minor: row.get("amount_minor")?,
        },
        idempotency_key: row.get("idempotency_key")?,
        command: Uuid::from_slice(&command).map_err(|_| Error::Damaged("command_id"))?,
        stamped_at: Micros(row.get("stamped_at_us")?),
        settled: row.get::<i64>("settled")? == 1,
    })
}
