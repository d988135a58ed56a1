//! Answers that clients do not read. A client decides how fast it reads: over HTTP/2 it can make requests on
//! many streams without giving them a window, which no TCP time-out notices.
//!
//! Owns: how many bytes of answers each connection and the whole process hold, and which connections have
//! their requests refused or are closed because of it. It delays nothing itself: the bytes exist already,
//! and a body is polled frame by frame, no faster than the client reads.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use metrics::{Counter, Gauge};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::serve::Limits;

/// How many times within its limit a connection is checked.
const LOOKS: u32 = 8;

/// The unread bytes of all connections of a port.
pub(crate) struct Unread {
    connection_bytes_max: usize,
    bytes_max: usize,
    timeout: Duration,
    bytes: AtomicUsize,
    open: Mutex<Open>,
    meters: Meters,
}

#[derive(Default)]
struct Open {
    next: u64,
    readers: BTreeMap<u64, Seen>,
    /// The number of bytes that was reported last.
    told_bytes: usize,
}

/// The reader of a connection as it was last seen.
struct Seen {
    reader: Arc<Reader>,
    takes: u64,
    /// When it was first seen at this count of bytes read, or with nothing to read.
    took: Instant,
    /// When it had nothing to read.
    had_none: Instant,
}

/// The client's side of a connection: what it has yet to read.
pub(crate) struct Reader {
    all: Arc<Unread>,
    bytes: AtomicUsize,
    takes: AtomicU64,
    is_closing: AtomicBool,
    closing: Notify,
}

/// Why a connection is closed, for operators.
#[derive(Clone, Copy)]
enum Why {
    /// Nothing was read for too long.
    Time,
    /// Its own unread bytes exceed the limit.
    ConnectionBytes,
    /// All unread bytes exceed the limit, and it has left most of them for longest.
    Bytes,
}

struct Meters {
    bytes: Gauge,
    refused: Counter,
    closed: [Counter; 3],
}

impl Meters {
    fn new() -> Meters {
        let closed = |why: &'static str| {
            let closed = metrics::counter!("prepx_unread_connections_closed_total", "why" => why);
            closed.increment(0);
            closed
        };
        let meters = Meters {
            bytes: metrics::gauge!("prepx_unread_bytes"),
            refused: metrics::counter!("prepx_unread_requests_refused_total"),
            closed: ["time", "connection_bytes", "bytes"].map(closed),
        };
        meters.bytes.increment(0.0);
        meters.refused.increment(0);
        meters
    }
}

impl Unread {
    pub fn new(limits: &Limits) -> Arc<Unread> {
        Arc::new(Unread {
            connection_bytes_max: limits.connection_unread_bytes,
            bytes_max: limits.unread_bytes,
            timeout: Duration::from_millis(limits.unread_timeout_ms.into()),
            bytes: AtomicUsize::new(0),
            open: Mutex::default(),
            meters: Meters::new(),
        })
    }

    /// Adds a connection.
    pub fn open(self: &Arc<Self>) -> Opened {
        let reader = Arc::new(Reader {
            all: Arc::clone(self),
            bytes: AtomicUsize::new(0),
            takes: AtomicU64::new(0),
            is_closing: AtomicBool::new(false),
            closing: Notify::new(),
        });
        let now = Instant::now();
        let seen = Seen {
            reader: Arc::clone(&reader),
            takes: 0,
            took: now,
            had_none: now,
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let number = open.next;
        open.next += 1;
        open.readers.insert(number, seen);
        Opened { number, reader }
    }

    /// Closes connections whose clients read nothing for too long; never ends.
    pub async fn watch(&self) {
        let mut looks = tokio::time::interval((self.timeout / LOOKS).max(Duration::from_millis(1)));
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.look(Instant::now());
        }
    }

    fn look(&self, now: Instant) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for seen in open.readers.values_mut() {
            seen.look(now);
            if now.duration_since(seen.took) >= self.timeout {
                seen.reader.close(Why::Time);
            }
        }
        let bytes = self.bytes.load(Relaxed);
        self.meters
            .bytes
            .increment(bytes as f64 - open.told_bytes as f64);
        open.told_bytes = bytes;
    }

    /// Closes connections until the rest is within the limit, beginning with the one that has left most for
    /// longest. A connection that is being closed does not count any more, though its bytes exist for
    /// another moment.
    fn make_room(&self, now: Instant) {
        // Another thread does this already.
        let Ok(mut open) = self.open.try_lock() else {
            return;
        };
        let mut weighed = Vec::new();
        for seen in open.readers.values_mut() {
            seen.look(now);
            if !seen.reader.is_closing.load(Relaxed) {
                let bytes = seen.reader.bytes.load(Relaxed);
                let for_ms = now.duration_since(seen.had_none).as_millis() + 1;
                weighed.push((bytes as u128 * for_ms, bytes, &seen.reader));
            }
        }
        weighed.sort_unstable_by_key(|(weight, ..)| *weight);
        let mut left: usize = weighed.iter().map(|(_, bytes, _)| bytes).sum();
        while left > self.bytes_max
            && let Some((_, bytes, reader)) = weighed.pop()
        {
            left -= bytes;
            reader.close(Why::Bytes);
        }
    }
}

impl Seen {
    fn look(&mut self, now: Instant) {
        let takes = self.reader.takes.load(Relaxed);
        let has_none = self.reader.bytes.load(Relaxed) == 0;
        if has_none {
            self.had_none = now;
        }
        if has_none || takes != self.takes {
            (self.takes, self.took) = (takes, now);
        }
    }
}

impl Reader {
    /// Whether it has so much to read that no request is begun for it.
    pub fn is_full(&self) -> bool {
        let is_full = self.bytes.load(Relaxed) >= self.all.connection_bytes_max;
        if is_full {
            self.all.meters.refused.increment(1);
        }
        is_full
    }

    /// Has the connection closed, because its client reads nothing.
    pub fn close_unread(&self) {
        self.close(Why::Time);
    }

    fn close(&self, why: Why) {
        if !self.is_closing.swap(true, Relaxed) {
            self.all.meters.closed[why as usize].increment(1);
            self.closing.notify_one();
        }
    }

    fn hold(self: &Arc<Self>, bytes: Bytes) -> Held {
        let size = bytes.len();
        let before = self.bytes.fetch_add(size, Relaxed);
        let all = self.all.bytes.fetch_add(size, Relaxed) + size;
        // Answers that were begun before it was full are still sent, up to a limit.
        if before > self.all.connection_bytes_max.saturating_mul(2) {
            self.close(Why::ConnectionBytes);
        }
        if all > self.all.bytes_max {
            self.all.make_room(Instant::now());
        }
        let reader = Arc::clone(self);
        Held { bytes, reader }
    }

    fn release(&self, size: usize) {
        self.bytes.fetch_sub(size, Relaxed);
        self.all.bytes.fetch_sub(size, Relaxed);
    }
}

/// An open connection, until it is dropped.
pub(crate) struct Opened {
    number: u64,
    pub reader: Arc<Reader>,
}

impl Opened {
    /// Runs the connection until its own end, or until it is to be closed.
    pub async fn during(self, connection: impl Future<Output = ()>) {
        tokio::select! {
            () = connection => {}
            () = self.reader.closing.notified() => {
                tracing::debug!("a connection that does not take its answers is closed");
            }
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let open = &self.reader.all.open;
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        open.readers.remove(&self.number);
    }
}

/// The body of an answer; counts the bytes that were produced and not yet read.
pub(crate) struct Counted {
    pub body: Body,
    pub reader: Arc<Reader>,
}

impl http_body::Body for Counted {
    type Data = Held;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Held>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let held = |frame: Frame<Bytes>| frame.map_data(|bytes| self.reader.hold(bytes));
        polled.map(|frame| frame.map(|frame| frame.map(held)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes of an answer, counted until they are written or dropped.
pub(crate) struct Held {
    bytes: Bytes,
    reader: Arc<Reader>,
}

impl Buf for Held {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, size: usize) {
        self.bytes.advance(size);
        if size > 0 {
            self.reader.takes.fetch_add(1, Relaxed);
            self.reader.release(size);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes.has_remaining() {
            self.reader.release(self.bytes.remaining());
        }
    }
}
