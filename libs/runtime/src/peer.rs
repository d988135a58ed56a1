//! Another service, in this process or elsewhere: the transport of every generated client.
//!
//! ```text
//! let mut trading = TradingServiceClient::new(peer.clone());
//! let order = trading.submit_order(request).await?;
//! ```
//!
//! A peer passes on the request id, the trace and the rest of the caller's deadline. It sends nothing twice,
//! except to another replica of a service that has several ([`Balanced`]) and only what cannot take effect
//! twice.

use std::task::{Context as Poller, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tower::Service;

use crate::balance::Balanced;
use crate::context::Context;
use crate::guard::REQUEST_ID;
use crate::{spans, timeout};

/// How long to wait for a connection to another process.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often an open connection is tested while calls wait, and how long the answer may take.
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// The bytes in flight per stream and connection: batches are large.
const WINDOW_BYTES: u32 = 1 << 20;

/// Why a call did not reach its service. It becomes a `tonic::Status` in the generated client.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Where a service is.
#[derive(Clone, Debug)]
pub enum Peer {
    /// In this process: calls go straight into its routes, which carry their own guard.
    Local(Routes),
    /// In another process.
    Remote(Channel),
    /// In one of several other processes.
    Balanced(Balanced),
}

impl Peer {
    /// A service in this process.
    pub fn local(routes: Routes) -> Peer {
        Peer::Local(routes.prepare())
    }

    /// A service at a URL such as `http://trading:9090`, in plain text: a [`Dialer`](crate::tls::Dialer)
    /// knows how the processes of a platform talk. Connects at the first call and again whenever the
    /// connection is lost.
    ///
    /// # Errors
    /// When the URL is not one.
    pub fn remote(url: &str) -> Result<Peer, tonic::transport::Error> {
        Ok(Peer::Remote(endpoint(url)?.connect_lazy()))
    }

    /// Whether the service can take calls now, as far as is known. A service with a single address is
    /// assumed to serve.
    pub fn is_serving(&self) -> bool {
        match self {
            Peer::Local(_) | Peer::Remote(_) => true,
            Peer::Balanced(balanced) => balanced.is_serving(),
        }
    }

    /// Every process that may answer; of a balanced peer also those that do not serve.
    pub fn processes(&self) -> Vec<Process> {
        match self {
            Peer::Local(_) | Peer::Remote(_) => vec![Process {
                url: None,
                serves: true,
                peer: self.clone(),
            }],
            Peer::Balanced(balanced) => balanced.processes(),
        }
    }
}

/// One process behind a peer.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its URL, if the peer was made from several URLs.
    pub url: Option<String>,
    /// Whether it takes calls, as far as is known.
    pub serves: bool,
    /// A peer for this process alone.
    pub peer: Peer,
}

/// How connections to other processes are made.
pub(crate) fn endpoint(url: &str) -> Result<Endpoint, tonic::transport::Error> {
    Ok(Endpoint::from_shared(url.to_owned())?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES))
}

impl Service<Request<Body>> for Peer {
    type Response = Response<Body>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, poller: &mut Poller<'_>) -> Poll<Result<(), Self::Error>> {
        match self {
            Peer::Local(routes) => {
                Service::<Request<Body>>::poll_ready(routes, poller).map_err(|never| match never {})
            }
            Peer::Remote(channel) => channel.poll_ready(poller).map_err(Error::from),
            Peer::Balanced(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(context) = Context::current() {
            hand_on(&context, request.headers_mut());
        }
        match self {
            Peer::Local(routes) => routes
                .call(request)
                .map(|Ok(response)| Ok(response))
                .boxed(),
            Peer::Remote(channel) => {
                spans::inject(request.headers_mut());
                let answered = channel.call(request);
                async move { answered.await.map_err(Error::from) }.boxed()
            }
            Peer::Balanced(balanced) => {
                spans::inject(request.headers_mut());
                balanced.clone().call(request).map(Ok).boxed()
            }
        }
    }
}

/// Puts the context into the headers. What the caller has set itself stays, except for a deadline that is
/// later than the one passed on.
fn hand_on(context: &Context, headers: &mut HeaderMap) {
    headers
        .entry(REQUEST_ID)
        .or_insert_with(|| context.request_id.clone());
    if let Some(deadline) = context.deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        if timeout::read(headers).is_none_or(|asked| left < asked) {
            let value: HeaderValue = timeout::value(left);
            headers.insert(timeout::HEADER, value);
        }
    }
}
