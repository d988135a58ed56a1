//! The key of a platform around a handler.

use std::convert::Infallible;

use expect_test::{Expect, expect};
use http::{Request, Response};
use prepx_auth::{CLUSTER_KEY, ClusterKey};
use prepx_env::Random;
use tonic::service::Interceptor;
use tower::{Layer, ServiceExt, service_fn};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// What a call with these headers is answered.
async fn call(key: &ClusterKey, headers: &http::HeaderMap) -> Result<String, tonic::Status> {
    let handler = service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new("through".to_owned()))
    });
    let mut request = Request::new(());
    *request.headers_mut() = headers.clone();
    let response = key.layer().layer(handler).oneshot(request).await.unwrap();
    match tonic::Status::from_header_map(response.headers()) {
        Some(status) => Err(status),
        None => Ok(response.into_body()),
    }
}

async fn refused(shown: &[&str], words: Expect) {
    let key = ClusterKey::parse(KEY).unwrap();
    let mut headers = http::HeaderMap::new();
    for shown in shown {
        headers.insert(CLUSTER_KEY, shown.parse().unwrap());
        let status = call(&key, &headers).await.unwrap_err();
        words.assert_eq(status.message());
    }
    let status = call(&key, &headers).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    words.assert_eq(status.message());
}

#[tokio::test]
async fn only_the_same_key_gets_through() {
    let key = ClusterKey::parse(KEY).unwrap();
    let intercepted = key.clone().call(tonic::Request::new(())).unwrap();
    let headers = intercepted.metadata().clone().into_headers();
    assert!(headers[CLUSTER_KEY].is_sensitive());
    assert_eq!(call(&key, &headers).await.unwrap(), "through");
    let drawn = ClusterKey::draw(&Random::from_seed(1));
    assert!(call(&drawn, &headers).await.is_err());

    refused(
        &[],
        expect![
            "only services of this platform may call this: the header prepx-cluster-key is missing; a service sends it when its cluster_key is set (PREPX_CLUSTER_KEY)"
        ],
    )
    .await;
    refused(
        &[&KEY.replace('f', "e"), &KEY[1..], ""],
        expect![
            "the key in prepx-cluster-key is not that of this platform: give all of its services the same cluster_key (PREPX_CLUSTER_KEY)"
        ],
    )
    .await;
}

#[test]
fn a_key_that_keeps_nobody_out_is_none() {
    for text in [
        "",
        "short",
        &"x y".repeat(20),
        &"é".repeat(40),
        &"k".repeat(257),
    ] {
        let words = ClusterKey::parse(text).unwrap_err().to_string();
        assert!(words.contains("32 to 256"), "{words}");
        assert!(text.is_empty() || !words.contains(text));
    }
    let shown = format!("{:?}", ClusterKey::parse(KEY).unwrap());
    assert!(!shown.contains("0123"), "{shown}");
}
