//! Metrics of a pool: how long callers wait for a connection, how long they use it, and how many connections there are.

use std::future::Future;
use std::ops::{Deref, DerefMut};

use metrics::{Gauge, Histogram};
// Not prepx_env: this measures real time, and nothing that is recorded.
use tokio::time::Instant;

use crate::Result;

/// The metrics of one pool of a schema. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Meter {
    wait_seconds: Histogram,
    use_seconds: Histogram,
    open: Gauge,
    idle: Gauge,
    busy: Gauge,
}

/// The use of a connection, from the request for it until it is returned or the wait ends in vain.
#[derive(Debug)]
pub struct Use {
    begun: Instant,
    seconds: Histogram,
    busy: Gauge,
}

/// A connection in use.
#[derive(Debug)]
pub struct Used<T> {
    connection: T,
    of: Use,
    busy: Busy,
}

/// Counts a connection among the busy ones until it is dropped.
#[derive(Debug)]
struct Busy(Gauge);

impl Meter {
    /// The metrics of the schema's `readers` or `writers`, of which each server has at most this many.
    pub fn new(schema: &str, pool: &'static str, connections_max: u32) -> Meter {
        let labels = [("schema", schema.to_owned()), ("pool", pool.to_owned())];
        let connections = |state: &str| {
            let mut labels = labels.to_vec();
            labels.push(("state", state.to_owned()));
            metrics::gauge!("prepx_store_connections", &labels)
        };
        let most = metrics::gauge!("prepx_store_connections_max", &labels);
        most.set(f64::from(connections_max));
        Meter {
            wait_seconds: metrics::histogram!("prepx_store_wait_seconds", &labels),
            use_seconds: metrics::histogram!("prepx_store_use_seconds", &labels),
            open: connections("open"),
            idle: connections("idle"),
            busy: connections("busy"),
        }
    }

    /// Begins to wait for a connection.
    pub fn begin(&self) -> Use {
        Use {
            begun: Instant::now(),
            seconds: self.use_seconds.clone(),
            busy: self.busy.clone(),
        }
    }

    /// Records how long a caller waited for a connection of `pools`, whether it got one or not.
    pub async fn waited<'p, T, DB: sqlx::Database>(
        &self,
        pools: impl Iterator<Item = &'p sqlx::Pool<DB>> + Clone,
        coming: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let begun = Instant::now();
        let come = coming.await;
        self.wait_seconds.record(begun.elapsed());
        let open: u32 = pools.clone().map(sqlx::Pool::size).sum();
        let idle: usize = pools.map(sqlx::Pool::num_idle).sum();
        self.open.set(f64::from(open));
        self.idle.set(idle as f64);
        come
    }
}

impl Use {
    /// Continues with a connection of another pool.
    pub fn turn_to(&mut self, meter: &Meter) {
        self.seconds = meter.use_seconds.clone();
        self.busy = meter.busy.clone();
    }

    /// The caller has its connection.
    pub fn of<T>(self, connection: T) -> Used<T> {
        self.busy.increment(1.0);
        Used {
            connection,
            busy: Busy(self.busy.clone()),
            of: self,
        }
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.seconds.record(self.begun.elapsed());
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl<T> Used<T> {
    /// The connection, and the guard that must live until it is returned.
    pub fn into_parts(self) -> (T, impl Sized) {
        (self.connection, (self.of, self.busy))
    }
}

impl<T> Deref for Used<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.connection
    }
}

impl<T> DerefMut for Used<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.connection
    }
}
