//! Objects in a bucket that speaks S3.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use futures::TryStreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore as _, ObjectStoreExt as _, RetryConfig};
use tokio::runtime::Runtime;

use crate::Objects;

/// How long one request may take, with its body.
const REQUEST: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(5);
/// How long all attempts of a call may take together.
const RETRIES: Duration = Duration::from_secs(120);
const RETRIES_MAX: usize = 8;

/// A bucket, or what in it begins with a prefix.
pub(crate) struct Bucket {
    store: Arc<AmazonS3>,
    prefix: String,
    /// Who calls blocks, on whatever thread: the requests run on one of their own. None when dropped.
    runtime: Option<Runtime>,
}

impl Bucket {
    /// Does not check whether the bucket is there.
    pub(crate) fn open(bucket: &str, prefix: &str) -> io::Result<Bucket> {
        // Where the process has chosen one already, that one is taken.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plain = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"]
            .iter()
            .any(|name| std::env::var(name).is_ok_and(|url| url.starts_with("http://")));
        let client = ClientOptions::new()
            .with_timeout(REQUEST)
            .with_connect_timeout(CONNECT)
            .with_allow_http(plain);
        let retry = RetryConfig {
            max_retries: RETRIES_MAX,
            retry_timeout: RETRIES,
            ..RetryConfig::default()
        };
        let store = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_client_options(client)
            .with_retry(retry)
            .build()
            .map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("objects")
            .enable_all()
            .build()?;
        Ok(Bucket {
            store: Arc::new(store),
            prefix: match prefix {
                "" => String::new(),
                prefix => format!("{prefix}/"),
            },
            runtime: Some(runtime),
        })
    }

    fn path(&self, name: &str) -> Path {
        Path::from(format!("{}{name}", self.prefix))
    }

    /// Runs a request to its end.
    fn run<T: Send + 'static>(
        &self,
        request: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        let (done, waiting) = channel();
        let runtime = self.runtime.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        runtime.spawn(async move {
            // Whoever asked waits, unless its thread has panicked.
            let _ = done.send(request.await);
        });
        let answer = waiting.recv().map_err(io::Error::other)?;
        answer.map_err(failed)
    }
}

impl Objects for Bucket {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (store, path, bytes) = (Arc::clone(&self.store), self.path(name), bytes.to_vec());
        self.run(async move { store.put(&path, bytes.into()).await.map(drop) })
    }

    fn get(&self, name: &str) -> io::Result<Vec<u8>> {
        let (store, path) = (Arc::clone(&self.store), self.path(name));
        let bytes = self.run(async move { store.get(&path).await?.bytes().await })?;
        Ok(bytes.into())
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        let store = Arc::clone(&self.store);
        // What S3 is asked for ends at a slash; the rest of the prefix is compared here.
        let folder = (!self.prefix.is_empty()).then(|| Path::from(self.prefix.as_str()));
        let listed = self.run(async move {
            let found = store.list(folder.as_ref());
            found
                .map_ok(|object| object.location)
                .try_collect::<Vec<_>>()
                .await
        })?;
        let name = |path: Path| path.as_ref().strip_prefix(&self.prefix).map(str::to_owned);
        let mut names: Vec<String> = listed.into_iter().filter_map(name).collect();
        names.retain(|name| name.starts_with(prefix));
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (store, path) = (Arc::clone(&self.store), self.path(name));
        let removed = self.run(async move { store.delete(&path).await });
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// What is put is durable when S3 has said so.
    fn settle(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // Dropped within a runtime, one must not wait for its threads.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn failed(error: object_store::Error) -> io::Error {
    let kind = match error {
        object_store::Error::NotFound { .. } => io::ErrorKind::NotFound,
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
