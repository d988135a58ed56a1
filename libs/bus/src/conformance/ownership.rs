//! Who may append to a journal, over fences, crashes and takeovers.

use super::{Engine, JOURNAL, LONG, OUTPUT, RIVAL_JOURNAL, append, batch, commit, read_all, texts};
use crate::{AppendError, FenceError, Log, Owner, Topic, TopicPartition, WaitError};

/// A stale owner is refused with the epoch that holds, and leaves nothing behind.
pub fn a_fenced_owner_appends_nothing(engine: &mut dyn Engine) {
    let log = engine.open();
    let stale = log
        .fence(JOURNAL, "the first")
        .expect("the journal is fenced");
    let other = log
        .fence(RIVAL_JOURNAL, "another stage")
        .expect("the journal is fenced");
    commit(engine, &*log, Some(stale), JOURNAL, 1);
    let owner = log
        .fence(JOURNAL, "the second")
        .expect("the journal is fenced");
    assert!(owner.epoch > stale.epoch);

    let refused = log.append(Some(stale), &batch(&[(JOURNAL, "2"), (OUTPUT, "2")]));
    assert_eq!(
        refused,
        Err(AppendError::Fenced {
            owner: stale,
            current: owner.epoch
        })
    );
    // Not even what would not touch the journal: outputs of a stale owner are stale too.
    let refused = log.append(Some(stale), &batch(&[(OUTPUT, "3")]));
    assert_eq!(
        refused,
        Err(AppendError::Fenced {
            owner: stale,
            current: owner.epoch
        })
    );

    commit(engine, &*log, Some(owner), JOURNAL, 4);
    commit(engine, &*log, Some(other), RIVAL_JOURNAL, 5);
    assert_eq!(texts(&*log, JOURNAL), ["1", "4"]);
    assert_eq!(texts(&*log, RIVAL_JOURNAL), ["5"]);
    assert!(texts(&*log, OUTPUT).is_empty());
}

/// An owner that asks hears whether somebody has fenced after it, whatever it has appended since.
pub fn an_owner_knows_whether_it_still_is(engine: &mut dyn Engine) {
    let log = engine.open();
    let stale = log
        .fence(JOURNAL, "the first")
        .expect("the journal is fenced");
    let holds = |log: &dyn Log, owner| log.holds(owner).expect("the journal can be asked");
    assert!(holds(&*log, stale));
    commit(engine, &*log, Some(stale), JOURNAL, 1);
    assert!(holds(&*log, stale) && holds(&*log, stale));
    let elsewhere = engine.rival();
    let owner = elsewhere
        .fence(JOURNAL, "the second")
        .expect("the journal is fenced");
    assert!(!holds(&*log, stale));
    assert!(holds(&*elsewhere, owner));
    commit(engine, &*elsewhere, Some(owner), JOURNAL, 2);
    assert!(!holds(&*log, stale));
    assert!(holds(&*elsewhere, owner));
}

/// Journals are closed to everybody but their owner, and only journals have owners.
pub fn only_the_owner_appends_to_a_journal(engine: &mut dyn Engine) {
    let log = engine.open();
    let not_owner = Err(AppendError::NotOwner { journal: JOURNAL });
    assert_eq!(
        log.append(None, &batch(&[(OUTPUT, "1"), (JOURNAL, "1")])),
        not_owner
    );
    let rival = log
        .fence(RIVAL_JOURNAL, "another stage")
        .expect("the journal is fenced");
    assert_eq!(
        log.append(Some(rival), &batch(&[(JOURNAL, "2")])),
        not_owner
    );
    let made_up = Owner {
        journal: JOURNAL,
        epoch: 1,
    };
    assert_eq!(
        log.append(Some(made_up), &batch(&[(JOURNAL, "3")])),
        Err(AppendError::Fenced {
            owner: made_up,
            current: 0
        })
    );
    let made_up = Owner {
        epoch: rival.epoch + 1,
        ..rival
    };
    assert_eq!(
        log.append(Some(made_up), &batch(&[(OUTPUT, "4")])),
        Err(AppendError::Fenced {
            owner: made_up,
            current: rival.epoch
        })
    );
    assert_eq!(
        log.fence(OUTPUT, "nobody"),
        Err(FenceError::NotAJournal(OUTPUT))
    );
    let beyond = Topic::AccountJournal.partition(TopicPartition::COUNT_MAX);
    assert_eq!(
        log.fence(beyond, "nobody"),
        Err(FenceError::UnknownPartition(beyond))
    );
    let beyond = Topic::MarketData.partition(u32::MAX);
    assert_eq!(
        log.append(None, &batch(&[(beyond, "4")])),
        Err(AppendError::UnknownPartition(beyond))
    );
    engine.settle();
    assert!(texts(&*log, JOURNAL).is_empty() && texts(&*log, OUTPUT).is_empty());
}

/// A fence that has returned is remembered, whatever happens next.
pub fn epochs_rise_over_restarts_and_crashes(engine: &mut dyn Engine) {
    let mut last = None::<Owner>;
    for round in 0..12 {
        let log = engine.open();
        if let Some(stale) = last.filter(|_| round % 2 == 0) {
            let owner = log
                .fence(JOURNAL, "conformance")
                .expect("the journal is fenced");
            assert!(owner.epoch > stale.epoch, "{owner:?} after {stale:?}");
            let refused = log.append(Some(stale), &batch(&[(JOURNAL, "stale")]));
            assert_eq!(
                refused,
                Err(AppendError::Fenced {
                    owner: stale,
                    current: owner.epoch
                })
            );
        }
        let owner = log
            .fence(JOURNAL, "conformance")
            .expect("the journal is fenced");
        assert!(
            last.is_none_or(|last| owner.epoch > last.epoch),
            "{owner:?} after {last:?}"
        );
        last = Some(owner);
        drop(log);
        engine.crash();
    }
}

/// When a fence returns, what the stale owner had in flight is there whole or never will be.
pub fn a_takeover_meets_batches_whole_or_never(engine: &mut dyn Engine) {
    let log = engine.open();
    let mut owner = log.fence(JOURNAL, "0").expect("the journal is fenced");
    for round in 1..10 {
        for n in 0..4 {
            let text = format!("{round}.{n}");
            append(&*log, Some(owner), &[(JOURNAL, &text), (OUTPUT, &text)]);
        }
        let next = log
            .fence(JOURNAL, &round.to_string())
            .expect("the journal is fenced");
        let (journal, output) = (read_all(&*log, JOURNAL), texts(&*log, OUTPUT));
        assert_eq!(
            texts(&*log, JOURNAL),
            output,
            "a batch came apart at a takeover"
        );
        assert!(
            log.append(Some(owner), &batch(&[(OUTPUT, "late")]))
                .is_err()
        );
        engine.settle();
        assert_eq!(
            read_all(&*log, JOURNAL),
            journal,
            "the stale owner still wrote"
        );
        owner = next;
    }
    commit(engine, &*log, Some(owner), JOURNAL, 77);
    assert_eq!(texts(&*log, JOURNAL).last().map(String::as_str), Some("77"));
}

/// A stale owner in another process, which has not heard of its fall, changes nothing either: it
/// is refused when it appends or, where that is known only later, when it waits.
pub fn a_stale_owner_elsewhere_changes_nothing(engine: &mut dyn Engine) {
    let stale_log = engine.open();
    let stale = stale_log
        .fence(JOURNAL, "here")
        .expect("the journal is fenced");
    commit(engine, &*stale_log, Some(stale), JOURNAL, 1);
    let log = engine.rival();
    let owner = log
        .fence(JOURNAL, "elsewhere")
        .expect("the journal is fenced");
    assert!(owner.epoch > stale.epoch, "{owner:?} after {stale:?}");
    match stale_log.append(Some(stale), &batch(&[(JOURNAL, "2"), (OUTPUT, "2")])) {
        Err(AppendError::Fenced { .. }) => {}
        Err(other) => panic!("{other}"),
        Ok(position) => {
            engine.settle();
            let lost = stale_log.wait_durable(position, LONG);
            assert_eq!(lost, Err(WaitError::Fenced(position)));
        }
    }
    commit(engine, &*log, Some(owner), JOURNAL, 3);
    assert_eq!(texts(&*log, JOURNAL), ["1", "3"]);
    assert!(texts(&*log, OUTPUT).is_empty());
}
