//! The replicas behind one URL: one for each address of its host.
//!
//! The host is looked up periodically, because replicas come and go behind a name. Replicas that remain keep
//! their connections; one that is gone gets no more calls, and its calls under way are still answered. While
//! the name does not resolve, the last known replicas stay.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::replica::Replica;
use crate::tls::Place;

/// How often the host is looked up: about the time to live of DNS records in clusters.
const LOOK_UP_PAUSE: Duration = Duration::from_secs(5);
/// The most replicas of one name; more addresses are ignored.
const REPLICAS_MAX: usize = 1_024;

/// The replicas behind one URL as they are known now.
#[derive(Default)]
pub(super) struct Resolved(RwLock<Vec<Arc<Replica>>>);

impl Resolved {
    /// Looks up and watches the replicas behind a URL, in these tasks; `changed` is notified of every change.
    pub fn watch(
        place: Place,
        tasks: &mut JoinSet<()>,
        changed: &watch::Sender<()>,
    ) -> Arc<Resolved> {
        let resolved = Arc::new(Resolved::default());
        match place.host() {
            None => {
                let replica = Arc::new(Replica::over(place.url().to_owned(), place.channel()));
                tasks.spawn(Arc::clone(&replica).watch(changed.clone()));
                resolved.set(vec![replica]);
            }
            Some((host, port)) => {
                let resolver = Resolver::of(Arc::clone(&resolved), place, changed.clone());
                tasks.spawn(resolver.follow(host, port));
            }
        }
        resolved
    }

    /// The replicas, in the order of their addresses.
    pub fn replicas(&self) -> Vec<Arc<Replica>> {
        let resolved = self.0.read();
        resolved.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, replicas: Vec<Arc<Replica>>) {
        let mut resolved = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *resolved = replicas;
    }
}

/// Looks up a host periodically, and watches a replica for each of its addresses.
struct Resolver {
    resolved: Arc<Resolved>,
    place: Place,
    known: BTreeMap<SocketAddr, (Arc<Replica>, AbortHandle)>,
    tasks: JoinSet<()>,
    changed: watch::Sender<()>,
}

impl Resolver {
    fn of(resolved: Arc<Resolved>, place: Place, changed: watch::Sender<()>) -> Resolver {
        Resolver {
            resolved,
            place,
            known: BTreeMap::new(),
            tasks: JoinSet::new(),
            changed,
        }
    }

    async fn follow(mut self, host: String, port: u16) {
        loop {
            match tokio::net::lookup_host((&*host, port)).await {
                Ok(addresses) => self.set_addresses(addresses.collect()),
                Err(why) => tracing::debug!(host, %why, "nobody knows where a service is"),
            }
            tokio::time::sleep(LOOK_UP_PAUSE).await;
        }
    }

    /// Replaces the addresses: watches new replicas, and no longer watches those that are gone.
    fn set_addresses(&mut self, mut addresses: Vec<SocketAddr>) {
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(REPLICAS_MAX);
        self.known.retain(|address, (_, task)| {
            let stays = addresses.contains(address);
            if !stays {
                task.abort();
            }
            stays
        });
        while self.tasks.try_join_next().is_some() {}
        for address in addresses {
            if !self.known.contains_key(&address) {
                self.add(address);
            }
        }
        let replicas = self.known.values().map(|(replica, _)| Arc::clone(replica));
        self.resolved.set(replicas.collect());
        self.changed.send_replace(());
    }

    fn add(&mut self, address: SocketAddr) {
        let (url, channel) = match self.place.at(address) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(%error, %address, "a replica has no address");
                return;
            }
        };
        let replica = Arc::new(Replica::over(url, channel));
        let task = Arc::clone(&replica).watch(self.changed.clone());
        let task = self.tasks.spawn(task);
        self.known.insert(address, (replica, task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Dialer;

    #[tokio::test]
    async fn replicas_that_remain_keep_their_connections_and_others_go() {
        let place = Dialer::default().place("prepx-bank", "http://bank:1");
        let resolved = Arc::new(Resolved::default());
        let (changed, heard) = watch::channel(());
        let mut resolver = Resolver::of(Arc::clone(&resolved), place.expect("a URL"), changed);
        let mut now = |last: &[u8]| {
            let address = |last: &u8| SocketAddr::from(([127, 0, 0, *last], 1));
            resolver.set_addresses(last.iter().map(address).collect());
            (resolved.replicas(), resolver.tasks.len())
        };
        let (first, _) = now(&[2, 1, 2]);
        let urls: Vec<_> = first.iter().map(|replica| replica.process().url).collect();
        let url = |last: u8| Some(format!("http://127.0.0.{last}:1"));
        assert_eq!(urls, [url(1), url(2)], "each once, in order");
        let (second, _) = now(&[2, 3]);
        assert!(Arc::ptr_eq(&first[1], &second[0]), "its connection stays");
        assert_eq!(second.len(), 2);
        assert!(heard.has_changed().expect("somebody tells"));
        assert!(now(&[]).0.is_empty());
    }
}
