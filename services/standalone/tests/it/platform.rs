//! A `prepx start --dev` of a test's own: a free port, a data directory, ended with the test.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use prepx_proto::portfolio::v1::DepositRequest;
use prepx_proto::portfolio::v1::admin_service_client::AdminServiceClient as Portfolio;
use prepx_proto::trading::v1::admin_service_client::AdminServiceClient as Trading;
use prepx_proto::trading::v1::{AddInstrumentRequest, AssetClass, TradingCalendar};
use prepx_proto::user::v1::AddAccountRequest;
use prepx_proto::user::v1::user_service_client::UserServiceClient;
use prepx_runtime::Peer;
use tonic::Request;

/// How often a condition is looked at, and how long it may take on a busy machine.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
const WAIT_MAX: Duration = Duration::from_secs(300);

/// Waits until a look finds something; panics with what was waited for when that takes too long.
pub async fn found<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut looks = tokio::time::interval(BETWEEN_LOOKS);
    let finding = async {
        loop {
            looks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    let in_time = tokio::time::timeout(WAIT_MAX, finding).await;
    in_time.unwrap_or_else(|_| panic!("{what} took longer than {WAIT_MAX:?}"))
}

/// A running platform.
pub struct Platform {
    pub process: Child,
    pub url: String,
}

/// Who signs a request.
#[derive(Clone)]
pub struct Key {
    pub id: String,
    pub secret: String,
}

impl Key {
    pub fn operator() -> Key {
        Key {
            id: "operator".into(),
            secret: "operator-secret".into(),
        }
    }

    pub fn sign<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert("apca-api-key-id", self.id.parse().expect("a header value"));
        metadata.insert(
            "apca-api-secret-key",
            self.secret.parse().expect("a header value"),
        );
        request
    }
}

/// What `prepx` prints and how it ends.
pub fn prepx(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_prepx"))
        .args(arguments)
        .output()
        .expect("the program runs");
    let words = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8(words).expect("words"),
    )
}

/// The command that starts a platform of tests, without a market.
pub fn command(data_dir: &Path) -> Command {
    simulating("off", data_dir)
}

/// The command that starts one whose market is simulated, or not.
pub fn simulating(switch: &str, data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prepx"));
    command
        .args([
            "start",
            "--dev",
            "--simulate",
            switch,
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
        ])
        .arg(data_dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

impl Platform {
    pub fn start(data_dir: &Path) -> Platform {
        Platform::start_by(&mut command(data_dir))
    }

    /// Starts with settings of its own, in TOML.
    pub fn start_with(data_dir: &Path, settings: &str) -> Platform {
        let file = data_dir.join("settings.toml");
        std::fs::write(&file, settings).expect("the settings are written");
        Platform::start_by(command(data_dir).arg("--config").arg(file))
    }

    /// Runs a command that starts one, and waits until it serves.
    pub fn start_by(command: &mut Command) -> Platform {
        let mut process = command.spawn().expect("the program was built");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("it is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it prints a line");
        let url = line
            .strip_prefix("ready ")
            .expect("the line says where it serves");
        Platform {
            process,
            url: url.trim().to_owned(),
        }
    }

    pub fn peer(&self) -> Peer {
        Peer::remote(&self.url).expect("a URL")
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill is there");
        assert!(sent.success());
    }

    /// Lists an instrument with a reference price of 100, a tick of 0.01 and a lot of 1.
    pub async fn add_instrument(&self, symbol: &str) {
        let add = AddInstrumentRequest {
            symbol: symbol.to_owned(),
            class: AssetClass::UsEquity.into(),
            tick_size: "0.01".into(),
            lot_size: "1".into(),
            calendar: TradingCalendar::Always.into(),
            reference_price: Some("100".into()),
            ..AddInstrumentRequest::default()
        };
        let request = Key::operator().sign(add);
        Trading::new(self.peer())
            .add_instrument(request)
            .await
            .expect("it is listed");
    }

    /// An account with dollars.
    pub async fn add_trader(&self, email: &str, dollars: &str) -> Key {
        let add = AddAccountRequest {
            email: email.to_owned(),
            simulated: false,
        };
        let request = Key::operator().sign(add);
        let made = UserServiceClient::new(self.peer())
            .add_account(request)
            .await
            .expect("it is made");
        let made = made.into_inner();
        let deposit = Key::operator().sign(DepositRequest {
            account_id: made.account_id,
            asset: "USD".into(),
            amount: dollars.to_owned(),
            idempotency_key: "first".into(),
        });
        Portfolio::new(self.peer())
            .deposit(deposit)
            .await
            .expect("it is booked");
        Key {
            id: made.key_id,
            secret: made.secret_key,
        }
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
