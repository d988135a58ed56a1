//! How full a bounded thing is: the places taken, the places there are, and how often there was none.
//!
//! Every queue and pool of a process reports the same three numbers, under its name.

use std::sync::Arc;

use metrics::{Counter, Gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What operators are told of a bounded thing.
#[derive(Debug)]
pub struct Usage {
    entries: Gauge,
    refusals: Counter,
}

impl Usage {
    /// The room of the queue or pool with this name, which has so many places. Those of one name count together.
    pub fn of(queue: &'static str, most: usize) -> Usage {
        metrics::gauge!("prepx_queue_entries_max", "queue" => queue).increment(most as f64);
        let entries = metrics::gauge!("prepx_queue_entries", "queue" => queue);
        let refusals = metrics::counter!("prepx_queue_refusals_total", "queue" => queue);
        // From the first look on, so that a rate is there before the first refusal.
        entries.increment(0.0);
        refusals.increment(0);
        Usage { entries, refusals }
    }

    /// So many places were taken.
    pub fn entered(&self, places: usize) {
        self.entries.increment(places as f64);
    }

    /// So many places were given back.
    pub fn left(&self, places: usize) {
        self.entries.decrement(places as f64);
    }

    /// Somebody was turned away because there was no room.
    pub fn refused(&self) {
        self.refusals.increment(1);
    }
}

/// Places of which only so many may be taken at a time. Clones share them.
#[derive(Clone, Debug)]
pub struct Room {
    places: Arc<Semaphore>,
    usage: Arc<Usage>,
}

/// A place in a [`Room`] until it is dropped.
#[derive(Debug)]
pub struct Taken {
    _permit: OwnedSemaphorePermit,
    usage: Arc<Usage>,
}

impl Room {
    /// With so many places, known to operators by this name.
    pub fn new(queue: &'static str, most: usize) -> Room {
        Room {
            places: Arc::new(Semaphore::new(most)),
            usage: Arc::new(Usage::of(queue, most)),
        }
    }

    /// A place, if there is one now.
    pub fn enter(&self) -> Option<Taken> {
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(permit) => Some(self.taken(permit)),
            Err(_) => {
                self.usage.refused();
                None
            }
        }
    }

    /// A place, when there is one.
    pub async fn wait(&self) -> Taken {
        let permit = Arc::clone(&self.places).acquire_owned().await;
        self.taken(permit.expect("the places are never closed"))
    }

    fn taken(&self, permit: OwnedSemaphorePermit) -> Taken {
        self.usage.entered(1);
        Taken {
            _permit: permit,
            usage: Arc::clone(&self.usage),
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.usage.left(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_given_back_and_refused_is_told() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let page = || recorder.handle().render();
        metrics::with_local_recorder(&recorder, || {
            let room = Room::new("tables", 2);
            let (first, second) = (room.enter(), room.enter());
            assert!(first.is_some() && second.is_some() && room.enter().is_none());
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
