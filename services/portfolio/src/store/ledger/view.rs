//! The orders and activities of accounts at one moment.

use prepx_domain::ascii::without_slash;
use prepx_domain::update::OrderView;
use prepx_domain::{AccountId, Micros};
use prepx_proto::journal;
use prepx_stage::port::{PastOrders, PastQuery};
use prepx_store::{Error as StoreError, Reader, Result, Row, query};

use super::side_code;
use crate::domain::activity::{Activity, Kind, Place, Query};

/// The rows of accounts at one moment.
#[derive(Debug)]
pub struct View(pub(super) Reader);

impl View {
    /// Past orders of an account, in the requested order.
    pub async fn orders(
        &mut self,
        account: AccountId,
        which: &PastOrders,
    ) -> Result<Vec<OrderView>> {
        let mut sql = query("SELECT view FROM orders WHERE account_id = ");
        sql.push_bind(account.raw());
        match which {
            PastOrders::Id(id) => {
                sql.push(" AND order_id = ").push_bind(id.raw());
            }
            PastOrders::ClientOrderId(name) => {
                sql.push(" AND client_order_id = ").push_bind(name.clone());
                sql.push(" ORDER BY order_id DESC LIMIT 1");
            }
            PastOrders::Query(query) => narrow(&mut sql, query),
        }
        let rows = sql.fetch_all(&mut self.0).await?;
        rows.iter().map(view_of).collect()
    }

    /// Activities of an account, in the requested order.
    pub async fn activities(&mut self, asked: &Query) -> Result<Vec<Activity>> {
        let mut sql = query(
            "SELECT at_us, source_partition, number, type, change FROM activities
             WHERE account_id = ",
        );
        sql.push_bind(asked.account.raw());
        if asked.kinds.len() < Kind::ALL.len() {
            let kinds = asked.kinds.iter().map(|kind| i64::from(kind.code()));
            sql.push(" AND type IN ").push_list(kinds);
        }
        if let Some(Micros(after_us)) = asked.after {
            sql.push(" AND at_us > ").push_bind(after_us);
        }
        if let Some(Micros(until_us)) = asked.until {
            sql.push(" AND at_us <= ").push_bind(until_us);
        }
        let (beyond, order) = if asked.newest_first {
            (
                " < ",
                " ORDER BY at_us DESC, source_partition DESC, number DESC, type DESC LIMIT ",
            )
        } else {
            (
                " > ",
                " ORDER BY at_us, source_partition, number, type LIMIT ",
            )
        };
        if let Some(past) = asked.past {
            sql.push(" AND (at_us, source_partition, number, type)");
            let (partition, kind) = (i64::from(past.partition), i64::from(past.kind.code()));
            let place = [past.at.0, partition, past.number as i64, kind];
            sql.push(beyond).push_list(place);
        }
        sql.push(order).push_bind(asked.limit);
        let rows = sql.fetch_all(&mut self.0).await?;
        rows.iter().map(activity_of).collect()
    }
}

fn narrow(sql: &mut prepx_store::Query, query: &PastQuery) {
    if query.only_ended {
        sql.push(" AND final = 1");
    }
    if let Some(Micros(after_us)) = query.after {
        sql.push(" AND created_at_us > ").push_bind(after_us);
    }
    if let Some(Micros(until_us)) = query.until {
        sql.push(" AND created_at_us <= ").push_bind(until_us);
    }
    if let Some(side) = query.side {
        sql.push(" AND side = ").push_bind(side_code(side));
    }
    if !query.symbols.is_empty() {
        let symbols = query.symbols.iter().map(|symbol| without_slash(symbol));
        sql.push(" AND symbol IN ").push_list(symbols);
    }
    sql.push(if query.newest_first {
        " ORDER BY order_id DESC LIMIT "
    } else {
        " ORDER BY order_id LIMIT "
    });
    sql.push_bind(query.limit);
}

fn view_of(row: &Row) -> Result<OrderView> {
    let bytes: &[u8] = row.get("view")?;
    journal::decode(bytes).map_err(|_| StoreError::Damaged("view"))
}

fn activity_of(row: &Row) -> Result<Activity> {
    let kind = Kind::of_code(row.get("type")?).ok_or_else(|| StoreError::Damaged("type"))?;
    let change: &[u8] = row.get("change")?;
    Ok(Activity {
        place: Place {
            at: Micros(row.get("at_us")?),
            partition: row.number("source_partition")?,
            number: row.number("number")?,
            kind,
        },
        update: journal::decode(change).map_err(|_| StoreError::Damaged("change"))?,
    })
}
