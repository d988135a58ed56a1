//! What a call carries along: its request id and the time by which it must be answered.
//!
//! The [`Guard`](crate::guard) puts both around the handler; a [`Peer`](crate::Peer) hands them to
//! the next service. A task that the handler spawns begins without: a write that has begun outlives
//! its caller's deadline.

use http::HeaderValue;
use tokio::time::Instant;

tokio::task_local! {
    static CURRENT: Context;
}

/// The context of a call.
#[derive(Clone, Debug)]
pub struct Context {
    /// The request's id, 1 to 64 visible ASCII characters.
    pub request_id: HeaderValue,
    /// The deadline of the caller or of the service, if there is one.
    pub deadline: Option<Instant>,
}

impl Context {
    /// The context of the call that the current task handles, if any.
    pub fn current() -> Option<Context> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// The request id as text.
    pub fn request_id(&self) -> &str {
        self.request_id
            .to_str()
            .expect("request ids are checked to be visible ASCII")
    }

    /// Runs a future in this context.
    pub fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, future)
    }
}
