//! `prepx start`: opens the data directory, composes the services, serves until it is asked to end.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use prepx_env::{Clock, Random, SystemClock};
use prepx_runtime::{Drain, Start, TaskError};

use crate::cli;
use crate::client::words;
use crate::compose;
use crate::progress::Recovery;
use crate::settings::Settings;
use crate::simulate;
use crate::stages::Stages;

/// Runs the platform until SIGTERM or ctrl-c.
///
/// # Errors
/// What kept it from starting, or what ended it.
pub fn run(options: cli::Start) -> Result<()> {
    let settings = Settings::load(&options)?;
    std::fs::create_dir_all(&settings.data_dir).with_context(|| {
        format!(
            "cannot make the data directory {}",
            settings.data_dir.display()
        )
    })?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random = Random::from_system();
    // Before there is a runtime nothing is reported yet.
    let (stages, running) = settings.telemetry.logging(|| {
        let recovery = Recovery::new(&*clock);
        Stages::open(&settings, &clock, &random, &recovery)
    })?;
    // Once the runtime has ended, nobody else holds the order path's threads.
    let ended = serve(&settings, stages, clock);
    let stopped = running.stop();
    ended.and(stopped)
}

fn serve(settings: &Settings, stages: Stages, clock: Arc<dyn Clock>) -> Result<()> {
    let banner = Arc::new(Mutex::new(String::new()));
    let (composed, shown) = (Arc::clone(&banner), banner);
    let build = async |start: Start| -> Result<prepx_runtime::Service, TaskError> {
        let made = compose::compose(settings, &stages, clock, &start).await?;
        let first = made.first_keys.ensure(settings.dev).await?;
        if let Ok(mut banner) = composed.lock() {
            banner.clone_from(&first.shown);
        }
        let endowed = first.endow_demo(&made.peer).await;
        endowed.map_err(|refused| words(refused).context("the demo trader's opening deposit"))?;
        let watched = stages.clone();
        let service = made
            .service
            .task("order path", move |drain| watch(watched, drain));
        let Some(operator) = first.operator.filter(|_| settings.simulate) else {
            if settings.simulate {
                tracing::warn!("the operator's first key was revoked: nobody trades by simulation");
            }
            return Ok(service);
        };
        let (config, deps) = (
            settings.simulation.clone(),
            simulate::Deps {
                data_dir: settings.data_dir.clone(),
                peer: made.peer,
                operator,
            },
        );
        Ok(service.task("simulated traders", move |drain| {
            simulate::run(config, deps, drain)
        }))
    };
    let ready = |address: SocketAddr| {
        let keys = shown.lock().map(|keys| keys.clone()).unwrap_or_default();
        let banner = banner_of(settings, address, &keys);
        let _nobody_listens = std::io::stderr().write_all(banner.as_bytes());
        prepx_platform::print_ready(settings.host().scheme(), address);
    };
    Ok(prepx_runtime::run(&settings.host(), "prepx", build, ready)?)
}

/// Ends the process when the order path fails: nothing that it says then could be trusted (I8).
async fn watch(stages: Stages, drain: Drain) -> Result<(), TaskError> {
    tokio::select! {
        failure = stages.failed() => Err(failure.to_string().into()),
        () = drain.stopping() => Ok(()),
    }
}

fn banner_of(settings: &Settings, address: SocketAddr, keys: &str) -> String {
    let scheme = settings.host().scheme();
    let sockets = scheme.replace("http", "ws");
    format!(
        "PrepX {version}
  trading API   {scheme}://{address}/v2        (Alpaca clients: this is the base URL, without /v2)
  streams       {sockets}://{address}/stream, {sockets}://{address}/v2/iex, {sockets}://{address}/v1beta3/crypto/us
  own API       {scheme}://{address}/api/v1
  OpenAPI       {scheme}://{address}/openapi.json
  gRPC          {address}                   (reflection and health are on)
  health        {scheme}://{address}/api/health
  metrics       {scheme}://{address}/metrics
  data          {data}
  keys          {keys}
",
        version = env!("CARGO_PKG_VERSION"),
        data = settings.data_dir.display(),
    )
}
