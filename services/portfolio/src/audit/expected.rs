//! What the tables must contain by all outputs of the account stages, and the first row that differs. Pure.
//!
//! The projection's own [`Rows`] are folded, message by message. The first pass keeps only a sum of the hashes
//! of final rows for each account, so memory grows with accounts and open orders and not with messages.
//! Accounts whose sums differ are compared in a second pass, row by row.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use prepx_bus::{Record, Topic, TopicPartition};
use prepx_domain::market::interval;
use prepx_domain::update::AccountUpdate;
use prepx_domain::{AccountId, Asset, Micros, OrderStatus};
use prepx_proto::journal;
use prepx_stage::follow::Message;
use prepx_stage::lane;
use prepx_store::{Value, Values};
use xxhash_rust::xxh3::xxh3_128;

use super::bounds::{Answers, Bounds, First, Tables};
use crate::domain::activity::Kind;
use crate::domain::points::DAY_US;
use crate::projection::{Moved, Rows};
use crate::store::ledger::columns::{self, Table, number};

/// The changes of days, by midnight.
type Days = BTreeMap<Micros, BTreeMap<(AccountId, Asset), Moved>>;
/// A row by its table and its name.
type Name = (Table, Vec<Value>);

/// What the tables must contain.
pub struct Expected {
    bounds: Bounds,
    /// The accounts to compare row by row; if none, all accounts by their sums.
    only: Option<BTreeSet<i64>>,
    /// By account: the sum over all rows that must be exactly as the log says.
    sums: HashMap<i64, u128>,
    /// Orders that may still change, by their numbers: the account, and the hash of the row.
    live: HashMap<i64, (i64, u128)>,
    /// Rows that are compared one by one, and whether each may be missing in the table.
    rows: BTreeMap<Name, (bool, Held)>,
    /// For each partition, by day: sums that may still grow.
    days: BTreeMap<u32, Days>,
    /// The last message of each partition's lane.
    last: BTreeMap<u32, u64>,
    differences: BTreeMap<Name, String>,
    suspects: BTreeSet<i64>,
    counts: Counts,
}

/// The number of rows in the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows that were compared.
    pub compared: u64,
    /// Rows for which the log cannot answer: older than the log, or transfers without a decision.
    pub beyond: u64,
}

/// What is stored of a row that is compared one by one.
enum Held {
    Hash(u128),
    Row(Vec<Value>),
}

/// The result of a comparison.
pub enum Outcome {
    /// Nothing differs.
    Alike(Counts),
    /// These accounts must be compared row by row.
    Suspects(BTreeSet<i64>, Counts),
    /// The first difference, in words.
    Difference(String),
}

impl Expected {
    /// The comparison before the log is read: of `only` these accounts row by row, or of all accounts by
    /// their sums.
    pub fn new(tables: Tables, only: Option<BTreeSet<i64>>) -> Expected {
        Expected {
            bounds: Bounds::new(tables),
            only,
            sums: HashMap::new(),
            live: HashMap::new(),
            rows: BTreeMap::new(),
            days: BTreeMap::new(),
            last: BTreeMap::new(),
            differences: BTreeMap::new(),
            suspects: BTreeSet::new(),
            counts: Counts::default(),
        }
    }

    /// Processes the next record of the log; ignores records of other topics.
    ///
    /// # Errors
    /// When it cannot be decoded.
    pub fn take(&mut self, from: TopicPartition, record: &Record) -> Result<(), String> {
        if from.topic != Topic::PortfolioUpdates {
            return Ok(());
        }
        let at = |error: String| format!("{from} at offset {}: {error}", record.offset);
        let run = lane::Run::decode(&record.payload).map_err(|error| at(error.to_string()))?;
        let partition = run.source.partition;
        for message in run.messages() {
            let (number, bytes) = message.map_err(|error| at(error.to_string()))?;
            let last = self.last.entry(partition).or_default();
            // After a takeover the new owner repeats messages that may not have left.
            if number <= *last {
                continue;
            }
            if *last > 0 && number != *last + 1 {
                return Err(at(format!("I2: message {number} follows {last}")));
            }
            *last = number;
            let message = Message {
                seq: run.seq,
                offset: record.offset,
                payload: record.payload.slice_ref(bytes),
            };
            let added = self.add(partition, number, &message);
            added.map_err(|error| at(error.to_string()))?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        partition: u32,
        number: u64,
        message: &Message,
    ) -> Result<(), journal::Error> {
        let mut rows = Rows::default();
        rows.add(partition, number, message)?;
        let at = rows.at;
        self.bounds.begin(partition, First { number, at });
        let is_taken = number <= self.bounds.through(partition);
        let only = self.only.as_ref();
        let is_wanted = |account: &AccountId| only.is_none_or(|only| only.contains(&account.raw()));
        if !rows.accounts.iter().any(is_wanted) {
            return Ok(());
        }
        self.transfer(&rows, (partition, is_taken), &message.payload)?;
        if !is_taken {
            return Ok(());
        }
        for activity in &rows.activities {
            self.hold(Table::Activities, |row| {
                columns::activity_row(activity, row)
            });
        }
        for order in rows.orders.values() {
            let view = &order.view;
            let was_replaced = view.status == OrderStatus::Replaced;
            // The replacement may still be refused, and then this order changes once more.
            let is_over = view.ended_at.is_some() && (was_replaced || view.replaced_by.is_none());
            self.order(is_over, |row| columns::order(order, row));
        }
        for account in &rows.simulated {
            self.hold(Table::Simulated, |row| {
                row.push(account.raw());
            });
        }
        self.move_days(partition, at, rows.days);
        Ok(())
    }

    /// Processes a movement of money. Its row may exist although the books do not have it yet, because transfers are
    /// read later than books.
    fn transfer(
        &mut self,
        rows: &Rows,
        (partition, is_taken): (u32, bool),
        payload: &Bytes,
    ) -> Result<(), journal::Error> {
        let moves = |kind| {
            matches!(
                kind,
                Kind::CashDeposit | Kind::CashWithdrawal | Kind::Journal
            )
        };
        if !rows.activities.iter().any(|row| moves(row.place.kind)) {
            return Ok(());
        }
        let update: AccountUpdate = journal::decode(payload)?;
        let mut values = Values::default();
        if columns::transfer(update.account, &update.change, &mut values) {
            let row = values.all();
            let is_certain = is_taken && self.bounds.is_certain(partition, row);
            match is_certain && self.only.is_none() {
                true => self.sum(number(row, 0), hash(Table::Transfers, row)),
                false => self.keep(Table::Transfers, row, !is_taken),
            }
        }
        Ok(())
    }

    fn move_days(
        &mut self,
        partition: u32,
        at: Micros,
        moved: BTreeMap<(AccountId, Asset, Micros), Moved>,
    ) {
        let days = self.days.entry(partition).or_default();
        for ((account, asset, day), by) in moved {
            let accounts = days.entry(day).or_default();
            let moved = accounts.entry((account, asset)).or_default();
            moved.change_minor += by.change_minor;
            moved.paid_minor += by.paid_minor;
        }
        // Time does not go back in a partition; for accounts that are compared row by row all days are
        // kept, in case it did.
        let today = interval(at, DAY_US);
        let is_over = |(day, _): (&Micros, _)| *day < today;
        if self.only.is_none() && days.first_key_value().is_some_and(is_over) {
            let later = days.split_off(&today);
            let over = std::mem::replace(days, later);
            self.close_days(over);
        }
    }

    fn close_days(&mut self, days: Days) {
        for (day, accounts) in days {
            for ((account, asset), moved) in accounts {
                self.hold(Table::DailyChanges, |row| {
                    columns::day(account, asset, day, moved, row);
                });
            }
        }
    }

    /// Adds a row that is final.
    fn hold(&mut self, table: Table, write: impl FnOnce(&mut Values)) {
        let mut values = Values::default();
        write(&mut values);
        let row = values.all();
        match self.bounds.of(table, row) {
            Answers::Nothing => {}
            Answers::Partly { in_the_table, .. } => self.keep(table, row, in_the_table),
            Answers::Exactly if self.only.is_some() => self.keep(table, row, false),
            Answers::Exactly => self.sum(number(row, 0), hash(table, row)),
        }
    }

    /// Processes the latest state of an order so far.
    fn order(&mut self, is_over: bool, write: impl FnOnce(&mut Values)) {
        let mut values = Values::default();
        write(&mut values);
        let row = values.all();
        match self.bounds.of(Table::Orders, row) {
            Answers::Exactly if self.only.is_none() => {
                let (account, id, hash) =
                    (number(row, 0), number(row, 1), hash(Table::Orders, row));
                match is_over {
                    true => {
                        self.live.remove(&id);
                        self.sum(account, hash);
                    }
                    false => {
                        self.live.insert(id, (account, hash));
                    }
                }
            }
            Answers::Partly { in_the_table, .. } => self.keep(Table::Orders, row, in_the_table),
            Answers::Exactly | Answers::Nothing => self.keep(Table::Orders, row, false),
        }
    }

    fn sum(&mut self, account: i64, hash: u128) {
        let sum = self.sums.entry(account).or_default();
        *sum = sum.wrapping_add(hash);
    }

    fn keep(&mut self, table: Table, row: &[Value], may_be_missing: bool) {
        let held = match self.only {
            Some(_) => Held::Row(row.to_vec()),
            None => Held::Hash(hash(table, row)),
        };
        let name = (table, table.key(row).to_vec());
        self.rows.insert(name, (may_be_missing, held));
    }

    /// All of the log has been processed; rows of the tables come next.
    pub fn end_log(&mut self) {
        for (account, hash) in std::mem::take(&mut self.live).into_values() {
            self.sum(account, hash);
        }
        for (_, days) in std::mem::take(&mut self.days) {
            self.close_days(days);
        }
    }

    /// Whether the log no longer has the first messages.
    pub fn is_cut(&self) -> bool {
        self.bounds.is_cut()
    }

    /// Processes a row of a table, and what decides whether it is compared.
    pub fn found(&mut self, table: Table, compared: Vec<Value>, beside: &[Value]) {
        let answers = match beside {
            [] => self.bounds.of(table, &compared),
            _ => self.bounds.of(table, &[&compared[..], beside].concat()),
        };
        let answers = match answers {
            Answers::Partly {
                on_the_log: false,
                in_the_table: false,
            } if !self.has(table, &compared) => Answers::Exactly,
            answers => answers,
        };
        let on_the_log = match answers {
            Answers::Nothing => {
                self.counts.beyond += 1;
                return;
            }
            Answers::Exactly if self.only.is_none() => {
                self.counts.compared += 1;
                let hash = hash(table, &compared);
                let sum = self.sums.entry(number(&compared, 0)).or_default();
                *sum = sum.wrapping_sub(hash);
                return;
            }
            Answers::Exactly => false,
            Answers::Partly { on_the_log, .. } => on_the_log,
        };
        self.beside_its_own(table, compared, on_the_log);
    }

    /// Whether a row of this name is compared one by one.
    fn has(&self, table: Table, row: &[Value]) -> bool {
        let name = (table, table.key(row).to_vec());
        self.rows.contains_key(&name)
    }

    /// Compares a single row with what the log says of it.
    fn beside_its_own(&mut self, table: Table, row: Vec<Value>, may_be_missing: bool) {
        self.counts.compared += 1;
        let words = match self.rows.entry((table, table.key(&row).to_vec())) {
            Entry::Occupied(told) => match told.remove().1 {
                Held::Hash(told) if told == hash(table, &row) => return,
                Held::Row(told) if told == row => return,
                Held::Hash(_) => String::new(),
                Held::Row(told) => table.first_difference(&told, &row),
            },
            Entry::Vacant(_) if may_be_missing => {
                self.counts.compared -= 1;
                self.counts.beyond += 1;
                return;
            }
            Entry::Vacant(_) => format!(
                "the log has none such, the table has {}",
                table.contents(&row)
            ),
        };
        self.differs((table, table.key(&row).to_vec()), words);
    }

    fn differs(&mut self, name: Name, words: String) {
        self.suspects.insert(number(&name.1, 0));
        self.differences.insert(name, words);
    }

    /// All rows of the tables have been processed: the result.
    pub fn end(mut self) -> Outcome {
        for ((table, key), (may_be_missing, held)) in std::mem::take(&mut self.rows) {
            if may_be_missing {
                continue;
            }
            let words = match held {
                Held::Hash(_) => String::new(),
                Held::Row(told) => format!(
                    "the table has none such, the log says {}",
                    table.contents(&told)
                ),
            };
            self.differs((table, key), words);
        }
        let differ = self.sums.into_iter().filter(|(_, sum)| *sum != 0);
        self.suspects.extend(differ.map(|(account, _)| account));
        if self.only.is_none() && !self.suspects.is_empty() {
            return Outcome::Suspects(self.suspects, self.counts);
        }
        match self.differences.into_iter().next() {
            None => Outcome::Alike(self.counts),
            Some(((table, key), words)) => {
                Outcome::Difference(format!("I6: {}: {words}", table.name_of(&key)))
            }
        }
    }
}

/// The hash of a row.
fn hash(table: Table, row: &[Value]) -> u128 {
    let mut bytes = vec![table as u8];
    let mut add = |of: &[u8]| {
        bytes.extend_from_slice(&(of.len() as u64).to_le_bytes());
        bytes.extend_from_slice(of);
    };
    for value in row {
        match value {
            Value::Int(number) => add(&number.unwrap_or_default().to_le_bytes()),
            Value::Text(text) => add(text.as_deref().unwrap_or_default().as_bytes()),
            Value::Bytes(bytes) => add(bytes.as_deref().unwrap_or_default()),
        }
    }
    xxh3_128(&bytes)
}
