//! Authentication from the headers to the handler, with a hand-moved clock and forged tokens.

// The lint spares `#[test]` functions only; their helpers are tests too.
#![allow(clippy::unwrap_used)]

mod cluster;
mod layer;
mod token;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use http::HeaderMap;
use prepx_auth::{
    Authenticator, Authority, Error, JwkSet, Principal, Result, Revocations, Role, Scope, Scopes,
    SigningKey,
};
use prepx_cache::Cache;
use prepx_domain::{AccountId, Micros, Slot};
use prepx_env::{Clock, ManualClock, Random};
use uuid::Uuid;

const NOW: Micros = Micros(1_800_000_000_000_000);

/// Two signing keys for the whole binary: generating one takes a good part of a second.
static KEYS: LazyLock<[SigningKey; 2]> = LazyLock::new(|| {
    [1, 2].map(|seed| SigningKey::generate(&Random::from_seed(seed)).expect("a key"))
});

fn trader(key_id: &str) -> Principal {
    let user_id = Uuid::from_u128(7);
    Principal {
        user_id,
        account_id: Some(AccountId::next(Slot::of_user(user_id), NOW, None)),
        role: Role::Trader,
        scopes: Scopes::NONE.with(Scope::OrdersRead),
        key_id: key_id.to_owned(),
    }
}

fn operator() -> Principal {
    Principal {
        account_id: None,
        role: Role::Operator,
        scopes: Role::Operator.scopes(),
        ..trader("operator")
    }
}

/// A user service with the keys `demo` and `operator`, whose secret is `secret`.
struct Users {
    clock: Arc<ManualClock>,
    published: Mutex<JwkSet>,
    revoked: Mutex<Vec<String>>,
    exchanges: AtomicUsize,
    questions: AtomicUsize,
}

impl Authority for Users {
    fn exchange<'a>(&'a self, key_id: &'a str, secret: &'a str) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            self.exchanges.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            let principal = match key_id {
                "demo" => trader("demo"),
                "operator" => operator(),
                _ => return Err(Error::WrongKey),
            };
            if secret != "secret" || self.revoked.lock().unwrap().iter().any(|id| id == key_id) {
                return Err(Error::WrongKey);
            }
            let (token, _) = KEYS[0].sign(&principal, self.clock.now()).expect("sign");
            Ok(token)
        })
    }

    fn published_keys(&self) -> BoxFuture<'_, Result<JwkSet>> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        let keys = self.published.lock().unwrap().clone();
        Box::pin(async {
            tokio::task::yield_now().await;
            Ok(keys)
        })
    }
}

struct World {
    cache: Cache,
    clock: Arc<ManualClock>,
    users: Arc<Users>,
    revocations: Arc<Revocations>,
    authenticator: Arc<Authenticator>,
}

async fn world() -> World {
    let clock = Arc::new(ManualClock::new(NOW));
    let users = Arc::new(Users {
        clock: Arc::clone(&clock),
        published: Mutex::new(JwkSet {
            keys: vec![KEYS[0].jwk().clone()],
        }),
        revoked: Mutex::default(),
        exchanges: AtomicUsize::new(0),
        questions: AtomicUsize::new(0),
    });
    let cache = Cache::open(prepx_cache::Location::Memory, clock.clone()).await;
    let revocations = Arc::new(Revocations::new(cache.clone()));
    let authenticator =
        Authenticator::new(users.clone(), clock.clone(), &cache, revocations.clone());
    World {
        cache,
        revocations,
        clock,
        users,
        authenticator: Arc::new(authenticator),
    }
}

impl World {
    async fn key(&self, key_id: &str, secret: &str) -> Result<Principal> {
        let mut headers = HeaderMap::new();
        headers.insert("apca-api-key-id", key_id.parse().unwrap());
        headers.insert("apca-api-secret-key", secret.parse().unwrap());
        let identity = self
            .authenticator
            .authenticate(&headers)
            .await?
            .expect("an identity");
        Ok(identity.principal.clone())
    }

    async fn token(&self, token: &str) -> Result<Principal> {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        let identity = self
            .authenticator
            .authenticate(&headers)
            .await?
            .expect("an identity");
        Ok(identity.principal.clone())
    }
}

#[tokio::test]
async fn a_key_is_exchanged_once_and_again_before_its_token_ends() {
    let world = world().await;
    let calls = (0..20).map(|_| world.key("demo", "secret"));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer, Ok(trader("demo")));
    }
    assert_eq!(world.users.exchanges.load(Ordering::SeqCst), 1);
    world.clock.advance(Duration::from_secs(14 * 60 + 1));
    assert_eq!(world.key("demo", "secret").await, Ok(trader("demo")));
    assert_eq!(world.users.exchanges.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_wrong_secret_is_refused_also_beside_a_kept_right_one() {
    let world = world().await;
    assert_eq!(world.key("demo", "guess").await, Err(Error::WrongKey));
    assert_eq!(world.key("demo", "secret").await, Ok(trader("demo")));
    assert_eq!(world.key("demo", "guess").await, Err(Error::WrongKey));
    assert_eq!(world.key("nobody", "secret").await, Err(Error::WrongKey));
    assert_eq!(Error::WrongKey.code().number(), 40_110_000);
}

#[tokio::test]
async fn a_revoked_key_and_its_tokens_are_refused_at_once() {
    let world = world().await;
    assert!(world.key("demo", "secret").await.is_ok());
    let (token, _) = KEYS[0].sign(&trader("demo"), NOW).unwrap();
    assert!(world.token(&token).await.is_ok());
    world.users.revoked.lock().unwrap().push("demo".to_owned());
    world.revocations.revoke("demo", NOW).await;
    assert_eq!(world.key("demo", "secret").await, Err(Error::WrongKey));
    assert_eq!(world.token(&token).await, Err(Error::Revoked));
    assert!(
        world.key("operator", "secret").await.is_ok(),
        "others go on"
    );
}
