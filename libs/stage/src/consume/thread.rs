//! A thread for work that must not block the order path.

use std::future::Future;
use std::io;

use tokio::sync::oneshot;

/// Runs `work` on a thread of its own, with a tokio runtime.
///
/// # Errors
/// When the thread cannot be started, or panicked.
pub async fn on_a_thread<T, F>(
    name: &str,
    work: impl FnOnce() -> F + Send + 'static,
) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let (ended, end) = oneshot::channel();
    // Everything is enabled, because consumers call other processes.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // Nobody listens any more when the process ends.
            let _ = ended.send(runtime.block_on(work()));
        })?;
    end.await
        .map_err(|_| io::Error::other(format!("{name} panicked")))
}
