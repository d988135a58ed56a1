//! The client's side: connections to other processes, plain or by TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use prepx_env::Clock;
use tokio::io::AsyncBufReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::transport::{Channel, Endpoint};
use tower::Service;

use super::handshake::{failed, reason};
use super::identity::HTTP2;
use super::{Error, Identity, files, identity, server_name};
use crate::balance::Balanced;
use crate::peer::{self, Peer};

/// Why another process cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The address is not one, or not one for how processes talk here.
    #[error(
        "{url:?} is not the address of a service: {problem}; it must be one such as {scheme}://10.0.0.5:9001"
    )]
    Address {
        /// As it was given.
        url: String,
        /// What is wrong.
        problem: String,
        /// With which it would be right.
        scheme: &'static str,
    },
    /// The CA cannot be read.
    #[error(transparent)]
    Tls(#[from] Error),
}

/// How a process calls the others of its platform: in plain text, or with its identity. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Dialer(Option<Arc<Identity>>);

impl Dialer {
    /// By mutual TLS.
    pub fn mutual(identity: Arc<Identity>) -> Dialer {
        Dialer(Some(identity))
    }

    /// The scheme of the services' addresses.
    pub const fn scheme(&self) -> &'static str {
        match self.0 {
            Some(_) => "https",
            None => "http",
        }
    }

    /// The process of a service such as `prepx-risk` at an address such as `10.0.0.5:9001`. Whoever
    /// answers there has to be of that service. Calls say that they are for `prepx-risk-pods`: a mesh, which
    /// routes by name, lets what has that name go where it goes.
    ///
    /// # Errors
    /// When the address is not one.
    pub fn remote(&self, service: &str, address: &str) -> Result<Peer, DialError> {
        let url = format!("{}://{address}", self.scheme());
        let mut place = self.place(service, &url)?;
        let port = place
            .uri
            .port_u16()
            .map_or(String::new(), |port| format!(":{port}"));
        let name = format!("{}://{service}-pods{port}", self.scheme()).parse();
        let name = name.map_err(|why| self.wrong(&url, format!("{why}")))?;
        place.endpoint = place.endpoint.origin(name);
        Ok(Peer::Remote(place.channel()))
    }

    /// A service such as `prepx-risk` of which there are replicas at URLs, each with the address of one, or with
    /// a host that has the addresses of any number. A call goes to one that serves. To be called in the
    /// runtime.
    ///
    /// # Errors
    /// When one of the URLs is not one, or is one for another way to talk.
    pub fn balanced<U: AsRef<str>>(&self, service: &str, urls: &[U]) -> Result<Peer, DialError> {
        let place = |url: &U| self.place(service, url.as_ref());
        let places: Result<Vec<_>, DialError> = urls.iter().map(place).collect();
        Ok(Peer::Balanced(Balanced::over(places?)))
    }

    /// Where a URL says that processes of a service are.
    pub(crate) fn place(&self, service: &str, url: &str) -> Result<Place, DialError> {
        let wrong = |problem| self.wrong(url, problem);
        let uri: Uri = url.parse().map_err(|why| wrong(format!("{why}")))?;
        match (&self.0, uri.scheme_str()) {
            (Some(_), Some("http")) => {
                return Err(wrong(
                    "tls is set, so nothing goes in plain text".to_owned(),
                ));
            }
            (None, Some("https")) => return Err(wrong("tls is not set".to_owned())),
            (_, Some("http" | "https")) if uri.host().is_some() => {}
            _ => return Err(wrong("it is not an HTTP URL".to_owned())),
        }
        let endpoint = peer::endpoint(url).map_err(|why| wrong(why.to_string()))?;
        let secured = match &self.0 {
            None => None,
            Some(identity) => {
                let name = server_name(service).map_err(|why| wrong(why.to_string()))?;
                Some((Trust::Mutual(Arc::clone(identity)), name))
            }
        };
        Ok(Place {
            url: url.to_owned(),
            uri,
            endpoint,
            secured,
        })
    }

    fn wrong(&self, url: &str, problem: String) -> DialError {
        DialError::Address {
            url: url.to_owned(),
            problem,
            scheme: self.scheme(),
        }
    }
}

/// Where processes of a service are, and how they are connected to.
pub(crate) struct Place {
    url: String,
    uri: Uri,
    endpoint: Endpoint,
    secured: Option<(Trust, ServerName<'static>)>,
}

impl Place {
    /// As it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The host and port, where it has a host with any number of addresses; none where it has one address.
    pub fn host(&self) -> Option<(String, u16)> {
        let host = self.uri.host()?;
        let address = host.trim_start_matches('[').trim_end_matches(']');
        let usual = match self.secured {
            Some(_) => 443,
            None => 80,
        };
        let port = self.uri.port_u16().unwrap_or(usual);
        match address.parse::<IpAddr>() {
            Ok(_) => None,
            Err(_) => Some((host.to_owned(), port)),
        }
    }

    /// A connection to the only process.
    pub fn channel(&self) -> Channel {
        self.open(self.endpoint.clone())
    }

    /// A connection to the process at one of the host's addresses, with the URL that says so. Calls still say the
    /// host's name.
    pub fn at(&self, address: SocketAddr) -> Result<(String, Channel), tonic::transport::Error> {
        let scheme = self.uri.scheme_str().unwrap_or_default();
        let url = format!("{scheme}://{address}");
        let endpoint = peer::endpoint(&url)?.origin(self.uri.clone());
        Ok((url, self.open(endpoint)))
    }

    fn open(&self, endpoint: Endpoint) -> Channel {
        match self.secured.clone() {
            None => endpoint.connect_lazy(),
            Some((trust, name)) => {
                endpoint.connect_with_connector_lazy(Connector::new(trust, name))
            }
        }
    }
}

impl Peer {
    /// A platform at an `https` URL, whose certificate has to be of the CA in a file.
    ///
    /// # Errors
    /// When the URL is not one, or the file cannot be read.
    pub fn public(url: &str, ca: &Path, clock: Arc<dyn Clock>) -> Result<Peer, DialError> {
        let wrong = |problem: String| DialError::Address {
            url: url.to_owned(),
            problem,
            scheme: "https",
        };
        let uri: Uri = url.parse().map_err(|why| wrong(format!("{why}")))?;
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = server_name(host).map_err(|why| wrong(why.to_string()))?;
        let client = identity::anonymous_client(files::ca("--ca", ca)?, clock);
        let client = client.map_err(|why| wrong(why.to_string()))?;
        let endpoint = peer::endpoint(url).map_err(|why| wrong(why.to_string()))?;
        let connector = Connector::new(Trust::Ca(Arc::new(client)), name);
        Ok(Peer::Remote(
            endpoint.connect_with_connector_lazy(connector),
        ))
    }
}

/// Which servers a connection trusts, and what it shows of itself.
#[derive(Clone)]
enum Trust {
    Mutual(Arc<Identity>),
    Ca(Arc<ClientConfig>),
}

/// Makes connections to servers of this name.
#[derive(Clone)]
struct Connector {
    trust: Trust,
    name: ServerName<'static>,
    /// The failure that was logged last: the same one is not logged again at each attempt.
    said: Arc<Mutex<String>>,
}

impl Connector {
    fn new(trust: Trust, name: ServerName<'static>) -> Connector {
        Connector {
            trust,
            name,
            said: Arc::default(),
        }
    }

    async fn connect(self, uri: Uri) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await?;
        stream.set_nodelay(true)?;
        let secured = self.secure(stream).await;
        let said = secured.as_ref().err().map(words).unwrap_or_default();
        let why = self.tell(&uri, said);
        match secured {
            Ok(stream) => Ok(TokioIo::new(stream)),
            Err(error) => Err(io::Error::new(error.kind(), why)),
        }
    }

    async fn secure(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let (client, mutual) = match &self.trust {
            Trust::Mutual(identity) => (identity.client(), true),
            Trust::Ca(client) => (Some(Arc::clone(client)), false),
        };
        let client = client.ok_or_else(|| io::Error::other("there is no CA to believe"))?;
        let connecting = TlsConnector::from(client).connect(self.name.clone(), stream);
        let mut stream = connecting.await?;
        if stream.get_ref().1.alpn_protocol() != Some(HTTP2) {
            return Err(io::Error::other("it does not speak HTTP/2"));
        }
        // By TLS 1.3 the client is done before the server has judged it. The server of a service speaks
        // first: when it does, it has let us in, and calls on this connection are begun there.
        if mutual && stream.fill_buf().await?.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(stream)
    }

    /// Logs a failure once, until there is another one or none.
    fn tell(&self, uri: &Uri, why: String) -> String {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if why.is_empty() {
            said.clear();
            return why;
        }
        let address = uri.authority().map_or("", |at| at.as_str());
        let whole = format!(
            "TLS with {} at {address} has failed: {why}",
            self.name.to_str()
        );
        if *said != why {
            tracing::warn!("{whole}");
        }
        *said = why;
        whole
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        self.clone().connect(uri).boxed()
    }
}

/// What went wrong, as the caller sees it.
fn words(error: &io::Error) -> String {
    let reason = reason(error);
    failed("client", reason);
    match reason {
        "refused" => format!("it refuses this process ({error})"),
        "certificate" => format!("it is not who it should be ({error})"),
        "no_tls" => format!("it does not speak TLS ({error})"),
        _ => error.to_string(),
    }
}
