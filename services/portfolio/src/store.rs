//! The store of transfers. It is their source of truth, not the log: a commit is on the disk before the
//! command leaves.

mod compact;
pub mod ledger;
pub mod sql;

use prepx_store::{Change, Migration, Result};

use crate::domain::transfer::Transfer;

/// The migrations of the schema `transfers`.
pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "transfers",
    change: Change::Expand,
    sql: include_str!("../migrations/0001_transfers.sql"),
}];

/// Transfers by account and idempotency key.
#[tonic::async_trait]
pub trait Store: Send + Sync {
    /// Stores a transfer unless its key is used; returns the transfer that is stored under the key.
    async fn remember(&self, transfer: &Transfer) -> Result<Transfer>;

    /// Marks the decision on a transfer as durable.
    async fn settle(&self, transfer: &Transfer) -> Result<()>;

    /// Removes a transfer that was refused without effect, so that its key may be used again.
    async fn forget(&self, transfer: &Transfer) -> Result<()>;
}
