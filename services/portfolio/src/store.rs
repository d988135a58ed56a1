//! The store of transfers. It is their source of truth, not the log: a commit is on disk before the command
//! leaves.

mod compact;
pub mod ledger;
pub mod sql;

use prepx_store::{Change, Migration, Result};

use crate::domain::transfer::Transfer;

/// The steps of the schema `transfers`.
pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "transfers",
    change: Change::Expand,
    sql: include_str!("../migrations/0001_transfers.sql"),
}];

/// Transfers by account and name.
#[tonic::async_trait]
pub trait Store: Send + Sync {
    /// Remembers a transfer unless its name is taken; answers with what stands under the name.
    async fn remember(&self, transfer: &Transfer) -> Result<Transfer>;

    /// Notes that the decision on a transfer is durable.
    async fn settle(&self, transfer: &Transfer) -> Result<()>;

    /// Forgets a transfer that was refused without effect, so that its name may be used again.
    async fn forget(&self, transfer: &Transfer) -> Result<()>;
}
