//! The key that all services of one platform share, for the calls that services make of each other.
//!
//! It proves that the caller is a process of this platform, not on whose behalf it calls, so nothing about a user may be
//! decided by it. Methods for services only are behind [`ClusterKey::layer`] alone. Of the methods that clients may call,
//! the key opens those whose answer is the same for everybody ([`Rule::check_platform`](crate::Rule::check_platform)). It is
//! checked within one process too, so that calls that work there also work between processes.

use std::fmt;
use std::task::{Context, Poll};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::{Either, Ready, ready};
use http::{HeaderMap, Request, Response};
use prepx_env::Random;
use prepx_runtime::Peer;
use serde::Deserialize;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tower::{Layer, Service};

use crate::{Error, Result, SecretHash};

/// The header that carries it.
pub const CLUSTER_KEY: &str = "prepx-cluster-key";
/// A key of so many characters cannot be guessed.
const CHARS_MIN: usize = 32;
const CHARS_MAX: usize = 256;

/// The key of a platform. [`ClusterKey::caller`] sends it to a peer, [`ClusterKey::layer`] demands it
/// of a service's callers.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct ClusterKey {
    header: MetadataValue<Ascii>,
    hash: SecretHash,
}

/// A peer that is sent the key of the platform: the transport of a generated client, for calls on
/// nobody's behalf.
pub type Caller = InterceptedService<Peer, ClusterKey>;

/// Why a text is no key of a platform. Does not show the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cluster key must be {CHARS_MIN} to {CHARS_MAX} visible ASCII characters without spaces, such as \
     `openssl rand -base64 32` prints; all services of a platform have the same"
)]
pub struct BadClusterKey;

impl ClusterKey {
    /// A key as it is configured.
    ///
    /// # Errors
    /// A key that is too short to be safe, or does not fit a header.
    pub fn parse(text: &str) -> std::result::Result<ClusterKey, BadClusterKey> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible || !(CHARS_MIN..=CHARS_MAX).contains(&text.len()) {
            return Err(BadClusterKey);
        }
        let mut header = MetadataValue::try_from(text).map_err(|_| BadClusterKey)?;
        header.set_sensitive(true);
        Ok(ClusterKey {
            header,
            hash: SecretHash::of(text),
        })
    }

    /// A key for a platform that is one process: nobody else needs to know it.
    pub fn draw(random: &Random) -> ClusterKey {
        let text = URL_SAFE_NO_PAD.encode(random.bytes::<32>());
        ClusterKey::parse(&text).expect("43 characters of base64url are a key")
    }

    /// A peer that is shown this key with every call.
    pub fn caller(&self, peer: Peer) -> Caller {
        InterceptedService::new(peer, self.clone())
    }

    /// The layer that lets calls with this key through and refuses all others.
    pub fn layer(&self) -> ClusterKeyLayer {
        ClusterKeyLayer(self.hash)
    }

    /// What a caller's key is compared with.
    pub(crate) const fn hash(&self) -> SecretHash {
        self.hash
    }
}

/// Shows that there is one, never which.
impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey")
    }
}

impl TryFrom<String> for ClusterKey {
    type Error = BadClusterKey;

    fn try_from(text: String) -> std::result::Result<ClusterKey, BadClusterKey> {
        ClusterKey::parse(&text)
    }
}

impl Interceptor for ClusterKey {
    fn call(
        &mut self,
        mut request: tonic::Request<()>,
    ) -> std::result::Result<tonic::Request<()>, tonic::Status> {
        let metadata = request.metadata_mut();
        metadata.insert(CLUSTER_KEY, self.header.clone());
        Ok(request)
    }
}

/// Refuses calls without the key of the platform. See [`ClusterKey::layer`].
#[derive(Clone, Copy, Debug)]
pub struct ClusterKeyLayer(SecretHash);

impl<S> Layer<S> for ClusterKeyLayer {
    type Service = ClusterKeyService<S>;

    fn layer(&self, inner: S) -> ClusterKeyService<S> {
        ClusterKeyService { inner, key: self.0 }
    }
}

/// A service behind a [`ClusterKeyLayer`].
#[derive(Clone, Debug)]
pub struct ClusterKeyService<S> {
    inner: S,
    key: SecretHash,
}

impl<S, A, B> Service<Request<A>> for ClusterKeyService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Default,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<std::result::Result<Response<B>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let shown = is_shown(&self.key, request.headers());
        match shown.and_then(|shown| shown.then_some(()).ok_or(Error::NoClusterKey)) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(refusal) => Either::Right(ready(Ok(refusal.status().into_http()))),
        }
    }
}

/// Whether headers have the key of this platform; another platform's is refused.
pub(crate) fn is_shown(key: &SecretHash, headers: &HeaderMap) -> Result<bool> {
    let Some(shown) = headers.get(CLUSTER_KEY) else {
        return Ok(false);
    };
    match shown.to_str().is_ok_and(|shown| key.matches(shown)) {
        true => Ok(true),
        false => Err(Error::WrongClusterKey),
    }
}
