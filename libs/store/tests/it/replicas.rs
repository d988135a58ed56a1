//! A primary with a replica: who is which is found out, a replica is read from only when it has what
//! must be seen, and when it is promoted whoever writes follows.

use std::fmt::Display;
use std::process::Command;
use std::time::Duration;

use prepx_store::suite;
use prepx_store::{
    Change, Durability, Error, Location, Migration, Options, Pool, Reader, Seen, Source, query,
};
use sqlx::{ConnectOptions as _, PgConnection, postgres::PgConnectOptions};
use tokio::time::Instant;

const NO_REPLICA: &str = "PREPX_TEST_POSTGRES names a primary and its replica";
/// On machines that are busy with other things.
const DEADLINE: Duration = Duration::from_secs(60);
const ROWS: Migration = Migration {
    version: 1,
    name: "rows",
    change: Change::Expand,
    sql: "CREATE TABLE rows (number BIGINT NOT NULL PRIMARY KEY)",
};
const NUMBERS: Source<'static> = Source {
    consumer: "follower",
    topic: "numbers",
    partition: 0,
};

struct Database {
    pool: Pool,
    location: Location,
}

impl Database {
    async fn open(schema: &str) -> Database {
        let location = suite::database().await.expect(NO_REPLICA);
        let options = Options::new(schema, Durability::Projection);
        let pool = Pool::open(&location, &options, &[ROWS]).await;
        let pool = pool.expect("the primary is found");
        Database { pool, location }
    }

    /// A connection of the test's own to the replica.
    async fn replica(&self) -> PgConnection {
        let Location::Pg(database) = &self.location else {
            panic!("{NO_REPLICA}");
        };
        let shown = database.to_string();
        let replica = shown.find('@').zip(shown.find(',')).expect(NO_REPLICA);
        let url = format!("{}{}", &shown[..=replica.0], &shown[replica.1 + 1..]);
        let connect: PgConnectOptions = url.parse().expect("a URL");
        connect.connect().await.expect("the replica")
    }

    /// Applies the next number as a consumer does.
    async fn apply(&self, number: u64) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        if tx.advance(&NUMBERS, number, number).await? == 0 {
            let row = query("INSERT INTO rows (number) VALUES ($1)").bind(number as i64);
            row.execute(&mut tx).await?;
        }
        tx.commit().await
    }

    /// Of a read that must see everything up to a number: whether a replica served it, and how many
    /// rows there were.
    async fn read_past(&self, number: u64) -> Result<(bool, i64), Error> {
        let seen: Seen = (NUMBERS, number);
        let mut reader = self.pool.read_past(&[seen]).await?;
        Ok((
            is_replica(&mut reader).await?,
            query("SELECT COUNT(*) FROM rows")
                .scalar(&mut reader)
                .await?
                .expect("a count"),
        ))
    }

    /// Reads until a replica serves it.
    async fn until_replica(&self, number: u64) -> i64 {
        let mut found = None;
        until("a replica is read from", async || {
            found = self.read_past(number).await.ok();
            found
                .filter(|(is_replica, _)| *is_replica)
                .ok_or(format!("{found:?}"))
        })
        .await
        .1
    }
}

async fn is_replica(reader: &mut Reader) -> Result<bool, Error> {
    let asked = query("SELECT CAST(CAST(pg_is_in_recovery() AS INT) AS BIGINT)");
    Ok(asked.scalar(reader).await? == Some(1i64))
}

/// What comes of it as soon as it succeeds; panics with why not when it does not in time.
async fn until<T, E: Display>(what: &str, mut tried: impl AsyncFnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match tried().await {
            Ok(done) => return done,
            Err(why) if Instant::now() > deadline => panic!("{what}: {why}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn run(on: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(on).await.expect(sql);
}

/// The proof against a replica that really lags: its replay is paused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_is_never_older_than_what_it_must_see() {
    let database = Database::open("lagging").await;
    database.apply(1).await.expect("a number");
    assert_eq!(database.until_replica(1).await, 1);
    let mut replica = database.replica().await;
    run(&mut replica, "SELECT pg_wal_replay_pause()").await;
    until("the replay pauses", async || {
        let state = sqlx::query_scalar("SELECT pg_get_wal_replay_pause_state()");
        let state: String = state.fetch_one(&mut replica).await.expect("a state");
        if state == "paused" {
            Ok(())
        } else {
            Err(state)
        }
    })
    .await;
    for number in 2..=5 {
        database.apply(number).await.expect("a number");
        let found = database.read_past(number).await.expect("read");
        assert_eq!(found, (false, number as i64), "only the primary has it");
    }
    let old = database.until_replica(1).await;
    assert_eq!(
        old, 1,
        "who needs no more is served by the replica, and it does lag"
    );
    run(&mut replica, "SELECT pg_wal_replay_resume()").await;
    assert_eq!(database.until_replica(5).await, 5);
    let beyond = database.read_past(6).await.expect_err("nobody has it");
    assert!(
        matches!(beyond, Error::Behind) && beyond.is_retryable(),
        "{beyond}"
    );
}

/// Run alone: it kills the primary, and what is left has no replica.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promotion_is_followed_without_a_restart() {
    let database = Database::open("promoted").await;
    for number in 1..=3 {
        database.apply(number).await.expect("a number");
    }
    assert_eq!(database.until_replica(3).await, 3);
    let mut under_way = database.pool.begin().await.expect("begin");
    let row = "INSERT INTO rows (number) VALUES (100)";
    query(row).execute(&mut under_way).await.expect("insert");

    let primary = std::env::var("PREPX_TEST_POSTGRES_PRIMARY").expect(NO_REPLICA);
    let killed = Command::new("kill").args(["-9", &primary]).status();
    assert!(killed.expect("kill").success(), "the primary is killed");
    // Its own process lives on until it notices.
    let cut = until("the server hangs up", async || {
        match query("SELECT 1").execute(&mut under_way).await {
            Ok(_) => Err("it answers"),
            Err(cut) => Ok(cut),
        }
    })
    .await;
    assert!(cut.is_retryable(), "{cut:?}");
    let nobody = database.apply(4).await.expect_err("nobody is the primary");
    assert!(nobody.is_retryable(), "{nobody:?}");

    run(&mut database.replica().await, "SELECT pg_promote()").await;
    let number = until("the new primary takes writes", async || {
        let next = database.pool.position(&NUMBERS).await.map_err(shown)? + 1;
        database.apply(next).await.map_err(shown).map(|()| next)
    })
    .await;
    assert_eq!(number, 4, "it goes on where the replica was");
    let found = database.read_past(4).await.expect("read");
    assert_eq!(found, (false, 4), "what was under way is not there");
}

/// An error that a retry can cure.
fn shown(error: Error) -> String {
    assert!(error.is_retryable(), "{error:?}");
    error.to_string()
}
