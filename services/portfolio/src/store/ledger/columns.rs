//! The columns of the tables that the projection fills: how a row is written, compared and shown.

use prepx_domain::ascii::without_slash;
use prepx_domain::update::{AccountUpdate, Change, OrderView};
use prepx_domain::{AccountId, Asset, Micros, OrderId};
use prepx_proto::journal;
use prepx_store::{Result, Row, Value, Values};
use uuid::Uuid;

use super::side_code;
use crate::domain::activity::{Kind, Place, date_of};
use crate::domain::transfer::Direction;
use crate::projection::{ActivityRow, Moved, OrderRow};

/// A table that is compared row by row, in the order in which differences are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Accounts of the simulated population.
    Simulated,
    /// Transfers under their keys, as far as the log has them.
    Transfers,
    /// The latest state of every order.
    Orders,
    /// The activities of accounts.
    Activities,
    /// The changes of each day.
    DailyChanges,
}

/// The value of a column.
#[derive(Clone, Copy)]
enum Has {
    Number,
    Text,
    Bytes,
}

use Has::{Bytes, Number, Text};

impl Table {
    /// The tables of the schema `portfolio`.
    pub const OF_BOOKS: [Table; 4] = [
        Table::Simulated,
        Table::Orders,
        Table::Activities,
        Table::DailyChanges,
    ];

    /// Its name in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Transfers => "transfers",
            Table::Orders => "orders",
            Table::Activities => "activities",
            Table::DailyChanges => "daily_changes",
            Table::Simulated => "simulated",
        }
    }

    /// The query for all of its rows.
    pub const fn select(self) -> &'static str {
        match self {
            Table::Transfers => {
                "SELECT account_id, command_id, direction, asset, amount_minor, settled,
                 stamped_at_us FROM transfers"
            }
            Table::Orders => {
                "SELECT account_id, order_id, client_order_id, symbol, side, final, created_at_us,
                 view FROM orders"
            }
            Table::Activities => {
                "SELECT account_id, at_us, source_partition, number, type, change FROM activities"
            }
            Table::DailyChanges => {
                "SELECT account_id, asset, day_us, change_minor, paid_minor FROM daily_changes"
            }
            Table::Simulated => "SELECT account_id FROM simulated",
        }
    }

    /// The columns that are compared.
    const fn columns(self) -> &'static [(&'static str, Has)] {
        match self {
            Table::Transfers => &[
                ("account_id", Number),
                ("command_id", Bytes),
                ("direction", Number),
                ("asset", Text),
                ("amount_minor", Number),
            ],
            Table::Orders => &[
                ("account_id", Number),
                ("order_id", Number),
                ("client_order_id", Text),
                ("symbol", Text),
                ("side", Number),
                ("final", Number),
                ("created_at_us", Number),
                ("view", Bytes),
            ],
            Table::Activities => &[
                ("account_id", Number),
                ("at_us", Number),
                ("source_partition", Number),
                ("number", Number),
                ("type", Number),
                ("change", Bytes),
            ],
            Table::DailyChanges => &[
                ("account_id", Number),
                ("asset", Text),
                ("day_us", Number),
                ("change_minor", Number),
                ("paid_minor", Number),
            ],
            Table::Simulated => &[("account_id", Number)],
        }
    }

    /// How many of the first columns identify a row.
    const fn key_columns(self) -> usize {
        match self {
            Table::Transfers | Table::Orders => 2,
            Table::Activities => 5,
            Table::DailyChanges => 3,
            Table::Simulated => 1,
        }
    }

    /// The columns of a row that identify it.
    pub fn key(self, row: &[Value]) -> &[Value] {
        &row[..self.key_columns()]
    }

    /// The compared columns of a row.
    pub fn read(self, row: &Row) -> Result<Vec<Value>> {
        let column = |&(name, has): &(&'static str, Has)| {
            Ok(match has {
                Number => Value::from(row.get::<i64>(name)?),
                Text => Value::from(row.get::<String>(name)?),
                Bytes => Value::from(row.get::<Vec<u8>>(name)?),
            })
        };
        let columns = self.columns().iter();
        columns.map(column).collect::<Result<_>>()
    }

    /// The columns that identify a row, for people.
    pub fn name_of(self, key: &[Value]) -> String {
        let account = AccountId::new(number(key, 0));
        let account = account.map_or_else(|| number(key, 0).to_string(), |id| id.to_string());
        let row = match self {
            Table::Transfers => format!(", transfer {}", uuid(&key[1])),
            Table::Orders => match OrderId::new(number(key, 1)) {
                Some(order) => format!(", order {order}"),
                None => format!(", order {}", number(key, 1)),
            },
            Table::Activities => format!(", activity {}", activity(key)),
            Table::DailyChanges => {
                let day = date_of(Micros(number(key, 2)));
                format!(", {} on {day}", shown(&key[1]))
            }
            Table::Simulated => String::new(),
        };
        format!("table {}, account {account}{row}", self.name())
    }

    /// The other columns of a row, for people.
    pub fn contents(self, row: &[Value]) -> String {
        let columns = self.columns().iter().zip(row).skip(self.key_columns());
        let columns: Vec<String> = columns
            .map(|((name, _), value)| format!("{name} {}", self.show(name, value)))
            .collect();
        match columns.is_empty() {
            true => "it".to_owned(),
            false => columns.join(", "),
        }
    }

    /// The first column in which two rows of one name differ, for people.
    pub fn first_difference(self, told: &[Value], found: &[Value]) -> String {
        let columns = self.columns().iter().zip(told.iter().zip(found));
        let mut different = columns.filter(|(_, (told, found))| told != found);
        let words = different.next().map(|((name, _), (told, found))| {
            let (told, found) = (self.show(name, told), self.show(name, found));
            format!("the log says {name} {told}, the table {found}")
        });
        words.unwrap_or_else(|| "the table has it twice".to_owned())
    }

    fn show(self, column: &str, value: &Value) -> String {
        let Value::Bytes(Some(bytes)) = value else {
            return shown(value);
        };
        let decoded = match (self, column) {
            (Table::Orders, "view") => journal::decode(bytes)
                .map(|view: OrderView| format!("{view:?}"))
                .ok(),
            (Table::Activities, "change") => journal::decode(bytes)
                .map(|update: AccountUpdate| format!("{update:?}"))
                .ok(),
            _ => None,
        };
        decoded.unwrap_or_else(|| format!("{} bytes that are not understood", bytes.len()))
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Int(Some(number)) => number.to_string(),
        Value::Text(Some(text)) => text.clone(),
        Value::Bytes(Some(bytes)) => format!("{} bytes", bytes.len()),
        Value::Int(None) | Value::Text(None) | Value::Bytes(None) => "nothing".to_owned(),
    }
}

fn uuid(value: &Value) -> String {
    let uuid = match value {
        Value::Bytes(Some(bytes)) => Uuid::from_slice(bytes).ok(),
        _ => None,
    };
    uuid.map_or_else(|| shown(value), |uuid| uuid.to_string())
}

fn activity(key: &[Value]) -> String {
    let place = || {
        Some(Place {
            at: Micros(number(key, 1)),
            partition: u32::try_from(number(key, 2)).ok()?,
            number: u64::try_from(number(key, 3)).ok()?,
            kind: Kind::of_code(number(key, 4))?,
        })
    };
    let numbers = || {
        let numbers: Vec<String> = key.iter().skip(1).map(shown).collect();
        numbers.join("/")
    };
    place().map_or_else(numbers, |place| place.id())
}

/// The number in a column; 0 if it has none.
pub fn number(row: &[Value], column: usize) -> i64 {
    match row.get(column) {
        Some(Value::Int(Some(number))) => *number,
        _ => 0,
    }
}

/// A transfer, as the log knows it.
pub fn transfer(account: AccountId, change: &Change, values: &mut Values) -> bool {
    let (direction, command, asset, amount_minor) = match change {
        Change::Deposited {
            command,
            asset,
            amount_minor,
        } => (Direction::Incoming, command, asset, amount_minor),
        Change::Withdrawn {
            command,
            asset,
            amount_minor,
        } => (Direction::Outgoing, command, asset, amount_minor),
        _ => return false,
    };
    values
        .push(account.raw())
        .push(command.as_bytes().as_slice())
        .push(direction.code())
        .push(asset.as_str())
        .push(*amount_minor);
    true
}

/// The columns of an order.
pub fn order(row: &OrderRow, values: &mut Values) {
    let view = &row.view;
    let mut bytes = Vec::new();
    journal::encode(view, &mut bytes);
    values
        .push(row.account.raw())
        .push(view.id.raw())
        .push(view.client_order_id.clone())
        .push(without_slash(view.symbol.as_str()))
        .push(side_code(view.side))
        .push(i64::from(view.status.is_final()))
        .push(view.created_at.0)
        .push(bytes);
}

/// The columns of an activity.
pub fn activity_row(row: &ActivityRow, values: &mut Values) {
    values
        .push(row.account.raw())
        .push(row.place.at.0)
        .push(i64::from(row.place.partition))
        .push(row.place.number as i64)
        .push(i64::from(row.place.kind.code()))
        .push(row.change.to_vec());
}

/// The columns of a day's change.
pub fn day(account: AccountId, asset: Asset, day: Micros, moved: Moved, values: &mut Values) {
    values
        .push(account.raw())
        .push(asset.as_str())
        .push(day.0)
        .push(moved.change_minor)
        .push(moved.paid_minor);
}
