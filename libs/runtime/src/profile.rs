//! Where a process spends CPU time and memory, in pprof's format: for `go tool pprof`, Pyroscope, Parca.
//!
//! Owns the two pages, and that only one profile is taken at a time. Refuses to be served anywhere but at
//! `probe_listen`: clients must not see names of functions or take a tenth of a per cent of a processor.
//! Stacks are walked by frame pointers, because no unwinder may run inside a signal handler; nothing is
//! sampled unless requested (docs/adr/0025-profiles.md).

mod cpu;
mod heap;
mod pprof;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use serde::Deserialize;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The default and the longest duration of a CPU profile.
const SECONDS: u64 = 10;
const SECONDS_MAX: u64 = 60;

/// One profile of this process is taken at a time. The turn lasts until nothing of the profile is under way any more,
/// even if its caller has gone.
type Turn = OwnedMutexGuard<()>;

fn turn() -> Result<Turn, Error> {
    static ONE: LazyLock<Arc<Mutex<()>>> = LazyLock::new(Arc::default);
    let one = Arc::clone(&ONE);
    one.try_lock_owned().map_err(|_| Error::Busy)
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("seconds must be a whole number from 1 to {SECONDS_MAX}")]
    Seconds,
    #[error("a profile is being taken: one at a time")]
    Busy,
    #[error("memory is not sampled: start the process with _RJEM_MALLOC_CONF=prof:true")]
    NotSampled,
    #[error("no profile can be taken: {0}; it needs a directory to write to, set by TMPDIR")]
    Sampling(#[from] ::pprof::Error),
    #[error("jemalloc gives no profile: {0}")]
    Memory(#[from] tikv_jemalloc_ctl::Error),
    #[error("the profile is not readable: {0}")]
    Read(#[from] std::io::Error),
    #[error("the profile was not finished: {0}")]
    Unfinished(#[from] tokio::task::JoinError),
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = match self {
            Error::Seconds => StatusCode::BAD_REQUEST,
            Error::Busy => StatusCode::TOO_MANY_REQUESTS,
            Error::NotSampled => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, format!("{self}\n")).into_response()
    }
}

#[derive(Deserialize)]
struct Asked {
    seconds: Option<u64>,
}

/// The pages.
pub(crate) fn pages() -> Router {
    let cpu = async |asked: Result<Query<Asked>, QueryRejection>| {
        let seconds = asked.map_or(0, |Query(asked)| asked.seconds.unwrap_or(SECONDS));
        if !(1..=SECONDS_MAX).contains(&seconds) {
            return Err(Error::Seconds);
        }
        cpu::profile(turn()?, Duration::from_secs(seconds))
            .await
            .map(file)
    };
    let heap = async || heap::profile(turn()?).await.map(file);
    Router::new()
        .route("/debug/pprof/profile", get(cpu))
        .route("/debug/pprof/heap", get(heap))
}

/// A profile as it is sent.
fn file(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
}
