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

/// How long what was found is taken for true: as long as clusters let answers of their DNS live.
const LOOK_UP_PAUSE: Duration = Duration::from_secs(5);
/// Replicas of one name; more addresses are passed over.
const REPLICAS_MAX: usize = 1_024;

/// Those behind one URL that are known now.
#[derive(Default)]
pub(super) struct Found(RwLock<Vec<Arc<Replica>>>);

impl Found {
    /// Watches whoever is behind a URL, in these tasks; tells `news` of every change.
    pub fn behind(place: Place, tasks: &mut JoinSet<()>, news: &watch::Sender<()>) -> Arc<Found> {
        let found = Arc::new(Found::default());
        match place.host() {
            None => {
                let replica = Arc::new(Replica::over(place.url().to_owned(), place.channel()));
                tasks.spawn(Arc::clone(&replica).watch(news.clone()));
                found.set(vec![replica]);
            }
            Some((host, port)) => {
                let following = Following::of(Arc::clone(&found), place, news.clone());
                tasks.spawn(following.follow(host, port));
            }
        }
        found
    }

    /// Those of now, in the order of their addresses.
    pub fn replicas(&self) -> Vec<Arc<Replica>> {
        let found = self.0.read();
        found.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, replicas: Vec<Arc<Replica>>) {
        let mut found = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *found = replicas;
    }
}

/// The replicas behind the addresses of a host, and what watches each.
struct Following {
    found: Arc<Found>,
    place: Place,
    known: BTreeMap<SocketAddr, (Arc<Replica>, AbortHandle)>,
    watches: JoinSet<()>,
    news: watch::Sender<()>,
}

impl Following {
    fn of(found: Arc<Found>, place: Place, news: watch::Sender<()>) -> Following {
        Following {
            found,
            place,
            known: BTreeMap::new(),
            watches: JoinSet::new(),
            news,
        }
    }

    async fn follow(mut self, host: String, port: u16) {
        loop {
            match tokio::net::lookup_host((&*host, port)).await {
                Ok(addresses) => self.are(addresses.collect()),
                Err(why) => tracing::debug!(host, %why, "nobody knows where a service is"),
            }
            tokio::time::sleep(LOOK_UP_PAUSE).await;
        }
    }

    /// These are the addresses now.
    fn are(&mut self, mut addresses: Vec<SocketAddr>) {
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(REPLICAS_MAX);
        self.known.retain(|address, (_, watching)| {
            let stays = addresses.contains(address);
            if !stays {
                watching.abort();
            }
            stays
        });
        while self.watches.try_join_next().is_some() {}
        for address in addresses {
            if !self.known.contains_key(&address) {
                self.add(address);
            }
        }
        let replicas = self.known.values().map(|(replica, _)| Arc::clone(replica));
        self.found.set(replicas.collect());
        self.news.send_replace(());
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
        let watching = Arc::clone(&replica).watch(self.news.clone());
        let watching = self.watches.spawn(watching);
        self.known.insert(address, (replica, watching));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Dialer;

    #[tokio::test]
    async fn who_is_still_there_stays_and_who_is_not_goes() {
        let place = Dialer::default().place("prepx-bank", "http://bank:1");
        let found = Arc::new(Found::default());
        let (news, heard) = watch::channel(());
        let mut following = Following::of(Arc::clone(&found), place.expect("a URL"), news);
        let mut now = |last: &[u8]| {
            let address = |last: &u8| SocketAddr::from(([127, 0, 0, *last], 1));
            following.are(last.iter().map(address).collect());
            (found.replicas(), following.watches.len())
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
