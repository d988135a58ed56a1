//! Dropping with the process dying at every single change to the disk.

use prepx_bus::embedded::{Config, Retention};
use prepx_bus::faulty::FaultyDir;
use prepx_bus::{Batch, EmbeddedLog, Log as _, Topic, TopicPartition};
use prepx_domain::update::{AccountUpdate, Book, Change, Posting};
use prepx_domain::{AccountId, Micros, Slot};
use prepx_env::ManualClock;
use prepx_proto::journal;
use prepx_stage::lane;
use uuid::Uuid;

use super::*;

const JOURNAL: TopicPartition = Topic::AccountJournal.partition(0);
const UPDATES: TopicPartition = Topic::PortfolioUpdates.partition(0);
const TOPOLOGY: Topology = Topology {
    account_partitions: 1,
    matching_partitions: 1,
};
const LOG_BYTES_MAX: u64 = 16_384;

fn open(dir: &Arc<FaultyDir>) -> Result<Arc<EmbeddedLog>> {
    let config = Config {
        segment_bytes: 4_096,
        buffer_bytes: 20_000,
        batch_bytes_max: 6_000,
        tail_bytes: 700,
        retention: Retention::Archive,
        holder: "a test".into(),
    };
    let dir: Arc<dyn Dir> = dir.clone();
    Ok(EmbeddedLog::open(dir, config)?)
}

fn dropper(dir: &Arc<FaultyDir>, data_dir: &Path) -> Dropper {
    Dropper {
        dir: dir.clone(),
        data_dir: data_dir.to_owned(),
        topology: TOPOLOGY,
        shares: Shares {
            log_bytes_max: LOG_BYTES_MAX,
            ..Shares::of(1 << 30)
        },
        clock: Arc::new(ManualClock::new(Micros(5))),
    }
}

fn account() -> AccountId {
    AccountId::next(Slot::new(0).unwrap(), Micros(1), None)
}

fn deposit() -> Vec<u8> {
    let posting = |book, amount_minor| Posting {
        book,
        asset: "USD".parse().unwrap(),
        amount_minor,
    };
    let update = AccountUpdate {
        account: account(),
        at: Micros(1),
        change: Change::Deposited {
            command: Uuid::from_u128(1),
            asset: "USD".parse().unwrap(),
            amount_minor: 1,
        },
        postings: vec![
            posting(Book::Outside, -1),
            posting(Book::Available(account()), 1),
        ],
    };
    let mut bytes = Vec::new();
    journal::encode(&update, &mut bytes);
    bytes
}

/// What is left is whole: as many deposits as the log has told, from the checkpoint or the beginning
/// on. Answers how many, and the checkpoint's number.
fn replay(dir: &Arc<FaultyDir>, data_dir: &Path, log: &EmbeddedLog) -> Result<(u64, u64)> {
    let checkpoint = checkpoint::read(&**dir, data_dir)?;
    let mut past = Past::since(checkpoint.as_ref(), TOPOLOGY);
    let mut heads = past.heads.clone();
    past.take_all(&**dir, log, |from, record| {
        if let Some(head) = heads.get_mut(&from) {
            head.take(record);
        }
        Ok(())
    })?;
    assert_eq!(past.heads, heads);
    let line = (0, Book::Available(account()), "USD".parse().unwrap());
    let told = past
        .books
        .get(&line)
        .copied()
        .unwrap_or_default()
        .unsigned_abs();
    assert_eq!(told, log.end(UPDATES), "I6: every deposit counts once");
    assert_eq!(
        past.next.get(&JOURNAL).copied().unwrap_or_default(),
        log.end(JOURNAL)
    );
    Ok((told, checkpoint.map_or(0, |checkpoint| checkpoint.number)))
}

/// Deposits, archives and drops; answers the checkpoint's number at the end.
fn live(dir: &Arc<FaultyDir>, data_dir: &Path) -> Result<u64> {
    let log = open(dir)?;
    let (mut told, _) = replay(dir, data_dir, &log)?;
    let owner = log.fence(JOURNAL, "a test")?;
    let dropper = dropper(dir, data_dir);
    for _ in 0..60 {
        let mut batch = Batch::new();
        told += 1;
        // Bytes that do not compress, so that archives grow as segments do.
        let word = |at: u64| (1_000 * at + told).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let noise: Vec<u8> = (1..=40).flat_map(|at| word(at).to_le_bytes()).collect();
        batch.push(JOURNAL, &noise);
        batch.push_with(UPDATES, |to| {
            lane::write(JOURNAL, told, told, &[&deposit()], to)
        });
        log.append(Some(owner), &batch)?;
        log.flush()?;
        log.truncate_before(JOURNAL, log.end(JOURNAL))?;
        log.truncate_before(UPDATES, log.end(UPDATES))?;
        dropper.look()?;
        assert!(dropper.bytes()? <= LOG_BYTES_MAX, "the bound is kept");
    }
    Ok(replay(dir, data_dir, &log)?.1)
}

fn data_dir() -> tempfile::TempDir {
    let data_dir = tempfile::tempdir().unwrap();
    std::fs::write(data_dir.path().join("audit.key"), [7; 32]).unwrap();
    data_dir
}

#[test]
fn i1_a_death_at_any_step_leaves_a_log_that_is_whole_from_its_checkpoint_on() {
    let data_dir = data_dir();
    let mut deaths = 0;
    for fate in 0..4 {
        for step in (1 + fate..).step_by(8) {
            let dir = FaultyDir::new(fate);
            dir.die_after(step);
            let complete = live(&dir, data_dir.path()).is_ok();
            deaths += u64::from(!complete);
            let dir = match step % 2 {
                0 => dir.crash(),
                _ => dir.kill(),
            };
            let number = live(&dir, data_dir.path()).unwrap();
            assert!(number > 1, "step {step}: something was dropped");
            if complete {
                break;
            }
        }
    }
    assert!(deaths > 50, "the history has only {deaths} steps");
}

#[test]
fn a_checkpoint_that_was_changed_is_refused_wherever_the_change_is() {
    let data_dir = data_dir();
    let dir = FaultyDir::new(1);
    assert!(live(&dir, data_dir.path()).unwrap() > 1);
    let file = Dir::open(&*dir, checkpoint::NAME).unwrap();
    let mut bytes = vec![0; file.size().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    for at in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        file.write_at(0, &changed).unwrap();
        let error = checkpoint::read(&*dir, data_dir.path()).unwrap_err();
        assert!(
            error.to_string().contains("the checkpoint"),
            "{at}: {error}"
        );
    }
    file.write_at(0, &bytes).unwrap();
    checkpoint::read(&*dir, data_dir.path()).unwrap().unwrap();
    std::fs::write(data_dir.path().join("audit.key"), [8; 32]).unwrap();
    checkpoint::read(&*dir, data_dir.path()).unwrap_err();
}
