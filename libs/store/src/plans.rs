//! The query plans of a store's statements, for tests that keep them in a file beside it.
//!
//! A test makes the store's own calls ([`Plans::add`]). The engine explains every statement just before it runs, on
//! the same connection, with the same values. What differs from run to run (values, costs, the number of a partition)
//! is left out. A full scan of a large table fails the test; the rest of a plan is for the reviewer of the file.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};

use futures::future::LocalBoxFuture;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row as _, Sqlite, SqliteConnection};

use crate::query::arguments;
use crate::{Connection, Pool, Query, Result, Tx, query};

tokio::task_local! {
    static EXPLAINED: RefCell<Vec<String>>;
}

/// The engines whose plans are stored. Versions of PostgreSQL word the same plan differently.
const KEPT: [&str; 3] = ["sqlite", "postgres-15", "postgres-18"];

/// Plans of statements, as text.
#[derive(Debug)]
pub struct Plans {
    engine: String,
    small: &'static [&'static str],
    text: String,
}

impl Plans {
    /// No plans yet of a schema, whose engine updates its statistics of the tables. The `small` tables may be
    /// scanned, and so may rows that a statement makes up itself.
    ///
    /// # Errors
    /// When the engine cannot analyse its tables.
    pub async fn of(pool: &Pool, small: &'static [&'static str]) -> Result<Plans> {
        let mut tx = pool.begin().await?;
        query("ANALYZE").execute(&mut tx).await?;
        let engine = engine(&mut tx).await?;
        tx.commit().await?;
        Ok(Plans {
            engine,
            small,
            text: String::new(),
        })
    }

    /// Runs some calls and adds the plans of their statements, each once.
    ///
    /// # Panics
    /// When a call fails, runs no statement, or scans a large table.
    pub fn add<'a, T: 'a, E: Debug + 'a>(
        &'a mut self,
        what: impl Into<String>,
        work: impl Future<Output = std::result::Result<T, E>> + 'a,
    ) -> LocalBoxFuture<'a, T> {
        let (what, work) = (what.into(), Box::pin(work));
        let work = async move {
            let done = work.await;
            (done, EXPLAINED.with(RefCell::take))
        };
        Box::pin(async move {
            let (done, plans) = EXPLAINED.scope(RefCell::default(), work).await;
            let done = done.expect(&what);
            self.keep(&what, plans);
            done
        })
    }

    fn keep(&mut self, what: &str, mut plans: Vec<String>) {
        let mut seen = Vec::new();
        plans.retain(|plan| {
            let is_new = !seen.contains(plan);
            seen.push(plan.clone());
            is_new
        });
        assert!(!plans.is_empty(), "{what}: no statement was run");
        for plan in &plans {
            let mut whole = plan.lines().filter_map(|line| read_whole(plan, line));
            let large = whole.find(|table| !self.small.contains(table));
            assert_eq!(large, None, "{what} reads a large table whole: {plan}");
        }
        write!(self.text, "# {what}\n\n{}\n", plans.join("\n")).expect("into memory");
    }

    /// The file of this engine in a directory; none if plans of its version are not stored.
    pub fn file(&self, directory: &str) -> Option<String> {
        let is_kept = KEPT.contains(&self.engine.as_str());
        is_kept.then(|| format!("{directory}/{}.txt", self.engine))
    }

    /// The plans as one text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The engine's name, with its version if plans depend on that.
async fn engine(tx: &mut Tx) -> Result<String> {
    if let Tx::Sqlite(_) = tx {
        return Ok("sqlite".to_owned());
    }
    let version = "SELECT CAST(current_setting('server_version_num') AS BIGINT) / 10000";
    let major: Option<i64> = query(version).scalar(tx).await?;
    Ok(format!("postgres-{}", major.unwrap_or(0)))
}

/// The table that a line of a plan scans from one end to the other; none for rows that the statement makes up
/// itself.
fn read_whole<'p>(plan: &str, line: &'p str) -> Option<&'p str> {
    let line = line.trim_start();
    let pg = line.split_once("Seq Scan on ").map(|(_, read)| read);
    let sqlite = || {
        let read = line.strip_prefix("SCAN ")?;
        let is_whole = !read.contains(" USING ") && !read.contains("CONSTANT ROW");
        let made = |made: &str| plan.contains(&format!("{made} {read}\n"));
        (is_whole && !made("CO-ROUTINE") && !made("MATERIALIZE")).then_some(read)
    };
    pg.or_else(sqlite)?.split_whitespace().next()
}

impl Query {
    /// Has the engine explain the statement if plans are being collected; returns the connection.
    pub(crate) async fn explained<'c>(&self, mut on: Connection<'c>) -> Result<Connection<'c>> {
        match &mut on {
            _ if !is_asked() => {}
            Connection::Sqlite(on) => {
                explain_sqlite(
                    on,
                    &self.sql,
                    &self.sql,
                    &arguments::<Sqlite>(self.values.clone()),
                )
                .await?;
            }
            Connection::Pg(on) => {
                explain_pg(on, &self.sql, &arguments::<Postgres>(self.values.clone())).await?
            }
        }
        Ok(on)
    }
}

/// The same for a statement with another text to show.
pub(crate) async fn explain_sqlite(
    on: &mut SqliteConnection,
    shown: &str,
    sql: &str,
    values: &SqliteArguments,
) -> Result<()> {
    if !is_asked() {
        return Ok(());
    }
    let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let steps = sqlx::query_with(sql, values.clone()).fetch_all(on).await?;
    let (mut lines, mut depths) = (Vec::new(), vec![(0i64, 0usize)]);
    for step in &steps {
        let (id, parent, what): (i64, i64, String) =
            (step.try_get(0)?, step.try_get(1)?, step.try_get(3)?);
        // The rows that an INSERT brings are not a scan.
        if what.ends_with("-ROW VALUES CLAUSE") {
            continue;
        }
        let depth = depths.iter().find(|(of, _)| *of == parent);
        let depth = depth.map_or(0, |(_, depth)| *depth);
        depths.push((id, depth + 1));
        lines.push(format!("{}{what}", "  ".repeat(depth)));
    }
    add(shown, &lines);
    Ok(())
}

/// The same for PostgreSQL.
pub(crate) async fn explain_pg(
    on: &mut PgConnection,
    sql: &str,
    values: &PgArguments,
) -> Result<()> {
    if !is_asked() {
        return Ok(());
    }
    let asked = AssertSqlSafe(format!("EXPLAIN (COSTS OFF) {sql}"));
    let lines = sqlx::query_with(asked, values.clone())
        .fetch_all(on)
        .await?;
    let lines: std::result::Result<Vec<String>, _> =
        lines.iter().map(|line| line.try_get(0)).collect();
    let lines: Vec<String> = lines?.iter().map(|line| plain(line)).collect();
    add(sql, &lines);
    Ok(())
}

fn is_asked() -> bool {
    EXPLAINED.try_with(|_| ()).is_ok()
}

fn add(sql: &str, plan: &[String]) {
    let words: Vec<&str> = sql.split_whitespace().collect();
    let mut text = words.join(" ");
    for line in plan {
        write!(text, "\n    {line}").expect("into memory");
    }
    text.push('\n');
    EXPLAINED.with(|plans| plans.borrow_mut().push(text));
}

/// A line of a plan without values and numbers of partitions: `'7'::bigint` is `?::bigint`, `users_p7` is
/// `users_pN`, `roots_2026_11` is `roots_YYYY_MM`.
fn plain(line: &str) -> String {
    let mut text = String::new();
    for (number, part) in line.split('\'').enumerate() {
        text.push_str(if number % 2 == 1 { "?" } else { part });
    }
    let digits = |rest: &str| rest.bytes().take_while(u8::is_ascii_digit).count();
    let (mut plain, mut rest) = (String::new(), text.as_str());
    while let Some((before, after)) = rest.split_once('_') {
        plain.push_str(before);
        rest = after;
        let part = rest.strip_prefix('p').map_or(0, digits);
        let month = rest
            .split_once('_')
            .map(|(year, month)| (year, digits(month)));
        if part > 0 {
            plain.push_str("_pN");
            rest = &rest[1 + part..];
        } else if let Some((year, 2)) = month
            && year.len() == 4
            && digits(year) == 4
        {
            plain.push_str("_YYYY_MM");
            rest = &rest["YYYY_MM".len()..];
        } else {
            plain.push('_');
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_left_out() {
        let check = |line, expected| assert_eq!(plain(line), expected);
        check(
            "->  Index Scan using orders_p12_pkey on orders_p12 orders",
            "->  Index Scan using orders_pN_pkey on orders_pN orders",
        );
        check(
            "Index Cond: ((user_id = '\\x01'::bytea) AND (at_us > '-7'::bigint))",
            "Index Cond: ((user_id = ?::bytea) AND (at_us > ?::bigint))",
        );
        check(
            "Index Scan Backward using roots_2026_11_pkey on roots_2026_11 roots_1",
            "Index Scan Backward using roots_YYYY_MM_pkey on roots_YYYY_MM roots_1",
        );
        check("Seq Scan on user_keys", "Seq Scan on user_keys");
    }

    #[test]
    fn a_table_that_is_read_whole_is_found() {
        let check = |line, expected: Option<&str>| {
            let plan = format!("CO-ROUTINE counted\n  SEARCH orders\n{line}\n");
            assert_eq!(read_whole(&plan, line), expected, "{line}");
        };
        check(
            "      ->  Seq Scan on orders_pN orders_1",
            Some("orders_pN"),
        );
        check("    SCAN orders", Some("orders"));
        check("    SCAN orders USING INDEX orders_by_name", None);
        check(
            "    SEARCH orders USING INDEX orders_by_name (account_id=?)",
            None,
        );
        check("    SCAN 3 CONSTANT ROWS", None);
        check("    SCAN counted", None);
        check("->  Index Scan using orders_pN_pkey on orders_pN", None);
    }
}
