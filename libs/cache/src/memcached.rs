//! Memcached, one server or several: values by name, and nothing else.
//!
//! Owns: which server has a name, and how long a value may be kept there. Refuses: to remove or
//! replace values. All values that may ever be under a name are equally good (`l3`), so a server that
//! was away may come back with whatever it has.

mod link;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::RedisLocation;
use link::Link;
use wire::Answer;

/// The longest duration that servers take; they would read more as a date.
const SECONDS_MAX: u64 = 30 * 24 * 60 * 60;

pub(crate) struct Memcached {
    links: Vec<Arc<Link>>,
    prefix: String,
}

/// A name that is unique to its content.
pub(crate) struct Name([u8; 32]);

impl Memcached {
    /// Connects to the servers that a location has behind Redis; `None` without any. The tasks keep the connections. Waits
    /// for servers no longer than for a command each.
    pub(crate) async fn open(
        location: &RedisLocation,
        tasks: &mut JoinSet<()>,
    ) -> Option<Arc<Memcached>> {
        let mut links = Vec::new();
        for server in location.memcached.iter().cloned() {
            let link = Arc::new(Link::new(server, location.timeout));
            link.seek().await;
            tasks.spawn(Arc::clone(&link).keep());
            tasks.spawn(Arc::clone(&link).report());
            links.push(link);
        }
        let prefix = location.prefix.clone();
        (!links.is_empty()).then(|| Arc::new(Memcached { links, prefix }))
    }

    /// The name of a key's values in a generation.
    pub(crate) fn name(&self, space: &str, key: &[u8], generation: u64) -> Name {
        let mut hasher = blake3::Hasher::new_derive_key("prepx 2026 names in memcached");
        for part in [self.prefix.as_bytes(), space.as_bytes(), key] {
            hasher
                .update(&(part.len() as u64).to_le_bytes())
                .update(part);
        }
        Name(hasher.update(&generation.to_le_bytes()).finalize().into())
    }

    /// The value under a name and the time that it has left. `Err` when its server could not be asked.
    pub(crate) async fn get(&self, name: &Name) -> Result<Option<(Bytes, Duration)>, Away> {
        let asked = self.link(name).ask(&wire::get(&name.text())).await;
        match asked.ok_or(Away)? {
            Answer::Found(value, left) => Ok(Some((value, left))),
            _ => Ok(None),
        }
    }

    /// Keeps a value for that time, or a little less, if its server can.
    pub(crate) async fn put(&self, name: &Name, value: &[u8], ttl: Duration) {
        // A server counts in whole seconds and may be one behind.
        let seconds = ttl.as_secs().saturating_sub(1).min(SECONDS_MAX);
        if seconds > 0 && value.len() <= wire::VALUE_BYTES_MAX {
            let command = wire::set(&name.text(), value, seconds);
            self.link(name).ask(&command).await;
        }
    }

    /// The server that a name is on: the one that comes first in an order of the name's own, so that
    /// one more server takes over its share of names and leaves the others where they are.
    fn link(&self, name: &Name) -> &Link {
        let order = |link: &&Arc<Link>| {
            let (host, port) = link.server();
            let place = [host.as_bytes(), &port.to_le_bytes(), &name.0].concat();
            xxhash_rust::xxh3::xxh3_64(&place)
        };
        self.links
            .iter()
            .min_by_key(order)
            .unwrap_or(&self.links[0])
    }
}

/// A server could not be reached.
pub(crate) struct Away;

impl Name {
    fn text(&self) -> String {
        format!("prepx:{}", blake3::Hash::from(self.0).to_hex())
    }
}
