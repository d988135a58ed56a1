//! Services to test with: two writes whose behaviour the request chooses, a read and a stream.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use prepx_env::Random;
use prepx_proto::gateway::v1::gateway_service_server::{GatewayService, GatewayServiceServer};
use prepx_proto::gateway::v1::{self, GetHealthRequest, Health};
use prepx_proto::notification::v1::notification_service_server::{
    NotificationService, NotificationServiceServer,
};
use prepx_proto::notification::v1::{
    ListenToTradesRequest, SubscribeRequest, SubscribeResponse, TradeUpdate,
};
use prepx_proto::portfolio::v1::admin_service_client::AdminServiceClient;
use prepx_proto::portfolio::v1::admin_service_server::{AdminService, AdminServiceServer};
use prepx_proto::portfolio::v1::{
    AuditBooksRequest, BooksAudit, CompareTablesRequest, CompareTablesResponse, DepositRequest,
    Transfer, WithdrawRequest,
};
use prepx_runtime::{Context, Drain, Peer, Service, guard, status};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};

/// Answers a withdrawal with its request id and the milliseconds that are left; hands a deposit on to
/// the next bank if there is one, else waits for the gate; panics for the asset `PANIC`.
pub struct Bank {
    pub next: Option<Peer>,
    pub gate: Arc<Gate>,
}

/// Holds calls back and tells that they have come.
pub struct Gate {
    come: Semaphore,
    go: Semaphore,
}

impl Gate {
    fn new(permits: usize) -> Arc<Gate> {
        Arc::new(Gate {
            come: Semaphore::new(0),
            go: Semaphore::new(permits),
        })
    }

    /// Ends when a call has come to the gate.
    pub async fn call(&self) {
        self.come
            .acquire()
            .await
            .expect("the gate is never closed for good")
            .forget();
    }

    /// How many calls have come and were not waited for.
    pub fn calls(&self) -> usize {
        self.come.available_permits()
    }

    /// Lets one call pass.
    pub fn open(&self) {
        self.go.add_permits(1);
    }

    async fn pass(&self) {
        self.come.add_permits(1);
        self.go
            .acquire()
            .await
            .expect("the gate is never closed for good")
            .forget();
    }
}

impl Bank {
    pub fn open() -> Bank {
        Bank {
            next: None,
            gate: Gate::new(1_000_000),
        }
    }

    pub fn closed() -> (Bank, Arc<Gate>) {
        let gate = Gate::new(0);
        (
            Bank {
                next: None,
                gate: Arc::clone(&gate),
            },
            gate,
        )
    }

    pub fn service(self, limits: guard::Limits) -> Service {
        Service::new()
            .grpc(AdminServiceServer::new(self))
            .guarded(limits, random())
    }
}

pub fn random() -> Arc<Random> {
    Arc::new(Random::from_seed(7))
}

pub fn client(peer: Peer) -> AdminServiceClient<Peer> {
    AdminServiceClient::new(peer)
}

pub fn withdrawal() -> WithdrawRequest {
    WithdrawRequest {
        asset: "USD".to_owned(),
        ..WithdrawRequest::default()
    }
}

pub fn deposit(asset: &str) -> DepositRequest {
    DepositRequest {
        asset: asset.to_owned(),
        ..DepositRequest::default()
    }
}

#[tonic::async_trait]
impl AdminService for Bank {
    async fn deposit(
        &self,
        request: Request<DepositRequest>,
    ) -> Result<Response<Transfer>, Status> {
        assert_ne!(
            request.get_ref().asset,
            "PANIC",
            "the vault is at /secret/path"
        );
        if let Some(next) = &self.next {
            return client(next.clone()).withdraw(withdrawal()).await;
        }
        self.gate.pass().await;
        Ok(Response::new(Transfer::default()))
    }

    async fn withdraw(&self, _: Request<WithdrawRequest>) -> Result<Response<Transfer>, Status> {
        let context = Context::current().expect("the guard gives every call a context");
        let left = context.deadline.map(|at| at - tokio::time::Instant::now());
        Ok(Response::new(Transfer {
            id: context.request_id().to_owned(),
            amount: left.map_or(String::new(), |left| left.as_millis().to_string()),
            ..Transfer::default()
        }))
    }

    async fn audit_books(
        &self,
        _: Request<AuditBooksRequest>,
    ) -> Result<Response<BooksAudit>, Status> {
        Err(Status::unimplemented("a bank of tests has no books"))
    }

    type CompareTablesStream = BoxStream<'static, Result<CompareTablesResponse, Status>>;

    async fn compare_tables(
        &self,
        _: Request<CompareTablesRequest>,
    ) -> Result<Response<Self::CompareTablesStream>, Status> {
        Err(Status::unimplemented("a bank of tests has no tables"))
    }
}

/// A read that waits for the gate.
pub struct Clinic(pub Arc<Gate>);

impl Clinic {
    pub fn service(self, limits: guard::Limits) -> Service {
        Service::new()
            .grpc(GatewayServiceServer::new(self))
            .guarded(limits, random())
    }
}

#[tonic::async_trait]
impl GatewayService for Clinic {
    async fn get_health(&self, _: Request<GetHealthRequest>) -> Result<Response<Health>, Status> {
        self.0.pass().await;
        Ok(Response::new(Health::default()))
    }

    async fn get_status(
        &self,
        _: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::Status>, Status> {
        Err(Status::unimplemented("a clinic of tests has no processes"))
    }
}

/// Cannot answer the read.
pub struct Ill;

impl Ill {
    pub fn service(self) -> Service {
        Service::new()
            .grpc(GatewayServiceServer::new(self))
            .guarded(guard::Limits::default(), random())
    }
}

#[tonic::async_trait]
impl GatewayService for Ill {
    async fn get_health(&self, _: Request<GetHealthRequest>) -> Result<Response<Health>, Status> {
        Err(Status::unavailable("it is ill"))
    }

    async fn get_status(
        &self,
        _: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::Status>, Status> {
        Err(Status::unimplemented("it has no processes"))
    }
}

type Answers = BoxStream<'static, Result<SubscribeResponse, Status>>;

/// A service of one stream: what it answers to the requests that it gets.
pub struct Stream(Box<dyn Fn(Streaming<SubscribeRequest>) -> Answers + Send + Sync>);

impl Stream {
    pub fn service(self, limits: guard::Limits) -> Service {
        Service::new()
            .grpc(NotificationServiceServer::new(self))
            .guarded(limits, random())
    }
}

#[tonic::async_trait]
impl NotificationService for Stream {
    type SubscribeStream = Answers;

    type ListenToTradesStream = BoxStream<'static, Result<TradeUpdate, Status>>;

    async fn listen_to_trades(
        &self,
        _: Request<ListenToTradesRequest>,
    ) -> Result<Response<Self::ListenToTradesStream>, Status> {
        Ok(Response::new(Box::pin(futures::stream::empty())))
    }

    async fn subscribe(
        &self,
        request: Request<Streaming<SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        Ok(Response::new(self.0(request.into_inner())))
    }
}

/// A stream that says one thing and then stays open until the drain begins.
pub fn radio(drain: Drain) -> Stream {
    Stream(Box::new(move |mut requests| {
        let drain = drain.clone();
        let first = futures::stream::once(async { Ok(SubscribeResponse::default()) });
        let last = futures::stream::once(async move {
            tokio::select! {
                () = drain.draining() => Err(status::of(&status::overloaded("the test", Duration::from_secs(1)))),
                Err(unreadable) = requests.message() => Err(unreadable),
            }
        });
        Box::pin(futures::StreamExt::chain(first, last))
    }))
}

/// A stream that answers every request, until there are no more.
pub fn parrot() -> Stream {
    Stream(Box::new(|requests| {
        let answered = |said: Result<_, _>| said.map(|_| SubscribeResponse::default());
        Box::pin(futures::StreamExt::map(requests, answered))
    }))
}
