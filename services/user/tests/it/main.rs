//! The user service behind the authentication layer, called as clients call it: in process, on a
//! database of its own, with a hand-moved clock.

// The lint spares `#[test]` functions only; their helpers are tests too.
#![allow(clippy::unwrap_used)]

mod admin;
mod http;
mod keys;
mod sessions;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use prepx_auth::{AuthLayer, Authenticator, ClusterKey, Policy, Revocations};
use prepx_cache::Cache;
use prepx_domain::{AccountId, Micros, Slot};
use prepx_env::{ManualClock, Random};
use prepx_proto::user::v1 as wire;
use prepx_proto::user::v1::user_service_client::UserServiceClient;
use prepx_runtime::{Peer, status};
use prepx_store::{Location, suite};
use prepx_user::{Accounts, Built, Config, Deps, build};
use tempfile::TempDir;
use tonic::{Request, Status};
use uuid::Uuid;

const NOW: Micros = Micros(1_800_000_000_000_000);
const PASSWORD: &str = "violet kiln 93";

type Client = UserServiceClient<Peer>;

/// An account stage that opens at once, or not at all.
#[derive(Default)]
struct Stage {
    closed: AtomicBool,
    opened: Mutex<Vec<Uuid>>,
}

impl Accounts for Stage {
    fn open_account(
        &self,
        user_id: Uuid,
        _simulated: bool,
    ) -> BoxFuture<'_, Result<AccountId, Box<dyn std::error::Error + Send + Sync>>> {
        Box::pin(async move {
            if self.closed.load(Ordering::SeqCst) {
                return Err("the stage has no owner".into());
            }
            let mut opened = self.opened.lock().unwrap();
            opened.push(user_id);
            let now = Micros(NOW.0 + opened.len() as i64 * 1_000);
            Ok(AccountId::next(Slot::of_user(user_id), now, None))
        })
    }
}

struct World {
    directory: TempDir,
    location: Location,
    config: Config,
    clock: Arc<ManualClock>,
    stage: Arc<Stage>,
    seed: u64,
}

/// The service as it runs in one process.
struct Running {
    client: Client,
    peer: Peer,
    built: prepx_user::FirstKeys,
}

impl World {
    async fn new() -> World {
        let directory = TempDir::new().unwrap();
        World {
            location: suite::location(directory.path()).await,
            directory,
            config: Config {
                dev: true,
                ..Config::default()
            },
            clock: Arc::new(ManualClock::new(NOW)),
            stage: Arc::default(),
            seed: 1,
        }
    }

    /// Starts the service on the world's directory, as a process would.
    async fn start(&mut self) -> Running {
        self.try_start().await.unwrap()
    }

    async fn try_start(&mut self) -> prepx_user::Result<Running> {
        self.seed += 1;
        let cache = Cache::open(prepx_cache::Location::Memory, self.clock.clone()).await;
        let revocations = Arc::new(Revocations::new(cache.clone()));
        let deps = Deps {
            directory: self.directory.path().to_owned(),
            location: self.location.clone(),
            accounts: self.stage.clone(),
            clock: self.clock.clone(),
            random: Arc::new(Random::from_seed(self.seed)),
            cache: cache.clone(),
            revocations: Arc::clone(&revocations),
        };
        let Built {
            service,
            authority,
            first_keys,
        } = build(self.config.clone(), deps).await?;
        let authenticator = Authenticator::new(authority, self.clock.clone(), &cache, revocations);
        let policy = Policy::from_descriptors(prepx_proto::descriptors()).unwrap();
        let key = ClusterKey::draw(&Random::from_seed(self.seed));
        let layer = AuthLayer::new(Arc::new(authenticator), Arc::new(policy), &key);
        let peer = service.layer(layer).peer();
        Ok(Running {
            client: Client::new(peer.clone()),
            peer,
            built: first_keys,
        })
    }
}

/// A started service with the fixed keys.
async fn started() -> (World, Running) {
    let mut world = World::new().await;
    let running = world.start().await;
    running.built.ensure_dev().await.unwrap();
    (world, running)
}

impl Running {
    async fn sign_up(&mut self, email: &str) -> Result<wire::User, Status> {
        let request = wire::SignUpRequest {
            email: email.to_owned(),
            password: PASSWORD.to_owned(),
        };
        self.client
            .sign_up(request)
            .await
            .map(tonic::Response::into_inner)
    }

    async fn sign_in(&mut self, email: &str, password: &str) -> Result<wire::Session, Status> {
        let request = wire::SignInRequest {
            email: email.to_owned(),
            password: password.to_owned(),
        };
        self.client
            .sign_in(request)
            .await
            .map(tonic::Response::into_inner)
    }

    async fn refresh(&mut self, refresh_token: &str) -> Result<wire::Session, Status> {
        let request = wire::RefreshSessionRequest {
            refresh_token: refresh_token.to_owned(),
        };
        self.client
            .refresh_session(request)
            .await
            .map(tonic::Response::into_inner)
    }

    async fn profile(&mut self, who: &Who) -> Result<wire::User, Status> {
        let request = who.asks(wire::GetProfileRequest {});
        self.client
            .get_profile(request)
            .await
            .map(tonic::Response::into_inner)
    }

    async fn create_key(
        &mut self,
        who: &Who,
        scopes: &[&str],
    ) -> Result<wire::CreateKeyResponse, Status> {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let request = who.asks(wire::CreateKeyRequest {
            name: "bot".to_owned(),
            scopes,
        });
        self.client
            .create_key(request)
            .await
            .map(tonic::Response::into_inner)
    }

    async fn revoke_key(&mut self, who: &Who, key_id: &str) -> Result<(), Status> {
        let request = who.asks(wire::RevokeKeyRequest {
            key_id: key_id.to_owned(),
        });
        self.client.revoke_key(request).await.map(|_| ())
    }
}

/// What a client shows.
enum Who {
    Nobody,
    Token(String),
    Key(String, String),
}

impl Who {
    fn key(key_id: &str, secret: &str) -> Who {
        Who::Key(key_id.to_owned(), secret.to_owned())
    }

    fn asks<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        match self {
            Who::Nobody => {}
            Who::Token(token) => {
                metadata.insert("authorization", format!("Bearer {token}").parse().unwrap());
            }
            Who::Key(key_id, secret) => {
                metadata.insert("apca-api-key-id", key_id.parse().unwrap());
                metadata.insert("apca-api-secret-key", secret.parse().unwrap());
            }
        }
        request
    }
}

/// The number and the reason that a client sees.
#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> (u32, String) {
    let error = status::read(&answer.expect_err("must be refused"));
    (error.code.number(), error.reason)
}

/// As [`refused`], written out.
fn pair(number: u32, reason: &str) -> (u32, String) {
    (number, reason.to_owned())
}
