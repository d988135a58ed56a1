//! A thread for work that may take its time, away from the order path.

use std::future::Future;
use std::io;

use tokio::sync::oneshot;

/// Runs work that may take its time on a thread of its own, which has timers.
///
/// # Errors
/// When no thread can be had, or it panicked.
pub async fn on_a_thread<T, F>(
    name: &str,
    work: impl FnOnce() -> F + Send + 'static,
) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let (ended, end) = oneshot::channel();
    // Consumers ask other processes too.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // Nobody to tell means that the process is at its end.
            let _ = ended.send(runtime.block_on(work()));
        })?;
    end.await
        .map_err(|_| io::Error::other(format!("{name} panicked")))
}
