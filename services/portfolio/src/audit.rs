//! Whether the books agree: the ledger with the account stages, each asset with itself, and every row with
//! what the stages emitted. Pure except for [`tables`], which reads both.

pub(crate) mod bounds;
mod expected;
mod tables;

use std::collections::BTreeMap;

use prepx_domain::decimal::format;
use prepx_domain::update::Book;
use prepx_domain::{AccountId, Asset};
use prepx_stage::port::Line;

use crate::store::ledger::Unbalanced;

pub use expected::Counts;
pub use tables::{Compared, Error};

/// Decimal places of amounts, as everywhere outside.
const SCALE: u32 = 8;

/// All books of one asset, over all partitions, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// What accounts can use.
    pub available_minor: i64,
    /// What open orders of accounts hold.
    pub held_minor: i64,
    /// Between the two sides of trades.
    pub clearing_minor: i64,
    /// Fees earned.
    pub fees_minor: i64,
    /// The outside world: minus what came in, plus what went out.
    pub outside_minor: i64,
}

/// All books by asset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals(pub BTreeMap<Asset, Total>);

/// The ledger and the stages at one vector of journal positions, and where they first differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// The last transition of each partition.
    pub positions: Vec<u64>,
    /// How many accounts there are.
    pub accounts: u64,
    /// How many postings the ledger has.
    pub postings: u64,
    /// What the ledger comes to.
    pub totals: Totals,
    /// The first difference, in words; none if the books are right.
    pub difference: Option<String>,
}

impl Totals {
    /// The totals over all lines.
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

    /// Every asset adds up to zero over its books (I3); the first that does not, in words.
    pub fn check_conserved(&self) -> Result<(), String> {
        for (asset, total) in &self.0 {
            let sum: i128 = total
                .columns()
                .iter()
                .map(|(_, minor)| i128::from(*minor))
                .sum();
            if sum != 0 {
                return Err(format!("I3: all books of {asset} add up to {sum}, not 0"));
            }
        }
        Ok(())
    }

    /// Clearing is zero when nothing is between the stages (I3); the first that is not, in words.
    pub fn check_drained(&self) -> Result<(), String> {
        for (asset, total) in &self.0 {
            if total.clearing_minor != 0 {
                let minor = format(total.clearing_minor, SCALE);
                return Err(format!(
                    "I3: the lanes are drained and clearing has {minor} {asset}, not 0"
                ));
            }
        }
        Ok(())
    }
}

impl Total {
    /// Every book with its name.
    pub fn columns(&self) -> [(&'static str, i64); 5] {
        [
            ("available", self.available_minor),
            ("held", self.held_minor),
            ("clearing", self.clearing_minor),
            ("fees", self.fees_minor),
            ("outside", self.outside_minor),
        ]
    }
}

/// What is wrong with postings that do not balance, in words (I3).
pub fn describe(found: &Unbalanced) -> String {
    format!(
        "I3: the postings of transition {} of account partition {} add up to {} {}, not 0",
        found.seq, found.partition, found.sum_minor, found.asset
    )
}

/// The first line, in order, that stages and ledger do not have alike, in words (I6).
pub fn compare(stages: &BTreeMap<Line, i64>, ledger: &BTreeMap<Line, i64>) -> Result<(), String> {
    let minor = |books: &BTreeMap<Line, i64>, line| books.get(line).copied().unwrap_or_default();
    let first = stages
        .keys()
        .chain(ledger.keys())
        .filter(|line| minor(stages, line) != minor(ledger, line))
        .min();
    let Some(line) = first else {
        return Ok(());
    };
    let (partition, book, asset) = line;
    Err(format!(
        "I6: {} of {asset} in account partition {partition}: the account stage has {}, the ledger \
         {}",
        name_of(*book),
        minor(stages, line),
        minor(ledger, line)
    ))
}

fn name_of(book: Book) -> String {
    let of = |what: &str, account: AccountId| format!("what account {account} has {what}");
    match book {
        Book::Available(account) => of("available", account),
        Book::Held(account) => of("held", account),
        Book::Clearing => "clearing".to_owned(),
        Book::Fees => "fees".to_owned(),
        Book::Outside => "the outside world".to_owned(),
    }
}
