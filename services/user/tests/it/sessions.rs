//! Signing up, in and out.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::{NOW, PASSWORD, Who, World, pair, refused, started, wire};
use prepx_domain::AccountId;
use prepx_runtime::status;
use uuid::Uuid;

#[tokio::test]
async fn a_new_user_signs_in_and_sees_itself() {
    let (_world, mut users) = started().await;
    let made = users.sign_up("Ada@Example.com").await.unwrap();
    assert_eq!(
        (made.email.as_str(), made.created_at),
        ("ada@example.com", NOW.0)
    );
    let account = Uuid::try_parse(made.account_id.as_deref().unwrap()).unwrap();
    assert!(
        AccountId::from_uuid(account).is_some(),
        "an account's id in its outward form"
    );
    let session = users.sign_in(" ADA@example.com", PASSWORD).await.unwrap();
    assert_eq!(
        (session.token_type.as_str(), session.expires_in),
        ("Bearer", 900)
    );
    assert_eq!(session.user.as_ref(), Some(&made));
    assert_eq!(
        users
            .profile(&Who::Token(session.access_token))
            .await
            .unwrap(),
        made
    );
    assert_eq!(
        refused(users.profile(&Who::Nobody).await),
        pair(40_110_000, "CREDENTIALS_MISSING")
    );
}

#[tokio::test]
async fn an_address_has_one_user_and_a_password_must_be_good() {
    let (world, mut users) = started().await;
    users.sign_up("ada@example.com").await.unwrap();
    let opened = world.stage.opened.lock().unwrap().len();
    assert_eq!(
        refused(users.sign_up("ADA@example.com").await),
        pair(40_910_000, "EMAIL_TAKEN")
    );
    assert_eq!(
        refused(users.sign_up("no address").await),
        pair(42_210_000, "INVALID_EMAIL")
    );
    let weak = wire::SignUpRequest {
        email: "b@example.com".into(),
        password: "short".into(),
    };
    let answer = users.client.sign_up(weak).await.unwrap_err();
    assert_eq!(
        answer.message(),
        "password: the password has 5 characters, at least 10 are needed"
    );
    assert_eq!(
        world.stage.opened.lock().unwrap().len(),
        opened,
        "no account for a refused user"
    );
}

#[tokio::test]
async fn one_of_two_who_take_an_address_at_once_gets_it() {
    let (_world, users) = started().await;
    let tries = (0..4).map(|_| {
        let mut client = users.client.clone();
        async move {
            let (email, password) = ("ada@example.com".to_owned(), PASSWORD.to_owned());
            client
                .sign_up(wire::SignUpRequest { email, password })
                .await
                .map(|_| ())
        }
    });
    let answers = futures::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for answer in answers.into_iter().filter(Result::is_err) {
        assert_eq!(refused(answer), pair(40_910_000, "EMAIL_TAKEN"));
    }
}

#[tokio::test]
async fn without_an_account_no_user_is_made() {
    let (world, mut users) = started().await;
    world.stage.closed.store(true, Ordering::SeqCst);
    let answer = users.sign_up("ada@example.com").await.unwrap_err();
    assert_eq!(status::read(&answer).retry_after_ms, Some(1_000));
    assert!(
        !answer.message().contains("owner"),
        "our insides are not told"
    );
    assert_eq!(
        refused::<()>(Err(answer)),
        pair(50_310_000, "ACCOUNT_UNAVAILABLE")
    );
    world.stage.closed.store(false, Ordering::SeqCst);
    users.sign_up("ada@example.com").await.unwrap();
}

#[tokio::test]
async fn wrong_passwords_and_unknown_addresses_are_one_answer_and_are_throttled() {
    let (world, mut users) = started().await;
    users.sign_up("ada@example.com").await.unwrap();
    for email in ["ada@example.com", "nobody@example.com"] {
        for _ in 0..10 {
            let answer = users.sign_in(email, "a wrong guess").await.unwrap_err();
            assert_eq!(
                answer.message(),
                "the e-mail address or the password is wrong"
            );
            assert_eq!(
                refused::<()>(Err(answer)),
                pair(40_110_000, "WRONG_PASSWORD")
            );
        }
        let answer = users.sign_in(email, PASSWORD).await.unwrap_err();
        assert_eq!(status::read(&answer).retry_after_ms, Some(900_000));
        assert_eq!(
            refused::<()>(Err(answer)),
            pair(42_910_000, "TOO_MANY_TRIES")
        );
    }
    world.clock.advance(Duration::from_secs(900));
    users.sign_in("ada@example.com", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_right_password_forgives_the_wrong_ones() {
    let (_world, mut users) = started().await;
    users.sign_up("ada@example.com").await.unwrap();
    for _ in 0..2 {
        for _ in 0..9 {
            let answer = users.sign_in("ada@example.com", "a wrong guess").await;
            assert_eq!(refused(answer), pair(40_110_000, "WRONG_PASSWORD"));
        }
        users.sign_in("ada@example.com", PASSWORD).await.unwrap();
    }
}

#[tokio::test]
async fn tokens_end_and_are_refreshed_in_turn() {
    let (world, mut users) = started().await;
    users.sign_up("ada@example.com").await.unwrap();
    let first = users.sign_in("ada@example.com", PASSWORD).await.unwrap();
    world.clock.advance(Duration::from_secs(900 + 30));
    let who = Who::Token(first.access_token.clone());
    assert_eq!(
        refused(users.profile(&who).await),
        pair(40_110_000, "TOKEN_EXPIRED")
    );
    let second = users.refresh(&first.refresh_token).await.unwrap();
    assert_eq!(second.id, first.id);
    assert_ne!(second.refresh_token, first.refresh_token);
    let who = Who::Token(second.access_token.clone());
    users.profile(&who).await.unwrap();
    world.clock.advance(Duration::from_secs(31 * 86_400));
    let answer = users.refresh(&second.refresh_token).await;
    assert_eq!(refused(answer), pair(40_110_000, "WRONG_REFRESH_TOKEN"));
}

#[tokio::test]
async fn a_refresh_token_that_comes_twice_ends_its_session() {
    let (_world, mut users) = started().await;
    users.sign_up("ada@example.com").await.unwrap();
    let first = users.sign_in("ada@example.com", PASSWORD).await.unwrap();
    let other = users.sign_in("ada@example.com", PASSWORD).await.unwrap();
    let second = users.refresh(&first.refresh_token).await.unwrap();
    let wrong = pair(40_110_000, "WRONG_REFRESH_TOKEN");
    assert_eq!(refused(users.refresh(&first.refresh_token).await), wrong);
    assert_eq!(
        refused(users.refresh(&second.refresh_token).await),
        wrong,
        "the thief's or ours"
    );
    let who = Who::Token(second.access_token);
    assert_eq!(
        refused(users.profile(&who).await),
        pair(40_110_000, "TOKEN_REVOKED")
    );
    users
        .refresh(&other.refresh_token)
        .await
        .expect("the other session goes on");
    for made_up in [
        "",
        "a.b.c",
        "SEAAAA.1.00",
        &second.refresh_token.replace(".2.", ".3."),
    ] {
        assert_eq!(refused(users.refresh(made_up).await), wrong, "{made_up}");
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_at_once() {
    let (_world, mut users) = started().await;
    users.sign_up("ada@example.com").await.unwrap();
    let session = users.sign_in("ada@example.com", PASSWORD).await.unwrap();
    let who = Who::Token(session.access_token);
    users.profile(&who).await.unwrap();
    users
        .client
        .sign_out(who.asks(wire::SignOutRequest {}))
        .await
        .unwrap();
    assert_eq!(
        refused(users.profile(&who).await),
        pair(40_110_000, "TOKEN_REVOKED")
    );
    let answer = users.refresh(&session.refresh_token).await;
    assert_eq!(refused(answer), pair(40_110_000, "WRONG_REFRESH_TOKEN"));
    let by_key = Who::key("demo", "demo-secret").asks(wire::SignOutRequest {});
    assert_eq!(
        refused(users.client.sign_out(by_key).await),
        pair(42_210_000, "NO_SESSION")
    );
}

#[tokio::test]
async fn an_expired_token_does_not_keep_anybody_from_signing_in() {
    let (world, mut users) = started().await;
    users.sign_up("ada@example.com").await.unwrap();
    let session = users.sign_in("ada@example.com", PASSWORD).await.unwrap();
    world.clock.advance(Duration::from_secs(3_600));
    let (email, password) = ("ada@example.com".to_owned(), PASSWORD.to_owned());
    let request = Who::Token(session.access_token).asks(wire::SignInRequest { email, password });
    users.client.sign_in(request).await.unwrap();
}

#[tokio::test]
async fn more_sign_ins_than_may_wait_are_told_to_come_back() {
    let mut world = World::new().await;
    world.config.hashes_at_once = 1;
    world.config.hashes_waiting_max = 1;
    let users = world.start().await;
    let tries = (0..8).map(|number| {
        let mut client = users.client.clone();
        let email = format!("user{number}@example.com");
        let request = wire::SignInRequest {
            email,
            password: "a wrong guess".to_owned(),
        };
        async move { client.sign_in(request).await }
    });
    let answers = futures::future::join_all(tries).await;
    let reasons: Vec<_> = answers.into_iter().map(refused).collect();
    let of = |reason: (u32, String)| reasons.iter().filter(|other| **other == reason).count();
    assert_eq!(
        of(pair(50_310_000, "BUSY")) + of(pair(40_110_000, "WRONG_PASSWORD")),
        8
    );
    assert!(of(pair(50_310_000, "BUSY")) >= 1 && of(pair(40_110_000, "WRONG_PASSWORD")) >= 2);
}

#[tokio::test]
async fn a_restart_forgets_nothing() {
    let (mut world, mut users) = started().await;
    let made = users.sign_up("ada@example.com").await.unwrap();
    let session = users.sign_in("ada@example.com", PASSWORD).await.unwrap();
    drop(users);
    let mut users = world.start().await;
    let who = Who::Token(session.access_token.clone());
    assert_eq!(
        users.profile(&who).await.unwrap(),
        made,
        "the signing key is the same"
    );
    users.refresh(&session.refresh_token).await.unwrap();
    users.sign_in("ada@example.com", PASSWORD).await.unwrap();
}
