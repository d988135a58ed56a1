//! A process from readiness to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prepx_proto::notification::v1::SubscribeRequest;
use prepx_proto::notification::v1::notification_service_client::NotificationServiceClient;
use prepx_runtime::serve::Port;
use prepx_runtime::tls::Identity;
use prepx_runtime::{Config, Drain, Error, Hosted, Peer, Probes, Service, guard, listen};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::bank::{Bank, client, deposit, parrot, radio, withdrawal};

pub const PATIENCE: Duration = Duration::from_secs(20);

/// A process's worth of services on a port of its own.
pub struct Running {
    pub url: String,
    ask: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Result<(), Error>>,
}

impl Running {
    pub async fn start(service: Service, config: Config) -> Running {
        Running::before(None, None, service, config).await
    }

    /// The same for callers to whom the process is `identity`, with another port for probes.
    pub async fn before(
        identity: Option<Arc<Identity>>,
        probes: Option<Probes>,
        service: Service,
        config: Config,
    ) -> Running {
        let listener = listen(([127, 0, 0, 1], 0).into())
            .await
            .expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("is bound"));
        let (drain, control) = Drain::new();
        let (ask, asked) = oneshot::channel();
        let (tell, ready) = oneshot::channel();
        let hosted = Hosted {
            service,
            port: Port { listener, identity },
            probes,
            drain,
            control,
        };
        let ended = tokio::spawn(async move {
            let asked = async { drop(asked.await) };
            hosted
                .until(&config, asked, || tell.send(()).expect("the test waits"))
                .await
        });
        ready.await.expect("becomes ready");
        Running {
            url,
            ask: Some(ask),
            ended,
        }
    }

    pub fn peer(&self) -> Peer {
        Peer::remote(&self.url).expect("a URL")
    }

    pub async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(self.url.clone()).expect("a URL");
        endpoint.connect().await.expect("connects")
    }

    pub async fn end(mut self) -> Result<(), Error> {
        self.ask = None;
        let ended = tokio::time::timeout(PATIENCE, self.ended).await;
        ended.expect("ends in time").expect("does not panic")
    }
}

#[tokio::test]
async fn what_is_under_way_is_answered_before_the_tasks_end() {
    let (bank, gate) = Bank::closed();
    let task_ended = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&task_ended);
    let service = bank
        .service(guard::Limits::default())
        .task("needed", move |drain| async move {
            drain.stopping().await;
            seen.store(true, Ordering::SeqCst);
            Ok(())
        });
    let mut running = Running::start(service, Config::default()).await;
    let mut caller = client(running.peer());
    let under_way = tokio::spawn(async move { caller.deposit(deposit("USD")).await });
    gate.call().await;
    let mut health = HealthClient::new(running.channel().await);
    let watch = HealthCheckRequest {
        service: String::new(),
    };
    let mut watched = health.watch(watch).await.expect("is there").into_inner();
    let first = watched.message().await.expect("is open").expect("tells");
    assert_eq!(first.status(), ServingStatus::Serving);
    drop(running.ask.take());
    let second = watched.message().await.expect("is open").expect("tells");
    assert_eq!(second.status(), ServingStatus::NotServing);
    let ended = watched
        .message()
        .await
        .expect_err("is ended for the listener");
    assert_eq!(ended.code(), tonic::Code::Unavailable);
    assert!(
        !task_ended.load(Ordering::SeqCst),
        "a call still needs the task"
    );
    gate.open();
    under_way
        .await
        .expect("does not panic")
        .expect("is answered during the drain");
    let peer = running.peer();
    running.end().await.expect("ends well");
    assert!(task_ended.load(Ordering::SeqCst));
    client(peer)
        .withdraw(withdrawal())
        .await
        .expect_err("nobody listens any more");
}

#[tokio::test]
async fn a_stream_ends_with_the_answers_to_what_was_taken() {
    let config = Config {
        drain_timeout_ms: 600_000,
        ..Config::default()
    };
    let parrot = parrot().service(guard::Limits::default());
    let mut running = Running::start(parrot, config).await;
    let (say, said) = mpsc::channel(1);
    let asked = tokio_stream::wrappers::ReceiverStream::new(said);
    let mut client = NotificationServiceClient::new(running.peer());
    let told = client.subscribe(asked).await.expect("is there");
    let mut told = told.into_inner();
    say.send(SubscribeRequest::default())
        .await
        .expect("is open");
    let first = told.message().await.expect("is open");
    assert!(first.is_some());
    drop(running.ask.take());
    let last = told.message().await.expect("ends well");
    assert_eq!(last, None, "although the caller has more to say");
    running.end().await.expect("ends well");
    drop(say);
}

#[tokio::test]
async fn what_does_not_end_is_cut_off() {
    let (bank, gate) = Bank::closed();
    let service = bank
        .service(guard::Limits::default())
        .task("stubborn", |_| std::future::pending());
    let config = Config {
        drain_timeout_ms: 100,
        ..Config::default()
    };
    let running = Running::start(service, config).await;
    let mut caller = client(running.peer());
    let under_way = tokio::spawn(async move { caller.deposit(deposit("USD")).await });
    gate.call().await;
    running.end().await.expect("ends all the same");
    under_way
        .await
        .expect("does not panic")
        .expect_err("was cut off");
}

#[tokio::test]
async fn a_task_that_fails_ends_the_process_and_is_named() {
    let (fail, failing) = oneshot::channel::<()>();
    let service = Bank::open()
        .service(guard::Limits::default())
        .task("disk", |_| async move {
            drop(failing.await);
            Err("no space left".into())
        });
    let mut running = Running::start(service, Config::default()).await;
    client(running.peer())
        .withdraw(withdrawal())
        .await
        .expect("serves");
    fail.send(()).expect("the task waits");
    let kept = running.ask.take();
    let error = running.end().await.expect_err("nobody asked it to end");
    drop(kept);
    assert_eq!(error.to_string(), "the task disk has failed");
    let why = std::error::Error::source(&error).map(ToString::to_string);
    assert_eq!(why.as_deref(), Some("no space left"));
}

#[tokio::test]
async fn two_services_in_one_process_answer_and_are_named() {
    let (drain, _control) = Drain::new();
    let radio = radio(drain).service(guard::Limits::default());
    let service = Bank::open().service(guard::Limits::default()).and(radio);
    let running = Running::start(service, Config::default()).await;
    let mut reflection = ServerReflectionClient::new(running.channel().await);
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let asked = reflection
        .server_reflection_info(futures::stream::iter([list]))
        .await;
    let answer = asked
        .expect("is there")
        .into_inner()
        .message()
        .await
        .expect("is open");
    let Some(MessageResponse::ListServicesResponse(listed)) =
        answer.and_then(|answer| answer.message_response)
    else {
        panic!("the services were asked for");
    };
    let names: Vec<_> = listed
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    assert_eq!(
        names,
        [
            "grpc.health.v1.Health",
            "prepx.portfolio.v1.AdminService",
            "prepx.notification.v1.NotificationService"
        ]
    );
    client(running.peer())
        .withdraw(withdrawal())
        .await
        .expect("serves");
    running.end().await.expect("ends well");
}
