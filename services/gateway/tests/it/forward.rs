//! Through the gateway: calls and streams reach the service, what is not public does not, and nobody comes
//! in as the platform.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt as _, future, stream};
use http::HeaderMap;
use prepx_auth::{
    Authenticator, CLUSTER_KEY, ClusterKey, JwkSet, Principal, Revocations, Role, Scopes,
    SigningKey,
};
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
use prepx_runtime::serve::Port;
use prepx_runtime::tls::{Dialer, Identity};
use prepx_runtime::{Config, Drain, Hosted, Peer, Service, guard, listen, status, telemetry};
use prepx_tests::authority::Authority;
use tokio::sync::{mpsc, oneshot};
use tonic::{Code, Request, Response, Status, Streaming};
use uuid::Uuid;

const NOW: Micros = Micros(1_800_000_000_000_000);
/// How long what a test waits for may take on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// Answers every change with an empty message, listening to trades with one, and tells the test what
/// headers came.
struct Echo(mpsc::UnboundedSender<HeaderMap>);

impl Echo {
    fn note<T>(&self, request: &Request<T>) {
        let headers = request.metadata().clone().into_headers();
        self.0.send(headers).expect("the test listens");
    }
}

#[tonic::async_trait]
impl NotificationService for Echo {
    type SubscribeStream = BoxStream<'static, Result<SubscribeResponse, Status>>;

    type ListenToTradesStream = BoxStream<'static, Result<TradeUpdate, Status>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        self.note(&request);
        let asked = request.into_inner();
        let told = asked.map(|change| change.map(|_| SubscribeResponse::default()));
        Ok(Response::new(told.boxed()))
    }

    async fn listen_to_trades(
        &self,
        request: Request<ListenToTradesRequest>,
    ) -> Result<Response<Self::ListenToTradesStream>, Status> {
        self.note(&request);
        let told = Ok(TradeUpdate::default());
        Ok(Response::new(stream::iter([told]).boxed()))
    }
}

/// Lets everybody in as the same operator.
struct Anybody;

static SIGNING: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate(&Random::from_seed(1)).expect("a key"));

impl prepx_auth::Authority for Anybody {
    fn exchange<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
    ) -> future::BoxFuture<'a, prepx_auth::Result<String>> {
        let operator = Principal {
            user_id: Uuid::from_u128(1),
            account_id: None,
            role: Role::Operator,
            scopes: Scopes::NONE,
            key_id: "mine".to_owned(),
        };
        let (token, _) = SIGNING.sign(&operator, NOW).expect("signs");
        Box::pin(async { Ok(token) })
    }

    fn published_keys(&self) -> future::BoxFuture<'_, prepx_auth::Result<JwkSet>> {
        let keys = vec![SIGNING.jwk().clone()];
        Box::pin(async { Ok(JwkSet { keys }) })
    }
}

/// Serves until the sender is dropped; answers with the URL.
async fn serve(
    identity: Option<Arc<Identity>>,
    build: impl AsyncFnOnce(Drain) -> Service,
) -> (String, oneshot::Sender<()>) {
    let listener = listen(([127, 0, 0, 1], 0).into()).await;
    let listener = listener.expect("a free port");
    let scheme = identity.as_ref().map_or("http", |_| "https");
    let url = format!("{scheme}://{}", listener.local_addr().expect("is bound"));
    let (drain, control) = Drain::new();
    let service = build(drain.clone()).await;
    let hosted = Hosted {
        service,
        port: Port { listener, identity },
        probes: None,
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
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOW));
    let cache = Cache::open(Location::Memory, Arc::clone(&clock)).await;
    let revocations = Arc::new(Revocations::new(cache.clone()));
    let authenticator = Authenticator::new(
        Arc::new(Anybody),
        Arc::clone(&clock),
        &cache,
        Arc::clone(&revocations),
    );
    let deps = Deps {
        peers: BTreeMap::from([(PUBLIC[3].to_owned(), notification)]),
        forwards: Some(guard::Limits::default()),
        own: ("gateway", Service::new().peer()),
        key: ClusterKey::draw(&Random::from_seed(4)),
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

/// A gateway with a service in another process behind it.
struct Chain {
    url: String,
    heard: mpsc::UnboundedReceiver<HeaderMap>,
    _ends: [oneshot::Sender<()>; 2],
}

impl Chain {
    async fn start() -> Chain {
        Chain::over(None, &Dialer::default()).await
    }

    /// The gateway and the service know each other by certificates.
    async fn secured() -> Chain {
        let authority = Authority::new("platform");
        let dialer = Dialer::mutual(authority.identity("prepx-gateway"));
        Chain::over(Some(authority.identity("prepx-notification")), &dialer).await
    }

    async fn over(identity: Option<Arc<Identity>>, dialer: &Dialer) -> Chain {
        let (tell, heard) = mpsc::unbounded_channel();
        let echo = NotificationServiceServer::new(Echo(tell));
        let (behind, end) = serve(identity, async |_| Service::new().grpc(echo)).await;
        let peer = dialer.balanced("prepx-notification", &[&behind]);
        let peer = peer.expect("a URL");
        let (url, ended) = serve(None, async |drain| gateway(drain, peer).await).await;
        Chain {
            url,
            heard,
            _ends: [end, ended],
        }
    }

    fn client(&self) -> NotificationServiceClient<Peer> {
        NotificationServiceClient::new(Peer::remote(&self.url).expect("a URL"))
    }

    /// Asks for a path over HTTP, with more lines of header.
    fn get(&self, path: &str, more: &[&str]) -> TcpStream {
        let address = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).expect("it listens");
        let asked = format!("GET {path} HTTP/1.1");
        let lines = [&[asked.as_str(), "host: prepx"], more].concat();
        let request = lines.join("\r\n") + "\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("it is sent");
        stream
    }

    /// The headers of the next call that reaches the service.
    async fn headers(&mut self) -> HeaderMap {
        let heard = tokio::time::timeout(SOON, self.heard.recv()).await;
        heard.expect("a call comes soon").expect("the service runs")
    }
}

#[tokio::test]
async fn calls_and_streams_of_public_services_are_handed_on() {
    handed_on(Chain::start().await).await;
}

#[tokio::test]
async fn they_are_handed_on_to_who_shows_the_right_certificate() {
    handed_on(Chain::secured().await).await;
}

async fn handed_on(mut chain: Chain) {
    let mut client = chain.client();
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
    let told = client.listen_to_trades(request).await.expect("is there");
    let heard = told.into_inner().message().await.expect("tells");
    assert_eq!(heard, Some(TradeUpdate::default()));
    chain.headers().await;
    assert_eq!(chain.headers().await["apca-api-key-id"], "mine");
}

#[tokio::test]
async fn nobody_comes_in_as_the_platform() {
    let mut chain = Chain::start().await;
    let key = format!("{CLUSTER_KEY}: 0123456789abcdef0123456789abcdef");
    let shown = ["apca-api-key-id: mine", "apca-api-secret-key: secret", &key];
    let upgrade = [
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
    ];
    for (path, more) in [
        ("/v2/events/trades", &[][..]),
        ("/stream", &upgrade),
        ("/v2/iex", &upgrade),
    ] {
        let _open = chain.get(path, &[&shown, more].concat());
        let headers = chain.headers().await;
        assert!(!headers.contains_key(CLUSTER_KEY), "{path}: {headers:?}");
    }
    let mut request = Request::new(ListenToTradesRequest::default());
    let value = "0123456789abcdef0123456789abcdef".parse().expect("ASCII");
    request.metadata_mut().insert(CLUSTER_KEY, value);
    let told = chain.client().listen_to_trades(request).await;
    told.expect("is handed on");
    let headers = chain.headers().await;
    assert!(!headers.contains_key(CLUSTER_KEY), "gRPC: {headers:?}");
}

#[tokio::test]
async fn nothing_else_is_handed_on_and_a_service_that_is_away_is_named() {
    let nowhere = Dialer::default()
        .balanced("user", &["http://127.0.0.1:9"])
        .expect("a URL");
    let (url, _ended) = serve(None, async |drain| gateway(drain, nowhere).await).await;
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
        let internal = ["prepx.owner.", "prepx.platform."];
        assert!(!internal.iter().any(|of| name.starts_with(of)), "{name}");
    }
}
