//! What `prepx verify` prints.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use prepx_domain::Asset;
use prepx_domain::decimal::{format, format_grouped};
use prepx_domain::update::Book;
use prepx_portfolio::Line;
use serde_json::{Value, json};

/// Decimal places of amounts, as everywhere outside.
const SCALE: u32 = 8;

/// All books of one asset, over all partitions, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Total {
    pub available_minor: i64,
    pub held_minor: i64,
    pub clearing_minor: i64,
    pub fees_minor: i64,
    pub outside_minor: i64,
}

impl Total {
    fn columns(&self) -> [(&'static str, i64); 5] {
        [
            ("available", self.available_minor),
            ("held", self.held_minor),
            ("clearing", self.clearing_minor),
            ("fees", self.fees_minor),
            ("outside", self.outside_minor),
        ]
    }
}

/// All books by asset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals(pub BTreeMap<Asset, Total>);

impl Totals {
    pub fn of(books: &BTreeMap<Line, i64>) -> Totals {
        let mut totals: BTreeMap<Asset, Total> = BTreeMap::new();
        for (&(_, book, asset), &minor) in books {
            let total = totals.entry(asset).or_default();
            let column = match book {
                Book::Available(_) => &mut total.available_minor,
                Book::Held(_) => &mut total.held_minor,
                Book::Clearing => &mut total.clearing_minor,
                Book::Fees => &mut total.fees_minor,
                Book::Outside => &mut total.outside_minor,
            };
            *column = column.saturating_add(minor);
        }
        Totals(totals)
    }

    /// Every asset adds up to zero over its books (I3).
    pub fn check_conserved(&self) -> Result<()> {
        for (asset, total) in &self.0 {
            let sum: i128 = total
                .columns()
                .iter()
                .map(|(_, minor)| i128::from(*minor))
                .sum();
            ensure!(sum == 0, "I3: all books of {asset} add up to {sum}, not 0");
        }
        Ok(())
    }

    /// Clearing is zero when nothing is between the stages (I3).
    pub fn check_drained(&self) -> Result<()> {
        for (asset, total) in &self.0 {
            ensure!(
                total.clearing_minor == 0,
                "I3: the lanes are drained and clearing has {} {asset}, not 0",
                format(total.clearing_minor, SCALE)
            );
        }
        Ok(())
    }
}

/// That everything is right, and how much there is of it.
pub(super) struct Report {
    /// The last transition of each account partition.
    pub positions: Vec<u64>,
    pub accounts: usize,
    pub postings: u64,
    /// Messages between the stages; clearing is checked when there are none.
    pub undelivered: u64,
    pub totals: Totals,
}

impl Report {
    pub fn print(&self, as_json: bool) {
        if as_json {
            println!("{}", self.json());
            return;
        }
        println!(
            "the books are right: {} accounts, {} postings, transitions {:?}",
            self.accounts, self.postings, self.positions
        );
        for (asset, total) in &self.totals.0 {
            let columns = total
                .columns()
                .map(|(name, minor)| format!("{name} {}", format_grouped(minor, SCALE)));
            println!("{asset}: {}", columns.join(", "));
        }
        if self.undelivered > 0 {
            println!(
                "{} messages are on their way between the stages; clearing has what they move",
                self.undelivered
            );
        }
    }

    fn json(&self) -> Value {
        let total = |(asset, total): (&Asset, &Total)| {
            let amounts = total.columns().into_iter();
            let amounts =
                amounts.map(|(name, minor)| (name.to_owned(), format(minor, SCALE).into()));
            (asset.to_string(), Value::Object(amounts.collect()))
        };
        json!({
            "ok": true,
            "accounts": self.accounts,
            "postings": self.postings,
            "positions": self.positions,
            "undelivered": self.undelivered,
            "totals": self.totals.0.iter().map(total).collect::<serde_json::Map<_, _>>(),
        })
    }
}
