//! Instruments: what is traded, in which steps, and how much money a trade moves.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use crate::ascii::{Asset, Symbol};
use crate::decimal::{div_ceil, div_half_even, power_of_ten};
use crate::id::InstrumentId;

/// What kind of thing an instrument trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AssetClass {
    /// A share listed in the United States.
    UsEquity,
    /// A crypto pair such as `BTC/USD`.
    Crypto,
}

/// When an instrument trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SessionCalendar {
    /// Around the clock, every day.
    Always,
    /// The sessions of the New York Stock Exchange.
    Nyse,
}

/// Parts in a million: fees and bands.
pub const PPM: i64 = 1_000_000;

/// What is traded, in which steps. Prices are whole ticks, quantities whole lots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instrument {
    /// Carries the slot of the symbol.
    pub id: InstrumentId,
    /// Unique among instruments.
    pub symbol: Symbol,
    /// Equity or crypto.
    pub class: AssetClass,
    /// What is bought and sold.
    pub base: Asset,
    /// What it is paid with.
    pub quote: Asset,
    /// Decimal places of one minor unit of the base asset.
    pub base_scale: u32,
    /// Decimal places of one minor unit of the quote asset.
    pub quote_scale: u32,
    /// The price step, in minor units of the quote asset for one whole unit of the base asset.
    pub tick_minor: i64,
    /// The quantity step, in minor units of the base asset.
    pub lot_minor: i64,
    /// Half width of the price band around the reference price, in parts in a million.
    pub collar_ppm: i64,
    /// What the resting side pays of a trade's money, in parts in a million.
    pub maker_fee_ppm: i64,
    /// What the arriving side pays of a trade's money, in parts in a million.
    pub taker_fee_ppm: i64,
    /// When it trades.
    pub calendar: SessionCalendar,
    /// The reference price before the first trade.
    pub seed_reference_ticks: Option<i64>,
}

/// Why a price or a quantity does not fit an instrument's steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepError {
    /// Zero or negative.
    NotPositive,
    /// Not a whole number of steps.
    OffStep,
    /// Larger than an order may be.
    TooLarge,
}

/// The largest number of ticks or lots in one order: leaves room for sums over a whole book.
pub const MAX_STEPS: i64 = 1 << 48;

fn whole_steps(minor: i64, step_minor: i64) -> Result<i64, StepError> {
    if minor <= 0 {
        return Err(StepError::NotPositive);
    }
    if minor.checked_rem(step_minor) != Some(0) {
        return Err(StepError::OffStep);
    }
    let steps = minor.checked_div(step_minor).ok_or(StepError::TooLarge)?;
    if steps > MAX_STEPS {
        Err(StepError::TooLarge)
    } else {
        Ok(steps)
    }
}

impl Instrument {
    /// A price in quote minor units as ticks.
    pub fn price_ticks(&self, price_minor: i64) -> Result<i64, StepError> {
        whole_steps(price_minor, self.tick_minor)
    }

    /// A quantity in base minor units as lots.
    pub fn qty_lots(&self, qty_minor: i64) -> Result<i64, StepError> {
        whole_steps(qty_minor, self.lot_minor)
    }

    /// A price as quote minor units for one whole base unit; `None` when it leaves `i64`.
    pub fn price_minor(&self, ticks: i64) -> Option<i64> {
        ticks.checked_mul(self.tick_minor)
    }

    /// A quantity as base minor units; `None` when it leaves `i64`.
    pub fn qty_minor(&self, lots: i64) -> Option<i64> {
        lots.checked_mul(self.lot_minor)
    }

    /// Quote minor units × 10^`base_scale`, before rounding.
    fn exact_cost(&self, ticks: i64, lots: i64) -> Option<i128> {
        i128::from(self.price_minor(ticks)?).checked_mul(i128::from(self.qty_minor(lots)?))
    }

    /// The money of a trade in quote minor units, rounded half to even. It is computed once, by
    /// matching, and both sides book this same amount (I3).
    pub fn notional_minor(&self, ticks: i64, lots: i64) -> Option<i64> {
        div_half_even(
            self.exact_cost(ticks, lots)?,
            i128::from(power_of_ten(self.base_scale)),
        )
    }

    /// The money to hold for a buy at this price, in quote minor units, rounded up.
    pub fn hold_minor(&self, ticks: i64, lots: i64) -> Option<i64> {
        div_ceil(
            self.exact_cost(ticks, lots)?,
            i128::from(power_of_ten(self.base_scale)),
        )
    }

    /// The fee on `notional_minor` at `fee_ppm`, in quote minor units, rounded half to even.
    pub fn fee_minor(notional_minor: i64, fee_ppm: i64) -> Option<i64> {
        let exact = i128::from(notional_minor).checked_mul(i128::from(fee_ppm))?;
        div_half_even(exact, i128::from(PPM))
    }

    /// The most that fees can take of `hold_minor`, in quote minor units, rounded up.
    pub fn worst_fee_minor(&self, hold_minor: i64) -> Option<i64> {
        let ppm = self.maker_fee_ppm.max(self.taker_fee_ppm).max(0);
        div_ceil(
            i128::from(hold_minor).checked_mul(i128::from(ppm))?,
            i128::from(PPM),
        )
    }

    /// The lowest and highest price, in ticks, of the collar around `reference_ticks`. The band is
    /// never narrower than one tick either side.
    pub fn band_ticks(&self, reference_ticks: i64) -> (i64, i64) {
        let scaled = i128::from(reference_ticks).saturating_mul(i128::from(self.collar_ppm));
        let width = div_half_even(scaled, i128::from(PPM))
            .unwrap_or(i64::MAX)
            .max(1);
        (
            reference_ticks.saturating_sub(width).max(1),
            reference_ticks.saturating_add(width),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use proptest::prelude::*;

    fn bitcoin() -> Instrument {
        Instrument {
            taker_fee_ppm: 2_500,
            ..fixture::bitcoin()
        }
    }

    #[test]
    fn steps_are_exact() {
        let btc = bitcoin();
        assert_eq!(btc.price_ticks(6_123_456_000_000), Ok(6_123_456));
        assert_eq!(btc.price_ticks(6_123_456_000_001), Err(StepError::OffStep));
        assert_eq!(btc.qty_lots(0), Err(StepError::NotPositive));
        assert_eq!(
            btc.qty_lots(i64::MAX - i64::MAX % 10_000),
            Err(StepError::TooLarge)
        );
    }

    #[test]
    fn the_money_of_a_trade() {
        let btc = bitcoin();
        // 0.0001 BTC at 61,234.56 USD is 6.123456 USD.
        assert_eq!(btc.notional_minor(6_123_456, 1), Some(612_345_600));
        assert_eq!(
            Instrument::fee_minor(612_345_600, btc.taker_fee_ppm),
            Some(1_530_864)
        );
        assert_eq!(btc.band_ticks(6_000_000), (5_700_000, 6_300_000));
        assert_eq!(btc.band_ticks(3), (2, 4));
    }

    proptest! {
        #[test]
        fn a_hold_covers_every_trade_within_it(ticks in 1..MAX_STEPS, lots in 1i64..1_000_000, better in 0i64..1_000) {
            let btc = bitcoin();
            let paid = (ticks - better).max(1);
            if let (Some(hold), Some(cost)) = (btc.hold_minor(ticks, lots), btc.notional_minor(paid, lots)) {
                prop_assert!(cost <= hold);
                let fee = Instrument::fee_minor(cost, btc.taker_fee_ppm);
                prop_assert!(fee <= btc.worst_fee_minor(hold));
            }
        }
    }
}
