//! What every engine behind the seam promises, as one suite that each of them must pass.
//!
//! A caller passes a function that opens the same schema each time; the suite closes, reopens and drops it to
//! simulate a crash. Each check panics with the promise that was broken. The SQL here is valid on every engine.
//!
//! Tests of services choose their engine here too: SQLite in a directory of their own, or a database of their own on
//! the server in [`SERVER`].

use std::path::Path;

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::{Change, Error, Location, Migration, Pool, Result, Source, Tx, query};

/// The variable with the URL of a server on which tests may create databases.
pub const SERVER: &str = "PREPX_TEST_POSTGRES";

/// Where a test's schemas are: in this directory, or in a new database if there is a server.
pub async fn location(directory: &Path) -> Location {
    match database().await {
        Some(location) => location,
        None => Location::Sqlite(directory.to_owned()),
    }
}

/// A new database on the server for tests, if there is one. It is deleted with the server.
pub async fn database() -> Option<Location> {
    let server = std::env::var(SERVER).ok()?;
    let Ok(Location::Pg(server)) = Location::parse(&server) else {
        panic!("{SERVER} is no URL of PostgreSQL");
    };
    let name = format!("test_{:016x}", prepx_env::Random::from_system().next_u64());
    // The first is the primary when the tests begin.
    let connecting = server.servers()[0].connect().await;
    let mut connection = connecting.expect("the server for tests");
    // The template that has no connections, so that many can be created at the same time.
    let sql = AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0"));
    let made = sqlx::raw_sql(sql).execute(&mut connection).await;
    made.expect("a new database");
    connection.close().await.expect("the server for tests");
    Some(Location::Pg(server.named(&name)))
}

/// Opens the suite's schema with these migrations; the same schema at each call.
pub trait Opener {
    /// Opens it now.
    fn open(&self, migrations: &[Migration]) -> impl Future<Output = Result<Pool>> + Send;
}

const ROWS: Migration = Migration {
    version: 1,
    name: "rows",
    change: Change::Expand,
    sql: "CREATE TABLE rows (id BIGINT NOT NULL PRIMARY KEY, amount_minor BIGINT NOT NULL,
          note TEXT, body BYTEA)",
};
const COLUMN: Migration = Migration {
    version: 2,
    name: "column",
    change: Change::Expand,
    sql: "ALTER TABLE rows ADD COLUMN extra TEXT",
};
const SOURCE: Source<'static> = Source {
    consumer: "suite",
    topic: "numbers",
    partition: 7,
};

/// Runs every check. Each needs a fresh, empty schema from `opener`.
pub async fn run<O: Opener + Sync>(fresh: impl Fn() -> O) {
    migrations_apply_once(&fresh()).await;
    history_is_not_edited(&fresh()).await;
    a_version_goes_on_under_what_only_adds(&fresh()).await;
    a_failed_migration_leaves_nothing(&fresh()).await;
    values_come_back_exactly(&fresh()).await;
    any_text_can_be_kept(&fresh()).await;
    writers_take_turns(&fresh()).await;
    writers_of_one_key_take_turns(&fresh()).await;
    rows_and_position_commit_together(&fresh()).await;
    a_dropped_write_leaves_nothing(&fresh()).await;
    what_was_committed_survives_a_crash(&fresh()).await;
    a_repeated_key_is_a_conflict(&fresh()).await;
    a_runaway_statement_is_stopped(&fresh()).await;
}

/// Applying the same migrations again, also twice at the same time, changes nothing.
async fn migrations_apply_once(opener: &impl Opener) {
    let (one, two) = tokio::join!(opener.open(&[ROWS]), opener.open(&[ROWS]));
    let (one, two) = (
        one.expect("first of two starts"),
        two.expect("second of two starts"),
    );
    insert(&one, &[1]).await;
    let grown = opener
        .open(&[ROWS, COLUMN])
        .await
        .expect("a longer history");
    assert_eq!(count(&grown).await, 1, "rows outlive a migration");
    assert_eq!(count(&two).await, 1);
}

/// A changed migration is refused, whatever came after it.
async fn history_is_not_edited(opener: &impl Opener) {
    opener
        .open(&[ROWS, COLUMN])
        .await
        .expect("open")
        .close()
        .await;
    let edited = Migration {
        sql: "CREATE TABLE rows (id BIGINT)",
        ..ROWS
    };
    for history in [&[edited, COLUMN][..], &[edited]] {
        let changed = opener.open(history).await;
        assert!(
            matches!(changed, Err(Error::MigrationChanged { version: 1, .. })),
            "{changed:?}"
        );
    }
}

/// A binary of the version before reads and writes a schema that has only been added to since, beside the newer one and
/// alone; one that takes something away is refused to all who do not know it.
async fn a_version_goes_on_under_what_only_adds(opener: &impl Opener) {
    let former = opener.open(&[ROWS]).await.expect("open");
    let newer = opener.open(&[ROWS, COLUMN]).await.expect("a newer binary");
    insert(&former, &[1]).await;
    newer.close().await;
    former.close().await;
    let back = opener.open(&[ROWS]).await.expect("it comes back");
    insert(&back, &[2]).await;
    assert_eq!(count(&back).await, 2);
    back.close().await;
    let contracted = Migration {
        version: 3,
        name: "contracted",
        change: Change::Contract,
        sql: "ALTER TABLE rows DROP COLUMN extra",
    };
    let newest = [ROWS, COLUMN, contracted];
    let newest = opener.open(&newest).await.expect("the newest binary");
    assert_eq!(count(&newest).await, 2);
    newest.close().await;
    for known in [1, 2] {
        let refused = opener.open(&[ROWS, COLUMN][..known]).await;
        let Err(Error::Newer {
            found: 3,
            known: told,
            contract: 3,
        }) = refused
        else {
            panic!("{refused:?}");
        };
        assert_eq!(told as usize, known);
    }
}

/// When one of several fails, none of them has happened, and a repaired one can be applied.
async fn a_failed_migration_leaves_nothing(opener: &impl Opener) {
    let broken = Migration {
        change: Change::Contract,
        sql: "CREATE TABLE other (id BIGINT); CREATE TABEL x",
        ..COLUMN
    };
    let failed = opener.open(&[ROWS, broken]).await;
    assert!(
        matches!(failed, Err(Error::Migration { version: 2, .. })),
        "{failed:?}"
    );
    let pool = opener
        .open(&[ROWS, COLUMN])
        .await
        .expect("the repaired history");
    assert_eq!(count(&pool).await, 0);
}

/// 64-bit integers, text, bytes and NULL are not changed by the engine.
async fn values_come_back_exactly(opener: &impl Opener) {
    let pool = opener.open(&[ROWS]).await.expect("open");
    let rows = [
        (
            1i64,
            i64::MAX,
            Some("Grüße, 世界".to_owned()),
            Some(vec![0u8, 255, 0]),
        ),
        (2, i64::MIN, Some(String::new()), Some(vec![])),
        (3, 0, None, None),
    ];
    let mut tx = begin(&pool).await;
    let into = "INSERT INTO rows (id, amount_minor, note, body)";
    tx.insert_rows(into, 4, "", &rows, |row, out| {
        out.push(row.0)
            .push(row.1)
            .push(row.2.clone())
            .push(row.3.clone());
    })
    .await
    .expect("insert");
    tx.commit().await.expect("commit");
    let back = query("SELECT id, amount_minor, note, body FROM rows ORDER BY id");
    let back = back.fetch_all(&mut pool.read().await.expect("read")).await;
    let back = back.expect("select");
    let back: Result<Vec<_>> = (back.iter())
        .map(|row| {
            Ok((
                row.get("id")?,
                row.get("amount_minor")?,
                row.get("note")?,
                row.get("body")?,
            ))
        })
        .collect();
    assert_eq!(back.expect("columns"), rows);
}

/// Text from outside may have a character that not every engine can keep: what stands for it is kept, and
/// found by the same text.
async fn any_text_can_be_kept(opener: &impl Opener) {
    let pool = opener.open(&[ROWS]).await.expect("open");
    let text = "a\0b";
    let mut tx = begin(&pool).await;
    let into = "INSERT INTO rows (id, amount_minor, note)";
    tx.insert_rows(into, 3, "", &[1i64, 2], |id, out| {
        out.push(*id).push(0i64).push(text);
    })
    .await
    .expect("insert");
    tx.commit().await.expect("commit");
    let found = query("SELECT note FROM rows WHERE note = $1 ORDER BY id").bind(text);
    let found = found.fetch_all(&mut pool.read().await.expect("read")).await;
    let found = found.expect("select");
    let notes = found
        .iter()
        .map(|row| row.get::<String>("note").expect("a column"));
    assert_eq!(notes.collect::<Vec<_>>(), ["a\u{fffd}b", "a\u{fffd}b"]);
}

/// Read-then-write from many tasks at once loses no update, and bulk inserts keep every row.
async fn writers_take_turns(opener: &impl Opener) {
    let pool = opener.open(&[ROWS]).await.expect("open");
    insert(&pool, &[1]).await;
    count_up(&pool, [None; 16]).await;
    let counted = scalar(&pool, "SELECT amount_minor FROM rows").await;
    assert_eq!(counted, 160, "an update was lost");
    insert(&pool, &(2..=10_000).collect::<Vec<_>>()).await;
    assert_eq!(count(&pool).await, 10_000);
}

/// The same among those of one key; who takes turns with all takes turns with them.
async fn writers_of_one_key_take_turns(opener: &impl Opener) {
    let pool = opener.open(&[ROWS]).await.expect("open");
    insert(&pool, &[1]).await;
    count_up(&pool, [Some("key"), Some("key"), None, Some("key")]).await;
    let counted = scalar(&pool, "SELECT amount_minor FROM rows").await;
    assert_eq!(counted, 40, "an update was lost");
}

/// Counts the only row up by ten in a task for each turn.
async fn count_up<const N: usize>(pool: &Pool, turns: [Option<&'static str>; N]) {
    let tasks = turns.map(|turn| {
        let pool = pool.clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                let tx = match turn {
                    None => pool.begin().await,
                    Some(key) => pool.begin_of(key.as_bytes()).await,
                };
                let mut tx = tx.expect("begin");
                let read = query("SELECT amount_minor FROM rows").scalar(&mut tx).await;
                let read: i64 = read.expect("select").expect("a row");
                tokio::task::yield_now().await;
                let more = query("UPDATE rows SET amount_minor = $1").bind(read + 1);
                more.execute(&mut tx).await.expect("update");
                tx.commit().await.expect("commit");
            }
        })
    });
    for task in tasks {
        task.await.expect("a writer");
    }
}

/// I2: a consumer's rows and position are one; repeats are skipped, a gap stops it.
async fn rows_and_position_commit_together(opener: &impl Opener) {
    let pool = opener.open(&[ROWS]).await.expect("open");
    assert_eq!(apply(&pool, 1..=5, true).await, Ok(5));
    assert_eq!(apply(&pool, 4..=8, false).await, Ok(3));
    assert_eq!(
        (count(&pool).await, position(&pool).await),
        (5, 5),
        "neither without the commit"
    );
    assert_eq!(apply(&pool, 4..=8, true).await, Ok(3));
    assert_eq!(apply(&pool, 2..=6, true).await, Ok(0), "a repeat");
    assert_eq!((count(&pool).await, position(&pool).await), (8, 8));
    assert_eq!(apply(&pool, 10..=11, true).await, Err((9, 10)));
    assert_eq!(
        (count(&pool).await, position(&pool).await),
        (8, 8),
        "a gap applies nothing"
    );
}

/// A write that ends without commit, by error or by being dropped, leaves nothing and no lock.
async fn a_dropped_write_leaves_nothing(opener: &impl Opener) {
    let pool = opener.open(&[ROWS]).await.expect("open");
    for _ in 0..3 {
        let mut tx = begin(&pool).await;
        let sql = "INSERT INTO rows (id, amount_minor) VALUES (1, 1)";
        query(sql).execute(&mut tx).await.expect("insert");
        drop(tx);
        assert_eq!(count(&pool).await, 0);
    }
    insert(&pool, &[1]).await;
    assert_eq!(count(&pool).await, 1);
}

/// After the process is gone without a close, everything committed is there and nothing else.
async fn what_was_committed_survives_a_crash(opener: &impl Opener) {
    let pool = opener.open(&[ROWS]).await.expect("open");
    assert_eq!(apply(&pool, 1..=100, true).await, Ok(100));
    let mut open_write = begin(&pool).await;
    let delete = query("DELETE FROM rows").execute(&mut open_write).await;
    delete.expect("delete");
    drop(open_write);
    drop(pool);
    let pool = opener.open(&[ROWS]).await.expect("reopen");
    assert_eq!((count(&pool).await, position(&pool).await), (100, 100));
}

/// A unique constraint answers with a conflict that no retry would cure.
async fn a_repeated_key_is_a_conflict(opener: &impl Opener) {
    let pool = opener.open(&[ROWS]).await.expect("open");
    insert(&pool, &[1]).await;
    let mut tx = begin(&pool).await;
    let sql = "INSERT INTO rows (id, amount_minor) VALUES (1, 1)";
    let repeated = query(sql).execute(&mut tx).await;
    let error = repeated.expect_err("a repeated key");
    assert!(matches!(error, Error::Conflict(_)), "{error:?}");
    assert!(!error.is_retryable());
}

/// A statement that never ends is stopped at the schema's limit and the reader serves again.
async fn a_runaway_statement_is_stopped(opener: &impl Opener) {
    let pool = opener.open(&[ROWS]).await.expect("open");
    let sql =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    let mut reader = pool.read().await.expect("read");
    let ended = query(sql).fetch_one(&mut reader).await;
    let error = ended.expect_err("an endless statement");
    assert!(matches!(error, Error::Timeout), "{error:?}");
    drop(reader);
    assert_eq!(count(&pool).await, 0);
}

async fn begin(pool: &Pool) -> Tx {
    pool.begin().await.expect("begin")
}

async fn insert(pool: &Pool, ids: &[i64]) {
    let mut tx = begin(pool).await;
    insert_ids(&mut tx, ids).await;
    tx.commit().await.expect("commit");
}

async fn insert_ids(tx: &mut Tx, ids: &[i64]) {
    tx.insert_rows(
        "INSERT INTO rows (id, amount_minor)",
        2,
        "",
        ids,
        |id, row| {
            row.push(*id).push(0i64);
        },
    )
    .await
    .expect("insert");
}

/// Applies numbered records; how many were fresh, or what was expected and found at a gap.
async fn apply(
    pool: &Pool,
    records: std::ops::RangeInclusive<u64>,
    commit: bool,
) -> std::result::Result<usize, (u64, u64)> {
    let mut tx = begin(pool).await;
    let skip = match tx.advance(&SOURCE, *records.start(), *records.end()).await {
        Ok(skip) => skip,
        Err(Error::Gap { gap, .. }) => return Err((gap.expected, gap.found)),
        Err(error) => panic!("{error}"),
    };
    let fresh: Vec<i64> = records.skip(skip).map(|id| id as i64).collect();
    insert_ids(&mut tx, &fresh).await;
    if commit {
        tx.commit().await.expect("commit");
    }
    Ok(fresh.len())
}

async fn scalar(pool: &Pool, sql: &'static str) -> i64 {
    let mut reader = pool.read().await.expect("read");
    let value = query(sql).scalar(&mut reader).await;
    value.expect("select").expect("a row")
}

async fn count(pool: &Pool) -> i64 {
    scalar(pool, "SELECT count(*) FROM rows").await
}

async fn position(pool: &Pool) -> u64 {
    pool.position(&SOURCE).await.expect("position")
}
