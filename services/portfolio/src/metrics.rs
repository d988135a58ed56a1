//! Metrics of accounts: fills, deposits and all other changes.

use std::sync::Arc;

use metrics::Counter;

use crate::domain::activity::Kind;
use crate::projection::Rows;

/// A counter for each kind of activity. Clones are the same.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<[(Kind, Counter)]>);

impl Default for Metrics {
    fn default() -> Metrics {
        let counters = Kind::ALL.map(|kind| {
            let counter = metrics::counter!("prepx_activities_total", "kind" => name(kind));
            // Set at once, so that Prometheus has a rate before the first activity.
            counter.increment(0);
            (kind, counter)
        });
        Metrics(Arc::new(counters))
    }
}

impl Metrics {
    /// Counts the changes of a committed batch. A trade is a fill of each of its two orders.
    pub fn count(&self, rows: &Rows) {
        for (kind, counter) in &*self.0 {
            let of_kind = rows.activities.iter().filter(|row| row.place.kind == *kind);
            counter.increment(of_kind.count() as u64);
        }
    }
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Fill => "fill",
        Kind::CashDeposit => "deposit",
        Kind::CashWithdrawal => "withdrawal",
        Kind::Fee | Kind::CryptoFee => "fee",
        Kind::Journal => "journal",
    }
}
