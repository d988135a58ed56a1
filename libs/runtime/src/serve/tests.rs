//! Clients that ask and do not take, over connections in memory and on a clock that only they move.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use axum::routing::{get, post};
use bytes::Bytes;
use h2::RecvStream;
use h2::client::{Builder as Client, ResponseFuture, SendRequest};
use http::header;
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::drain::Control;

const PAGE_BYTES: usize = 48 << 10;
const WINDOW_MAX: u32 = (1 << 31) - 1;

/// A page that is counted for as long as anybody holds it.
struct Page(Arc<AtomicUsize>);

impl AsRef<[u8]> for Page {
    fn as_ref(&self) -> &[u8] {
        &[b'x'; PAGE_BYTES]
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// A server with pages, and how many of them it holds.
struct Served {
    server: Arc<Server>,
    pages: Arc<AtomicUsize>,
    /// Answers to POST are made when they are let.
    let_go: Arc<Semaphore>,
    shutdown: Shutdown,
    control: Control,
    _watching: JoinHandle<()>,
}

impl Served {
    fn with(limits: Limits) -> Served {
        limits.validate().expect("the test's limits are right");
        let pages = Arc::new(AtomicUsize::new(0));
        let let_go = Arc::new(Semaphore::new(0));
        let (made, gate) = (Arc::clone(&pages), Arc::clone(&let_go));
        let page = move || {
            made.fetch_add(1, SeqCst);
            Body::from(Bytes::from_owner(Page(Arc::clone(&made))))
        };
        let late = page.clone();
        let app = Router::new()
            .route("/page", get(async move || page()))
            .route(
                "/order",
                post(async move || {
                    let _let = gate.acquire().await;
                    late()
                }),
            );
        let (drain, control) = Drain::new();
        let server = Arc::new(Server::new(app, limits, None, drain));
        let unread = Arc::clone(&server.unread);
        Served {
            server,
            pages,
            let_go,
            shutdown: Shutdown::default(),
            control,
            _watching: tokio::spawn(async move { unread.watch().await }),
        }
    }

    /// A client that gives each stream so much of a window; its connection ends with the handle.
    async fn client(&self, window: u32) -> (SendRequest<Bytes>, JoinHandle<()>) {
        let (near, far) = tokio::io::duplex(1 << 20);
        let permit = Capacity::new("test", 1).enter().expect("there is room");
        let (open, place) = self.server.admit(permit);
        let (server, watchers) = (Arc::clone(&self.server), self.shutdown.watchers());
        tokio::spawn(async move {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
            open.during(server.http2(far, address, place, watchers))
                .await;
        });
        let handshake = Client::new()
            .initial_window_size(window)
            .initial_connection_window_size(WINDOW_MAX)
            .handshake(near);
        let (client, connection) = handshake.await.expect("shakes hands");
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        (client, connection)
    }

    /// A client over HTTP/1.1, and its connection among others.
    fn older_client(&self, connections: &mut JoinSet<()>) -> DuplexStream {
        let (near, far) = tokio::io::duplex(1 << 20);
        let permit = Capacity::new("test", 1).enter().expect("there is room");
        let (open, place) = self.server.admit(permit);
        let (server, watchers) = (Arc::clone(&self.server), self.shutdown.watchers());
        connections.spawn(async move {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
            open.during(server.http1(far, address, place, watchers))
                .await;
        });
        near
    }

    /// Waits until it holds so many pages: what a connection has held goes with tasks of its own.
    async fn holds(&self, pages: usize) {
        for _ in 0..1_000 {
            if self.pages.load(SeqCst) == pages {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{} pages are held, not {pages}", self.pages.load(SeqCst));
    }
}

/// Asks for a page over HTTP/1.1 and takes it; the header of the answer.
async fn ask_older(client: &mut DuplexStream) -> String {
    let request = b"GET /page HTTP/1.1\r\nhost: test\r\n\r\n";
    client.write_all(request).await.expect("is open");
    let mut answer = Vec::new();
    loop {
        client.read_buf(&mut answer).await.expect("is answered");
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end
            && answer.len() == end + 4 + PAGE_BYTES
        {
            return String::from_utf8_lossy(&answer[..end]).into_owned();
        }
    }
}

async fn ask(client: &mut SendRequest<Bytes>, method: &str, path: &str) -> ResponseFuture {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://test{path}"))
        .body(())
        .expect("is a request");
    let mut ready = client.clone().ready().await.expect("is open");
    let (response, _) = ready.send_request(request, true).expect("is sent");
    response
}

/// Asks for pages without taking them; how many answers there are of each status.
async fn leave(
    client: &mut SendRequest<Bytes>,
    pages: usize,
) -> (BTreeMap<u16, usize>, Vec<RecvStream>) {
    let mut statuses = BTreeMap::new();
    let mut left = Vec::new();
    for _ in 0..pages {
        let response = ask(client, "GET", "/page")
            .await
            .await
            .expect("is answered");
        *statuses.entry(response.status().as_u16()).or_default() += 1;
        left.push(response.into_body());
    }
    (statuses, left)
}

/// Takes a page, so many bytes at a time with a second between.
async fn take(client: &mut SendRequest<Bytes>, at_a_time: usize) -> usize {
    let response = ask(client, "GET", "/page")
        .await
        .await
        .expect("is answered");
    let mut body = response.into_body();
    let mut taken = 0;
    while let Some(chunk) = body.data().await {
        let size = chunk.expect("goes on").len();
        taken += size;
        for _ in 0..size.div_ceil(at_a_time) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let given = body.flow_control().release_capacity(size);
        given.expect("was taken");
    }
    taken
}

#[tokio::test(start_paused = true)]
async fn who_gives_no_window_is_bounded_refused_and_closed() {
    let served = Served::with(Limits {
        connection_unread_bytes: 1 << 20,
        ..Limits::default()
    });
    let (mut deaf, closed) = served.client(0).await;
    let began = Instant::now();
    let (statuses, left) = leave(&mut deaf, 1_000).await;
    let fits = (1_usize << 20).div_ceil(PAGE_BYTES);
    assert_eq!(statuses, BTreeMap::from([(200, fits), (429, 1_000 - fits)]));
    served.holds(fits).await;

    // Calls are refused in their own form, and others are served meanwhile.
    let (mut other, _open) = served.client(WINDOW_MAX).await;
    assert_eq!(take(&mut other, PAGE_BYTES).await, PAGE_BYTES);
    let call = Request::post("http://test/order").header(header::CONTENT_TYPE, "application/grpc");
    let (refusal, _) = deaf
        .send_request(call.body(()).expect("is a request"), true)
        .expect("is sent");
    let refusal = refusal.await.expect("is answered");
    assert_eq!(refusal.headers()["grpc-status"], "8", "RESOURCE_EXHAUSTED");

    closed.await.expect("the connection ends");
    let after = began.elapsed().as_secs();
    assert!((60..=75).contains(&after), "closed after {after} s");
    drop(left);
    served.holds(0).await;
}

#[tokio::test(start_paused = true)]
async fn who_takes_a_bit_every_second_is_given_it_all() {
    let served = Served::with(Limits::default());
    let (mut slow, connection) = served.client(1_024).await;
    let began = Instant::now();
    assert_eq!(take(&mut slow, 256).await, PAGE_BYTES);
    let took = began.elapsed().as_secs();
    assert!(took >= 180, "far longer than the limit: {took} s");
    assert!(!connection.is_finished());
}

#[tokio::test(start_paused = true)]
async fn memory_is_taken_back_from_who_has_left_most_for_longest() {
    let served = Served::with(Limits {
        unread_bytes: 1 << 20,
        ..Limits::default()
    });
    let (mut first, first_closed) = served.client(0).await;
    let (_, left) = leave(&mut first, 10).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (mut second, second_closed) = served.client(0).await;
    let (_, _left) = leave(&mut second, 11).await;
    let (mut third, third_closed) = served.client(0).await;
    let (statuses, _third) = leave(&mut third, 3).await;
    assert_eq!(statuses, BTreeMap::from([(200, 3)]));
    first_closed.await.expect("the connection ends");
    drop(left);
    served.holds(14).await;
    assert!(!second_closed.is_finished() && !third_closed.is_finished());
}

#[tokio::test(start_paused = true)]
async fn what_was_begun_is_answered_up_to_twice_the_limit() {
    let served = Served::with(Limits {
        connection_unread_bytes: 4 * PAGE_BYTES,
        ..Limits::default()
    });
    let (mut deaf, closed) = served.client(0).await;
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(ask(&mut deaf, "POST", "/order").await);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    served.let_go.add_permits(20);
    let began = Instant::now();
    closed.await.expect("the connection ends");
    assert!(began.elapsed() < Duration::from_secs(30), "not by its time");
    drop(answers);
    served.holds(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_header_that_is_too_large_is_told_so() {
    let served = Served::with(Limits::default());
    let (mut client, _open) = served.client(WINDOW_MAX).await;
    let request = Request::get("http://test/page").header("long", "x".repeat(40_000));
    let (response, _) = client
        .send_request(request.body(()).expect("is a request"), true)
        .expect("is sent");
    let response = response.await.expect("is answered");
    assert_eq!(response.status(), 431);
    let body = response.into_body().data().await.expect("it has a body");
    let body = String::from_utf8_lossy(&body.expect("is whole")).into_owned();
    assert!(body.starts_with("{\"code\":43110000,"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn at_the_end_a_connection_over_http1_is_answered_once_more() {
    let served = Served::with(Limits::default());
    let mut connections = JoinSet::new();
    let mut sending = served.older_client(&mut connections);
    let mut idle = served.older_client(&mut connections);
    for client in [&mut sending, &mut idle] {
        let header = ask_older(client).await;
        assert!(!header.contains("connection: close"), "{header}");
    }

    served.control.drain();
    let began = Instant::now();
    let ending = tokio::spawn(served.shutdown.run(connections));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let header = ask_older(&mut sending).await;
    assert!(header.contains("connection: close"), "{header}");
    for (client, after_ms) in [(&mut sending, 500), (&mut idle, 1_000)] {
        assert_eq!(client.read(&mut [0]).await.expect("is closed well"), 0);
        assert_eq!(began.elapsed().as_millis(), after_ms);
    }
    ending.await.expect("shuts down");
}
