//! The connection to an endpoint, for the duration of a turn.
//!
//! Owns what is sent, and the limits of time and size. Refuses addresses that are not allowed, after they
//! were looked up and before anything is sent; follows no redirect; names no address in a failure.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, RootCertStore};

use super::Networks;
use super::endpoint::{Place, literal};

/// How much of an answer's body is read, so that its connection can be used again.
const BODY_BYTES_MAX: usize = 16 << 10;
/// The largest head of an answer.
const HEAD_BYTES_MAX: usize = 16 << 10;
const AGENT: &str = concat!("PrepX/", env!("CARGO_PKG_VERSION"));

/// Connects to endpoints.
#[derive(Clone)]
pub struct Dialer {
    networks: Networks,
    timeout: Duration,
    tls: TlsConnector,
}

/// A connection to an endpoint, if there is one.
#[derive(Default)]
pub struct Line(Option<SendRequest<Full<Bytes>>>);

/// Why an endpoint has not answered.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It took too long.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// Its name has no address.
    #[error("its name cannot be looked up")]
    Name,
    /// Its name has an address that is not allowed.
    #[error("its address is not one of the public Internet, and others are not allowed here")]
    Address,
    /// It cannot be reached.
    #[error("no connection: {0}")]
    Connection(io::ErrorKind),
    /// Its certificate is not valid for its name.
    #[error("no TLS connection: {0}")]
    Tls(&'static str),
    /// It did not speak HTTP, or hung up.
    #[error("no answer: the connection ended, or the answer was not HTTP")]
    Http,
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl Dialer {
    /// Trusts the authorities of the public Internet, and those in a file.
    ///
    /// # Errors
    /// When the file has none.
    pub fn new(
        networks: Networks,
        timeout: Duration,
        ca_file: Option<&Path>,
    ) -> Result<Dialer, String> {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        if let Some(path) = ca_file {
            let wrong = |why: &dyn std::fmt::Display| {
                format!(
                    "webhooks.ca_file {}: {why}; certificates in PEM would be right",
                    path.display()
                )
            };
            let certificates = CertificateDer::pem_file_iter(path).map_err(|why| wrong(&why))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|why| wrong(&why))?;
                roots.add(certificate).map_err(|why| wrong(&why))?;
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .map_err(|why| why.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Dialer {
            networks,
            timeout,
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    /// Sends a body once; returns the status of the answer.
    ///
    /// # Errors
    /// The reason why there is no answer.
    pub async fn post(
        &self,
        line: &mut Line,
        place: &Place,
        headers: &[(&'static str, String)],
        body: &Bytes,
    ) -> Result<StatusCode, Failure> {
        let sent = tokio::time::timeout(self.timeout, self.send(line, place, headers, body)).await;
        sent.unwrap_or(Err(Failure::Late(self.timeout)))
    }

    async fn send(
        &self,
        line: &mut Line,
        place: &Place,
        headers: &[(&'static str, String)],
        body: &Bytes,
    ) -> Result<StatusCode, Failure> {
        if let Some(connection) = line.0.take() {
            // A connection that was used before may have been closed since: then a new one is made.
            if let Ok(status) = exchange(line, connection, request(place, headers, body)?).await {
                return Ok(status);
            }
        }
        let connection = self.dial(place).await?;
        exchange(line, connection, request(place, headers, body)?).await
    }

    async fn dial(&self, place: &Place) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let stream = self.connect(place).await?;
        let wire: Box<dyn Wire> = match place.secure {
            false => Box::new(stream),
            true => {
                let name = ServerName::try_from(place.host.clone()).map_err(|_| Failure::Name)?;
                let secured = self.tls.connect(name, stream).await;
                Box::new(secured.map_err(|error| Failure::Tls(insecure(&error)))?)
            }
        };
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(|_| Failure::Http)?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Connects to the first address that is allowed and answers.
    async fn connect(&self, place: &Place) -> Result<TcpStream, Failure> {
        let addresses: Vec<SocketAddr> = match literal(&place.host) {
            Some(address) => vec![SocketAddr::new(address, place.port)],
            None => tokio::net::lookup_host((place.host.as_str(), place.port))
                .await
                .map_err(|_| Failure::Name)?
                .collect(),
        };
        let mut why = if addresses.is_empty() {
            Failure::Name
        } else {
            Failure::Address
        };
        for address in addresses {
            if !self.networks.allow(address.ip()) {
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => why = Failure::Connection(error.kind()),
            }
        }
        Err(why)
    }
}

/// The kind of an error, without the names that are in its text.
fn insecure(error: &io::Error) -> &'static str {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref());
    match cause {
        Some(rustls::Error::InvalidCertificate(why)) => match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name"
            }
            CertificateError::UnknownIssuer => {
                "its certificate is not issued by a trusted authority"
            }
            _ => "its certificate is invalid",
        },
        Some(_) => "no common TLS version or cipher; TLS 1.3 is needed",
        None => "the connection ended",
    }
}

fn request(
    place: &Place,
    headers: &[(&'static str, String)],
    body: &Bytes,
) -> Result<Request<Full<Bytes>>, Failure> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(&place.path)
        .header(header::HOST, &place.authority)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, AGENT);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request
        .body(Full::new(body.clone()))
        .map_err(|_| Failure::Http)
}

/// Sends a request on a connection, and keeps the connection if it can be used again.
async fn exchange(
    line: &mut Line,
    mut connection: SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode, Failure> {
    connection.ready().await.map_err(|_| Failure::Http)?;
    let answer = connection.send_request(request).await;
    let answer = answer.map_err(|_| Failure::Http)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), BODY_BYTES_MAX);
    if body.collect().await.is_ok() {
        line.0 = Some(connection);
    }
    Ok(status)
}
