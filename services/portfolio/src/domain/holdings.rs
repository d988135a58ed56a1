//! What an account has and what it is worth at the last trades, pure; exact until it is displayed.

use prepx_domain::ascii::is_named;
use prepx_domain::decimal::{div_half_even, power_of_ten};
use prepx_domain::instrument::Instrument;
use prepx_domain::view::{AccountView, Balance, InstrumentView};
use prepx_domain::{Asset, InstrumentId, Micros};
use uuid::Uuid;

/// The currency of the accounts' values.
pub const CURRENCY: &str = "USD";
/// Decimal places of the currency.
pub const CURRENCY_SCALE: u32 = 8;
/// Decimal places of ratios, such as a profit over its cost.
pub const RATIO_SCALE: u32 = 8;

/// An account with its positions valued.
#[derive(Clone, Debug)]
pub struct Holdings {
    /// The account as its owner sees it.
    pub account: AccountView,
    /// Cash, including what is held, in minor units.
    pub cash_minor: i64,
    /// Cash that new orders may use, in minor units.
    pub buying_power_minor: i64,
    /// All other assets, in the order of the symbols.
    pub positions: Vec<Position>,
    /// When it was opened.
    pub opened_at: Micros,
}

/// An account's holding of one instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The instrument.
    pub instrument: Instrument,
    /// The whole quantity, in base minor units.
    pub qty_minor: i64,
    /// The quantity that new orders may sell, in base minor units.
    pub available_minor: i64,
    /// What was paid for it, in quote minor units.
    pub cost_minor: i64,
    /// The last price, in quote minor units; `None` before the first trade if the instrument has no seed.
    pub price_minor: Option<i64>,
    /// Quantity × last price, in quote minor units.
    pub value_minor: Option<i64>,
}

/// The increase of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gain {
    /// In quote minor units.
    pub profit_minor: i64,
    /// The increase over the earlier value, at [`RATIO_SCALE`]; `None` if that was zero.
    pub ratio: Option<i64>,
}

impl Holdings {
    /// Values what an account has. Assets that no instrument trades against the currency have no value and
    /// are not positions.
    pub fn of(account: AccountView, instruments: &[InstrumentView]) -> Holdings {
        let is_cash = |asset: Asset| asset.as_str() == CURRENCY;
        let cash = account
            .balances
            .iter()
            .find(|balance| is_cash(balance.asset));
        let position = |view: &InstrumentView| {
            let base = view.instrument.base;
            let traded = is_cash(view.instrument.quote) && !is_cash(base);
            let balance = account
                .balances
                .iter()
                .find(|balance| balance.asset == base)?;
            traded
                .then(|| Position::of(balance, view))
                .filter(|position| position.qty_minor != 0)
        };
        Holdings {
            cash_minor: cash.map_or(0, total_minor),
            buying_power_minor: cash.map_or(0, |balance| balance.available_minor),
            positions: instruments.iter().filter_map(position).collect(),
            opened_at: account.opened_at,
            account,
        }
    }

    /// One position, by symbol (the slash of a pair may be left out) or instrument UUID.
    pub fn position(&self, symbol_or_id: &str) -> Option<&Position> {
        let id = symbol_or_id
            .parse()
            .ok()
            .and_then(|uuid: Uuid| InstrumentId::from_uuid(uuid));
        let wanted = |position: &&Position| match id {
            Some(id) => position.instrument.id == id,
            None => is_named(position.instrument.symbol.as_str(), symbol_or_id),
        };
        self.positions.iter().find(wanted)
    }

    /// The value of all positions, in minor units of the currency, held at the end of its range.
    pub fn positions_minor(&self) -> i64 {
        self.positions
            .iter()
            .filter_map(|position| position.value_minor)
            .fold(0, i64::saturating_add)
    }

    /// Cash and positions, in minor units of the currency.
    pub fn equity_minor(&self) -> i64 {
        self.cash_minor.saturating_add(self.positions_minor())
    }
}

/// Quantity × price, in quote minor units.
pub fn value_minor(instrument: &Instrument, qty_minor: i64, price_minor: i64) -> Option<i64> {
    let exact = i128::from(qty_minor).checked_mul(i128::from(price_minor))?;
    div_half_even(exact, i128::from(power_of_ten(instrument.base_scale)))
}

/// A part of a whole, at [`RATIO_SCALE`]; `None` if the whole is not above 0.
pub fn ratio(part: i64, whole: i64) -> Option<i64> {
    let scaled = i128::from(part) * i128::from(power_of_ten(RATIO_SCALE));
    div_half_even(scaled, i128::from(whole))
}

fn total_minor(balance: &Balance) -> i64 {
    balance.available_minor.saturating_add(balance.held_minor)
}

impl Position {
    fn of(balance: &Balance, view: &InstrumentView) -> Position {
        let instrument = view.instrument;
        let qty_minor = total_minor(balance);
        let price_minor = view
            .reference_ticks
            .and_then(|ticks| instrument.price_minor(ticks));
        Position {
            instrument,
            qty_minor,
            available_minor: balance.available_minor,
            cost_minor: balance.cost_minor,
            price_minor,
            value_minor: price_minor.and_then(|price| value_minor(&instrument, qty_minor, price)),
        }
    }

    /// Value less cost, in quote minor units.
    pub fn profit_minor(&self) -> Option<i64> {
        self.value_minor?.checked_sub(self.cost_minor)
    }

    /// Profit over cost, at [`RATIO_SCALE`]; `None` if there was no cost.
    pub fn profit_ratio(&self) -> Option<i64> {
        ratio(self.profit_minor()?, self.cost_minor)
    }

    /// Profit since a time at which the account had `held_minor` (base minor units) at `before_minor` (quote
    /// minor units): against that price for the quantity of that time, and against its cost for what was added
    /// since.
    pub fn profit_since(&self, held_minor: i64, before_minor: Option<i64>) -> Option<Gain> {
        let kept_minor = held_minor.clamp(0, self.qty_minor.max(0));
        let kept_basis_minor = match (kept_minor, before_minor) {
            (0, _) => 0,
            (kept_minor, before) => value_minor(&self.instrument, kept_minor, before?)?,
        };
        let added_minor = self.qty_minor.checked_sub(kept_minor)?;
        let exact = i128::from(self.cost_minor).checked_mul(i128::from(added_minor))?;
        let added_basis_minor = div_half_even(exact, i128::from(self.qty_minor))?;
        let basis_minor = kept_basis_minor.checked_add(added_basis_minor)?;
        let profit_minor = self.value_minor?.checked_sub(basis_minor)?;
        Some(Gain {
            profit_minor,
            ratio: ratio(profit_minor, basis_minor),
        })
    }

    /// The increase of the last price over an earlier one, divided by that, at [`RATIO_SCALE`]; `None`
    /// without a last price.
    pub fn change_ratio(&self, before_minor: i64) -> Option<i64> {
        ratio(self.price_minor?.checked_sub(before_minor)?, before_minor)
    }
}
