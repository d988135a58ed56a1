//! How connections end when the process does.
//!
//! HTTP/2 tells clients which requests are still accepted. HTTP/1.1 cannot: a client that is just sending on
//! an idle connection does not learn whether its request was begun when the connection closes. So idle
//! connections stay open for a moment, in which each answer says that it is the last one.

use std::time::Duration;

use http::{HeaderValue, Response, StatusCode, header};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::task::JoinSet;

/// For how long connections over HTTP/1.1 are still answered once more.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// All connections of a port.
#[derive(Default)]
pub(super) struct Farewell {
    http1: GracefulShutdown,
    http2: GracefulShutdown,
}

/// What a connection is ended by, whatever it turns out to speak.
pub(super) struct Watchers {
    pub http1: Watcher,
    pub http2: Watcher,
}

impl Farewell {
    pub fn watchers(&self) -> Watchers {
        Watchers {
            http1: self.http1.watcher(),
            http2: self.http2.watcher(),
        }
    }

    /// Ends them all; returns when what was under way has been answered.
    pub async fn say(self, mut connections: JoinSet<()>) {
        let http1 = async {
            let all_ended = async { while connections.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(LAST_ANSWERS, all_ended).await;
            self.http1.shutdown().await;
        };
        tokio::join!(self.http2.shutdown(), http1);
    }
}

/// Says with an answer over HTTP/1.1 that it is the last one of its connection.
pub(super) fn last<B>(answer: &mut Response<B>) {
    // A socket that was let in all the same hears of the end by itself.
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(header::CONNECTION, close);
    }
}
