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

    /// Notes how long a connection of `pools` was waited for, whether it came or not.
    pub async fn waited<'p, T, DB: sqlx::Database>(
        &self,
        pools: impl Iterator<Item = &'p sqlx::Pool<DB>> + Clone,
        coming: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        // Not prepx_env: this measures real work and nothing that is recorded.
        let begun = tokio::time::Instant::now();
        let come = coming.await;
        self.wait_seconds.record(begun.elapsed());
        let open: u32 = pools.clone().map(sqlx::Pool::size).sum();
        let idle: usize = pools.map(sqlx::Pool::num_idle).sum();
        self.open.set(f64::from(open));
        self.idle.set(idle as f64);
        come
    }
}
