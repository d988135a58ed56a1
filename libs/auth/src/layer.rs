//! The tower layer around every service: no handler runs for a caller who may not call it.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Extensions, Request, Response};
use tower::{Layer, Service};

use crate::{Access, Authenticator, Error, Identity, Policy, Principal, Result};

/// Renders a refusal as the service's kind of response.
pub type Refuse<B> = fn(&Error) -> Response<B>;

/// Wraps a service so that each request carries its caller's [`Identity`] in its extensions.
pub struct AuthLayer<B> {
    authenticator: Arc<Authenticator>,
    policy: Arc<Policy>,
    refuse: Refuse<B>,
}

impl<B> AuthLayer<B> {
    /// A layer; `refuse` turns a refusal into a gRPC or HTTP response.
    pub fn new(
        authenticator: Arc<Authenticator>,
        policy: Arc<Policy>,
        refuse: Refuse<B>,
    ) -> AuthLayer<B> {
        AuthLayer {
            authenticator,
            policy,
            refuse,
        }
    }
}

impl<B> Clone for AuthLayer<B> {
    fn clone(&self) -> AuthLayer<B> {
        AuthLayer {
            authenticator: Arc::clone(&self.authenticator),
            policy: Arc::clone(&self.policy),
            refuse: self.refuse,
        }
    }
}

impl<S, B> Layer<S> for AuthLayer<B> {
    type Service = AuthService<S, B>;

    fn layer(&self, inner: S) -> AuthService<S, B> {
        AuthService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service behind an [`AuthLayer`].
pub struct AuthService<S, B> {
    inner: S,
    layer: AuthLayer<B>,
}

impl<S: Clone, B> Clone for AuthService<S, B> {
    fn clone(&self) -> AuthService<S, B> {
        AuthService {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<S, A, B> Service<Request<A>> for AuthService<S, B>
where
    S: Service<Request<A>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    A: Send + 'static,
    B: 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, std::result::Result<Response<B>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        // The clone has not been polled ready; the service that was goes with the request.
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        let layer = self.layer.clone();
        Box::pin(async move {
            match layer.admit(&mut request).await {
                Ok(()) => inner.call(request).await,
                Err(error) => Ok((layer.refuse)(&error)),
            }
        })
    }
}

impl<B> AuthLayer<B> {
    async fn admit<A>(&self, request: &mut Request<A>) -> Result<()> {
        let rule = self.policy.rule(request.uri().path());
        // Extensions never come over a wire: who is found there was put there by this process.
        if let Some(known) = request.extensions().get::<Arc<Identity>>() {
            return rule.check(Some(&known.principal));
        }
        let identity = match self.authenticator.authenticate(request.headers()).await {
            Ok(identity) => identity,
            // Signing in works with an expired token in the headers.
            Err(_) if rule.access == Access::Anyone => None,
            Err(error) => return Err(error),
        };
        rule.check(identity.as_deref().map(|identity| &identity.principal))?;
        if let Some(identity) = identity {
            request.extensions_mut().insert(identity);
        }
        Ok(())
    }
}

/// The caller's identity that the layer left in a request's extensions, to be sent on.
pub fn identity(extensions: &Extensions) -> Result<&Arc<Identity>> {
    extensions.get::<Arc<Identity>>().ok_or(Error::Missing)
}

/// The caller, as the layer left it in a request's extensions.
pub fn principal(extensions: &Extensions) -> Result<&Principal> {
    identity(extensions).map(|identity| &identity.principal)
}
