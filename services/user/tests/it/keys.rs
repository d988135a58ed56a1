//! API keys and the published keys.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::{PASSWORD, Running, Who, World, pair, refused, started, wire};
use prepx_auth::{Authority, RemoteAuthority};

/// A user who is signed in.
async fn signed_in(users: &mut Running, email: &str) -> Who {
    users.sign_up(email).await.unwrap();
    Who::Token(users.sign_in(email, PASSWORD).await.unwrap().access_token)
}

#[tokio::test]
async fn a_key_acts_for_its_owner_until_it_is_revoked() {
    let (_world, mut users) = started().await;
    let ada = signed_in(&mut users, "ada@example.com").await;
    let key = users.create_key(&ada, &[]).await.unwrap();
    let bot = Who::key(&key.key_id, &key.secret_key);
    assert_eq!(users.profile(&bot).await.unwrap().email, "ada@example.com");
    let wrong = pair(40_110_000, "WRONG_KEY");
    assert_eq!(
        refused(users.profile(&Who::key(&key.key_id, "guess")).await),
        wrong
    );
    users.revoke_key(&ada, &key.key_id).await.unwrap();
    assert_eq!(refused(users.profile(&bot).await), wrong);
    users
        .revoke_key(&ada, &key.key_id)
        .await
        .expect("a repeat changes nothing");
    assert_eq!(
        refused(users.profile(&Who::key("PKNOBODY", "x")).await),
        wrong
    );
}

#[tokio::test]
async fn a_key_has_no_more_scopes_than_it_was_given() {
    let (_world, mut users) = started().await;
    let ada = signed_in(&mut users, "ada@example.com").await;
    let key = users
        .create_key(&ada, &["keys:read", "orders:read"])
        .await
        .unwrap();
    assert_eq!(key.scopes, ["orders:read", "keys:read"]);
    let bot = Who::key(&key.key_id, &key.secret_key);
    users
        .client
        .list_keys(bot.asks(wire::ListKeysRequest {}))
        .await
        .unwrap();
    let lacks = pair(40_300_000, "SCOPE_REQUIRED");
    assert_eq!(refused(users.profile(&bot).await), lacks);
    assert_eq!(refused(users.create_key(&bot, &[]).await), lacks);
    let of = |answer| refused::<wire::CreateKeyResponse>(answer);
    let answer = users.create_key(&ada, &["admin:write"]).await;
    assert_eq!(of(answer), pair(42_210_000, "SCOPE_NOT_HELD"));
    let answer = users.create_key(&ada, &["orders:steal"]).await;
    assert_eq!(of(answer), pair(42_210_000, "UNKNOWN_SCOPE"));
}

#[tokio::test]
async fn nobody_sees_or_revokes_the_keys_of_another() {
    let (_world, mut users) = started().await;
    let ada = signed_in(&mut users, "ada@example.com").await;
    let bob = signed_in(&mut users, "bob@example.com").await;
    let key = users.create_key(&ada, &[]).await.unwrap();
    let list = |who: &Who| who.asks(wire::ListKeysRequest {});
    let keys = users
        .client
        .list_keys(list(&bob))
        .await
        .unwrap()
        .into_inner()
        .keys;
    assert_eq!(keys, []);
    assert_eq!(
        refused(users.revoke_key(&bob, &key.key_id).await),
        pair(40_410_000, "UNKNOWN_KEY")
    );
    users
        .profile(&Who::key(&key.key_id, &key.secret_key))
        .await
        .expect("it is not revoked");
    let keys = users
        .client
        .list_keys(list(&ada))
        .await
        .unwrap()
        .into_inner()
        .keys;
    assert_eq!(keys.len(), 1);
    assert!(
        !format!("{keys:?}").contains(&key.secret_key),
        "the secret is shown once"
    );
}

#[tokio::test]
async fn keys_are_bounded_and_named_shortly() {
    let (_world, mut users) = started().await;
    let ada = signed_in(&mut users, "ada@example.com").await;
    for _ in 0..100 {
        users.create_key(&ada, &[]).await.unwrap();
    }
    assert_eq!(
        refused(users.create_key(&ada, &[]).await),
        pair(40_910_000, "TOO_MANY_KEYS")
    );
    for name in ["x".repeat(65), "a\0b".to_owned()] {
        let scopes = vec![];
        let named = ada.asks(wire::CreateKeyRequest { name, scopes });
        assert_eq!(
            refused(users.client.create_key(named).await),
            pair(42_210_000, "INVALID_NAME")
        );
    }
}

#[tokio::test]
async fn fixed_keys_are_for_development_only() {
    let (mut world, mut users) = started().await;
    let demo = Who::key("demo", "demo-secret");
    assert!(users.profile(&demo).await.unwrap().account_id.is_some());
    let operator = users
        .profile(&Who::key("operator", "operator-secret"))
        .await
        .unwrap();
    assert_eq!(
        (operator.role(), operator.account_id),
        (wire::Role::Operator, None)
    );
    users
        .built
        .ensure_dev()
        .await
        .expect("a second start makes nothing");
    world.config.dev = false;
    let mut users = world.start().await;
    assert_eq!(
        refused(users.profile(&demo).await),
        pair(40_110_000, "WRONG_KEY")
    );
}

#[tokio::test]
async fn published_keys_rotate_and_verify_what_is_alive() {
    let (mut world, mut users) = started().await;
    let published = |users: &Running| {
        let mut client = users.client.clone();
        async move {
            client
                .get_jwks(wire::GetJwksRequest {})
                .await
                .unwrap()
                .into_inner()
                .keys
        }
    };
    let first = published(&users).await;
    assert_eq!(first.len(), 1);
    let key = &first[0];
    assert_eq!([&key.kty, &key.r#use, &key.alg], ["RSA", "sig", "RS256"]);
    assert_eq!((key.n.len(), key.e.as_str()), (342, "AQAB"), "2,048 bits");
    world.clock.advance(Duration::from_secs(90 * 86_400 - 60));
    let demo = Who::key("demo", "demo-secret");
    users.profile(&demo).await.unwrap();
    let ada = signed_in(&mut users, "ada@example.com").await;
    world.clock.advance(Duration::from_secs(120));
    let mut users = world.start().await;
    let second = published(&users).await;
    assert_eq!(second.len(), 2);
    assert_eq!(second[1], first[0]);
    users.profile(&ada).await.expect("signed by the key before");
    world.clock.advance(Duration::from_secs(90 * 86_400));
    let users = world.start().await;
    let third = published(&users).await;
    assert_eq!(
        (third.len(), &third[1]),
        (2, &second[0]),
        "the oldest is gone"
    );
}

#[tokio::test]
async fn another_process_asks_over_grpc() {
    let (_world, users) = started().await;
    let remote = RemoteAuthority::new(users.peer.clone());
    let published = remote.published_keys().await.unwrap();
    assert_eq!(published.keys.len(), 1);
    let verifier = prepx_auth::Verifier::default();
    verifier.publish(&published);
    let token = remote.exchange("demo", "demo-secret").await.unwrap();
    let verified = verifier.verify(&token, crate::NOW).unwrap();
    assert_eq!(verified.principal.key_id, "demo");
    let wrong = remote.exchange("demo", "guess").await;
    assert_eq!(wrong, Err(prepx_auth::Error::WrongKey));
}

#[tokio::test]
async fn several_processes_make_the_first_users_at_the_same_time() {
    let mut world = World::new().await;
    let (first, second) = (world.start().await, world.start().await);
    let fixed = tokio::join!(first.built.ensure_dev(), second.built.ensure_dev());
    fixed.0.unwrap();
    fixed.1.unwrap();
    let drawn = tokio::join!(first.built.ensure(false), second.built.ensure(false));
    let (here, there) = (drawn.0.unwrap(), drawn.1.unwrap());
    let secrets =
        |first: prepx_user::First| [first.operator, first.demo].map(|key| key.unwrap().secret);
    let (here, there) = (secrets(here), secrets(there));
    assert_eq!(here, there);
    let again = second.built.ensure(false).await.unwrap();
    assert_eq!(secrets(again), here);
    let opened: BTreeSet<_> = world.stage.opened.lock().unwrap().iter().copied().collect();
    assert_eq!(
        opened.len(),
        2,
        "an account for each of the two demo traders"
    );
}

/// A portfolio service that nobody may ask.
fn nobody() -> prepx_runtime::Peer {
    prepx_runtime::Peer::remote("http://127.0.0.1:1").unwrap()
}

#[tokio::test]
async fn a_first_key_that_was_revoked_stays_so_and_stops_nobody() {
    let (mut world, mut users) = started().await;
    let demo = Who::key("demo", "demo-secret");
    users.revoke_key(&demo, "demo").await.unwrap();
    let users = world.start().await;
    let first = users.built.ensure_dev().await.unwrap();
    assert!(first.demo.is_none() && first.operator.is_some());
    first.endow_demo(&nobody()).await.expect("nobody is asked");
}

#[tokio::test]
async fn a_first_user_who_was_erased_is_not_made_again() {
    let (mut world, mut users) = started().await;
    let operator = Who::key("operator", "operator-secret");
    let own = users.profile(&operator).await.unwrap();
    let request = operator.asks(wire::EraseUserRequest { user_id: own.id });
    users.client.erase_user(request).await.unwrap();
    let users = world.start().await;
    let first = users.built.ensure_dev().await.unwrap();
    assert!(first.operator.is_none() && first.demo.is_some());
    first.endow_demo(&nobody()).await.expect("nobody is asked");
}

#[tokio::test]
async fn who_has_lost_the_file_of_first_keys_gets_others() {
    let mut world = World::new().await;
    world.config.dev = false;
    let users = world.start().await;
    let lost = users.built.ensure(false).await.unwrap().demo.unwrap();
    std::fs::remove_file(world.directory.path().join("keys.toml")).unwrap();
    let mut users = world.start().await;
    let found = users.built.ensure(false).await.unwrap().demo.unwrap();
    let before = users.profile(&Who::key(&lost.key_id, &lost.secret)).await;
    let now = users.profile(&Who::key(&found.key_id, &found.secret)).await;
    assert_eq!(now.unwrap(), before.unwrap(), "it is the same user");
}

#[tokio::test]
async fn who_took_the_address_of_a_first_user_gets_no_key_of_it() {
    let mut world = World::new().await;
    let mut users = world.start().await;
    users.sign_up("demo@prepx.example").await.unwrap();
    let first = users.built.ensure_dev().await.unwrap();
    assert!(first.demo.is_none());
    let demo = Who::key("demo", "demo-secret");
    assert_eq!(
        refused(users.profile(&demo).await),
        pair(40_110_000, "WRONG_KEY")
    );
}
