//! What simulated accounts did gives way when the books are beyond their bound.

use std::path::Path;

use sqlx::{Connection as _, SqliteConnection};

use super::*;

const BYTES_MAX: u64 = 1 << 20;
const MESSAGES: u64 = 12_000;
const RECORD: u64 = 500;
/// Every so many messages one is of the real account.
const REAL_EVERY: u64 = 20;

fn bot() -> AccountId {
    AccountId::next(slot(), at(7), None)
}

/// The message with this number: the first opens the simulated account, later ones pay in.
fn message(number: u64) -> AccountUpdate {
    let paid = deposit(number as i64, 1);
    if number == 1 {
        return AccountUpdate {
            account: bot(),
            change: Change::Opened {
                user: Uuid::from_u128(1),
                simulated: true,
            },
            postings: Vec::new(),
            ..paid
        };
    }
    if number.is_multiple_of(REAL_EVERY) {
        return paid;
    }
    AccountUpdate {
        account: bot(),
        postings: vec![
            posting(Book::Outside, usd(), -ONE),
            posting(Book::Available(bot()), usd(), ONE),
        ],
        ..paid
    }
}

async fn count(directory: &Path, table: &'static str, account: AccountId) -> i64 {
    let url = format!("sqlite:{}", directory.join("portfolio.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let sql = match table {
        "activities" => "SELECT COUNT(*) FROM activities WHERE account_id = $1",
        _ => "SELECT COUNT(*) FROM postings WHERE account_id = $1",
    };
    let rows = sqlx::query_scalar(sql).bind(account.raw());
    rows.fetch_one(&mut connection).await.unwrap()
}

fn size(directory: &Path) -> u64 {
    let files = std::fs::read_dir(directory).unwrap();
    let size = |file: std::io::Result<std::fs::DirEntry>| file.unwrap().metadata().unwrap().len();
    files.map(size).sum()
}

#[tokio::test]
async fn i3_i6_the_simulated_are_compacted_and_the_real_lose_nothing() {
    let (world, bounded) = (World::in_files(), tempfile::tempdir().unwrap());
    let layout = Location::Sqlite(bounded.path().to_owned()).into();
    let whole = world.ledger().await;
    let mut biggest = 0;
    for first in (1..=MESSAGES).step_by(RECORD as usize) {
        let messages: Vec<AccountUpdate> = (first..first + RECORD).map(message).collect();
        world.tell(first, &messages);
        world.catch_up(&whole).await.unwrap();
        // A process a record: what it leaves behind is enough for the next.
        let ledger = Ledger::open_within(&layout, Some(BYTES_MAX)).await.unwrap();
        world.catch_up(&ledger).await.unwrap();
        assert_eq!(ledger.balance().await.unwrap().0, None, "I3");
        ledger.close().await;
        biggest = biggest.max(size(bounded.path()));
    }
    let ledger = Ledger::open_within(&layout, Some(BYTES_MAX)).await.unwrap();
    let everything = [MESSAGES, 0];
    assert_eq!(
        ledger.sums(&everything).await.unwrap(),
        whole.sums(&everything).await.unwrap(),
        "I6"
    );
    let whole_bytes = size(world.sql.path());
    assert!(
        biggest <= BYTES_MAX + BYTES_MAX / 4 && whole_bytes > 2 * BYTES_MAX,
        "{biggest} bytes, {whole_bytes} without a bound"
    );
    let real = (MESSAGES / REAL_EVERY) as i64;
    for table in ["activities", "postings"] {
        assert_eq!(
            count(bounded.path(), table, account()).await,
            real,
            "{table}"
        );
        let left = count(bounded.path(), table, bot()).await;
        assert!(
            (1..9_000).contains(&left),
            "{left} {table} of the simulated account"
        );
    }
}
