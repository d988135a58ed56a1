//! Servers that speak TLS, and what is not believed of them.

use prepx_cache::{Cache, Limiter, Rate, RedisLocation};
use prepx_location::{Login, Tls};

use super::{PATIENT, location, open};

/// Whether processes count together: then both are heard by the servers.
async fn is_heard(cache: &Cache, other: &Cache) -> bool {
    let once = Limiter::new("once", Rate::new(1, PATIENT * 100));
    cache.take(&once, b"key", 1).await.allowed && !other.take(&once, b"key", 1).await.allowed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn servers_are_known_by_their_ca_and_know_who_asks() {
    let right = location();
    let tls = right.tls.clone().expect("a run with --tls");
    let heard = open(&right).await;
    assert!(is_heard(&heard, &open(&right).await).await);

    let strange = Tls {
        ca: None,
        ..tls.clone()
    };
    let nobody = Tls {
        own: None,
        ..tls.clone()
    };
    let login = right.login.clone().expect("a run with --tls");
    let unknown = Login {
        password: "wrong".to_owned(),
        ..login.clone()
    };
    for (why, tls, login) in [
        (
            "a CA that browsers do not know",
            Some(strange),
            login.clone(),
        ),
        (
            "a client without a certificate",
            Some(nobody),
            login.clone(),
        ),
        ("plain text", None, login.clone()),
        ("a wrong password", Some(tls), unknown),
    ] {
        let wrong = RedisLocation {
            tls,
            login: Some(login),
            ..location()
        };
        let right = RedisLocation {
            prefix: wrong.prefix.clone(),
            ..right.clone()
        };
        // It goes on by itself, as with servers that are away.
        assert!(
            !is_heard(&open(&wrong).await, &open(&right).await).await,
            "{why}"
        );
    }
}
