//! How connections end when the process does.
//!
//! HTTP/2 tells clients which requests are still accepted. HTTP/1.1 cannot: a client that is just sending on
//! an idle connection does not learn whether its request was begun when the connection closes. So idle
//! connections stay open for a moment, in which each answer says that it is the last one.

use std::time::Duration;

use http::{HeaderValue, Response, StatusCode, header};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::task::JoinSet;

/// How long idle connections over HTTP/1.1 are kept for a last request.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The shutdown of all connections of a port.
#[derive(Default)]
pub(super) struct Shutdown {
    http1: GracefulShutdown,
    http2: GracefulShutdown,
}

/// Watchers of one connection, of which it uses the one for its protocol.
pub(super) struct Watchers {
    pub http1: Watcher,
    pub http2: Watcher,
}

impl Shutdown {
    pub fn watchers(&self) -> Watchers {
        Watchers {
            http1: self.http1.watcher(),
            http2: self.http2.watcher(),
        }
    }

    /// Ends all connections; returns when the requests under way have been answered.
    pub async fn run(self, mut connections: JoinSet<()>) {
        let http1 = async {
            let all_ended = async { while connections.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(LAST_ANSWERS, all_ended).await;
            self.http1.shutdown().await;
        };
        tokio::join!(self.http2.shutdown(), http1);
    }
}

/// Marks an answer over HTTP/1.1 as the last one of its connection.
pub(super) fn mark_last<B>(answer: &mut Response<B>) {
    // An upgraded socket learns of the end by itself.
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(header::CONNECTION, close);
    }
}
