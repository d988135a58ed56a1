//! Bounded queues and pools: how many places are taken, how many there are, and how often one was refused.
//!
//! Every queue and pool of a process reports these three numbers as metrics, under its name.

use std::sync::Arc;

use metrics::{Counter, Gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The metrics of a queue or pool.
#[derive(Debug)]
pub struct Usage {
    entries: Gauge,
    refusals: Counter,
}

impl Usage {
    /// The metrics of the queue or pool with this name and this many places. Those of one name are added up.
    pub fn of(queue: &'static str, most: usize) -> Usage {
        metrics::gauge!("prepx_queue_entries_max", "queue" => queue).increment(most as f64);
        let entries = metrics::gauge!("prepx_queue_entries", "queue" => queue);
        let refusals = metrics::counter!("prepx_queue_refusals_total", "queue" => queue);
        // Set at once, so that Prometheus has a rate before the first refusal.
        entries.increment(0.0);
        refusals.increment(0);
        Usage { entries, refusals }
    }

    /// Counts places that were taken.
    pub fn entered(&self, places: usize) {
        self.entries.increment(places as f64);
    }

    /// Counts places that were given back.
    pub fn left(&self, places: usize) {
        self.entries.decrement(places as f64);
    }

    /// Counts a caller that was refused because no place was free.
    pub fn refused(&self) {
        self.refusals.increment(1);
    }
}

/// A number of places to be taken and given back. Clones share them.
#[derive(Clone, Debug)]
pub struct Capacity {
    places: Arc<Semaphore>,
    usage: Arc<Usage>,
}

/// A place in a [`Capacity`] until it is dropped.
#[derive(Debug)]
pub struct Permit {
    _permit: OwnedSemaphorePermit,
    usage: Arc<Usage>,
}

impl Capacity {
    /// This many places. `queue` is the name under which they are reported.
    pub fn new(queue: &'static str, most: usize) -> Capacity {
        Capacity {
            places: Arc::new(Semaphore::new(most)),
            usage: Arc::new(Usage::of(queue, most)),
        }
    }

    /// Takes a place, if one is free.
    pub fn enter(&self) -> Option<Permit> {
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(permit) => Some(self.permit(permit)),
            Err(_) => {
                self.usage.refused();
                None
            }
        }
    }

    /// Takes a place; waits until one is free.
    pub async fn wait(&self) -> Permit {
        let permit = Arc::clone(&self.places).acquire_owned().await;
        self.permit(permit.expect("the places are never closed"))
    }

    fn permit(&self, permit: OwnedSemaphorePermit) -> Permit {
        self.usage.entered(1);
        Permit {
            _permit: permit,
            usage: Arc::clone(&self.usage),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.usage.left(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_given_back_and_refused_is_reported() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let page = || recorder.handle().render();
        metrics::with_local_recorder(&recorder, || {
            let capacity = Capacity::new("tables", 2);
            let (first, second) = (capacity.enter(), capacity.enter());
            assert!(first.is_some() && second.is_some() && capacity.enter().is_none());
            assert!(page().contains("prepx_queue_entries{queue=\"tables\"} 2"));
            drop(first);
            let page = page();
            for line in [
                "prepx_queue_entries{queue=\"tables\"} 1",
                "prepx_queue_entries_max{queue=\"tables\"} 2",
                "prepx_queue_refusals_total{queue=\"tables\"} 1",
            ] {
                assert!(page.contains(line), "{line} in {page}");
            }
        });
    }
}
