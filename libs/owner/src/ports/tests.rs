//! Reads against owners that are made up: in this process, over loopback, elsewhere by now, dead.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::stream::{Iter, iter};
use prepx_auth::ClusterKey;
use prepx_bus::embedded::{Config, WriterHandle};
use prepx_bus::file::RealDir;
use prepx_bus::{EmbeddedLog, Log, spawn_writer};
use prepx_domain::message::Limits;
use prepx_domain::update::Book;
use prepx_domain::view::Balance;
use prepx_domain::{Micros, fixture};
use prepx_env::{Random, SystemClock};
use prepx_proto::journal::Part as _;
use prepx_proto::owner::v1::account_owner_service_server::{
    AccountOwnerService, AccountOwnerServiceServer,
};
use prepx_proto::owner::v1::matching_owner_service_server::{
    MatchingOwnerService, MatchingOwnerServiceServer,
};
use prepx_runtime::tls::Dialer;
use prepx_runtime::{Config as HostConfig, Drain, Hosted, Service, listen};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::*;
use crate::{Directory, Failure, Owner, QueryError};

const TOPOLOGY: Topology = Topology {
    account_partitions: 2,
    matching_partitions: 1,
};
/// Not reached where all is well.
const LONG: Duration = Duration::from_secs(60);

/// What an owner does before it answers.
type First = Arc<dyn Fn() -> Result<(), QueryError> + Send + Sync>;

/// An owner of every partition. Its account has as many open orders as it has been asked before.
#[derive(Clone)]
struct Made {
    first: First,
    asked: Arc<AtomicU32>,
    /// The last number that the account partitions have taken of matching's lane.
    received: Arc<AtomicU32>,
}

impl Made {
    fn of(first: impl Fn() -> Result<(), QueryError> + Send + Sync + 'static) -> Made {
        Made {
            first: Arc::new(first),
            asked: Arc::default(),
            received: Arc::default(),
        }
    }

    fn willing() -> Made {
        Made::of(|| Ok(()))
    }

    fn service(&self, key: &ClusterKey) -> Service {
        Service::new()
            .grpc(AccountOwnerServiceServer::new(self.clone()))
            .grpc(MatchingOwnerServiceServer::new(self.clone()))
            .layer(key.layer())
    }

    fn ask(&self) -> Result<u32, Status> {
        (self.first)()?;
        Ok(self.asked.fetch_add(1, Ordering::AcqRel))
    }
}

fn account() -> AccountId {
    AccountId::next(Slot::new(1).unwrap(), Micros(1_760_000_000_000_000), None)
}

fn view(open_orders: u32) -> AccountView {
    AccountView {
        account: account(),
        user: Uuid::from_u128(7),
        opened_at: Micros(5),
        simulated: false,
        blocked: true,
        suspended: false,
        limits: Limits {
            order_qty_minor: 1,
            order_notional_minor: 2,
            open_orders: 3,
            position_minor: i64::MAX,
        },
        balances: vec![Balance {
            asset: "USD".parse().unwrap(),
            scale: 8,
            available_minor: -1,
            held_minor: 2,
            cost_minor: 0,
        }],
        open_orders,
    }
}

fn books(partition: u32) -> StageBooks {
    let line = |number| {
        let held = Book::Held(AccountId::new(number).unwrap());
        ((partition, held, "BTC".parse().unwrap()), number - 6_000)
    };
    StageBooks {
        positions: vec![u64::from(partition) + 40],
        books: (0..12_000).map(line).collect(),
        accounts: 12_000,
        flaw: (partition == 1).then(|| "a flaw".to_owned()),
    }
}

/// Matching has sent 3 messages to each account partition.
fn head(sent: bool, partition: u32, received: u32) -> v1::Head {
    let journal = Stage::MATCHING.seat(0).journal();
    let mut head = prepx_stage::Head {
        seq: u64::from(partition) + 40,
        ..prepx_stage::Head::default()
    };
    if sent {
        let to = |partition| (Stage::ACCOUNT.seat(partition).lanes(), 3);
        head.sent = (0..TOPOLOGY.account_partitions).map(to).collect();
    } else {
        head.received.insert(journal, received.into());
    }
    wire::head(&head)
}

#[tonic::async_trait]
impl AccountOwnerService for Made {
    async fn get_account(
        &self,
        request: Request<v1::GetAccountRequest>,
    ) -> Result<Response<v1::GetAccountResponse>, Status> {
        let asked = self.ask()?;
        let known = request.get_ref().account == account().raw();
        let account = known.then(|| view(asked).to_wire());
        Ok(Response::new(v1::GetAccountResponse { account }))
    }

    async fn list_orders(
        &self,
        request: Request<v1::ListOrdersRequest>,
    ) -> Result<Response<v1::ListOrdersResponse>, Status> {
        self.ask()?;
        let (account, which) = wire::listed_orders(request.into_inner()).unwrap();
        let named = which == WhichOrders::ClientOrderId("mine".into());
        let order = OrderView {
            account,
            ..fixture::order()
        };
        let orders = vec![order.to_wire()];
        let orders = if named { orders } else { Vec::new() };
        Ok(Response::new(v1::ListOrdersResponse { orders }))
    }

    async fn list_instruments(
        &self,
        _: Request<v1::ListInstrumentsRequest>,
    ) -> Result<Response<v1::ListInstrumentsResponse>, Status> {
        self.ask()?;
        let instrument = InstrumentView {
            instrument: fixture::bitcoin(),
            halted: true,
            reference_ticks: None,
        };
        let instruments = vec![instrument.to_wire()];
        Ok(Response::new(v1::ListInstrumentsResponse { instruments }))
    }

    type GetBooksStream = Iter<std::vec::IntoIter<Result<v1::BooksPart, Status>>>;

    async fn get_books(
        &self,
        request: Request<v1::GetBooksRequest>,
    ) -> Result<Response<Self::GetBooksStream>, Status> {
        self.ask()?;
        let partition = request.get_ref().partition;
        let head = head(
            false,
            partition,
            self.received.load(Ordering::Acquire).min(3),
        );
        let parts = wire::parts_of_books(head, books(partition));
        assert!(parts.len() > 1, "they are worth more than one");
        Ok(Response::new(iter(
            parts.into_iter().map(Ok).collect::<Vec<_>>(),
        )))
    }

    async fn get_head(
        &self,
        request: Request<v1::GetHeadRequest>,
    ) -> Result<Response<v1::Head>, Status> {
        self.ask()?;
        // The lanes are drained at the third look.
        let received = self.received.fetch_add(1, Ordering::AcqRel).min(3);
        Ok(Response::new(head(
            false,
            request.get_ref().partition,
            received,
        )))
    }
}

#[tonic::async_trait]
impl MatchingOwnerService for Made {
    async fn get_head(
        &self,
        request: Request<v1::GetHeadRequest>,
    ) -> Result<Response<v1::Head>, Status> {
        self.ask()?;
        Ok(Response::new(head(true, request.get_ref().partition, 0)))
    }
}

/// A log that nobody answers at, for ports that are only read by.
struct Ground {
    front: Front,
    key: ClusterKey,
    directory: Directory,
    _writer: WriterHandle,
}

impl Ground {
    fn at(directory: &Path) -> Ground {
        let dir = RealDir::open(directory).unwrap();
        let log = EmbeddedLog::open(dir, Config::default()).unwrap();
        let writer = spawn_writer(Arc::clone(&log)).unwrap();
        let log: Arc<dyn Log> = log;
        let (clock, random) = (Arc::new(SystemClock::new()), Random::from_seed(1));
        let clock: Arc<dyn prepx_env::Clock> = clock;
        let replies = Topic::CommandReplies.partition(0);
        let desk = prepx_stage::desk::Bounds::default();
        let failure = Failure::default();
        let front = Front::start(&log, replies, desk, (&clock, &random), &failure).unwrap();
        Ground {
            front,
            key: ClusterKey::draw(&random),
            directory: Directory::default(),
            _writer: writer,
        }
    }

    fn own(&self, address: &str) {
        for stage in [Stage::ACCOUNT, Stage::MATCHING] {
            for seat in TOPOLOGY.seats(stage) {
                self.directory.note(seat, owner(address));
            }
        }
    }

    fn ports(&self, here: Option<Here>) -> Ports {
        let reach = Reach::new(
            self.directory.clone(),
            self.key.clone(),
            here,
            Dialer::default(),
        );
        Ports::new(self.front.clone(), reach, TOPOLOGY)
    }

    /// Ports in the process of an owner.
    fn beside(&self, owner: &Made) -> Ports {
        self.own("here:1");
        let here = Here {
            address: "here:1".into(),
            peer: owner.service(&self.key).peer(),
        };
        self.ports(Some(here))
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.front.stop();
    }
}

fn owner(address: &str) -> Owner {
    Owner {
        address: address.to_owned(),
        epoch: 3,
    }
}

/// An owner at a port of its own, until the sender is dropped.
async fn host(service: Service) -> (SocketAddr, oneshot::Sender<()>) {
    let (drain, control) = Drain::new();
    let listener = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let hosted = Hosted {
        service,
        port: listener.into(),
        probes: None,
        drain,
        control,
    };
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let asked = async { drop(stopped.await) };
        hosted.until(&HostConfig::default(), asked, || ()).await
    });
    (address, stop)
}

async fn soon<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, answer).await.unwrap()
}

/// An owner has said what it knows. What it counts is how often it was asked: again, where its answer was late.
fn answered(found: Result<Option<AccountView>, ReadError>) {
    let found = found.unwrap().unwrap();
    assert_eq!(found, view(found.open_orders));
}

/// Whatever can be read is read, and nothing is lost on the way.
async fn read_everything(ports: &Ports, made: &Made) {
    answered(ports.account(account()).await);
    let stranger = AccountId::next(Slot::new(2).unwrap(), Micros(1_760_000_000_000_000), None);
    assert_eq!(ports.account(stranger).await, Ok(None));
    let orders = ports.orders(account(), WhichOrders::Open).await;
    assert_eq!(orders, Ok(Vec::new()));
    let named = WhichOrders::ClientOrderId("mine".into());
    let orders = ports.orders(account(), named).await.unwrap();
    assert_eq!((orders.len(), orders[0].account), (1, account()));
    let instruments = ports.instruments().await.unwrap();
    assert_eq!(instruments[0].instrument, fixture::bitcoin());
    let before = made.asked.load(Ordering::Acquire);
    let mut all = books(0);
    all.add(books(1));
    assert_eq!(soon(ports.books()).await, Ok(all));
    let looks = made.asked.load(Ordering::Acquire) - before;
    assert!(
        looks > 5,
        "the lanes were not drained at the first of {looks} looks"
    );
}

#[tokio::test]
async fn an_owner_in_this_process_is_asked_as_one_elsewhere_is() {
    let directory = tempfile::tempdir().unwrap();
    let ground = Ground::at(directory.path());
    let made = Made::willing();
    read_everything(&ground.beside(&made), &made).await;

    let made = Made::willing();
    let (address, control) = host(made.service(&ground.key)).await;
    ground.own(&address.to_string());
    read_everything(&ground.ports(None), &made).await;
    drop(control);
}

#[tokio::test]
async fn who_does_not_show_the_key_is_told_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let ground = Ground::at(directory.path());
    let made = Made::willing();
    let other = ClusterKey::draw(&Random::from_seed(2));
    let (address, control) = host(made.service(&other)).await;
    ground.own(&address.to_string());
    let refused = soon(ground.ports(None).account(account())).await;
    let words = ReadError::Unavailable("it refuses to answer".into());
    assert_eq!(refused, Err(words));
    assert_eq!(made.asked.load(Ordering::Acquire), 0);
    drop(control);
}

#[tokio::test]
async fn an_owner_that_has_handed_over_leads_to_its_successor() {
    let directory = tempfile::tempdir().unwrap();
    let ground = Ground::at(directory.path());
    let (next, next_control) = host(Made::willing().service(&ground.key)).await;
    let (known, next) = (ground.directory.clone(), next.to_string());
    let before = Made::of(move || {
        let seat = Stage::ACCOUNT.seat(account().slot().partition(TOPOLOGY.account_partitions));
        known.note(seat, owner(&next));
        Err(QueryError::NotOwner { epoch: 2 })
    });
    let (address, control) = host(before.service(&ground.key)).await;
    ground.own(&address.to_string());
    let found = soon(ground.ports(None).account(account())).await;
    answered(found);
    drop((control, next_control));
}

/// One that breaks the connection, and one that accepts it and is silent: as after a kill, and in a pause.
#[tokio::test]
async fn an_owner_that_is_dead_or_held_up_is_asked_no_more_once_there_is_another() {
    for silent in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let ground = Ground::at(directory.path());
        let (next, control) = host(Made::willing().service(&ground.key)).await;
        let dead = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        ground.own(&dead.local_addr().unwrap().to_string());
        let ports = ground.ports(None);
        let dies = async {
            let (connection, _) = dead.accept().await.unwrap();
            ground.own(&next.to_string());
            let kept = silent.then_some(connection);
            drop(dead);
            kept
        };
        let (_kept, found) = soon(futures::future::join(dies, ports.account(account()))).await;
        answered(found);
        drop(control);
    }
}

/// As a consumer does that stands by again.
#[tokio::test]
async fn a_channel_outlives_the_runtime_that_has_asked_first() {
    let directory = tempfile::tempdir().unwrap();
    let ground = Ground::at(directory.path());
    let (address, stop) = host(Made::willing().service(&ground.key)).await;
    ground.own(&address.to_string());
    let ports = ground.ports(None);
    let first = ports.account(account());
    let elsewhere = tokio::task::spawn_blocking(|| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(first)
    });
    answered(soon(elsewhere).await.unwrap());
    answered(soon(ports.account(account())).await);
    drop(stop);
}

#[tokio::test]
async fn instruments_are_known_wherever_somebody_owns_a_partition() {
    let directory = tempfile::tempdir().unwrap();
    let ground = Ground::at(directory.path());
    let ports = ground.beside(&Made::willing());
    let gone = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = gone.local_addr().unwrap().to_string();
    drop(gone);
    ground
        .directory
        .note(Stage::ACCOUNT.seat(0), owner(&address));
    let found = soon(ports.instruments()).await.unwrap();
    assert_eq!(found.len(), 1);
}
