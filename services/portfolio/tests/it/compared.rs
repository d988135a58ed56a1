//! Rows of the tables that are not what was told are found: altered, removed or added, in each table.

use prepx_portfolio::audit::{Compared, Counts};
use prepx_stage::port::LoggedUpdates;
use prepx_store::{Durability, Migration, Options, Pool, query};

use super::*;

const BOOKS: &[Migration] = &[Migration {
    version: 1,
    name: "books",
    change: prepx_store::Change::Expand,
    sql: include_str!("../../migrations/ledger/0001_books.sql"),
}];
const TRANSFERS: &[Migration] = &[Migration {
    version: 1,
    name: "transfers",
    change: prepx_store::Change::Expand,
    sql: include_str!("../../migrations/0001_transfers.sql"),
}];

fn opened(simulated: bool) -> AccountUpdate {
    AccountUpdate {
        change: Change::Opened {
            user: Uuid::from_u128(1),
            simulated,
        },
        postings: Vec::new(),
        ..deposit(0, 1)
    }
}

/// Deposits on two days, an order that traded and ended, one that was asked to be replaced when it ended, and one that
/// lives.
fn tell_all(world: &World) {
    world.tell(1, &[opened(false), deposit(1, 1_000)]);
    world.tell(3, &trade(10));
    // A repeat adds nothing (I2).
    world.tell(3, &trade(10));
    let mut refused = trade(20);
    let replacement = OrderId::next(slot(), at(21), None);
    for update in &mut refused[1..] {
        let Change::Order { order, .. } = &mut update.change else {
            panic!("orders only");
        };
        order.replaced_by = Some(replacement);
    }
    let mut ended = refused[2].clone();
    if let Change::Order { order, .. } = &mut ended.change {
        (order.replaced_by, order.updated_at) = (None, at(23));
    }
    ended.postings = Vec::new();
    refused.push(ended);
    world.tell(6, &refused);
    let placed = trade(DAY_MS + 10).remove(0);
    world.tell(10, &[deposit(DAY_MS, 7), placed]);
}

async fn pool(world: &World, schema: &str, migrations: &[Migration]) -> Pool {
    let options = Options::new(schema, Durability::Projection);
    let opened = Pool::open(&world.location, &options, migrations).await;
    opened.unwrap()
}

/// Writes what portfolio remembers of a deposit.
async fn remember(world: &World, ms: i64, amount: i64, settled: i64) {
    let pool = pool(world, "transfers", TRANSFERS).await;
    let mut tx = pool.begin().await.unwrap();
    let row = query(
        "INSERT INTO transfers (account_id, idempotency_key, command_id, stamped_at_us, direction,
         asset, amount_minor, settled) VALUES ($1, $2, $3, $4, 1, 'USD', $5, $6)",
    );
    let row = row.bind(account().raw()).bind(format!("payday {ms}"));
    let row = row.bind(Uuid::from_u128(ms as u128).as_bytes().as_slice());
    let row = row.bind(at(ms).0).bind(amount * ONE).bind(settled);
    row.execute(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    pool.close().await;
}

/// Changes one row.
async fn change(world: &World, sql: &'static str) {
    let pool = match sql.contains("transfers") {
        true => pool(world, "transfers", TRANSFERS).await,
        false => pool(world, "portfolio", BOOKS).await,
    };
    let mut tx = pool.begin().await.unwrap();
    assert_eq!(query(sql).execute(&mut tx).await.unwrap(), 1, "{sql}");
    tx.commit().await.unwrap();
    pool.close().await;
}

impl World {
    /// The tables and the log.
    pub async fn compared(&self, ledger: &Ledger) -> Compared {
        let updates = LoggedUpdates {
            log: self.log.clone(),
            topology: TOPOLOGY,
        };
        let (ledger, partitions) = (ledger.clone(), TOPOLOGY.account_partitions);
        let opened = prepx_portfolio::compared(&self.layout, ledger, Arc::new(updates), partitions);
        opened.await.unwrap()
    }
}

async fn compare(world: &World, ledger: &Ledger) -> Result<Counts, String> {
    let compared = world.compared(ledger).await;
    let found = compared.compare().await.unwrap();
    compared.transfers.close().await;
    found
}

/// A world whose books are right.
async fn right() -> (World, Ledger) {
    let world = World::new().await;
    tell_all(&world);
    for (ms, amount, settled) in [(1, 1_000, 1), (DAY_MS, 7, 0)] {
        remember(&world, ms, amount, settled).await;
    }
    let ledger = world.ledger().await;
    world.catch_up(&ledger).await.unwrap();
    (world, ledger)
}

#[tokio::test]
async fn what_was_told_is_what_the_tables_have() {
    let (world, ledger) = right().await;
    // Two transfers, three orders, two payments, two fills with their fees, and of two days two assets and one.
    let found = compare(&world, &ledger).await.unwrap();
    assert_eq!((found.compared, found.beyond), (2 + 3 + 6 + 3, 0));
    // What nobody has decided yet is asked for, and no more.
    remember(&world, 77, 1, 0).await;
    let found = compare(&world, &ledger).await.unwrap();
    assert_eq!((found.compared, found.beyond), (2 + 3 + 6 + 3, 1));
    // After a restart, and with what has come since.
    ledger.close().await;
    let ledger = world.ledger().await;
    assert_eq!(compare(&world, &ledger).await.unwrap(), found);
    world.tell(12, &trade(DAY_MS + 30));
    let behind = compare(&world, &ledger).await.unwrap();
    assert_eq!(behind, found, "up to where the books have come");
    world.catch_up(&ledger).await.unwrap();
    let found = compare(&world, &ledger).await.unwrap();
    // An order, its fill and fee more, and of the second day one asset more.
    assert_eq!((found.compared, found.beyond), (2 + 4 + 8 + 4, 1));
}

/// A change of one row, and what is said of it.
const CHANGES: [(&str, &str); 21] = [
    (
        "UPDATE orders SET client_order_id = 'other' WHERE client_order_id = 'order-10'",
        "the log says client_order_id order-10, the table other",
    ),
    (
        "UPDATE orders SET final = 0 WHERE client_order_id = 'order-20'",
        "the log says final 1, the table 0",
    ),
    (
        "UPDATE orders SET view = (SELECT view FROM orders WHERE client_order_id = 'order-10')
         WHERE client_order_id = 'order-20'",
        "the log says view OrderView",
    ),
    (
        "UPDATE orders SET created_at_us = created_at_us + 1 WHERE client_order_id = 'order-10'",
        "the log says created_at_us ",
    ),
    (
        "DELETE FROM orders WHERE client_order_id = 'order-10'",
        "the table has none such, the log says client_order_id order-10",
    ),
    (
        "INSERT INTO orders (account_id, order_id, client_order_id, symbol, side, final,
         created_at_us, view) SELECT account_id, order_id + 1, 'added', symbol, side, final,
         created_at_us, view FROM orders WHERE client_order_id = 'order-10'",
        "the log has none such, the table has client_order_id added",
    ),
    (
        "UPDATE activities SET at_us = at_us + 1 WHERE number = 2",
        "table activities",
    ),
    (
        "UPDATE activities SET type = 3 WHERE number = 2",
        "table activities",
    ),
    (
        "UPDATE activities SET change = (SELECT change FROM activities WHERE number = 10)
         WHERE number = 2",
        "the log says change AccountUpdate",
    ),
    (
        "DELETE FROM activities WHERE number = 4 AND type = 1",
        "the table has none such, the log says change AccountUpdate",
    ),
    (
        "INSERT INTO activities (account_id, at_us, source_partition, number, type, change)
         SELECT account_id, at_us, source_partition, number + 1000, type, change FROM activities
         WHERE number = 4 AND type = 1",
        "the log has none such, the table has change AccountUpdate",
    ),
    (
        "UPDATE daily_changes SET change_minor = change_minor + 1 WHERE asset = 'BTC'",
        "the log says change_minor 200000000, the table 200000001",
    ),
    (
        "UPDATE daily_changes SET paid_minor = 0 WHERE paid_minor = 700000000",
        "the log says paid_minor 700000000, the table 0",
    ),
    (
        "DELETE FROM daily_changes WHERE asset = 'BTC'",
        "the table has none such, the log says change_minor 200000000, paid_minor 0",
    ),
    (
        "INSERT INTO daily_changes (account_id, asset, day_us, change_minor, paid_minor)
         SELECT account_id, 'ETH', day_us, 0, 0 FROM daily_changes WHERE asset = 'BTC'",
        "the log has none such, the table has change_minor 0, paid_minor 0",
    ),
    (
        "UPDATE daily_changes SET account_id = account_id + 1 WHERE asset = 'BTC'",
        "table daily_changes",
    ),
    (
        "INSERT INTO simulated (account_id) SELECT account_id FROM daily_changes
         WHERE asset = 'BTC'",
        "table simulated",
    ),
    (
        "UPDATE transfers SET amount_minor = 1 WHERE settled = 1",
        "the log says amount_minor 100000000000, the table 1",
    ),
    (
        "UPDATE transfers SET direction = 2 WHERE settled = 0",
        "the log says direction 1, the table 2",
    ),
    (
        "DELETE FROM transfers WHERE settled = 0",
        "the table has none such, the log says direction 1, asset USD, amount_minor 700000000",
    ),
    (
        "INSERT INTO transfers (account_id, idempotency_key, command_id, stamped_at_us, direction,
         asset, amount_minor, settled) SELECT account_id, 'added', 'an other command', stamped_at_us,
         direction, asset, amount_minor, settled FROM transfers WHERE settled = 1",
        "the log has none such, the table has direction 1, asset USD",
    ),
];

#[tokio::test]
async fn i6_a_row_that_is_altered_removed_or_added_is_found_in_each_table() {
    for (sql, said) in CHANGES {
        let (world, ledger) = right().await;
        change(&world, sql).await;
        let words = compare(&world, &ledger).await.unwrap_err();
        assert!(
            words.starts_with("I6: table ") && words.contains(said),
            "{sql}: {words}"
        );
    }
}

#[tokio::test]
async fn of_a_log_that_has_lost_its_beginning_the_rest_is_compared() {
    let (world, ledger) = right().await;
    // From the deposit of the second day on.
    let updates = Topic::PortfolioUpdates.partition(0);
    world.log.truncate_before(updates, 4).unwrap();
    let found = compare(&world, &ledger).await.unwrap();
    // A transfer, an order and an activity are compared; the second day is not whole.
    assert_eq!((found.compared, found.beyond), (1 + 1 + 1, 1 + 2 + 5 + 3));
    for sql in [
        "UPDATE orders SET client_order_id = 'other' WHERE final = 0",
        "DELETE FROM activities WHERE number = 10",
        "DELETE FROM transfers WHERE settled = 0",
        // What all days come to is in the postings.
        "UPDATE daily_changes SET change_minor = 1 WHERE asset = 'BTC'",
        "UPDATE daily_changes SET paid_minor = 0 WHERE paid_minor = 100000000000",
    ] {
        let (world, ledger) = right().await;
        world.log.truncate_before(updates, 4).unwrap();
        change(&world, sql).await;
        let words = compare(&world, &ledger).await.unwrap_err();
        assert!(words.starts_with("I6: table "), "{sql}: {words}");
    }
}

fn bot() -> AccountId {
    AccountId::next(slot(), at(7), None)
}

/// The same, of the simulated account.
fn of_bot(update: AccountUpdate) -> AccountUpdate {
    let postings = update.postings.into_iter().map(|leg| Posting {
        book: match leg.book {
            Book::Available(_) => Book::Available(bot()),
            Book::Held(_) => Book::Held(bot()),
            other => other,
        },
        ..leg
    });
    let change = match update.change {
        Change::Order { mut order, event } => {
            order.account = bot();
            Change::Order { order, event }
        }
        other => other,
    };
    AccountUpdate {
        account: bot(),
        change,
        postings: postings.collect(),
        ..update
    }
}

/// A market of which the oldest rows were compacted: every twentieth trade is the real account's.
async fn compacted() -> (World, Ledger) {
    let world = World::in_files();
    world.tell(1, &[of_bot(opened(true)), opened(false)]);
    let ledger = Ledger::open_within(&world.layout, Some(1 << 20))
        .await
        .unwrap();
    for record in 0..40 {
        let trades = (0..100).flat_map(|place| {
            let messages = trade(10 + 10 * (100 * record + place)).into_iter();
            messages.map(move |update| match place % 20 {
                0 => update,
                _ => of_bot(update),
            })
        });
        let trades: Vec<AccountUpdate> = trades.collect();
        world.tell(3 + 300 * record as u64, &trades);
        world.catch_up(&ledger).await.unwrap();
    }
    (world, ledger)
}

#[tokio::test]
async fn i6_what_compaction_has_left_of_a_simulated_market_is_compared() {
    let (world, ledger) = compacted().await;
    let found = compare(&world, &ledger).await.unwrap();
    // All orders, fills and fees would be 12,000 rows.
    assert!((1_000..11_000).contains(&found.compared), "{found:?}");
    assert_eq!(found.beyond, 0);
    for (sql, back) in [
        (
            "UPDATE orders SET final = 0 WHERE rowid = (SELECT MAX(rowid) FROM orders)",
            "UPDATE orders SET final = 1 WHERE rowid = (SELECT MAX(rowid) FROM orders)",
        ),
        // The oldest that is left is the real account's.
        (
            "UPDATE orders SET side = 2 WHERE rowid = (SELECT MIN(rowid) FROM orders)",
            "UPDATE orders SET side = 1 WHERE rowid = (SELECT MIN(rowid) FROM orders)",
        ),
        (
            "UPDATE activities SET number = number + 1 WHERE rowid =
             (SELECT MAX(rowid) FROM activities)",
            "UPDATE activities SET number = number - 1 WHERE rowid =
             (SELECT MAX(rowid) FROM activities)",
        ),
        (
            "UPDATE daily_changes SET change_minor = change_minor - 1 WHERE rowid = 1",
            "UPDATE daily_changes SET change_minor = change_minor + 1 WHERE rowid = 1",
        ),
        (
            "DELETE FROM activities WHERE rowid = (SELECT MIN(rowid) FROM activities)",
            "",
        ),
    ] {
        change(&world, sql).await;
        let words = compare(&world, &ledger).await.unwrap_err();
        assert!(words.starts_with("I6: table "), "{sql}: {words}");
        if !back.is_empty() {
            change(&world, back).await;
            compare(&world, &ledger).await.unwrap();
        }
    }
    let (world, ledger) = compacted().await;
    change(
        &world,
        "DELETE FROM orders WHERE rowid = (SELECT MAX(rowid) FROM orders)",
    )
    .await;
    let words = compare(&world, &ledger).await.unwrap_err();
    assert!(words.contains("the table has none such"), "{words}");
}
