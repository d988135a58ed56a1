//! The layer in front of a handler, under the rules in the real protos.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use expect_test::expect;
use futures::{FutureExt as _, StreamExt as _};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use prepx_auth::{
    AuthLayer, CLUSTER_KEY, ClusterKey, Identity, Policy, Revocations, on_behalf, principal,
};
use prepx_domain::Code;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::{World, world};

/// Answers with the caller's key id, or a refusal's code.
async fn call(world: &World, path: &str, headers: &[(&str, &str)]) -> Result<String, Code> {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(world, request.body(()).unwrap()).await
}

async fn send(world: &World, request: Request<()>) -> Result<String, Code> {
    let handler = service_fn(|request: Request<()>| async move {
        let caller = principal(request.extensions())
            .map_or("nobody", |who| &who.key_id)
            .to_owned();
        Ok::<_, Infallible>(Response::new(caller))
    });
    let response = layer(world)
        .layer(handler)
        .ready()
        .await
        .unwrap()
        .call(request)
        .await
        .unwrap();
    match tonic::Status::from_header_map(response.headers()) {
        Some(status) => Err(prepx_runtime::status::read(&status).code),
        None => {
            let body = response.into_body().collect().await.unwrap().to_bytes();
            Ok(String::from_utf8(body.into()).unwrap())
        }
    }
}

fn layer(world: &World) -> AuthLayer {
    let policy = Policy::from_descriptors(prepx_proto::descriptors()).expect("sound protos");
    let key = ClusterKey::parse(KEY).expect("is long enough");
    AuthLayer::new(world.authenticator.clone(), Arc::new(policy), &key)
}

const KEY: &str = "0123456789abcdef0123456789abcdef";
const DEMO: [(&str, &str); 2] = [
    ("apca-api-key-id", "demo"),
    ("apca-api-secret-key", "secret"),
];
const OPERATOR: [(&str, &str); 2] = [
    ("apca-api-key-id", "operator"),
    ("apca-api-secret-key", "secret"),
];

#[tokio::test]
async fn a_method_without_a_rule_needs_a_principal() {
    let world = world().await;
    assert_eq!(
        call(&world, "/x.Y/Unknown", &[]).await,
        Err(Code::Unauthenticated)
    );
    assert_eq!(
        call(&world, "/x.Y/Unknown", &DEMO).await,
        Ok("demo".to_owned())
    );
    assert_eq!(
        call(&world, "/x.Y/Unknown", &DEMO[..1]).await,
        Err(Code::Unauthenticated)
    );
}

#[tokio::test]
async fn health_is_open() {
    assert_eq!(
        call(&world().await, "/grpc.health.v1.Health/Check", &[]).await,
        Ok("nobody".to_owned())
    );
}

#[tokio::test]
async fn scopes_and_roles_are_those_of_the_protos() {
    let world = world().await;
    let read = "/prepx.trading.v1.TradingService/GetOrders";
    let write = "/prepx.trading.v1.TradingService/SubmitOrder";
    assert_eq!(call(&world, read, &DEMO).await, Ok("demo".to_owned()));
    assert_eq!(call(&world, write, &DEMO).await, Err(Code::Forbidden));
    assert_eq!(
        call(&world, write, &OPERATOR).await,
        Ok("operator".to_owned())
    );
}

#[tokio::test]
async fn an_identity_in_the_extensions_is_believed_and_checked() {
    let world = world().await;
    let mut headers = http::HeaderMap::new();
    for (name, value) in DEMO {
        headers.insert(name, value.parse().unwrap());
    }
    let identity: Arc<Identity> = world
        .authenticator
        .authenticate(&headers)
        .await
        .unwrap()
        .unwrap();
    for (path, answer) in [
        ("/x.Y/Z", Ok("demo".to_owned())),
        (
            "/prepx.trading.v1.TradingService/SubmitOrder",
            Err(Code::Forbidden),
        ),
    ] {
        let mut request = Request::builder().uri(path).body(()).unwrap();
        request.extensions_mut().insert(identity.clone());
        assert_eq!(send(&world, request).await, answer);
    }
}

#[tokio::test]
async fn a_call_on_behalf_of_somebody_is_that_somebody_here_and_elsewhere() {
    let world = world().await;
    let key = prepx_auth::Credentials::key("demo", "secret").unwrap();
    let identity = world.authenticator.identify(&key).await.unwrap().unwrap();
    let (metadata, extensions, ()) = on_behalf(&identity, ()).into_parts();
    let mut here = Request::builder().uri("/x.Y/Z").body(()).unwrap();
    *here.extensions_mut() = extensions;
    assert_eq!(send(&world, here).await, Ok("demo".to_owned()));
    let mut elsewhere = Request::builder().uri("/x.Y/Z").body(()).unwrap();
    *elsewhere.headers_mut() = metadata.into_headers();
    let other = crate::world().await;
    assert_eq!(send(&other, elsewhere).await, Ok("demo".to_owned()));
}

#[tokio::test]
async fn the_platform_itself_reads_what_is_the_same_for_everybody_and_nothing_else() {
    let world = world().await;
    let key = [(CLUSTER_KEY, KEY)];
    let services = prepx_proto::descriptors().services();
    let methods = services.flat_map(|service| service.methods().collect::<Vec<_>>());
    let mut opened = String::new();
    for method in methods {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let admitted = call(&world, &path, &key).await;
        match call(&world, &path, &[]).await {
            Ok(_) => assert_eq!(admitted.as_deref(), Ok("nobody"), "{path} is for anyone"),
            Err(_) if admitted.is_ok() => opened += &format!("{path}\n"),
            Err(_) => assert_eq!(admitted, Err(Code::Forbidden), "{path}"),
        }
    }
    expect![[r#"
        /prepx.market_data.v1.StockDataService/GetBars
        /prepx.market_data.v1.StockDataService/GetQuotes
        /prepx.market_data.v1.StockDataService/GetTrades
        /prepx.market_data.v1.StockDataService/GetLatestBars
        /prepx.market_data.v1.StockDataService/GetLatestQuotes
        /prepx.market_data.v1.StockDataService/GetLatestTrades
        /prepx.market_data.v1.StockDataService/GetLatestOrderBooks
        /prepx.market_data.v1.StockDataService/GetMarketStates
        /prepx.market_data.v1.StockDataService/GetSnapshots
        /prepx.market_data.v1.StockDataService/GetSingleBars
        /prepx.market_data.v1.StockDataService/GetSingleQuotes
        /prepx.market_data.v1.StockDataService/GetSingleTrades
        /prepx.market_data.v1.StockDataService/GetLatestSingleBar
        /prepx.market_data.v1.StockDataService/GetLatestSingleQuote
        /prepx.market_data.v1.StockDataService/GetLatestSingleTrade
        /prepx.market_data.v1.StockDataService/GetSingleSnapshot
    "#]]
    .assert_eq(&opened);
}

#[tokio::test]
async fn who_shows_credentials_beside_the_key_is_who_they_say() {
    let world = world().await;
    let bars = "/prepx.market_data.v1.StockDataService/GetBars";
    let beside = |key| [DEMO[0], DEMO[1], (CLUSTER_KEY, key)];
    assert_eq!(
        call(&world, bars, &beside(KEY)).await,
        Err(Code::Forbidden),
        "demo may not read data"
    );
    let orders = "/prepx.trading.v1.TradingService/GetOrders";
    assert_eq!(
        call(&world, orders, &beside(KEY)).await,
        Ok("demo".to_owned())
    );
    let wrong = KEY.replace('0', "1");
    assert_eq!(
        call(&world, bars, &[(CLUSTER_KEY, &wrong)]).await,
        Err(Code::Unauthenticated)
    );
}

/// The frames of an answer that would never end.
async fn opened(world: &World, path: &str) -> impl http_body::Body<Data = Bytes> + Unpin {
    let handler = service_fn(|_: Request<()>| async {
        let first = futures::stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from("told")))]);
        let frames = StreamBody::new(first.chain(futures::stream::pending()));
        Ok::<_, Infallible>(Response::new(tonic::body::Body::new(frames)))
    });
    let mut request = Request::builder().uri(path);
    for (name, value) in DEMO {
        request = request.header(name, value);
    }
    let request = request.body(()).unwrap();
    let response = layer(world).layer(handler).oneshot(request).await.unwrap();
    let mut body = response.into_body();
    let told = body.frame().await.unwrap().ok().unwrap();
    assert_eq!(told.into_data().ok().unwrap(), "told");
    body
}

const STREAM: &str = "/prepx.notification.v1.NotificationService/Subscribe";

#[tokio::test]
async fn a_stream_ends_when_its_key_is_revoked_and_others_go_on() {
    let world = world().await;
    let mut body = opened(&world, STREAM).await;
    let mut unary = opened(&world, "/x.Y/Z").await;
    assert!(
        body.frame().now_or_never().is_none(),
        "nothing more is told yet"
    );
    world.revocations.revoke("operator", crate::NOW).await;
    assert!(
        body.frame().now_or_never().is_none(),
        "somebody else was revoked"
    );
    let revoked = world.revocations.revoke("demo", crate::NOW);
    let (end, ()) = futures::future::join(body.frame(), revoked).await;
    let trailers = end.unwrap().ok().unwrap().into_trailers().ok().unwrap();
    let status = tonic::Status::from_header_map(&trailers).unwrap();
    let told = prepx_runtime::status::read(&status);
    assert_eq!(
        (told.code, told.reason.as_str()),
        (Code::Unauthenticated, "TOKEN_REVOKED")
    );
    assert!(body.frame().await.is_none());
    assert!(
        unary.frame().now_or_never().is_none(),
        "an answer that was begun is finished"
    );
}

#[tokio::test]
async fn a_stream_that_was_opened_just_before_a_flood_of_revocations_ends_too() {
    let world = world().await;
    let mut body = opened(&world, STREAM).await;
    // More news than a listener can be behind by, and its own first of all.
    world.revocations.revoke("demo", crate::NOW).await;
    for number in 0..5_000 {
        world
            .revocations
            .revoke(&number.to_string(), crate::NOW)
            .await;
    }
    assert!(body.frame().await.unwrap().ok().unwrap().is_trailers());
}

#[tokio::test]
async fn a_stream_ends_when_another_process_revokes_its_key() {
    let world = world().await;
    let mut body = opened(&world, STREAM).await;
    let elsewhere = Revocations::new(world.cache.clone());
    tokio::select! {
        biased;
        () = world.revocations.listen(&*world.clock) => panic!("listens until it is dropped"),
        ended = async {
            elsewhere.revoke("demo", crate::NOW).await;
            body.frame().await
        } => assert!(ended.unwrap().ok().unwrap().is_trailers()),
    }
}
