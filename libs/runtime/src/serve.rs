//! One port for HTTP/1.1, HTTP/2, WebSocket and gRPC, in plain text or over TLS, and the limits that keep
//! it open: on connections, handshake time, header size and time, body size and time, streams per
//! connection, idle time, and answers that the client does not read.

mod limits;
mod shutdown;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use prepx_env::Random;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, Chain};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tonic::service::Routes;
use tower::{Service as _, ServiceExt as _};

use crate::body::{Bounded, is_grpc};
use crate::capacity::{Capacity, Permit};
use crate::drain::Drain;
use crate::status::{Code, Error};
use crate::tls::{Identity, Prompt, handshake, speaks_http2};
use crate::unread::{Counted, Opened, Reader, Unread};
use crate::{body, refusal, status};

pub use limits::Limits;
use shutdown::{Shutdown, Watchers};

/// How a connection that speaks HTTP/2 begins.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What HTTP/2 counts for a field of a header beside its name and value.
const FIELD_BYTES: usize = 32;
/// How often the other end of an HTTP/2 connection is asked for a sign of life, and how long it has.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Bytes that may be under way on one stream and connection: batches are large.
const WINDOW_BYTES: u32 = 1 << 20;
/// When a client that has not read its answers may try again.
const RETRY_UNREAD_AFTER: Duration = Duration::from_secs(1);
/// How long to wait when the machine has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection's place among [`Limits::connections`], in the extensions of its requests. An upgraded
/// socket outlives its connection's requests: its handler keeps this as long as the socket.
#[derive(Clone)]
pub struct Place {
    _permit: Arc<Permit>,
    reader: Arc<Reader>,
}

impl Place {
    /// Closes the connection, because its client reads nothing of what was written to the socket. (A socket over
    /// HTTP/1.1 has its connection for itself and closes it when it is dropped.)
    pub fn close_unread(&self) {
        self.reader.close_unread();
    }
}

/// Where a process is called.
#[derive(Debug)]
pub struct Port {
    /// What listens.
    pub listener: TcpListener,
    /// Who the process is to its callers; plain text without.
    pub identity: Option<Arc<Identity>>,
}

impl From<TcpListener> for Port {
    fn from(listener: TcpListener) -> Port {
        Port {
            listener,
            identity: None,
        }
    }
}

/// gRPC and everything else behind one router, distinguished by the content type.
pub fn multiplex(grpc: Routes, http: Router) -> Router {
    let grpc = grpc.prepare().into_axum_router();
    let http = http.with_state(());
    Router::new().fallback_service(tower::service_fn(move |request: Request<Body>| {
        let router = if is_grpc(request.headers()) {
            &grpc
        } else {
            &http
        };
        router.clone().oneshot(request)
    }))
}

/// Serves `app` until the drain begins and the requests under way then have been answered. Dropping
/// the future closes what is still open. Handlers find the client's address as
/// `ConnectInfo<SocketAddr>` and the connection's [`Place`] in the request's extensions.
pub async fn serve(port: impl Into<Port>, app: Router, limits: Limits, drain: Drain) {
    let Port { listener, identity } = port.into();
    let capacity = Capacity::new("connections", limits.connections);
    let unread = Duration::from_millis(limits.unread_timeout_ms.into());
    let server = Arc::new(Server::new(app, limits, identity, drain.clone()));
    let shutdown = Shutdown::default();
    let mut connections = JoinSet::new();
    let unread_answers = Arc::clone(&server.unread);
    let mut watching = JoinSet::new();
    watching.spawn(async move { unread_answers.watch().await });
    let mut draining = pin!(drain.draining());
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut draining => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &capacity, unread) => accepted,
        };
        match accepted {
            Ok((stream, address, permit)) => {
                let server = Arc::clone(&server);
                let watchers = shutdown.watchers();
                connections.spawn(async move {
                    server.connection(stream, address, permit, watchers).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    shutdown.run(connections).await;
}

async fn accept(
    listener: &TcpListener,
    capacity: &Capacity,
    unread: Duration,
) -> io::Result<(TcpStream, SocketAddr, Permit)> {
    let permit = capacity.wait().await;
    let (stream, address) = listener.accept().await?;
    stream.set_nodelay(true)?;
    close_when_unread(&stream, unread)?;
    Ok((stream, address, permit))
}

/// Has the operating system close a connection whose client reads nothing. hyper itself waits for ever, and
/// the connection would keep its place.
#[cfg(target_os = "linux")]
fn close_when_unread(stream: &TcpStream, limit: Duration) -> io::Result<()> {
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(limit))
}

/// Other operating systems have no such option.
#[cfg(not(target_os = "linux"))]
fn close_when_unread(_: &TcpStream, _: Duration) -> io::Result<()> {
    Ok(())
}

struct Server {
    app: Router,
    limits: Limits,
    identity: Option<Arc<Identity>>,
    drain: Drain,
    unread: Arc<Unread>,
    random: Arc<Random>,
    http1: Builder<TokioExecutor>,
    http2: Builder<TokioExecutor>,
}

impl Server {
    fn new(app: Router, limits: Limits, identity: Option<Arc<Identity>>, drain: Drain) -> Server {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(limits.header_timeout_ms))
            .max_buf_size(limits.header_buffer_bytes());
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .max_concurrent_streams(limits.http2_streams)
            .max_header_list_size(u32::try_from(limits.header_buffer_bytes()).unwrap_or(u32::MAX))
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .enable_connect_protocol();
        let http1 = builder.clone().http1_only();
        Server {
            app,
            unread: Unread::new(&limits),
            random: Arc::new(Random::from_system()),
            limits,
            identity,
            drain,
            http1,
            http2: builder.http2_only(),
        }
    }

    /// Serves a connection to its end, or until it is closed because its client reads nothing.
    async fn connection(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        permit: Permit,
        watchers: Watchers,
    ) {
        let (open, place) = self.admit(permit);
        open.during(self.after_handshake(stream, address, place, watchers))
            .await;
    }

    fn admit(&self, permit: Permit) -> (Opened, Place) {
        let open = self.unread.open();
        let place = Place {
            _permit: Arc::new(permit),
            reader: Arc::clone(&open.reader),
        };
        (open, place)
    }

    /// Serves a connection after the TLS handshake, if there is to be one.
    async fn after_handshake(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        place: Place,
        watchers: Watchers,
    ) {
        let Some(identity) = &self.identity else {
            let (reader, writer) = stream.into_split();
            return self.detect(reader, writer, address, place, watchers).await;
        };
        let limit = Duration::from_millis(self.limits.handshake_timeout_ms);
        let Some(stream) = handshake(identity, stream, address, limit).await else {
            return;
        };
        if speaks_http2(&stream) {
            let stream = Prompt::new(stream, PREFACE.len(), self.first_bytes_limit());
            return self.http2(stream, address, place, watchers).await;
        }
        let (reader, writer) = tokio::io::split(stream);
        self.detect(reader, writer, address, place, watchers).await;
    }

    /// How long the first bytes of a connection may take.
    fn first_bytes_limit(&self) -> Duration {
        Duration::from_millis(self.limits.header_timeout_ms)
    }

    /// Finds out from the first bytes whether a connection speaks HTTP/1.1 or HTTP/2, and serves it.
    async fn detect(
        &self,
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
        address: SocketAddr,
        place: Place,
        watchers: Watchers,
    ) {
        let opened = tokio::time::timeout(self.first_bytes_limit(), detect_http2(reader)).await;
        let Ok(Ok((is_http2, reader))) = opened else {
            tracing::debug!(%address, "a connection ended before it had said what it speaks");
            return;
        };
        let io = tokio::io::join(reader, writer);
        match is_http2 {
            true => self.http2(io, address, place, watchers).await,
            false => self.http1(io, address, place, watchers).await,
        }
    }

    async fn http1(&self, io: impl Io, address: SocketAddr, place: Place, watchers: Watchers) {
        let service = hyper::service::service_fn(|request| {
            let answer = self.answer(request, address, &place);
            let drain = self.drain.clone();
            async move {
                let mut answer = answer.await;
                if let (Ok(answer), true) = (&mut answer, drain.is_draining()) {
                    shutdown::mark_last(answer);
                }
                answer
            }
        });
        let connection = self
            .http1
            .serve_connection_with_upgrades(TokioIo::new(io), service);
        drop(watchers.http2);
        ended(address, watchers.http1.watch(connection).await);
    }

    /// The server speaks first, as HTTP/2 allows: that tells a client that its certificate was accepted.
    async fn http2(&self, io: impl Io, address: SocketAddr, place: Place, watchers: Watchers) {
        let service = hyper::service::service_fn(|request| self.answer(request, address, &place));
        let connection = self.http2.serve_connection(TokioIo::new(io), service);
        drop(watchers.http1);
        ended(address, watchers.http2.watch(connection).await);
    }

    /// The answer, whose bytes are counted until they are read. A client that has left too much unread is refused
    /// before its request is begun; if that happens while a read is being answered, the answer is withheld.
    fn answer(
        &self,
        request: Request<Incoming>,
        address: SocketAddr,
        place: &Place,
    ) -> impl Future<Output = Result<Response<Counted>, Infallible>> + Send + use<> {
        let header_too_large = self.header_too_large(&request);
        let body_too_large = self.body_too_large(&request);
        let mut request = self.bounded(request);
        request.extensions_mut().insert(ConnectInfo(address));
        request.extensions_mut().insert(place.clone());
        let reader = Arc::clone(&place.reader);
        let random = Arc::clone(&self.random);
        let mut app = self.app.clone();
        async move {
            let counted = |body| Counted {
                body,
                reader: Arc::clone(&reader),
            };
            if let Some(error) = header_too_large {
                return Ok(refusal::answer(&error, request.headers(), &random).map(counted));
            }
            if let Some(error) = body_too_large {
                let answer = refusal::answer(&error, request.headers(), &random);
                // Who waits to be told to go on sends none of it.
                if !request.headers().contains_key(header::EXPECT) {
                    tokio::spawn(body::discard(request.into_body()));
                }
                return Ok(answer.map(counted));
            }
            if reader.is_full() {
                return Ok(unread(request.headers(), &random).map(counted));
            }
            let is_page = request.method().is_safe();
            let response = app.call(request).await?;
            let response = match is_page && reader.is_full() {
                true => unread(response.headers(), &random),
                false => response,
            };
            Ok(response.map(counted))
        }
    }

    /// What is wrong with a header that is too large.
    fn header_too_large(&self, request: &Request<Incoming>) -> Option<Error> {
        let of_field = |(name, value): (&HeaderName, &HeaderValue)| {
            name.as_str().len() + value.len() + FIELD_BYTES
        };
        let fields: usize = request.headers().iter().map(of_field).sum();
        let path = request
            .uri()
            .path_and_query()
            .map_or("", |path| path.as_str());
        let (bytes, limit) = (fields + path.len(), self.limits.header_bytes);
        let message = || format!("the header has {bytes} bytes; at most {limit} are allowed");
        (bytes > limit).then(|| Error::new(Code::HeaderTooLarge, "HEADER_TOO_LARGE", message()))
    }

    /// What is wrong with a body that says itself that it is too large.
    fn body_too_large(&self, request: &Request<Incoming>) -> Option<Error> {
        let limit_bytes = self.limits.body_bytes;
        let is_larger = request.body().size_hint().lower() > limit_bytes as u64;
        (is_larger && !is_grpc(request.headers())).then(|| {
            let message = body::Error::TooLarge { limit_bytes }.to_string();
            Error::new(Code::TooLarge, "BODY_TOO_LARGE", message)
        })
    }

    fn bounded(&self, request: Request<Incoming>) -> Request<Body> {
        let Limits {
            body_bytes,
            body_timeout_ms,
            ..
        } = self.limits;
        if is_grpc(request.headers()) || request.body().is_end_stream() {
            return request.map(Body::new);
        }
        let limit = Duration::from_millis(body_timeout_ms);
        request.map(|body| Body::new(Bounded::new(Body::new(body), body_bytes, limit)))
    }
}

/// The refusal for a client that does not read its answers.
fn unread(headers: &HeaderMap, random: &Random) -> Response<Body> {
    let what = "what this connection was answered and has not read";
    refusal::answer(
        &status::overloaded(what, RETRY_UNREAD_AFTER),
        headers,
        random,
    )
}

/// The transport of a connection.
trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

fn ended<E: std::fmt::Display>(address: SocketAddr, end: Result<(), E>) {
    if let Err(error) = end {
        tracing::debug!(%address, %error, "a connection ended early");
    }
}

/// Reads as many bytes as show whether a connection speaks HTTP/2; returns that, and a reader that begins with
/// these bytes. hyper's own detection would wait for ever.
async fn detect_http2<R: AsyncRead + Unpin>(
    mut stream: R,
) -> io::Result<(bool, Chain<io::Cursor<Vec<u8>>, R>)> {
    let mut seen = Vec::with_capacity(PREFACE.len());
    while seen.len() < PREFACE.len() && PREFACE.starts_with(&seen) {
        let missing = (PREFACE.len() - seen.len()) as u64;
        if (&mut stream).take(missing).read_buf(&mut seen).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let is_http2 = seen == PREFACE;
    Ok((is_http2, io::Cursor::new(seen).chain(stream)))
}

#[cfg(test)]
mod tests;
