//! The engines against the suite of the seam, and what only one of them can be asked.

#[cfg(feature = "postgres-tests")]
mod pg;
#[cfg(feature = "postgres-tests")]
mod replicas;
#[cfg(feature = "postgres-tests")]
mod tls;

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusBuilder;
use prepx_store::suite::Opener;
use prepx_store::{
    Durability, Error, Location, Migration, Monthly, Options, Pool, Reader, Result, Tx, query,
    suite,
};
use tempfile::TempDir;

struct Sqlite {
    directory: TempDir,
    options: Options,
}

fn sqlite(durability: Durability) -> Sqlite {
    let directory = TempDir::new().expect("a temporary directory");
    let options = Options {
        statement_ms_max: 500,
        ..Options::new("suite", durability)
    };
    Sqlite { directory, options }
}

impl Opener for Sqlite {
    async fn open(&self, migrations: &[Migration]) -> Result<Pool> {
        let location = Location::Sqlite(self.directory.path().to_owned());
        Pool::open(&location, &self.options, migrations).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_promises_for_projections() {
    suite::run(|| sqlite(Durability::Projection)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_promises_for_sources() {
    suite::run(|| sqlite(Durability::Source)).await;
}

#[tokio::test]
async fn durability_is_what_the_engine_was_told() {
    for (durability, synchronous) in [(Durability::Projection, 1), (Durability::Source, 2)] {
        let opener = sqlite(durability);
        let pool = opener.open(&[]).await.expect("open");
        let mut tx = pool.begin().await.expect("begin");
        let found: Option<i64> =
            (query("PRAGMA synchronous").scalar(&mut tx).await).expect("pragma");
        assert_eq!(found, Some(synchronous));
        let mode: Option<String> =
            (query("PRAGMA journal_mode").scalar(&mut tx).await).expect("pragma");
        assert_eq!(mode.as_deref(), Some("wal"));
    }
}

/// SQLite itself lets one of two that make a file go on, and refuses the other at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_file_is_opened_by_many_at_the_same_time() {
    let opener = Arc::new(sqlite(Durability::Projection));
    let opens: Vec<_> = (0..16)
        .map(|_| {
            let opener = Arc::clone(&opener);
            tokio::spawn(async move { opener.open(&[]).await.map(drop) })
        })
        .collect();
    for open in opens {
        open.await.expect("no panic").expect("one of many starts");
    }
}

#[tokio::test]
async fn a_reader_cannot_write_and_a_full_pool_says_busy() {
    let mut opener = sqlite(Durability::Source);
    opener.options.readers_max = 1;
    opener.options.wait_ms_max = 2_000;
    check_readers_and_bounds(opener.open(&[]).await.expect("open")).await;
}

/// On a pool of one reader and one writer.
async fn check_readers_and_bounds(pool: Pool) {
    let mut reader = pool.read().await.expect("read");
    let write = query("CREATE TABLE x (i BIGINT)");
    assert!(write.execute(&mut reader).await.is_err());
    let second: Result<Reader> = pool.read().await;
    let busy = second.expect_err("one reader");
    assert!(busy.is_retryable(), "{busy}");
    let _held = pool.begin().await.expect("begin");
    let second: Result<Tx> = pool.begin().await;
    let busy = second.expect_err("one writer");
    assert!(busy.is_retryable(), "{busy}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let opener = sqlite(Durability::Source);
    std::fs::write(opener.directory.path().join("suite.db"), [7u8; 4096]).expect("write");
    let opened = opener.open(&[]).await;
    assert!(matches!(opened, Err(Error::Corrupt(_))), "{opened:?}");
    let said = opened.expect_err("damaged").to_string();
    let path = opener.directory.path().join("suite.db");
    assert!(said.contains(&path.display().to_string()), "{said}");
    let checked = prepx_store::sqlite::check(&path).await;
    assert!(matches!(checked, Err(Error::Corrupt(_))), "{checked:?}");
}

#[tokio::test]
async fn a_schema_name_cannot_leave_its_directory() {
    let mut opener = sqlite(Durability::Source);
    opener.options.schema = "../other".to_owned();
    assert!(matches!(opener.open(&[]).await, Err(Error::Schema(_))));
}

/// SQLite ends a transaction by itself when the disk is full. What counts transactions above it does
/// not hear of that.
#[tokio::test]
async fn the_writer_goes_on_when_a_full_disk_has_room_again() {
    let mut opener = sqlite(Durability::Projection);
    opener.options.statement_ms_max = 5_000;
    let pool = opener.open(&[]).await.expect("open");
    let fill = "CREATE TABLE blob (bytes BLOB) STRICT;
         PRAGMA max_page_count = 100;
         INSERT INTO blob VALUES (randomblob(1000000));";
    let mut tx = pool.begin().await.expect("begin");
    let full = sqlx::raw_sql(fill).execute(file(&mut tx)).await;
    let full = Error::from(full.expect_err("no room"));
    assert!(matches!(full, Error::Full), "{full:?}");
    drop(tx);
    let mut tx = pool.begin().await.expect("the connection serves again");
    let room = "PRAGMA max_page_count = 10000; CREATE TABLE later (id INTEGER) STRICT;";
    let made = sqlx::raw_sql(room).execute(file(&mut tx)).await;
    made.expect("room");
    tx.commit().await.expect("commit");
}

fn file(tx: &mut Tx) -> &mut sqlx::SqliteConnection {
    match tx {
        Tx::Sqlite(tx) => tx,
        Tx::Pg(_) => panic!("these tests run on files"),
    }
}

#[tokio::test]
async fn a_sync_does_not_wait_for_readers() {
    let opener = sqlite(Durability::Projection);
    let pool = opener.open(&[]).await.expect("open");
    pool.sync().await.expect("before anything is written");
    let mut reader = pool.read().await.expect("read");
    for view in ["BEGIN", "SELECT count(*) FROM positions"] {
        let view = query(view).execute(&mut reader).await;
        view.expect("a view that stays");
    }
    let mut tx = pool.begin().await.expect("begin");
    let made = query("CREATE TABLE later (id INTEGER) STRICT").execute(&mut tx);
    made.await.expect("written behind the reader's view");
    tx.commit().await.expect("commit");
    pool.sync().await.expect("the reader is in no way");
}

#[tokio::test]
async fn a_file_has_no_months() {
    let pool = sqlite(Durability::Source).open(&[]).await.expect("open");
    let of = Monthly {
        table: "notes",
        column: "at_us",
    };
    assert_eq!(pool.make_months(of, 0, 3).await.expect("nothing"), 0);
}

#[tokio::test]
async fn the_use_of_a_connection_is_told_when_it_is_over() {
    let told = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&told);
    let uses = |pool: &str, count: u32| {
        let line =
            format!("prepx_store_use_seconds_count{{schema=\"suite\",pool=\"{pool}\"}} {count}\n");
        let page = told.handle().render();
        assert!(page.contains(&line), "no {line} in {page}");
    };
    let opener = sqlite(Durability::Projection);
    let pool = opener.open(&[]).await.expect("open");
    uses("writers", 1);
    let reader = pool.read().await.expect("read");
    let tx = pool.begin().await.expect("begin");
    uses("writers", 1);
    tx.commit().await.expect("commit");
    uses("writers", 2);
    drop(reader);
    uses("readers", 1);
    drop(pool.begin().await.expect("begin"));
    uses("writers", 3);
}
