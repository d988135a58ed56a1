//! Metrics of the markets: trades and the money that changed hands.

use std::collections::BTreeMap;

use metrics::Counter;
use prepx_domain::{Asset, AssetClass, Instrument};

use crate::domain::market::{Markets, Rows};

/// Money is counted in millionths of a unit: in its own minor units the counter would overflow within a day
/// of a large market.
const MICROS: i128 = 1_000_000;

/// The counters of the markets.
#[derive(Default)]
pub struct Metrics {
    trades: BTreeMap<AssetClass, Counter>,
    /// By the currency of the prices.
    notional: BTreeMap<Asset, Counter>,
}

impl Metrics {
    /// Counts the trades of a committed batch.
    pub fn count(&mut self, rows: &Rows, markets: &Markets) {
        for (id, trade) in &rows.trades {
            let Some(market) = markets.get(*id) else {
                continue;
            };
            self.trade(&market.instrument, trade.price_ticks, trade.qty_lots);
        }
    }

    fn trade(&mut self, instrument: &Instrument, ticks: i64, lots: i64) {
        let class = instrument.class;
        let trades = || metrics::counter!("prepx_trades_total", "class" => name(class));
        self.trades.entry(class).or_insert_with(trades).increment(1);
        let currency = instrument.quote;
        let notional = || {
            let currency = currency.as_str().to_owned();
            metrics::counter!("prepx_traded_notional_micros_total", "currency" => currency)
        };
        let minor = i128::from(instrument.notional_minor(ticks, lots).unwrap_or(0));
        let micros = minor * MICROS / 10_i128.pow(instrument.quote_scale);
        self.notional
            .entry(currency)
            .or_insert_with(notional)
            .increment(u64::try_from(micros).unwrap_or(0));
    }
}

const fn name(class: AssetClass) -> &'static str {
    match class {
        AssetClass::UsEquity => "us_equity",
        AssetClass::Crypto => "crypto",
    }
}
