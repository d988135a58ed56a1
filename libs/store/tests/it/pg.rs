//! PostgreSQL against the suite, on the server that `make test-postgres` starts.

use prepx_store::suite::{self, Opener};
use prepx_store::{
    Change, Durability, Error, Location, Migration, Monthly, Options, Pool, Result, query,
};

const NO_SERVER: &str = "PREPX_TEST_POSTGRES names a server";

/// A schema of its own in the test's database.
struct Pg {
    location: Location,
    options: Options,
}

impl Opener for Pg {
    async fn open(&self, migrations: &[Migration]) -> Result<Pool> {
        Pool::open(&self.location, &self.options, migrations).await
    }
}

fn schema(location: &Location, name: &str, durability: Durability) -> Pg {
    let options = Options {
        statement_ms_max: 500,
        ..Options::new(name, durability)
    };
    Pg {
        location: location.clone(),
        options,
    }
}

async fn keeps_the_promises(durability: Durability) {
    let location = suite::database().await.expect(NO_SERVER);
    let number = std::sync::atomic::AtomicU32::new(0);
    suite::run(|| {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        schema(&location, &format!("suite_{number}"), durability)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pg_keeps_the_promises_for_projections() {
    keeps_the_promises(Durability::Projection).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pg_keeps_the_promises_for_sources() {
    keeps_the_promises(Durability::Source).await;
}

#[tokio::test]
async fn durability_is_what_the_server_was_told() {
    let location = suite::database().await.expect(NO_SERVER);
    for (durability, expected) in [(Durability::Projection, "off"), (Durability::Source, "on")] {
        let pool = schema(&location, "user", durability).open(&[]).await;
        let pool = pool.expect("open");
        let mut tx = pool.begin().await.expect("begin");
        let found: Option<String> =
            (query("SHOW synchronous_commit").scalar(&mut tx).await).expect("show");
        assert_eq!(found.as_deref(), Some(expected));
        tx.rollback().await.expect("rollback");
        pool.sync().await.expect("sync");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_cannot_write_and_a_full_pool_says_busy() {
    let location = suite::database().await.expect(NO_SERVER);
    let mut opener = schema(&location, "full", Durability::Source);
    opener.options.readers_max = 1;
    opener.options.writers_max = 1;
    opener.options.wait_ms_max = 500;
    super::check_readers_and_bounds(opener.open(&[]).await.expect("open")).await;
}

/// A reader in a transaction of its own sees one moment, however many statements it runs.
#[tokio::test]
async fn a_reader_sees_one_moment() {
    let location = suite::database().await.expect(NO_SERVER);
    let rows = Migration {
        version: 1,
        name: "rows",
        change: Change::Expand,
        sql: "CREATE TABLE rows (id BIGINT NOT NULL PRIMARY KEY)",
    };
    let pool = schema(&location, "moment", Durability::Source)
        .open(&[rows])
        .await;
    let pool = pool.expect("open");
    let mut reader = pool.read().await.expect("read");
    let count = || query("SELECT COUNT(*) FROM rows");
    assert_eq!(
        count().scalar(&mut reader).await.expect("count"),
        Some(0i64)
    );
    let mut tx = pool.begin().await.expect("begin");
    let insert = query("INSERT INTO rows (id) VALUES ($1)").bind(1i64);
    insert.execute(&mut tx).await.expect("insert");
    tx.commit().await.expect("commit");
    assert_eq!(
        count().scalar(&mut reader).await.expect("count"),
        Some(0i64)
    );
    let mut reader = pool.read().await.expect("read");
    assert_eq!(
        count().scalar(&mut reader).await.expect("count"),
        Some(1i64)
    );
}

/// What a migration says on lines of its own for PostgreSQL is done here.
#[tokio::test]
async fn a_migration_partitions_its_tables() {
    let location = suite::database().await.expect(NO_SERVER);
    let parted = Migration {
        version: 1,
        name: "parted",
        change: Change::Expand,
        sql: "CREATE TABLE parted (id BIGINT NOT NULL PRIMARY KEY)\n--pg PARTITION BY HASH (id)\n;",
    };
    let pool = schema(&location, "parted", Durability::Source)
        .open(&[parted])
        .await
        .expect("open");
    let mut reader = pool.read().await.expect("read");
    let kind = query("SELECT relkind::text AS kind FROM pg_class WHERE relname = 'parted'");
    let kind: Option<String> = kind.scalar(&mut reader).await.expect("kind");
    assert_eq!(kind.as_deref(), Some("p"));
}

/// A lock that another holds is waited for within the limit, and the write may come again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_does_not_come_is_busy_and_leaves_a_clean_connection() {
    let location = suite::database().await.expect(NO_SERVER);
    let mut opener = schema(&location, "turns", Durability::Source);
    opener.options.wait_ms_max = 300;
    let pool = opener.open(&[]).await.expect("open");
    let held = pool.begin_of(b"1").await.expect("begin");
    let other = pool
        .begin_of(b"2")
        .await
        .expect("another key does not wait");
    for _ in 0..8 {
        let busy = pool.begin_of(b"1").await.expect_err("the key is taken");
        assert!(matches!(busy, Error::Busy), "{busy}");
    }
    other.commit().await.expect("commit");
    held.commit().await.expect("commit");
    let mut tx = pool.begin_of(b"1").await.expect("begin");
    query("SELECT 1").execute(&mut tx).await.expect("select");
    tx.commit().await.expect("commit");
}

const DAY_US: i64 = 86_400_000_000;
/// 2026-12-15, noon.
const DECEMBER_US: i64 = 1_797_336_000_000_000;
const NOTES: Monthly = Monthly {
    table: "notes",
    column: "at_us",
};
const PARTED: Migration = Migration {
    version: 1,
    name: "notes",
    change: Change::Expand,
    sql: "CREATE TABLE notes (at_us BIGINT NOT NULL, note TEXT NOT NULL, PRIMARY KEY (at_us, note))
--pg PARTITION BY RANGE (at_us)
;
--pg CREATE TABLE notes_default PARTITION OF notes DEFAULT;
",
};

/// Which partitions have which notes.
async fn notes(pool: &Pool) -> Vec<(String, String)> {
    let sql =
        "SELECT CAST(CAST(tableoid AS regclass) AS TEXT) AS part, note FROM notes ORDER BY at_us";
    let rows = query(sql)
        .fetch_all(&mut pool.read().await.expect("read"))
        .await;
    let pair = |row: &prepx_store::Row| {
        (
            row.get("part").expect("text"),
            row.get("note").expect("text"),
        )
    };
    rows.expect("select").iter().map(pair).collect()
}

async fn note(pool: &Pool, at_us: i64, note: &str) {
    let mut tx = pool.begin().await.expect("begin");
    let added = query("INSERT INTO notes (at_us, note) VALUES ($1, $2)")
        .bind(at_us)
        .bind(note);
    added.execute(&mut tx).await.expect("insert");
    tx.commit().await.expect("commit");
}

#[tokio::test]
async fn months_are_made_ahead_and_take_over_what_came_before_them() {
    let location = suite::database().await.expect(NO_SERVER);
    let opener = schema(&location, "months", Durability::Source);
    let pool = opener.open(&[PARTED]).await.expect("open");
    for (at_us, said) in [
        (DECEMBER_US, "today"),
        (DECEMBER_US - 400 * DAY_US, "before anybody made months"),
        (DECEMBER_US + 400 * DAY_US, "by a clock that was wrong"),
    ] {
        note(&pool, at_us, said).await;
    }
    let made = tokio::join!(
        pool.make_months(NOTES, DECEMBER_US, 1),
        pool.make_months(NOTES, DECEMBER_US, 1)
    );
    let mut made = [made.0.expect("one"), made.1.expect("the other")];
    made.sort();
    assert_eq!(made, [0, 2], "one of two at the same time makes them");
    // The last moment of the year, and the first of the next.
    note(&pool, 1_798_761_599_999_999, "Old year").await;
    note(&pool, 1_798_761_600_000_000, "New Year").await;
    let found = |notes: Vec<(String, String)>| -> Vec<String> {
        notes
            .into_iter()
            .map(|(part, note)| format!("{part}: {note}"))
            .collect()
    };
    let expected = [
        "notes_default: before anybody made months",
        "notes_2026_12: today",
        "notes_2026_12: Old year",
        "notes_2027_01: New Year",
        "notes_default: by a clock that was wrong",
    ];
    assert_eq!(found(notes(&pool).await), expected);
    let later = DECEMBER_US + 400 * DAY_US;
    assert_eq!(pool.make_months(NOTES, later, 0).await.expect("later"), 1);
    assert_eq!(
        found(notes(&pool).await)[4],
        "notes_2028_01: by a clock that was wrong"
    );
}
