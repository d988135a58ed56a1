//! What every engine's store of users promises: one suite for all of them.

use prepx_auth::{Role, Scopes, SecretHash};
use prepx_domain::Micros;
use prepx_store::Error;
use uuid::Uuid;

use crate::domain::user::SealedEmail;
use crate::domain::{ApiKey, Session, User};
use crate::store::{Store, StoredSigningKey};
use crate::vault::Sealed;

/// Runs every check on an empty store.
pub async fn run(store: &impl Store) {
    users_come_back_and_are_unique(store).await;
    the_oldest_sessions_end(store).await;
    one_of_two_refreshes_wins(store).await;
    keys_are_bounded_and_revoked_once(store).await;
    erasing_takes_everything_personal(store).await;
    signing_keys_go_when_they_are_old(store).await;
}

pub(super) fn user(number: u8) -> User {
    User {
        id: Uuid::from_bytes([number; 16]),
        role: Role::Trader,
        simulated: number.is_multiple_of(2),
        account_id: prepx_domain::AccountId::new(i64::from(number)),
        email: Some(SealedEmail {
            lookup: [number; 32],
            sealed: Sealed(vec![number, 0, 255]),
            user_key: Sealed(vec![number; 60]),
        }),
        password_hash: Some("$argon2id$".to_owned()),
        created_at: Micros(1_000_000 + i64::from(number)),
    }
}

pub(super) fn session(user: &User, number: i64) -> Session {
    let (id, ends_at) = (format!("SE{number}"), Micros(i64::MAX));
    Session {
        id,
        user_id: user.id,
        generation: 1,
        created_at: Micros(number),
        ends_at,
    }
}

pub(super) fn key(user: &User, id: &str) -> ApiKey {
    ApiKey {
        id: id.to_owned(),
        user_id: user.id,
        secret: SecretHash::of("secret"),
        name: "bot".to_owned(),
        scopes: Scopes::ALL,
        created_at: Micros(5),
        revoked_at: None,
    }
}

async fn users_come_back_and_are_unique(store: &impl Store) {
    let ada = user(1);
    store
        .insert_user(&ada, Some(&key(&ada, "PK1")))
        .await
        .expect("a new user");
    let found = store
        .user_by_email(&[1; 32])
        .await
        .expect("reads")
        .expect("is there");
    assert_eq!(format!("{found:?}"), format!("{ada:?}"));
    assert!(store.user(ada.id).await.expect("reads").is_some());
    assert!(
        store
            .user_by_email(&[9; 32])
            .await
            .expect("reads")
            .is_none()
    );
    let mut same_address = user(2);
    same_address.email = ada.email.clone();
    let taken = store.insert_user(&same_address, None).await;
    assert!(matches!(taken, Err(Error::Conflict(_))), "{taken:?}");
    let same_key = user(3);
    let taken = store
        .insert_user(&same_key, Some(&key(&same_key, "PK1")))
        .await;
    assert!(matches!(taken, Err(Error::Conflict(_))), "{taken:?}");
    assert!(
        store.user(same_key.id).await.expect("reads").is_none(),
        "user and key are one write"
    );
}

async fn the_oldest_sessions_end(store: &impl Store) {
    let user = user(10);
    store.insert_user(&user, None).await.expect("a new user");
    for number in 1..=3 {
        assert!(
            store
                .insert_session(&session(&user, number), 3)
                .await
                .expect("adds")
                .is_empty()
        );
    }
    assert_eq!(
        store
            .insert_session(&session(&user, 4), 3)
            .await
            .expect("adds"),
        ["SE1"]
    );
    // A clock that went back must not end the session that has just begun.
    assert_eq!(
        store
            .insert_session(&session(&user, 0), 3)
            .await
            .expect("adds"),
        ["SE2"]
    );
    assert_eq!(
        store.session("SE0").await.expect("reads"),
        Some(session(&user, 0))
    );
    store.end_session("SE0").await.expect("ends");
    assert_eq!(store.session("SE0").await.expect("reads"), None);
}

async fn one_of_two_refreshes_wins(store: &impl Store) {
    let user = user(20);
    store.insert_user(&user, None).await.expect("a new user");
    store
        .insert_session(&session(&user, 20), 3)
        .await
        .expect("adds");
    let (one, two) = tokio::join!(
        store.next_generation("SE20", 1),
        store.next_generation("SE20", 1)
    );
    assert!(one.expect("writes") ^ two.expect("writes"), "exactly one");
    let found = store
        .session("SE20")
        .await
        .expect("reads")
        .expect("is there");
    assert_eq!(found.generation, 2);
}

async fn keys_are_bounded_and_revoked_once(store: &impl Store) {
    let (user, other) = (user(30), user(31));
    store.insert_user(&user, None).await.expect("a new user");
    store.insert_user(&other, None).await.expect("a new user");
    assert!(
        store
            .insert_key(&key(&user, "PK30"), 2)
            .await
            .expect("adds")
    );
    assert!(
        store
            .insert_key(&key(&user, "PK31"), 2)
            .await
            .expect("adds")
    );
    assert!(
        !store
            .insert_key(&key(&user, "PK32"), 2)
            .await
            .expect("is full")
    );
    assert!(
        !store
            .revoke_key(other.id, "PK30", Micros(7))
            .await
            .expect("is not theirs")
    );
    assert!(
        store
            .revoke_key(user.id, "PK30", Micros(7))
            .await
            .expect("revokes")
    );
    assert!(
        store
            .revoke_key(user.id, "PK30", Micros(8))
            .await
            .expect("repeats")
    );
    let (found, owner) = store.key("PK30").await.expect("reads").expect("stays");
    assert_eq!((found.revoked_at, owner.id), (Some(Micros(7)), user.id));
    let live = store.keys(user.id).await.expect("reads");
    assert_eq!(
        live.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(),
        ["PK31"]
    );
    assert!(
        store
            .insert_key(&key(&user, "PK32"), 2)
            .await
            .expect("there is room again")
    );
}

async fn erasing_takes_everything_personal(store: &impl Store) {
    let user = user(40);
    store
        .insert_user(&user, Some(&key(&user, "PK40")))
        .await
        .expect("a new user");
    store
        .insert_session(&session(&user, 40), 3)
        .await
        .expect("adds");
    let mut ended = store
        .erase_user(user.id, Micros(9))
        .await
        .expect("erases")
        .expect("was there");
    ended.sort();
    assert_eq!(ended, ["PK40", "SE40"]);
    let left = store
        .user(user.id)
        .await
        .expect("reads")
        .expect("the id stays");
    assert_eq!(
        (left.email, left.password_hash, left.account_id),
        (None, None, user.account_id)
    );
    let (found, _) = store.key("PK40").await.expect("reads").expect("stays");
    assert_eq!(
        (found.revoked_at, found.name.as_str()),
        (Some(Micros(9)), "")
    );
    assert_eq!(store.session("SE40").await.expect("reads"), None);
    let nobody = store
        .erase_user(Uuid::nil(), Micros(9))
        .await
        .expect("looks");
    assert_eq!(nobody, None);
}

async fn signing_keys_go_when_they_are_old(store: &impl Store) {
    let key = |at| StoredSigningKey {
        created_at: Micros(at),
        sealed: Sealed(vec![at as u8]),
    };
    for (at, oldest) in [(1, 1), (2, 1), (3, 2)] {
        store
            .insert_signing_key(&key(at), Micros(oldest))
            .await
            .expect("adds");
    }
    assert_eq!(store.signing_keys().await.expect("reads"), [key(3), key(2)]);
}
