//! What operators are told of a pool: how long callers wait for a connection, and how many there are.

use std::future::Future;

use metrics::{Gauge, Histogram};

use crate::Result;

/// The metrics of one pool of a schema. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Meter {
    wait_seconds: Histogram,
    open: Gauge,
    idle: Gauge,
}

impl Meter {
    /// Of the schema's `readers` or `writers`.
    pub fn new(schema: &str, pool: &'static str) -> Meter {
        let labels = [("schema", schema.to_owned()), ("pool", pool.to_owned())];
        let connections = |state: &str| {
            let mut labels = labels.to_vec();
            labels.push(("state", state.to_owned()));
            metrics::gauge!("prepx_store_connections", &labels)
        };
        Meter {
            wait_seconds: metrics::histogram!("prepx_store_wait_seconds", &labels),
            open: connections("open"),
            idle: connections("idle"),
        }
    }

    /// Notes how long a connection was waited for, whether it came or not.
    pub async fn waited<T, DB: sqlx::Database>(
        &self,
        pool: &sqlx::Pool<DB>,
        coming: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        // Not prepx_env: this measures real work and nothing that is recorded.
        let begun = tokio::time::Instant::now();
        let come = coming.await;
        self.wait_seconds.record(begun.elapsed());
        self.open.set(f64::from(pool.size()));
        self.idle.set(pool.num_idle() as f64);
        come
    }
}
