//! gRPC through the gateway: calls and streams reach the service, what is not public does not.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{StreamExt as _, future, stream};
use prepx_auth::{Authenticator, Error, JwkSet, Revocations};
use prepx_cache::{Cache, Location};
use prepx_domain::Micros;
use prepx_env::{Clock, ManualClock, Random};
use prepx_gateway::{Deps, PUBLIC, RateLimits};
use prepx_proto::notification::v1::notification_service_client::NotificationServiceClient;
use prepx_proto::notification::v1::notification_service_server::{
    NotificationService, NotificationServiceServer,
};
use prepx_proto::notification::v1::{
    ListenToTradesRequest, SubscribeRequest, SubscribeResponse, TradeUpdate,
};
use prepx_proto::user::v1::user_service_client::UserServiceClient;
use prepx_runtime::{Config, Drain, Hosted, Peer, Service, guard, listen, status, telemetry};
use tokio::sync::oneshot;
use tonic::{Code, Request, Response, Status, Streaming};

/// Answers every change with an empty message; tells whoever listens to trades what headers came.
struct Echo;

#[tonic::async_trait]
impl NotificationService for Echo {
    type SubscribeStream = BoxStream<'static, Result<SubscribeResponse, Status>>;

    type ListenToTradesStream = BoxStream<'static, Result<TradeUpdate, Status>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let asked = request.into_inner();
        let told = asked.map(|change| change.map(|_| SubscribeResponse::default()));
        Ok(Response::new(told.boxed()))
    }

    async fn listen_to_trades(
        &self,
        request: Request<ListenToTradesRequest>,
    ) -> Result<Response<Self::ListenToTradesStream>, Status> {
        let header = |name| request.metadata().get(name).map(|value| value.to_str());
        let heard = TradeUpdate {
            execution_id: Some(format!(
                "{:?} {:?}",
                header("apca-api-key-id"),
                header("prepx-cluster-key")
            )),
            ..TradeUpdate::default()
        };
        Ok(Response::new(stream::iter([Ok(heard)]).boxed()))
    }
}

/// Knows nobody.
struct Nobody;

impl prepx_auth::Authority for Nobody {
    fn exchange<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
    ) -> future::BoxFuture<'a, prepx_auth::Result<String>> {
        Box::pin(async { Err(Error::WrongKey) })
    }

    fn published_keys(&self) -> future::BoxFuture<'_, prepx_auth::Result<JwkSet>> {
        Box::pin(async { Err(Error::Unavailable) })
    }
}

/// Serves until the sender is dropped; answers with the URL.
async fn serve(build: impl AsyncFnOnce(Drain) -> Service) -> (String, oneshot::Sender<()>) {
    let listener = listen(([127, 0, 0, 1], 0).into()).await;
    let listener = listener.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("is bound"));
    let (drain, control) = Drain::new();
    let service = build(drain.clone()).await;
    let hosted = Hosted {
        service,
        listener,
        drain,
        control,
    };
    let (end, asked) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let asked = async { drop(asked.await) };
        hosted.until(&Config::default(), asked, || {}).await
    });
    (url, end)
}

async fn gateway(drain: Drain, notification: Peer) -> Service {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Micros(0)));
    let cache = Cache::open(Location::Memory, Arc::clone(&clock)).await;
    let revocations = Arc::new(Revocations::new(cache.clone()));
    let authenticator = Authenticator::new(
        Arc::new(Nobody),
        Arc::clone(&clock),
        &cache,
        Arc::clone(&revocations),
    );
    let deps = Deps {
        peers: BTreeMap::from([(PUBLIC[3].to_owned(), notification)]),
        forwards: Some(guard::Limits::default()),
        authenticator: Arc::new(authenticator),
        rate_limits: RateLimits::default(),
        cache,
        clock,
        metrics: telemetry::metrics().expect("nobody else records"),
        random: Arc::new(Random::from_seed(3)),
        drain,
    };
    prepx_gateway::build(deps).expect("the protos are sound")
}

#[tokio::test]
async fn calls_and_streams_of_public_services_are_handed_on() {
    let echo = async |_| Service::new().grpc(NotificationServiceServer::new(Echo));
    let (behind, _end) = serve(echo).await;
    let peer = Peer::balanced(&[&behind]).expect("a URL");
    let (url, _ended) = serve(async |drain| gateway(drain, peer).await).await;
    let before = Peer::remote(&url).expect("a URL");

    let mut client = NotificationServiceClient::new(before.clone());
    let (say, said) = tokio::sync::mpsc::channel(1);
    let asked = tokio_stream::wrappers::ReceiverStream::new(said);
    let told = client.subscribe(asked).await.expect("is handed on");
    let mut told = told.into_inner();
    for _ in 0..2 {
        let change = SubscribeRequest::default();
        say.send(change).await.expect("the stream is open");
        let answer = told.message().await.expect("goes on");
        assert!(
            answer.is_some(),
            "each message comes while the stream is open"
        );
    }
    drop(say);
    assert_eq!(told.message().await.expect("ends well"), None);

    let mut request = Request::new(ListenToTradesRequest::default());
    let headers = request.metadata_mut();
    headers.insert("apca-api-key-id", "mine".parse().expect("ASCII"));
    headers.insert("prepx-cluster-key", "guessed".parse().expect("ASCII"));
    let told = client.listen_to_trades(request).await.expect("is there");
    let heard = told.into_inner().message().await.expect("tells");
    let heard = heard.expect("one message");
    let headers = heard.execution_id.expect("was set");
    assert_eq!(headers, "Some(Ok(\"mine\")) None");
}

#[tokio::test]
async fn nothing_else_is_handed_on_and_a_service_that_is_away_is_named() {
    let nowhere = Peer::balanced(&["http://127.0.0.1:9"]).expect("a URL");
    let (url, _ended) = serve(async |drain| gateway(drain, nowhere).await).await;
    let before = Peer::remote(&url).expect("a URL");
    let jwks = prepx_proto::user::v1::GetJwksRequest {};
    let unknown = UserServiceClient::new(before.clone()).get_jwks(jwks).await;
    assert_eq!(unknown.expect_err("no peer").code(), Code::Unimplemented);
    let health = prepx_proto::gateway::v1::GetHealthRequest {};
    let mut gateway =
        prepx_proto::gateway::v1::gateway_service_client::GatewayServiceClient::new(before);
    let down = gateway.get_health(health).await;
    let down = status::read(&down.expect_err("a service is away"));
    assert_eq!(down.reason, "SERVICE_DOWN");
    assert!(down.message.contains(PUBLIC[3]), "{}", down.message);
}

#[test]
fn what_services_ask_of_each_other_is_not_public() {
    let services: Vec<_> = prepx_proto::descriptors().services().collect();
    for name in PUBLIC {
        assert!(services.iter().any(|service| service.full_name() == name));
        assert!(!name.starts_with("prepx.owner."), "{name}");
    }
}
