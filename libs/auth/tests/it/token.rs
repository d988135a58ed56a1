//! Tokens, good and forged.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use prepx_auth::{Error, JwkSet, SigningKey};
use serde_json::{Value, json};

use crate::{KEYS, NOW, operator, trader, world};

fn claims() -> Value {
    let now_s = NOW.0 / 1_000_000;
    json!({
        "iss": "prepx", "aud": "prepx", "sub": "00000000-0000-0000-0000-000000000007",
        "iat": now_s, "exp": now_s + 900, "role": "operator", "scope": "admin:write", "key_id": "x",
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn header(alg: Algorithm, key: &SigningKey) -> Header {
    Header {
        kid: key.jwk().common.key_id.clone(),
        ..Header::new(alg)
    }
}

fn signed(claims: &Value, key: &SigningKey) -> String {
    encode(
        &header(Algorithm::RS256, key),
        claims,
        &EncodingKey::from_rsa_der(key.der()),
    )
    .unwrap()
}

fn unpadded(json: &Value) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json.to_string())
}

#[tokio::test]
async fn what_was_signed_is_read_back() {
    let world = world().await;
    for principal in [trader("session"), operator()] {
        let (token, expires_at) = KEYS[0].sign(&principal, NOW).unwrap();
        assert_eq!(world.token(&token).await, Ok(principal));
        assert_eq!(expires_at, NOW.plus_us(900_000_000));
    }
    assert!(
        world.token(&signed(&claims(), &KEYS[0])).await.is_ok(),
        "the forger's tools work"
    );
}

#[tokio::test]
async fn a_token_ends_after_fifteen_minutes_and_a_little_leeway() {
    let world = world().await;
    let (token, _) = KEYS[0].sign(&trader("session"), NOW).unwrap();
    assert!(world.token(&token).await.is_ok());
    world.clock.advance(Duration::from_secs(900 + 29));
    assert!(world.token(&token).await.is_ok(), "within the leeway");
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.token(&token).await, Err(Error::Expired));
}

#[tokio::test]
async fn a_forged_token_is_refused() {
    let world = world().await;
    let good = signed(&claims(), &KEYS[0]);
    let parts: Vec<&str> = good.split('.').collect();
    let kid = KEYS[0].jwk().common.key_id.clone();
    let none = unpadded(&json!({"alg": "none", "typ": "JWT", "kid": kid}));
    let public_key = serde_json::to_vec(KEYS[0].jwk()).unwrap();
    let hmac = EncodingKey::from_secret(&public_key);
    let rs384 = EncodingKey::from_rsa_der(KEYS[0].der());
    let no_kid = Header::new(Algorithm::RS256);
    let other_key_same_kid = encode(
        &header(Algorithm::RS256, &KEYS[0]),
        &claims(),
        &EncodingKey::from_rsa_der(KEYS[1].der()),
    );
    let forged = [
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        encode(&header(Algorithm::HS256, &KEYS[0]), &claims(), &hmac).unwrap(),
        encode(&header(Algorithm::RS384, &KEYS[0]), &claims(), &rs384).unwrap(),
        encode(&no_kid, &claims(), &rs384).unwrap(),
        other_key_same_kid.unwrap(),
        signed(&claims(), &KEYS[1]),
        format!(
            "{}.{}.{}",
            parts[0],
            unpadded(&with("key_id", "y".into())),
            parts[2]
        ),
        format!("{}.{}.{}", parts[0], parts[1], "AAAA"),
        format!("{}.{}", parts[0], parts[1]),
        "x".repeat(4_000),
        "..".to_owned(),
    ];
    for token in forged {
        let answer = world.token(&token).await;
        assert!(
            matches!(answer, Err(Error::BadToken(_))),
            "{token} gave {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_token_for_somebody_else_or_with_odd_claims_is_refused() {
    let world = world().await;
    let now_s = NOW.0 / 1_000_000;
    let odd = [
        with("iss", "evil".into()),
        with("iss", json!(null)),
        with("aud", "other".into()),
        with("aud", json!(["other"])),
        with("sub", "me".into()),
        with("exp", json!(now_s + 901)),
        with("exp", json!(null)),
        with("exp", json!(i64::MAX)),
        with("iat", json!(now_s + 60)),
        with("role", "root".into()),
        with("scope", "everything".into()),
        with("account", "00000000-0000-0000-0000-000000000007".into()),
    ];
    for claims in odd {
        let answer = world.token(&signed(&claims, &KEYS[0])).await;
        assert!(
            matches!(answer, Err(Error::BadToken(_))),
            "{claims} gave {answer:?}"
        );
    }
}

#[tokio::test]
async fn the_first_callers_of_a_process_wait_for_the_published_keys() {
    let world = world().await;
    let tokens = ["a", "b", "c"].map(|name| KEYS[0].sign(&trader(name), NOW).unwrap().0);
    let answers = futures::future::join_all(tokens.iter().map(|token| world.token(token))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(world.users.questions.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn keys_rotate_and_made_up_key_ids_do_not_flood_the_user_service() {
    let world = world().await;
    let (old, _) = KEYS[0].sign(&trader("a"), NOW).unwrap();
    let (new, _) = KEYS[1].sign(&trader("b"), NOW).unwrap();
    assert!(world.token(&old).await.is_ok());
    for _ in 0..50 {
        assert!(matches!(world.token(&new).await, Err(Error::BadToken(_))));
    }
    assert_eq!(world.users.questions.load(Ordering::SeqCst), 1);
    let both = KEYS.iter().map(|key| key.jwk().clone()).collect();
    *world.users.published.lock().unwrap() = JwkSet { keys: both };
    world.clock.advance(Duration::from_secs(11));
    assert!(world.token(&new).await.is_ok());
    assert!(world.token(&old).await.is_ok());
    assert_eq!(world.users.questions.load(Ordering::SeqCst), 2);
}
