//! The server's side of a handshake: within a time limit, counted when it fails, and never logged loudly,
//! because strangers decide how often it happens.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::Error;
use tokio_rustls::server::TlsStream;

use super::Identity;
use super::identity::HTTP2;

/// Makes the handshake as the server; none if it fails.
pub(crate) async fn handshake(
    identity: &Identity,
    stream: TcpStream,
    address: SocketAddr,
    at_most: Duration,
) -> Option<TlsStream<TcpStream>> {
    let accepting = TlsAcceptor::from(identity.server()).accept(stream);
    let reason = match tokio::time::timeout(at_most, accepting).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "a TLS handshake has failed");
            reason(&error)
        }
        Err(_) => "slow",
    };
    failed("server", reason);
    None
}

/// Whether client and server have agreed on HTTP/2. Otherwise the first bytes show the protocol.
pub(crate) fn speaks_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP2)
}

/// Counts a handshake that has failed.
pub(super) fn failed(side: &'static str, reason: &'static str) {
    let labels = [("side", side), ("reason", reason)];
    metrics::counter!("prepx_tls_handshakes_failed_total", &labels).increment(1);
}

/// The kind of an error, from a small set for metrics.
pub(super) fn reason(error: &io::Error) -> &'static str {
    let inner = error.get_ref();
    match inner.and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidMessage(_)) => "no_tls",
        Some(Error::NoCertificatesPresented) => "no_certificate",
        Some(Error::InvalidCertificate(_)) => "certificate",
        Some(Error::AlertReceived(_)) => "refused",
        Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => "incompatible",
        Some(_) => "broken",
        None if error.kind() == io::ErrorKind::TimedOut => "slow",
        None => "cut",
    }
}

/// A connection whose client must send its first bytes in time. The HTTP/2 server speaks first, and would wait
/// for ever for an answer.
pub(crate) struct Prompt<S> {
    stream: S,
    missing: usize,
    limit: Pin<Box<Sleep>>,
}

impl<S> Prompt<S> {
    /// `stream`, on which so many bytes must arrive within `limit`.
    pub fn new(stream: S, bytes: usize, limit: Duration) -> Prompt<S> {
        Prompt {
            stream,
            missing: bytes,
            limit: Box::pin(tokio::time::sleep(limit)),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prompt<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        poller: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(poller, buffer);
        if self.missing > 0 {
            let came = buffer.filled().len().saturating_sub(before);
            self.missing = self.missing.saturating_sub(came);
            if read.is_pending() {
                ready!(self.limit.as_mut().poll(poller));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prompt<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        poller: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(poller, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        poller: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(poller, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, poller: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(poller)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, poller: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(poller)
    }
}
