//! By which plans the engines run what signing in, keys and erasure ask of SQL.

use expect_test::expect_file;
use prepx_auth::Scopes;
use prepx_domain::{AccountId, Micros};
use prepx_store::plans::Plans;
use prepx_store::{Durability, Options, Pool};
use uuid::Uuid;

use super::sql::Sql;
use super::suite::{self, key, session};
use super::{MIGRATIONS, Store as _, StoredSigningKey};
use crate::domain::User;
use crate::domain::user::SealedEmail;
use crate::vault::Sealed;

const USERS: u32 = 30_000;
/// There are few signing keys at a time.
const SMALL: &[&str] = &["signing_keys"];

fn user(number: u32) -> User {
    let mut lookup = [0; 32];
    lookup[..4].copy_from_slice(&number.to_be_bytes());
    User {
        id: Uuid::from_u128(u128::from(number)),
        account_id: AccountId::new(i64::from(number)),
        email: Some(SealedEmail {
            lookup,
            sealed: Sealed(vec![7; 60]),
            user_key: Sealed(vec![7; 60]),
        }),
        password_hash: Some("$argon2id$".repeat(10)),
        ..suite::user(1)
    }
}

#[tokio::test]
async fn plans_are_those_that_are_kept() {
    let directory = tempfile::TempDir::new().unwrap();
    let location = prepx_store::suite::location(directory.path()).await;
    let options = Options::new("user", Durability::Source);
    let pool = Pool::open(&location, &options, MIGRATIONS).await.unwrap();
    fill(&pool).await;
    let mut plans = Plans::of(&pool, SMALL).await.unwrap();
    let store = Sql::new(pool);
    let (known, new) = (user(7), user(USERS));
    signing_in(&store, &mut plans, &known, &new).await;
    keys(&store, &mut plans, &known, &new).await;
    let erased = plans.add("a user is erased", store.erase_user(known.id, Micros(9)));
    assert_eq!(erased.await.unwrap().len(), 4);
    if let Some(file) = plans.file("../../plans") {
        expect_file![file].assert_eq(plans.text());
    }
}

async fn signing_in(store: &Sql, plans: &mut Plans, known: &User, new: &User) {
    let lookup = &known.email.as_ref().unwrap().lookup;
    let found = plans.add("a user by address", store.user_by_email(lookup));
    assert!(found.await.is_some());
    let found = plans.add("a user", store.user(known.id)).await;
    assert!(found.is_some());
    let with_key = key(new, "PK-new");
    let added = store.insert_user(new, Some(&with_key));
    plans.add("a user signs up", added).await;
    let (first, second) = (session(known, 1_000_000), session(known, 2_000_000));
    let added = store.insert_session(&first, 2);
    plans.add("a user signs in", added).await;
    let ended = store.insert_session(&second, 2).await;
    assert_eq!(ended.unwrap().len(), 1);
    let found = plans.add("a session", store.session(&first.id)).await;
    assert!(found.is_some());
    let refreshed = store.next_generation(&first.id, 1);
    assert!(plans.add("a session is refreshed", refreshed).await);
    let ended = store.end_session("SE-8");
    plans.add("a session ends", ended).await;
    let signing = StoredSigningKey {
        created_at: Micros(1),
        sealed: Sealed(vec![1; 60]),
    };
    let added = store.insert_signing_key(&signing, Micros(0));
    plans.add("a new signing key", added).await;
    plans.add("signing keys", store.signing_keys()).await;
}

async fn keys(store: &Sql, plans: &mut Plans, known: &User, new: &User) {
    let found = plans
        .add("an API key and its owner", store.key("PK7"))
        .await;
    assert!(found.is_some());
    let found = plans.add("the keys of a user", store.keys(known.id)).await;
    assert_eq!(found.len(), 1);
    let second = key(known, "PK-second");
    let added = store.insert_key(&second, 2);
    assert!(plans.add("a new API key", added).await);
    let revoked = store.revoke_key(new.id, "PK-new", Micros(8));
    assert!(plans.add("an API key is revoked", revoked).await);
}

/// Every user with an address, a session and a key.
async fn fill(pool: &Pool) {
    let users: Vec<User> = (0..USERS).map(user).collect();
    let mut tx = pool.begin().await.unwrap();
    let into =
        "INSERT INTO users (user_id, role, simulated, account_id, email_lookup, email_sealed,
        password_hash, created_at_us)";
    tx.insert_rows(into, 8, "", &users, |user, values| {
        let email = user.email.as_ref().unwrap();
        values
            .push(user.id.as_bytes().as_slice())
            .push(user.role.name())
            .push(0i64)
            .push(user.account_id.map(AccountId::raw))
            .push(email.lookup.as_slice())
            .push(email.sealed.0.as_slice())
            .push(user.password_hash.as_deref())
            .push(user.created_at.0);
    })
    .await
    .unwrap();
    let into = "INSERT INTO emails (email_lookup, user_id)";
    tx.insert_rows(into, 2, "", &users, |user, values| {
        let email = user.email.as_ref().unwrap();
        values
            .push(email.lookup.as_slice())
            .push(user.id.as_bytes().as_slice());
    })
    .await
    .unwrap();
    let into = "INSERT INTO user_keys (user_id, sealed)";
    tx.insert_rows(into, 2, "", &users, |user, values| {
        values
            .push(user.id.as_bytes().as_slice())
            .push(vec![7u8; 60]);
    })
    .await
    .unwrap();
    let into = "INSERT INTO sessions (session_id, user_id, generation, created_at_us, ends_at_us)";
    let numbered: Vec<_> = (0i64..).zip(&users).collect();
    tx.insert_rows(into, 5, "", &numbered, |(number, user), values| {
        values
            .push(format!("SE-{number}"))
            .push(user.id.as_bytes().as_slice())
            .push(1i64)
            .push(*number)
            .push(i64::MAX);
    })
    .await
    .unwrap();
    let into = "INSERT INTO api_keys (key_id, user_id, secret_hash, name, scopes, created_at_us)";
    tx.insert_rows(into, 6, "", &numbered, |(number, user), values| {
        values
            .push(format!("PK{number}"))
            .push(user.id.as_bytes().as_slice())
            .push(vec![7u8; 32])
            .push("bot")
            .push(Scopes::ALL.to_string())
            .push(*number);
    })
    .await
    .unwrap();
    tx.commit().await.unwrap();
}
