//! What operators do, and what a copied database tells.

use prepx_store::Location;

use crate::{PASSWORD, Running, Who, World, pair, refused, started, wire};
use tonic::Status;

fn operator() -> Who {
    Who::key("operator", "operator-secret")
}

async fn add(
    users: &mut Running,
    who: &Who,
    email: &str,
) -> Result<wire::AddAccountResponse, Status> {
    let request = wire::AddAccountRequest {
        email: email.to_owned(),
        simulated: true,
    };
    users
        .client
        .add_account(who.asks(request))
        .await
        .map(tonic::Response::into_inner)
}

async fn erase(users: &mut Running, who: &Who, user_id: &str) -> Result<(), Status> {
    let request = who.asks(wire::EraseUserRequest {
        user_id: user_id.to_owned(),
    });
    users.client.erase_user(request).await.map(|_| ())
}

#[tokio::test]
async fn an_operator_makes_traders_who_trade_by_key() {
    let (_world, mut users) = started().await;
    let made = add(&mut users, &operator(), "sim-1@example.com")
        .await
        .unwrap();
    let bot = users
        .profile(&Who::key(&made.key_id, &made.secret_key))
        .await
        .unwrap();
    assert_eq!(
        (bot.id, bot.account_id),
        (made.user_id, Some(made.account_id))
    );
    assert!(bot.simulated);
    let again = add(&mut users, &operator(), "SIM-1@example.com").await;
    assert_eq!(refused(again), pair(40_910_000, "EMAIL_TAKEN"));
    let answer = users.sign_in("sim-1@example.com", PASSWORD).await;
    assert_eq!(
        refused(answer),
        pair(40_110_000, "WRONG_PASSWORD"),
        "it has no password"
    );
}

#[tokio::test]
async fn what_is_for_operators_is_for_nobody_else() {
    let (_world, mut users) = started().await;
    let demo = Who::key("demo", "demo-secret");
    let forbidden = pair(40_300_000, "ROLE_REQUIRED");
    assert_eq!(
        refused(add(&mut users, &demo, "x@example.com").await),
        forbidden
    );
    assert_eq!(refused(erase(&mut users, &demo, "x").await), forbidden);
    let nobody = pair(40_110_000, "CREDENTIALS_MISSING");
    assert_eq!(
        refused(add(&mut users, &Who::Nobody, "x@example.com").await),
        nobody
    );
}

#[tokio::test]
async fn erasing_a_user_leaves_ids_and_frees_the_address() {
    let (_world, mut users) = started().await;
    let ada = users.sign_up("ada@example.com").await.unwrap();
    let session = users.sign_in("ada@example.com", PASSWORD).await.unwrap();
    let who = Who::Token(session.access_token);
    let key = users.create_key(&who, &[]).await.unwrap();
    let bot = Who::key(&key.key_id, &key.secret_key);
    users.profile(&bot).await.unwrap();
    erase(&mut users, &operator(), &ada.id).await.unwrap();
    assert_eq!(
        refused(users.profile(&who).await),
        pair(40_110_000, "TOKEN_REVOKED")
    );
    assert_eq!(
        refused(users.profile(&bot).await),
        pair(40_110_000, "WRONG_KEY")
    );
    let answer = users.sign_in("ada@example.com", PASSWORD).await;
    assert_eq!(refused(answer), pair(40_110_000, "WRONG_PASSWORD"));
    let again = users.sign_up("ada@example.com").await.unwrap();
    assert_ne!(
        (again.id, again.account_id),
        (ada.id.clone(), ada.account_id)
    );
    erase(&mut users, &operator(), &ada.id)
        .await
        .expect("a repeat changes nothing");
    let unknown = pair(40_410_000, "UNKNOWN_USER");
    assert_eq!(
        refused(erase(&mut users, &operator(), "no id").await),
        unknown
    );
    let id = uuid::Uuid::nil().to_string();
    assert_eq!(refused(erase(&mut users, &operator(), &id).await), unknown);
}

#[tokio::test]
async fn a_copied_database_names_nobody_and_opens_nothing() {
    let mut world = World::new().await;
    // Files are what can be copied here; the rows are the same elsewhere.
    world.location = Location::Sqlite(world.directory.path().to_owned());
    let mut users = world.start().await;
    users.sign_up("ada.lovelace@example.com").await.unwrap();
    let session = users
        .sign_in("ada.lovelace@example.com", PASSWORD)
        .await
        .unwrap();
    let who = Who::Token(session.access_token.clone());
    let key = users.create_key(&who, &[]).await.unwrap();
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(world.directory.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name != "master.key") {
            seen.extend(std::fs::read(path).unwrap());
        }
    }
    let has = |text: &str| {
        seen.windows(text.len())
            .any(|bytes| bytes == text.as_bytes())
    };
    assert!(
        has(&key.key_id) && has("argon2id"),
        "the files hold what was written"
    );
    for secret in [
        "lovelace",
        PASSWORD,
        &key.secret_key,
        &session.refresh_token,
        "demo-secret",
    ] {
        assert!(!has(secret), "{secret} is readable");
    }
}

#[tokio::test]
async fn without_its_master_key_the_service_does_not_start() {
    let (mut world, users) = started().await;
    drop(users);
    let (key, kept) = (
        world.directory.path().join("master.key"),
        world.directory.path().join("k"),
    );
    std::fs::rename(&key, &kept).unwrap();
    let refused = world
        .try_start()
        .await
        .err()
        .expect("must be refused")
        .to_string();
    assert!(refused.contains("master key"), "{refused}");
    std::fs::rename(&kept, &key).unwrap();
    world.start().await;
}
