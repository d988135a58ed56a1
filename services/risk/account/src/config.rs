//! How much the stage remembers and lets in.

use prepx_domain::message::Limits;
use prepx_domain::reject::SUPPLY_MINOR_MAX;

const SECOND_US: i64 = 1_000_000;
const HOUR_US: i64 = 3_600 * SECOND_US;

/// The bounds of one partition. Every bound is inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The most of one asset, in minor units, that may have come into this partition from outside.
    /// The bounds of all partitions add up to a quarter of what 64 bits hold, so no balance ever
    /// overflows, whoever trades with whom and whatever is still on its way.
    pub supply_minor_max: i64,
    /// What a new account may do.
    pub limits: Limits,
    /// Most commands whose first decision is remembered.
    pub commands_max: u32,
    /// How long a command's first decision is remembered, and so how old a command may be.
    pub commands_us: i64,
    /// How far a command's stamp may be ahead of the stage's clock.
    pub ahead_us: i64,
    /// Most client order ids that one account has remembered, open orders included.
    pub client_order_ids_max: u32,
    /// How long a client order id stays taken after its order's end.
    pub client_order_ids_us: i64,
    /// Most ended orders of one account that are kept for reads; at least 1.
    pub recent_orders_max: u32,
    /// How long an ended order is kept for reads.
    pub recent_orders_us: i64,
}

impl Config {
    /// The defaults for one of `partitions` partitions.
    pub fn of_partitions(partitions: u32) -> Config {
        Config {
            supply_minor_max: SUPPLY_MINOR_MAX
                .checked_div(i64::from(partitions))
                .unwrap_or(SUPPLY_MINOR_MAX),
            ..Config::default()
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            supply_minor_max: SUPPLY_MINOR_MAX,
            limits: Limits {
                order_qty_minor: 10_000_000_000_000_000,
                order_notional_minor: 1_000_000_000_000_000_000,
                open_orders: 20_000,
                position_minor: SUPPLY_MINOR_MAX,
            },
            commands_max: 1 << 19,
            commands_us: 24 * HOUR_US,
            ahead_us: 10 * SECOND_US,
            client_order_ids_max: 1 << 19,
            client_order_ids_us: 24 * HOUR_US,
            recent_orders_max: 100,
            recent_orders_us: HOUR_US,
        }
    }
}
