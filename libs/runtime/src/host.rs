//! The life of a process, from start to end.
//!
//! The end has an order: readiness is withdrawn, nothing new is accepted, what is under way is
//! answered, then the tasks that it needed end. Each step has a time limit; what exceeds it is cut off.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use futures::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusHandle;
use prepx_env::Random;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};

use crate::drain::{Control, Drain};
use crate::ending::Ending;
use crate::filter::Filter;
use crate::identities::Identities;
use crate::method::Method;
use crate::probes::Probes;
use crate::process::Process;
use crate::ready::Health;
use crate::serve::{self, Port, multiplex};
use crate::service::{self, Building, Service, TaskError};
use crate::telemetry::Telemetry;
use crate::tls::{self, Callers, Dialer};
use crate::{config, telemetry};

/// How often old samples are folded into the metrics' histograms, and the process is measured.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// The fewest threads that carry calls, also on fewer cores: while one of them waits for a core, the others take
/// over its queue.
const WORKERS_MIN: usize = 4;

/// The settings of every process.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to serve; port 0 picks a free port.
    pub listen: SocketAddr,
    /// Where to answer an orchestrator in plain text, beside the port where it serves: health, readiness
    /// and metrics, and nothing else. Nowhere if it is not set.
    pub probe_listen: Option<SocketAddr>,
    /// The callers of the port.
    pub callers: Callers,
    /// The identity of this process towards the others of its platform.
    pub tls: tls::Config,
    /// Its identity towards clients.
    pub public_tls: tls::PublicConfig,
    /// How long requests in progress may take once the shutdown has begun.
    pub drain_timeout_ms: u64,
    /// The limits of connections from outside.
    pub limits: serve::Limits,
    /// Logs, metrics and traces.
    pub telemetry: telemetry::Config,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 8_080)),
            probe_listen: None,
            callers: Callers::default(),
            tls: tls::Config::default(),
            public_tls: tls::PublicConfig::default(),
            drain_timeout_ms: 10_000,
            limits: serve::Limits::default(),
            telemetry: telemetry::Config::default(),
        }
    }
}

impl Config {
    /// The scheme of the port's URL.
    pub fn scheme(&self) -> &'static str {
        let secured = match self.callers {
            Callers::Services => self.tls.is_set(),
            Callers::Clients => self.public_tls.is_set(),
        };
        if secured { "https" } else { "http" }
    }

    /// Checks these settings.
    pub fn validate(&self) -> Result<(), config::Error> {
        config::at_least("drain_timeout_ms", self.drain_timeout_ms, 1)?;
        self.limits.validate()?;
        self.tls.validate()?;
        self.public_tls.validate()?;
        self.telemetry.validate()
    }
}

/// Why a process ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refuses something that it needs.
    #[error("cannot start: {0}")]
    Start(#[source] std::io::Error),
    /// The port cannot be bound.
    #[error(
        "cannot listen on {address}: {source}; choose another with --{setting}, port 0 picks one"
    )]
    Listen {
        /// Which port.
        setting: &'static str,
        /// Its address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// Its certificates are not valid.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// It cannot report.
    #[error(transparent)]
    Telemetry(#[from] telemetry::Error),
    /// The descriptors of the services are not valid.
    #[error("cannot offer reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The service cannot be built.
    #[error("cannot build the service")]
    Build(#[source] TaskError),
    /// A task failed, and the process cannot run without it.
    #[error("the task {name} has failed")]
    Task {
        /// The task.
        name: &'static str,
        /// The cause.
        source: TaskError,
    },
}

/// What a service is built from.
pub struct Start {
    /// The address where it will serve.
    pub address: SocketAddr,
    /// Signals when the shutdown begins.
    pub drain: Drain,
    /// The metrics of this process.
    pub metrics: PrometheusHandle,
    /// Randomness, fit for secrets.
    pub random: Arc<Random>,
    /// Connections to the other processes of its platform.
    pub dialer: Dialer,
}

/// Runs a process: reports, listens, builds, serves until SIGTERM or ctrl-c, shuts down. `ready` is called
/// with the address once requests are answered.
///
/// # Errors
/// The error that prevented the start, or the task that failed.
pub fn run<F>(
    config: &Config,
    name: &'static str,
    build: impl FnOnce(Start) -> F,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), Error>
where
    F: Future<Output = Result<Service, TaskError>>,
{
    let cores = std::thread::available_parallelism().map_err(Error::Start)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.get().max(WORKERS_MIN))
        .enable_all()
        .build();
    runtime.map_err(Error::Start)?.block_on(async {
        let continues = config.callers == Callers::Services;
        let mut telemetry = Telemetry::begin(&config.telemetry, name, continues)?;
        let identities = Identities::of(config, name)?;
        let listener = listen(config.listen).await?;
        let address = listener.local_addr().map_err(Error::Start)?;
        let probes = match config.probe_listen {
            Some(address) => Some(bind("probe-listen", address).await?),
            None => None,
        };
        let asked = signals().map_err(Error::Start)?;
        let (drain, control) = Drain::new();
        let random = Arc::new(Random::from_system());
        let metrics = telemetry.metrics();
        let start = Start {
            address,
            drain: drain.clone(),
            metrics: metrics.clone(),
            random,
            dialer: identities.dialer(),
        };
        let identity = identities.before(config.callers);
        let service = build(start).await.map_err(Error::Build)?;
        let scraped = metrics.clone();
        let (process, filter) = (Process::begin(name), telemetry.filter());
        let service = service.task("metrics", |drain| upkeep((process, filter), scraped, drain));
        let hosted = Hosted {
            service: identities.followed(service),
            port: Port { listener, identity },
            probes: probes.map(|listener| Probes { listener, metrics }),
            drain,
            control,
        };
        hosted.until(config, asked, || ready(address)).await
    })
}

/// Binds the port.
///
/// # Errors
/// Has the address.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    bind("listen", address).await
}

async fn bind(setting: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| Error::Listen {
        setting,
        address,
        source,
    })
}

/// A service with everything that it takes to run it.
pub struct Hosted {
    /// The service.
    pub service: Service,
    /// The port where it answers.
    pub port: Port,
    /// The port for probes alone, if there is one.
    pub probes: Option<Probes>,
    /// What the service was built from.
    pub drain: Drain,
    /// What ends it: the control of `drain`.
    pub control: Control,
}

impl Hosted {
    /// Runs until `asked` completes or a task fails, then shuts down in order.
    ///
    /// # Errors
    /// The task that failed first.
    pub async fn until(
        self,
        config: &Config,
        asked: impl Future<Output = ()>,
        ready: impl FnOnce(),
    ) -> Result<(), Error> {
        let Hosted {
            service,
            port,
            probes,
            drain,
            mut control,
        } = self;
        let limit = Duration::from_millis(config.drain_timeout_ms);
        let health = Health::begin(&service.names, service.standing).await;
        let grpc = supported(&service.names, service.grpc, &health, &drain)?;
        let http = service.http.merge(health.pages(&drain));
        let app = Service::wrap(service.edges, multiplex(grpc, http));
        let mut tasks = Tasks::begin(service.tasks, &drain);
        let mut beside = JoinSet::new();
        if let Some(probes) = probes {
            beside.spawn(probes.answer(&health, &drain));
        }
        let limits = match config.callers {
            Callers::Clients => config.limits.clone(),
            Callers::Services => config.limits.clone().among_services(),
        };
        let mut serving = serving(port, app, limits, drain);
        ready();
        let mut outcome = tokio::select! {
            () = asked => Ok(()),
            failure = tasks.failure() => Err(failure),
            () = &mut serving => Ok(()),
            never = health.follow() => match never {},
        };
        tracing::info!("draining");
        health.end().await;
        control.drain();
        let under_way = async { tokio::join!(serving, control.finished()) };
        if tokio::time::timeout(limit, under_way).await.is_err() {
            tracing::warn!(?limit, "what was still under way is cut off");
        }
        control.stop();
        if let Ok(Err(failure)) = tokio::time::timeout(limit, tasks.finished()).await {
            outcome = outcome.and(Err(failure));
        }
        tasks.cut_off();
        outcome
    }
}

/// The service's routes with gRPC's own health and reflection (v1, and v1alpha for older grpcurl).
fn supported(
    names: &[&str],
    grpc: Router,
    health: &Health,
    drain: &Drain,
) -> Result<tonic::service::Routes, tonic_reflection::server::Error> {
    let reflection = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(prepx_proto::PUBLIC_FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("grpc.health.v1.Health");
        names
            .iter()
            .fold(builder, |builder, name| builder.with_service_name(*name))
    };
    let grpc = grpc.layer(middleware::from_fn(leaving(drain.clone())));
    Ok(service::routes(health.routed(grpc, drain))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}

/// Ends the requests of streams when the process leaves: what was accepted is answered, and the stream ends
/// by itself.
fn leaving(drain: Drain) -> impl Fn(Request, Next) -> BoxFuture<'static, Response> + Clone {
    move |request, next| {
        if !Method::of(request.uri().path()).streamed_request {
            return Box::pin(next.run(request));
        }
        let drain = drain.clone();
        let left = async move { drain.draining().await };
        let request = request.map(|body| Body::new(Ending::quietly(left, body)));
        Box::pin(next.run(request))
    }
}

/// The running tasks, by name.
struct Tasks {
    running: JoinSet<(&'static str, Result<(), TaskError>)>,
}

impl Tasks {
    fn begin(tasks: Vec<service::Task>, drain: &Drain) -> Tasks {
        let mut running = JoinSet::new();
        for task in tasks {
            let run = (task.run)(drain.clone());
            running.spawn(async move { (task.name, run.await) });
        }
        Tasks { running }
    }

    /// Completes when a task fails; never if none does.
    async fn failure(&mut self) -> Error {
        match self.finished().await {
            Err(failure) => failure,
            Ok(()) => std::future::pending().await,
        }
    }

    /// Completes when all have ended, or one has failed.
    async fn finished(&mut self) -> Result<(), Error> {
        while let Some(ended) = self.running.join_next().await {
            checked(ended)?;
        }
        Ok(())
    }

    fn cut_off(&mut self) {
        if !self.running.is_empty() {
            tracing::warn!(
                tasks = self.running.len(),
                "tasks that did not end are cut off"
            );
            self.running.abort_all();
        }
    }
}

fn checked(ended: Result<(&'static str, Result<(), TaskError>), JoinError>) -> Result<(), Error> {
    let (name, outcome) = ended.unwrap_or_else(|panic| ("(panicked)", Err(panic.into())));
    outcome.map_err(|source| Error::Task { name, source })
}

async fn upkeep(
    (process, mut filter): (Process, Option<Filter>),
    metrics: PrometheusHandle,
    drain: Drain,
) -> Result<(), TaskError> {
    let mut ticks = tokio::time::interval(METRICS_UPKEEP);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                process.look();
                filter.iter_mut().for_each(Filter::look);
                metrics.run_upkeep();
            }
            () = drain.stopping() => return Ok(()),
        }
    }
}

/// Compiled here, and not again in every program (see [`Building`]).
fn serving(port: Port, app: Router, limits: serve::Limits, drain: Drain) -> Building<()> {
    Box::pin(serve::serve(port, app, limits, drain))
}

/// Completes when the process is asked to end: SIGTERM or ctrl-c.
fn signals() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
