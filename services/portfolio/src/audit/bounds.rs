//! For which rows the log can still answer: in a simulated market the oldest part of the log is dropped,
//! and the oldest rows of simulated accounts are compacted. Pure.

use std::collections::BTreeSet;

use prepx_domain::market::interval;
use prepx_domain::{AccountId, Micros};
use prepx_store::Value;

use crate::domain::points::DAY_US;
use crate::store::ledger::columns::{Table, number};

/// The state of the tables at one moment.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// For each partition, the last message that is in the tables.
    pub through: Vec<u64>,
    /// For each partition, the point from which on all rows of simulated accounts exist.
    pub whole_from: Vec<WholeFrom>,
    /// The accounts whose old rows may be compacted.
    pub simulated: BTreeSet<i64>,
    /// The commands of transfers whose decision is not known.
    pub undecided: BTreeSet<Vec<u8>>,
}

/// The point from which on all rows of simulated accounts exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WholeFrom {
    /// The first message with all its activities; none if no activity was compacted.
    pub activities: Option<i64>,
    /// Orders accepted later than this exist; none if no order was compacted.
    pub orders_us: Option<i64>,
}

/// The first message of a partition that is still on the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// Its number.
    pub number: u64,
    /// When it was decided.
    pub at: Micros,
}

/// The rows for which the log can answer.
#[derive(Clone, Debug)]
pub struct Bounds {
    tables: Tables,
    first: Vec<Option<First>>,
}

/// What the log says of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// The row is in the table exactly as the log says.
    Exactly,
    /// The row is as the log says if it exists, but it may be missing.
    Partly {
        /// Because nothing has changed it since the beginning of the log.
        on_the_log: bool,
        /// Because it may have been compacted.
        in_the_table: bool,
    },
    /// Nothing: the row is older than the log, or may have been compacted.
    Nothing,
}

impl Bounds {
    /// The bounds before the log is read.
    pub fn new(tables: Tables) -> Bounds {
        let first = vec![None; tables.through.len()];
        Bounds { tables, first }
    }

    /// The last message of a partition that is in the tables.
    pub fn through(&self, partition: u32) -> u64 {
        let through = self.tables.through.get(partition as usize);
        through.copied().unwrap_or_default()
    }

    /// Notes a message of a partition; only the first counts.
    pub fn begin(&mut self, partition: u32, first: First) {
        if let Some(known) = self.first.get_mut(partition as usize) {
            known.get_or_insert(first);
        }
    }

    /// Whether the log no longer has the first messages of a partition.
    pub fn is_cut(&self) -> bool {
        (0u32..)
            .zip(&self.first)
            .any(|(partition, first)| match first {
                Some(first) => first.number > 1,
                None => self.through(partition) > 0,
            })
    }

    /// When the first message of a partition on the log was decided, if there were earlier ones.
    fn cut(&self, partition: u32) -> Option<First> {
        match self.first.get(partition as usize) {
            Some(Some(first)) if first.number > 1 => Some(*first),
            // No message of the partition is left.
            Some(None) if self.through(partition) > 0 => Some(First {
                number: u64::MAX,
                at: Micros(i64::MAX),
            }),
            _ => None,
        }
    }

    /// What the log says of a row of a table.
    pub fn of(&self, table: Table, row: &[Value]) -> Answers {
        let partition = self.partition_of(table, row);
        let cut = self.cut(partition);
        let whole_from = match self.tables.simulated.contains(&number(row, 0)) {
            true => self.tables.whole_from.get(partition as usize).copied(),
            false => None,
        };
        let whole_from = whole_from.unwrap_or_default();
        let partly = |on_the_log, in_the_table| match on_the_log || in_the_table {
            true => Answers::Partly {
                on_the_log,
                in_the_table,
            },
            false => Answers::Exactly,
        };
        match table {
            Table::Activities => {
                let message = number(row, 3);
                let gone = cut.is_some_and(|first| first.number > message.unsigned_abs());
                match whole_from.activities {
                    _ if gone => Answers::Nothing,
                    Some(first) if message < first => Answers::Nothing,
                    // A trade may be compacted before its fee.
                    first => partly(false, first == Some(message)),
                }
            }
            Table::Orders => {
                let created_us = number(row, 6);
                partly(
                    cut.is_some_and(|first| created_us <= first.at.0),
                    whole_from
                        .orders_us
                        .is_some_and(|until_us| created_us <= until_us),
                )
            }
            Table::DailyChanges => {
                let since = cut.map(|first| interval(first.at, DAY_US).0);
                match since.is_some_and(|midnight_us| number(row, 2) <= midnight_us) {
                    true => Answers::Nothing,
                    false => Answers::Exactly,
                }
            }
            Table::Simulated => partly(cut.is_some(), false),
            // The row says whether its decision is known, and when it was requested.
            Table::Transfers => {
                let decided = number(row, 5) == 1;
                let asked_us = number(row, 6);
                let old = cut.is_some_and(|first| asked_us <= first.at.0);
                Answers::Partly {
                    on_the_log: !decided || old,
                    in_the_table: false,
                }
            }
        }
    }

    /// Whether a message about a transfer has a row that says that it was decided.
    pub fn is_certain(&self, partition: u32, transfer: &[Value]) -> bool {
        let is_undecided = match transfer.get(1) {
            Some(Value::Bytes(Some(command))) => self.tables.undecided.contains(command),
            _ => true,
        };
        !is_undecided && self.cut(partition).is_none()
    }

    fn partition_of(&self, table: Table, row: &[Value]) -> u32 {
        if table == Table::Activities {
            return u32::try_from(number(row, 2)).unwrap_or(u32::MAX);
        }
        let account = AccountId::new(number(row, 0));
        let partitions = self.tables.through.len() as u32;
        account.map_or(u32::MAX, |account| account.slot().partition(partitions))
    }
}
