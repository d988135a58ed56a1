//! What the owners of stages answer to reads of their state.

use uuid::Uuid;

use crate::ascii::Asset;
use crate::id::AccountId;
use crate::instrument::Instrument;
use crate::message::Limits;
use crate::time::Micros;

/// An account in the memory of its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// The account.
    pub account: AccountId,
    /// Whose it is.
    pub user: Uuid,
    /// When it was opened.
    pub opened_at: Micros,
    /// Whether it belongs to the simulated population.
    pub simulated: bool,
    /// Whether it is stopped: only cancels are accepted.
    pub blocked: bool,
    /// Whether its owner has stopped trading: new orders are refused.
    pub suspended: bool,
    /// What it may do at most.
    pub limits: Limits,
    /// Everything it has, in the order of the assets' names.
    pub balances: Vec<Balance>,
    /// How many of its orders are open.
    pub open_orders: u32,
}

/// What an account has of one asset: `available + held` is all of it (I4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Which asset.
    pub asset: Asset,
    /// Decimal places of one minor unit.
    pub scale: u32,
    /// What new orders may use, in minor units.
    pub available_minor: i64,
    /// What open orders hold, in minor units.
    pub held_minor: i64,
    /// What was paid for what is left, in minor units of the quote asset; 0 for cash.
    pub cost_minor: i64,
}

/// An instrument in the memory of its matching partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstrumentView {
    /// Its definition.
    pub instrument: Instrument,
    /// Whether continuous trading is stopped.
    pub halted: bool,
    /// The last trade, or the seed reference before the first, in ticks.
    pub reference_ticks: Option<i64>,
}
