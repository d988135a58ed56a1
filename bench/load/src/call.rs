//! One method over HTTP/2, straight on `h2`: what a general client does for every call besides would take
//! from the server a third of the cores that both share. Requests are encoded once, before the load
//! begins; of each answer the status, the message and the trailers are looked at.

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, Request, StatusCode};
use prepx_proto::trading::v1::{Order, SubmitOrderRequest};
use prost::Message as _;
use tokio::net::TcpStream;

use crate::accounts::Key;

const METHOD: &str = "/prepx.trading.v1.TradingService/SubmitOrder";
/// What a message begins with: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
const WINDOW_BYTES: u32 = 1 << 20;

/// A connection of its own. Clones share it.
#[derive(Clone)]
pub struct Line(SendRequest<Bytes>);

/// An order as it is sent, again and again.
#[derive(Clone)]
pub struct Prepared {
    head: Request<()>,
    body: Bytes,
}

impl Prepared {
    pub fn new(url: &str, key: &Key, order: &SubmitOrderRequest) -> Result<Prepared> {
        let head = Request::post(format!("{url}{METHOD}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("apca-api-key-id", key.id.to_str()?)
            .header("apca-api-secret-key", key.secret.to_str()?);
        let mut body = BytesMut::new();
        body.put_u8(0);
        body.put_u32(u32::try_from(order.encoded_len())?);
        order.encode(&mut body)?;
        Ok(Prepared {
            head: head.body(())?,
            body: body.freeze(),
        })
    }
}

impl Line {
    /// Connects. Called within a runtime, which the connection lives in.
    pub async fn open(url: &str) -> Result<Line> {
        let host = url.strip_prefix("http://");
        let socket = TcpStream::connect(host.context("the URL is no http://HOST:PORT")?).await?;
        socket.set_nodelay(true)?;
        let (send, connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .handshake(socket)
            .await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("a connection has ended: {error}");
            }
        });
        Ok(Line(send))
    }

    /// Sends an order, when the server takes one more on this connection, and reads the answer.
    ///
    /// # Errors
    /// When it is anything but an accepted order.
    pub async fn submit(self, order: Prepared) -> Result<()> {
        let mut ready = self.0.ready().await?;
        let (answer, mut body) = ready.send_request(order.head, false)?;
        body.send_data(order.body, true)?;
        let (head, mut body) = answer.await?.into_parts();
        ensure!(head.status == StatusCode::OK, "status {}", head.status);
        let mut message = BytesMut::new();
        while let Some(part) = body.data().await {
            let part = part?;
            body.flow_control().release_capacity(part.len())?;
            message.extend_from_slice(&part);
        }
        // An error has no message, and its status is in the headers.
        let trailers = body.trailers().await?.unwrap_or(head.headers);
        accepted(&message, &trailers)
    }
}

fn accepted(message: &[u8], trailers: &HeaderMap) -> Result<()> {
    let text = |name| trailers.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        Some("0") => {}
        status => bail!("grpc-status {status:?}: {:?}", text("grpc-message")),
    }
    let message = message.get(PREFIX_BYTES..).context("there is no message")?;
    let order = Order::decode(message)?;
    ensure!(!order.id.is_empty(), "an order without an id");
    Ok(())
}
