//! Connections that are slow, large, too many, or half there.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use http::StatusCode;
use prepx_runtime::serve::{Limits, multiplex, serve};
use prepx_runtime::{Drain, Peer, body, drain, guard, listen};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bank::{Bank, client, withdrawal};

/// Far beyond every limit in these tests: reaching it is a failure, not a measurement.
const PATIENCE: Duration = Duration::from_secs(20);

async fn whole_body(body: Body) -> Result<String, StatusCode> {
    let read = http_body_util::BodyExt::collect(body).await;
    let whole = read.map_err(|error| match body::Error::of(&error) {
        Some(body::Error::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
        Some(body::Error::TooSlow { .. }) => StatusCode::REQUEST_TIMEOUT,
        None => StatusCode::BAD_REQUEST,
    })?;
    Ok(whole.to_bytes().len().to_string())
}

async fn start(limits: Limits) -> (SocketAddr, drain::Control) {
    limits.validate().expect("the test's limits are right");
    let http = Router::new()
        .route(
            "/",
            get(|ConnectInfo(from): ConnectInfo<SocketAddr>| async move { from.to_string() }),
        )
        .route("/body", post(whole_body))
        .route("/large", get(async || "x".repeat(64 << 20)));
    let bank = Bank::open().service(guard::Limits::default());
    let Peer::Local(grpc) = bank.peer() else {
        panic!("a service is local to itself")
    };
    let (drain, control) = Drain::new();
    let listener = listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("is bound");
    tokio::spawn(serve(listener, multiplex(grpc, http), limits, drain));
    (address, control)
}

/// Sends `text` and reads until the server has closed.
async fn exchange(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(text.as_bytes()).await.expect("sends");
    until_closed(&mut stream).await
}

/// Reads until the server has closed.
pub async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    // A reset is a close too: the server does not read what it has refused.
    let _ = read.expect("the server closes in time");
    String::from_utf8_lossy(&answer).into_owned()
}

fn short() -> Limits {
    Limits {
        header_timeout_ms: 200,
        body_timeout_ms: 200,
        body_bytes: 64,
        ..Limits::default()
    }
}

#[tokio::test]
async fn one_port_speaks_http_and_grpc() {
    let (address, _control) = start(Limits::default()).await;
    let request = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = exchange(address, request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.ends_with(|last: char| last.is_ascii_digit()),
        "tells the client's port: {answer}"
    );
    let peer = Peer::remote(&format!("http://{address}")).expect("a URL");
    let answer = client(peer)
        .withdraw(withdrawal())
        .await
        .expect("answers over HTTP/2");
    assert_eq!(answer.into_inner().id.len(), 32);
}

#[tokio::test]
async fn what_is_only_half_sent_is_closed() {
    let (address, _control) = start(short()).await;
    for half in [
        "",
        "P",
        "PRI * HTTP/2.0\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\n",
    ] {
        let answer = exchange(address, half).await;
        assert!(!answer.contains(" 200"), "{half:?} was answered {answer:?}");
    }
    let body = "POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf";
    let answer = exchange(address, body).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn bodies_and_headers_have_a_largest_size() {
    let (address, _control) = start(Limits {
        header_bytes: 8_192,
        ..short()
    })
    .await;
    let of = |size: usize| {
        let body = "x".repeat(size);
        format!(
            "POST /body HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {size}\r\n\r\n{body}"
        )
    };
    let fits = exchange(address, &of(64)).await;
    assert!(
        fits.starts_with("HTTP/1.1 200") && fits.ends_with("64"),
        "{fits}"
    );
    let large = exchange(address, &of(65)).await;
    assert!(large.starts_with("HTTP/1.1 413"), "{large}");
    let with = |size: usize| {
        let long = "x".repeat(size);
        format!(
            "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-request-id: mine\r\nlong: {long}\r\n\r\n"
        )
    };
    let told = exchange(address, &with(9_000)).await;
    assert!(told.starts_with("HTTP/1.1 431"), "{told}");
    for words in ["43110000", "at most 8192", "\"request_id\":\"mine\""] {
        assert!(told.contains(words), "{words} in {told}");
    }
    // hyper answers this itself, and closes on what has not been read.
    let beyond = exchange(address, &with(100_000)).await;
    assert!(!beyond.contains(" 200"), "{beyond}");
}

#[tokio::test]
async fn a_body_that_says_that_it_is_too_large_is_not_waited_for() {
    let (address, _control) = start(Limits {
        body_timeout_ms: 3_600_000,
        ..short()
    })
    .await;
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let header = "POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 65\r\n\r\n";
    stream.write_all(header.as_bytes()).await.expect("sends");
    let mut answer = [0; 2_048];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await;
    let size = read.expect("is answered at once").expect("reads");
    let answer = String::from_utf8_lossy(&answer[..size]).into_owned();
    assert!(
        answer.starts_with("HTTP/1.1 413") && answer.contains("41310000"),
        "{answer}"
    );
    // Who sends it all the same is heard to the end, and asks again on the same connection.
    let next = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let rest = format!("{}{next}", "x".repeat(65));
    stream.write_all(rest.as_bytes()).await.expect("sends");
    let next = until_closed(&mut stream).await;
    assert!(next.starts_with("HTTP/1.1 200"), "{next}");
}

#[tokio::test]
async fn garbage_is_no_request() {
    let (address, _control) = start(short()).await;
    let answer = exchange(address, "\u{1}\u{2}garbage\r\n\r\n").await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
        "{answer}"
    );
    let request = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(exchange(address, request).await.starts_with("HTTP/1.1 200"));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn who_does_not_read_loses_the_place() {
    let (address, _control) = start(Limits {
        connections: 1,
        header_timeout_ms: 600_000,
        unread_timeout_ms: 200,
        ..Limits::default()
    })
    .await;
    let mut deaf = TcpStream::connect(address).await.expect("connects");
    deaf.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .expect("sends");
    deaf.readable().await.expect("is answered");
    let request = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let next = tokio::time::timeout(PATIENCE, exchange(address, request)).await;
    let answer = next.expect("the place is free in time");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn one_connection_too_many_waits_for_its_place() {
    let (address, _control) = start(Limits {
        connections: 1,
        ..Limits::default()
    })
    .await;
    let mut first = TcpStream::connect(address).await.expect("connects");
    first
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .expect("sends");
    let mut some = [0; 12];
    first.read_exact(&mut some).await.expect("is answered");
    assert_eq!(&some, b"HTTP/1.1 200");
    let request = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut second = Box::pin(exchange(address, request));
    let early = tokio::time::timeout(Duration::from_millis(100), &mut second).await;
    assert!(early.is_err(), "the place is taken");
    drop(first);
    assert!(second.await.starts_with("HTTP/1.1 200"));
}
