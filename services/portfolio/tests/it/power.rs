//! What a loss of power may take from the ledger's file, and that the log gives all of it again: it was cut
//! only behind what the file has for good.

use std::fs;
use std::path::Path;

use prepx_bus::TopicPartition;
use prepx_bus::embedded::Retention as Cut;
use prepx_stage::Runner;
use sqlx::{Connection as _, SqliteConnection};

use super::*;

const FILE: &str = "portfolio.db";
const WRITE_AHEAD: &str = "portfolio.db-wal";
const UPDATES: TopicPartition = Topic::PortfolioUpdates.partition(0);
/// How often the power fails.
const LIVES: usize = 40;
/// A sector of a disk: written whole or not at all.
const SECTOR_BYTES: usize = 512;
const WAL_HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

/// A disk for the log, and the ledgers: one that loses power with it, and one that never does.
struct Outages {
    disk: Arc<FaultyDir>,
    world: World,
    whole: tempfile::TempDir,
    /// How far the write-ahead file went when the log was cut last: so much of it is synced.
    synced_bytes: usize,
    /// What the ledger had taken when the power failed.
    taken: u64,
    /// How often it had lost some of that.
    losses: usize,
}

/// A log whose oldest is gone as soon as nobody needs it.
fn open_log(disk: &Arc<FaultyDir>) -> Arc<EmbeddedLog> {
    let config = Config {
        segment_bytes: 4_096,
        batch_bytes_max: 4_096,
        tail_bytes: 1_000,
        retention: Cut::Remove,
        ..Config::default()
    };
    EmbeddedLog::open(disk.clone(), config).unwrap()
}

/// How many bytes of a write-ahead file are of its present run: behind them is what an earlier one left.
fn wal_end(wal: &[u8]) -> usize {
    let Some(header) = wal.get(..WAL_HEADER_BYTES) else {
        return 0;
    };
    let page_bytes = u32::from_be_bytes(header[8..12].try_into().unwrap()) as usize;
    let frames = wal[WAL_HEADER_BYTES..].chunks_exact(FRAME_HEADER_BYTES + page_bytes);
    let live = frames.take_while(|frame| frame[8..16] == header[16..24]);
    WAL_HEADER_BYTES + live.count() * (FRAME_HEADER_BYTES + page_bytes)
}

/// What is left of a write-ahead file of which so many bytes are synced: the disk may have any part of the rest.
fn torn(mut wal: Vec<u8>, synced: usize, fate: usize) -> Vec<u8> {
    let unsynced = wal_end(&wal).saturating_sub(synced);
    let at = synced + unsynced * (fate % 11) / 11;
    match fate % 4 {
        0 => wal.truncate(synced),
        1 => wal.truncate(at),
        2 => {
            let end = wal.len();
            wal[at..end.min(at + SECTOR_BYTES)].fill(0);
        }
        _ => {}
    }
    wal
}

fn wal_of(sql: &Path) -> Vec<u8> {
    fs::read(sql.join(WRITE_AHEAD)).unwrap_or_default()
}

impl Outages {
    fn new() -> Outages {
        let disk = FaultyDir::new(7);
        let world = World {
            log: open_log(&disk),
            ..World::in_files()
        };
        Outages {
            disk,
            world,
            whole: tempfile::tempdir().unwrap(),
            synced_bytes: 0,
            taken: 0,
            losses: 0,
        }
    }

    /// The next message. Nobody has heard of it yet.
    fn say(&self) {
        let number = self.world.log.end(UPDATES) + 1;
        self.world.say(number, &[deposit(number as i64, 1)]);
    }

    /// The ledger that never loses anything, and what takes the log into it. Nothing waits for it on the
    /// log, so it is to take everything first.
    async fn witness(&self) -> (Ledger, Runner<Projection>) {
        let location = Location::Sqlite(self.whole.path().to_owned());
        let whole = Ledger::open(&location.into()).await.unwrap();
        let following = Following {
            retention: Arc::new(Retention::shared(self.world.log.clone())),
            ..self.world.following()
        };
        let mut projection = Projection::open(following, whole.clone()).await.unwrap();
        projection.catch_up(|_| {}).await.unwrap();
        (whole, projection)
    }

    /// A process's life: what power took from the ledger comes from the log again, then `count` messages
    /// are told, each taken before the next. A reader whose view stays keeps what is synced in the
    /// write-ahead file.
    async fn live(&mut self, count: usize, is_read: bool) {
        let (whole, mut witness) = self.witness().await;
        let ledger = self.world.ledger().await;
        let (log, next) = (&self.world.log, ledger.positions(2).await.unwrap()[0]);
        let kept = log.start(UPDATES)..=log.end(UPDATES);
        assert!(kept.contains(&next), "I6: {next} is not in {kept:?}");
        self.losses += usize::from(next < self.taken);
        let mut projection = Projection::open(self.world.following(), ledger.clone())
            .await
            .unwrap();
        self.synced_bytes = 0;
        projection.catch_up(|_| {}).await.unwrap();
        assert_eq!(sums(&ledger).await, sums(&whole).await, "I6");
        assert_eq!(
            ledger.balance().await.unwrap(),
            whole.balance().await.unwrap()
        );

        let reader = match is_read {
            true => Some(self.view_that_stays().await),
            false => None,
        };
        for _ in 0..count {
            self.say();
            log.flush().unwrap();
            witness.catch_up(|_| {}).await.unwrap();
            let start = log.start(UPDATES);
            projection.catch_up(|_| {}).await.unwrap();
            if log.start(UPDATES) > start {
                let in_file = || wal_end(&wal_of(self.world.sql.path()));
                self.synced_bytes = if is_read { in_file() } else { 0 };
            }
        }
        let left = self.lose_power(count);
        if let Some(reader) = reader {
            reader.close().await.unwrap();
        }
        ledger.close().await;
        whole.close().await;
        self.world = left;
    }

    /// What is there after a loss of power. A message that nobody had made durable may be, or not.
    fn lose_power(&mut self, fate: usize) -> World {
        self.taken = self.world.log.end(UPDATES);
        self.say();
        let (from, sql) = (self.world.sql.path(), tempfile::tempdir().unwrap());
        fs::copy(from.join(FILE), sql.path().join(FILE)).unwrap();
        let wal = torn(wal_of(from), self.synced_bytes, fate);
        fs::write(sql.path().join(WRITE_AHEAD), wal).unwrap();
        self.disk = self.disk.crash();
        World {
            log: open_log(&self.disk),
            layout: Location::Sqlite(sql.path().to_owned()).into(),
            location: Location::Sqlite(sql.path().to_owned()),
            sql,
        }
    }

    async fn view_that_stays(&self) -> SqliteConnection {
        let url = format!("sqlite:{}", self.world.sql.path().join(FILE).display());
        let mut reader = SqliteConnection::connect(&url).await.unwrap();
        for sql in ["BEGIN", "SELECT COUNT(*) FROM positions"] {
            sqlx::query(sql).execute(&mut reader).await.unwrap();
        }
        reader
    }
}

#[tokio::test]
async fn i1_i6_what_power_takes_from_the_ledger_the_log_still_has() {
    let mut outages = Outages::new();
    for life in 0..LIVES {
        outages.live(1 + life * 5 % 23, life % 3 == 1).await;
    }
    let (lost, cut) = (outages.losses, outages.world.log.start(UPDATES));
    assert!(lost > LIVES / 4 && cut > 100, "{lost} losses, cut at {cut}");
}
