//! The gRPC face: decode, call, encode.

use std::sync::Arc;

use prepx_auth::{Jwk, principal};
use prepx_proto::user::v1 as wire;
use prepx_proto::user::v1::user_service_server::UserService;
use prepx_runtime::status;
use tonic::{Request, Response, Status};

use crate::Error;
use crate::app::{App, Profile, Tokens};
use crate::domain::ApiKey;
use crate::store::Store;

/// The service on top of the use cases.
pub struct Grpc<S>(pub Arc<App<S>>);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl<S: Store> UserService for Grpc<S> {
    async fn sign_up(&self, request: Request<wire::SignUpRequest>) -> Answer<wire::User> {
        let wire::SignUpRequest { email, password } = request.into_inner();
        let app = Arc::clone(&self.0);
        // A write that has begun continues when its caller goes away.
        let done = tokio::spawn(async move { app.sign_up(&email, password).await });
        answer(joined(done).await, user)
    }

    async fn sign_in(&self, request: Request<wire::SignInRequest>) -> Answer<wire::Session> {
        let wire::SignInRequest { email, password } = request.into_inner();
        answer(self.0.sign_in(&email, password).await, session)
    }

    async fn refresh_session(
        &self,
        request: Request<wire::RefreshSessionRequest>,
    ) -> Answer<wire::Session> {
        answer(
            self.0.refresh(&request.get_ref().refresh_token).await,
            session,
        )
    }

    async fn sign_out(
        &self,
        request: Request<wire::SignOutRequest>,
    ) -> Answer<wire::SignOutResponse> {
        let caller = caller(&request)?;
        answer(self.0.sign_out(caller).await, |()| wire::SignOutResponse {})
    }

    async fn get_profile(&self, request: Request<wire::GetProfileRequest>) -> Answer<wire::User> {
        answer(self.0.profile(caller(&request)?.user_id).await, user)
    }

    async fn create_key(
        &self,
        request: Request<wire::CreateKeyRequest>,
    ) -> Answer<wire::CreateKeyResponse> {
        let asked = request.get_ref();
        let made = self
            .0
            .create_key(caller(&request)?, &asked.name, &asked.scopes)
            .await;
        answer(made, |(key, secret_key)| {
            let wire::ApiKey {
                key_id,
                name,
                scopes,
                created_at,
            } = api_key(key);
            wire::CreateKeyResponse {
                key_id,
                secret_key,
                name,
                scopes,
                created_at,
            }
        })
    }

    async fn list_keys(
        &self,
        request: Request<wire::ListKeysRequest>,
    ) -> Answer<wire::ListKeysResponse> {
        answer(self.0.keys(caller(&request)?).await, |keys| {
            wire::ListKeysResponse {
                keys: keys.into_iter().map(api_key).collect(),
            }
        })
    }

    async fn revoke_key(
        &self,
        request: Request<wire::RevokeKeyRequest>,
    ) -> Answer<wire::RevokeKeyResponse> {
        let done = self
            .0
            .revoke_key(caller(&request)?, &request.get_ref().key_id)
            .await;
        answer(done, |()| wire::RevokeKeyResponse {})
    }

    async fn get_jwks(&self, _: Request<wire::GetJwksRequest>) -> Answer<wire::Jwks> {
        let keys = self
            .0
            .published()
            .await
            .keys
            .iter()
            .filter_map(jwk)
            .collect();
        Ok(Response::new(wire::Jwks { keys }))
    }

    async fn exchange_key(
        &self,
        request: Request<wire::ExchangeKeyRequest>,
    ) -> Answer<wire::ExchangeKeyResponse> {
        let asked = request.get_ref();
        let granted = self.0.exchange_key(&asked.key_id, &asked.secret_key).await;
        answer(granted, |(access_token, expires_at)| {
            wire::ExchangeKeyResponse {
                access_token,
                expires_at: expires_at.0,
            }
        })
    }

    async fn add_account(
        &self,
        request: Request<wire::AddAccountRequest>,
    ) -> Answer<wire::AddAccountResponse> {
        let wire::AddAccountRequest { email, simulated } = request.into_inner();
        let app = Arc::clone(&self.0);
        let done = tokio::spawn(async move { app.add_account(&email, simulated).await });
        answer(joined(done).await, |(user, issued)| {
            wire::AddAccountResponse {
                user_id: user.id.to_string(),
                account_id: user.account_id.map(|id| id.to_string()).unwrap_or_default(),
                key_id: issued.key_id,
                secret_key: issued.secret,
            }
        })
    }

    async fn erase_user(
        &self,
        request: Request<wire::EraseUserRequest>,
    ) -> Answer<wire::EraseUserResponse> {
        answer(self.0.erase(&request.get_ref().user_id).await, |()| {
            wire::EraseUserResponse {}
        })
    }
}

fn caller<T>(request: &Request<T>) -> Result<&prepx_auth::Principal, Status> {
    principal(request.extensions()).map_err(|error| error.status())
}

async fn joined<T>(task: tokio::task::JoinHandle<crate::Result<T>>) -> crate::Result<T> {
    task.await
        .unwrap_or_else(|error| Err(Error::Fault(format!("a use case ended: {error}"))))
}

fn answer<T, W>(done: crate::Result<T>, encode: impl FnOnce(T) -> W) -> Answer<W> {
    match done {
        Ok(value) => Ok(Response::new(encode(value))),
        Err(error) => Err(refusal(&error)),
    }
}

/// The error for the caller. Faults of ours are logged here with their cause, which the caller does not
/// see.
fn refusal(error: &Error) -> Status {
    if error.code() == prepx_domain::Code::Internal {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::error!(%error, cause, "a call to the user service failed");
        return status::internal();
    }
    let mut told = status::Error::new(error.code(), error.reason(), error.to_string());
    told.retry_after_ms = error.retry_after_ms();
    status::of(&told)
}

fn user(profile: Profile) -> wire::User {
    let Profile { user, email } = profile;
    wire::User {
        id: user.id.to_string(),
        email,
        role: match user.role {
            prepx_auth::Role::Trader => wire::Role::Trader.into(),
            prepx_auth::Role::Operator => wire::Role::Operator.into(),
        },
        account_id: user.account_id.map(|id| id.to_string()),
        simulated: user.simulated,
        created_at: user.created_at.0,
    }
}

fn session(tokens: Tokens) -> wire::Session {
    wire::Session {
        id: tokens.session.id,
        access_token: tokens.access_token,
        token_type: "Bearer".to_owned(),
        expires_in: tokens.expires_in_s,
        refresh_token: tokens.refresh_token,
        ends_at: tokens.session.ends_at.0,
        user: Some(user(tokens.profile)),
    }
}

fn api_key(key: ApiKey) -> wire::ApiKey {
    wire::ApiKey {
        key_id: key.id,
        name: key.name,
        scopes: key
            .scopes
            .iter()
            .map(|scope| scope.name().to_owned())
            .collect(),
        created_at: key.created_at.0,
    }
}

/// The fields of a public RSA key; ours are all of that kind.
fn jwk(key: &Jwk) -> Option<wire::Jwk> {
    let (n, e) = prepx_auth::rsa_components(key)?;
    Some(wire::Jwk {
        kty: "RSA".to_owned(),
        r#use: "sig".to_owned(),
        alg: "RS256".to_owned(),
        kid: key.common.key_id.clone()?,
        n: n.to_owned(),
        e: e.to_owned(),
    })
}
