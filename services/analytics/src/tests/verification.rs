//! What verification finds, and that it finds nothing else.

use bytes::Bytes;
use ed25519_dalek::SigningKey;

use super::world::{ACCOUNTS, MATCHING, TOPOLOGY, World, difference};
use crate::chain::Head;
use crate::root::Root;
use crate::verify::{Difference, Newest, Totals, VerifyError};
use crate::{key, public_key};

#[tokio::test]
async fn what_was_chained_verifies_with_totals() {
    let world = World::two_roots().await;
    let clean = Totals {
        roots: 2,
        records: 43,
        unaudited: 0,
    };
    assert_eq!(world.verify().await.unwrap(), clean);
    world.write(MATCHING, 20..25);
    let behind = Totals {
        unaudited: 5,
        ..clean
    };
    assert_eq!(world.verify().await.unwrap(), behind);
}

#[tokio::test]
async fn one_flipped_bit_is_found_between_the_roots_around_it() {
    let world = World::two_roots().await;
    let found = world.tampered(|journal, records| {
        if journal == MATCHING {
            let mut payload = records[13].payload.to_vec();
            payload[3] ^= 1;
            records[13].payload = Bytes::from(payload);
        }
    });
    let wanted = Difference::Chain {
        journal: MATCHING,
        from: 10,
        to: 19,
    };
    assert_eq!(found.await, wanted);
}

#[tokio::test]
async fn a_removed_record_is_found_whether_the_rest_moves_up_or_not() {
    let world = World::two_roots().await;
    let hole = world.tampered(|journal, records| {
        if journal == ACCOUNTS {
            records.remove(4);
        }
    });
    let wanted = Difference::Chain {
        journal: ACCOUNTS,
        from: 0,
        to: 9,
    };
    assert_eq!(hole.await, wanted);
    let closed = world.tampered(|journal, records| {
        if journal == ACCOUNTS {
            records.remove(4);
            (0u64..)
                .zip(records)
                .for_each(|(at, record)| record.offset = at);
        }
    });
    assert_eq!(closed.await, wanted);
    let cut_off = world.tampered(|journal, records| {
        if journal == ACCOUNTS {
            records.truncate(22);
        }
    });
    let lost = Difference::Lost {
        journal: ACCOUNTS,
        end: 22,
        audited: 23,
    };
    assert_eq!(cut_off.await, lost);
}

#[tokio::test]
async fn reordered_records_are_found_even_under_no_root() {
    let world = World::two_roots().await;
    let found = world.tampered(|journal, records| {
        if journal == ACCOUNTS {
            let (former, latter) = (records[20].payload.clone(), records[21].payload.clone());
            (records[20].payload, records[21].payload) = (latter, former);
        }
    });
    let wanted = Difference::Chain {
        journal: ACCOUNTS,
        from: 20,
        to: 22,
    };
    assert_eq!(found.await, wanted);
}

#[tokio::test]
async fn a_record_of_one_journal_cannot_pass_for_anothers() {
    let head = async |journal| {
        let world = World::new().await;
        world.write(journal, 0..3);
        let mut head = Head::start(journal, 0);
        head.fold(&*world.log, 3).unwrap();
        head.hash
    };
    assert_ne!(head(ACCOUNTS).await, head(MATCHING).await);
}

#[tokio::test]
async fn a_forged_root_and_one_by_another_key_are_found() {
    let world = World::two_roots().await;
    let (_, genuine) = world.audit().await.roots(1, 1).await.unwrap().remove(0);

    let mut forged = genuine.clone();
    let last = forged.body.len() - 1;
    forged.body[last] ^= 1;
    world.intrude(2, &forged).await;
    assert_eq!(difference(world.verify().await), Difference::Signature(2));

    let root = Root::decode(&genuine.body).unwrap();
    let stranger = SigningKey::from_bytes(&[9; 32]);
    world.intrude(2, &root.sign(&stranger)).await;
    assert_eq!(difference(world.verify().await), Difference::Signature(2));

    // Whoever has the key can sign a lie; the journals give it away.
    let ours = key::read(world.directory.path()).unwrap().unwrap();
    let mut lie = root.clone();
    lie.heads[0].hash[0] ^= 1;
    world.intrude(2, &lie.sign(&ours)).await;
    let wanted = Difference::Chain {
        journal: ACCOUNTS,
        from: 10,
        to: 19,
    };
    assert_eq!(difference(world.verify().await), wanted);

    let mut unlinked = root.clone();
    unlinked.previous[0] ^= 1;
    world.intrude(2, &unlinked.sign(&ours)).await;
    assert_eq!(difference(world.verify().await), Difference::Unlinked(2));

    let mut partial = root;
    partial.heads.pop();
    world.intrude(2, &partial.sign(&ours)).await;
    let found = difference(world.verify().await);
    assert_eq!(found, Difference::MalformedRoot(2));

    world.intrude(2, &genuine).await;
    assert_eq!(world.verify().await.unwrap().roots, 2);
}

/// What `prepx verify --url` asks of a platform that runs.
async fn check_newest(world: &World) -> Result<(u64, Totals), VerifyError> {
    let key = public_key(world.directory.path()).unwrap().unwrap();
    let newest = Newest::of(&world.audit().await, TOPOLOGY, &key).await?;
    Ok((newest.root, newest.over(&*world.log)?))
}

#[tokio::test]
async fn a_changed_head_behind_the_last_root_is_found() {
    let world = World::two_roots().await;
    let clean = Totals {
        roots: 2,
        records: 3,
        unaudited: 0,
    };
    assert_eq!(check_newest(&world).await.unwrap(), (2, clean));
    world.write(MATCHING, 20..21);
    let (_, behind) = check_newest(&world).await.unwrap();
    assert_eq!((behind.records, behind.unaudited), (3, 1));

    let audit = world.audit().await;
    let heads = audit.heads().await.unwrap();
    let mut changed = *heads.iter().find(|head| head.journal == ACCOUNTS).unwrap();
    changed.hash[31] ^= 1;
    audit.commit(&[(23, changed)], &[], None).await.unwrap();
    let found = match check_newest(&world).await {
        Err(VerifyError::Difference(difference)) => difference,
        other => panic!("a difference was due: {other:?}"),
    };
    let wanted = Difference::Chain {
        journal: ACCOUNTS,
        from: 20,
        to: 22,
    };
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn before_the_first_root_the_journals_are_checked_from_their_beginning() {
    let world = World::new().await;
    world.write(ACCOUNTS, 0..5);
    world.auditor().await.pass(false).await.unwrap();
    let (root, totals) = check_newest(&world).await.unwrap();
    assert_eq!((root, totals.roots, totals.records), (0, 0, 5));
}
