//! `prepx start`: opens the data directory, composes the services, serves until it is asked to end.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use prepx_auth::{ApiKey, Role};
use prepx_env::{Clock, Random, SystemClock};
use prepx_runtime::{Drain, Start, TaskError};
use prepx_user::FirstKeys;
use serde::{Deserialize, Serialize};

use crate::cli;
use crate::compose::{self, keys_file};
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
    let (stages, running) = Stages::open(&settings, &clock, &random)?;
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
        let first = first_keys(settings, &made.first_keys, &start.random).await?;
        if let Ok(mut banner) = composed.lock() {
            *banner = first.shown;
        }
        simulate::endow_demo(&made.peer, &first.operator, &first.demo).await?;
        let watched = stages.clone();
        let service = made
            .service
            .task("order path", move |drain| watch(watched, drain));
        if !settings.simulate {
            return Ok(service);
        }
        let (config, deps) = (
            settings.simulation.clone(),
            simulate::Deps {
                data_dir: settings.data_dir.clone(),
                peer: made.peer,
                operator: first.operator,
            },
        );
        Ok(service.task("simulated traders", move |drain| {
            simulate::run(config, deps, drain)
        }))
    };
    let ready = |address: SocketAddr| {
        let keys = shown.lock().map(|keys| keys.clone()).unwrap_or_default();
        eprint!("{}", banner_of(settings, address, &keys));
        println!("ready http://{address}");
        let _a_closed_stdout_is_no_reason_to_end = std::io::stdout().flush();
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

/// The keys that were drawn at the first start, as the file has them.
#[derive(Debug, Deserialize, Serialize)]
struct Keys {
    operator_key_id: String,
    operator_secret_key: String,
    demo_key_id: String,
    demo_secret_key: String,
}

/// The keys that a platform begins with, and what its owner is told of them.
struct First {
    operator: ApiKey,
    demo: ApiKey,
    shown: String,
}

/// Makes the first users and says where their keys are.
async fn first_keys(
    settings: &Settings,
    users: &FirstKeys,
    random: &Random,
) -> Result<First, TaskError> {
    let key = |key_id: &str, secret: &str| ApiKey {
        key_id: key_id.to_owned(),
        secret: secret.to_owned(),
    };
    if settings.dev {
        users.ensure_dev().await?;
        return Ok(First {
            operator: key("operator", "operator-secret"),
            demo: key("demo", "demo-secret"),
            shown: "trader demo / demo-secret, operator operator / operator-secret".to_owned(),
        });
    }
    let path = keys_file(&settings.data_dir);
    let keys = read_or_draw(&path, random)?;
    let operator = key(&keys.operator_key_id, &keys.operator_secret_key);
    users
        .ensure(Role::Operator, "operator@prepx.local", &operator)
        .await?;
    let demo = key(&keys.demo_key_id, &keys.demo_secret_key);
    users
        .ensure(Role::Trader, "demo@prepx.local", &demo)
        .await?;
    Ok(First {
        operator,
        demo,
        shown: format!("of an operator and a demo trader: {}", path.display()),
    })
}

fn read_or_draw(path: &Path, random: &Random) -> Result<Keys, TaskError> {
    match std::fs::read_to_string(path) {
        Ok(text) => return Ok(toml::from_str(&text)?),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        Err(_) => {}
    }
    let (operator, demo) = (ApiKey::generate(random), ApiKey::generate(random));
    let keys = Keys {
        operator_key_id: operator.key_id,
        operator_secret_key: operator.secret,
        demo_key_id: demo.key_id,
        demo_secret_key: demo.secret,
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(toml::to_string(&keys)?.as_bytes())?;
    file.sync_all()?;
    Ok(keys)
}

fn banner_of(settings: &Settings, address: SocketAddr, keys: &str) -> String {
    format!(
        "PrepX {version}
  trading API   http://{address}/v2        (Alpaca clients: this is the base URL, without /v2)
  streams       ws://{address}/stream, ws://{address}/v2/iex, ws://{address}/v1beta3/crypto/us
  own API       http://{address}/api/v1
  OpenAPI       http://{address}/openapi.json
  gRPC          {address}                   (reflection and health are on)
  health        http://{address}/api/health
  metrics       http://{address}/metrics
  data          {data}
  keys          {keys}
",
        version = env!("CARGO_PKG_VERSION"),
        data = settings.data_dir.display(),
    )
}
