//! The tower layer around every service: no handler runs for a caller that may not call it, and a stream
//! ends when the credentials with which it was opened are revoked.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Extensions, Request, Response};
use prepx_domain::AccountId;
use prepx_runtime::{Ending, Method, status};
use tonic::metadata::MetadataValue;
use tower::{Layer, Service};

use crate::cluster::is_shown;
use crate::{
    Access, Authenticator, ClusterKey, Error, Identity, Policy, Principal, Result, SecretHash,
};

/// Wraps a gRPC service so that each request carries its caller's [`Identity`] in its extensions.
#[derive(Clone, Debug)]
pub struct AuthLayer {
    authenticator: Arc<Authenticator>,
    policy: Arc<Policy>,
    platform: SecretHash,
}

impl AuthLayer {
    /// A layer that admits callers by this policy, and the platform with this key.
    pub fn new(
        authenticator: Arc<Authenticator>,
        policy: Arc<Policy>,
        platform: &ClusterKey,
    ) -> AuthLayer {
        AuthLayer {
            authenticator,
            policy,
            platform: platform.hash(),
        }
    }

    /// The authenticated caller, if there is one, and if it may call the method. A caller with the
    /// platform's key and no credentials is the platform itself, which is nobody.
    async fn admit<A>(&self, request: &mut Request<A>) -> Result<Option<Arc<Identity>>> {
        let rule = self.policy.rule(request.uri().path());
        // Extensions are never sent over a wire, so what is found there was put there by this process.
        if let Some(known) = request.extensions().get::<Arc<Identity>>() {
            rule.check(Some(&known.principal))?;
            return Ok(Some(Arc::clone(known)));
        }
        let identity = match self.authenticator.authenticate(request.headers()).await {
            Ok(identity) => identity,
            // Signing in works with an expired token in the headers.
            Err(_) if rule.access == Access::Anyone => None,
            Err(error) => return Err(error),
        };
        match &identity {
            Some(known) => {
                rule.check(Some(&known.principal))?;
                request.extensions_mut().insert(Arc::clone(known));
            }
            None if is_shown(&self.platform, request.headers())? => rule.check_platform()?,
            None => rule.check(None)?,
        }
        Ok(identity)
    }

    /// The answer's body; that of a stream ends with its caller's key or session.
    fn ending<B>(&self, streaming: bool, caller: Option<&Arc<Identity>>, body: B) -> Ending<B> {
        match caller {
            Some(caller) if streaming => {
                let revoked = self.authenticator.revoked(caller);
                Ending::when(revoked.map(|()| Error::Revoked.status()), body)
            }
            _ => Ending::by_itself(body),
        }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> AuthService<S> {
        AuthService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service behind an [`AuthLayer`].
#[derive(Clone, Debug)]
pub struct AuthService<S> {
    inner: S,
    layer: AuthLayer,
}

impl<S, A, B> Service<Request<A>> for AuthService<S>
where
    S: Service<Request<A>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    A: Send + 'static,
    B: Default + Send,
{
    type Response = Response<Ending<B>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, std::result::Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        // The clone has not been polled ready; the service that was goes with the request.
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        let layer = self.layer.clone();
        Box::pin(async move {
            let streaming = Method::of(request.uri().path()).streaming;
            let caller = match layer.admit(&mut request).await {
                Ok(caller) => caller,
                Err(error) => return Ok(error.status().into_http().map(Ending::by_itself)),
            };
            let response = inner.call(request).await?;
            Ok(response.map(|body| layer.ending(streaming, caller.as_ref(), body)))
        })
    }
}

impl Error {
    /// The refusal as a gRPC status with its closed code and reason.
    pub fn status(&self) -> tonic::Status {
        let mut told = status::Error::new(self.code(), self.reason(), self.to_string());
        if *self == Error::Unavailable {
            told.retry_after_ms = Some(1_000);
        }
        status::of(&told)
    }
}

/// The caller's identity that the layer left in a request's extensions.
pub fn identity(extensions: &Extensions) -> Result<&Arc<Identity>> {
    extensions.get::<Arc<Identity>>().ok_or(Error::Missing)
}

/// The caller's account, the only one whose data its call can touch (I9).
pub fn account<T>(request: &tonic::Request<T>) -> std::result::Result<AccountId, tonic::Status> {
    let account = principal(request.extensions()).and_then(Principal::account);
    account.map_err(|error| error.status())
}

/// The caller, as the layer left it in a request's extensions.
pub fn principal(extensions: &Extensions) -> Result<&Principal> {
    identity(extensions).map(|identity| &identity.principal)
}

/// A request to another service on behalf of a caller: in this process the identity goes with it as
/// it is, elsewhere as its access token.
pub fn on_behalf<T>(identity: &Arc<Identity>, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    if let Ok(token) = MetadataValue::try_from(format!("Bearer {}", identity.token)) {
        request.metadata_mut().insert("authorization", token);
    }
    request.extensions_mut().insert(Arc::clone(identity));
    request
}
