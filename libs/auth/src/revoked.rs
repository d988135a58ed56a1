//! What was revoked while its access tokens are still valid. The list is bounded, and never drops an entry too early.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use prepx_cache::{Cache, Received};
use prepx_domain::Micros;
use prepx_env::Clock;
use tokio::sync::watch;

use crate::token::ACCESS_TOKEN_LIFE;

const ENTRIES_MAX: usize = 100_000;

/// The topic of revocations; each message is the id of a key or session.
const TOPIC: &str = "revocations";

/// What was revoked: the user service adds to it, the authenticator asks and listens. One per process;
/// processes notify each other through the cache.
#[derive(Debug)]
pub struct Revocations {
    cache: Cache,
    revoked: RwLock<Revoked>,
    /// Incremented after each change, so that a waiting reader looks again.
    changes: watch::Sender<u64>,
}

impl Revocations {
    /// Nothing is revoked yet. Later revocations are published through `cache`.
    pub fn new(cache: Cache) -> Revocations {
        let revoked = RwLock::new(Revoked::new(ENTRIES_MAX));
        let changes = watch::Sender::new(0);
        Revocations {
            cache,
            revoked,
            changes,
        }
    }

    /// From `now` on this process accepts nothing that this key or session was given, and ends the streams
    /// that were opened with it; other processes do so as soon as they learn of it. Call it when the
    /// revocation is durable.
    pub async fn revoke(&self, key_id: &str, now: Micros) {
        self.add(key_id, now);
        self.cache.publish(TOPIC, key_id.to_owned().into()).await;
    }

    /// Adds what other processes revoke, for as long as it is polled. A revocation that is missed while the
    /// connection to them is broken takes effect when the access token expires, at the latest.
    pub async fn listen(&self, clock: &dyn Clock) {
        let mut news = self.cache.subscribe(TOPIC);
        while let Some(heard) = news.next().await {
            if let Received::Message(key_id) = heard {
                self.add(&String::from_utf8_lossy(&key_id), clock.now());
            }
        }
    }

    fn add(&self, key_id: &str, now: Micros) {
        self.revoked
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key_id, now);
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Notified when to look again.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn has(&self, key_id: &str, issued_at: Micros) -> bool {
        self.revoked
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .has(key_id, issued_at)
    }
}

/// Revoked keys and sessions whose tokens may still be alive.
///
/// When more are revoked within a token's life than fit, everything that was issued before is
/// refused instead: clients then show their key or refresh, and the store answers anew.
#[derive(Debug)]
struct Revoked {
    entries_max: usize,
    until: BTreeMap<String, Micros>,
    floor: Micros,
}

impl Revoked {
    fn new(entries_max: usize) -> Revoked {
        Revoked {
            entries_max,
            until: BTreeMap::new(),
            floor: Micros(i64::MIN),
        }
    }

    fn insert(&mut self, key_id: &str, now: Micros) {
        if self.until.len() >= self.entries_max {
            self.until.retain(|_, until| *until > now);
        }
        if self.until.len() >= self.entries_max {
            self.until.clear();
            self.floor = now;
            return;
        }
        // Twice a token's life: one was perhaps being signed when this came, and clocks differ.
        let life_us = ACCESS_TOKEN_LIFE.as_micros() as i64;
        self.until
            .insert(key_id.to_owned(), now.plus_us(2 * life_us));
    }

    fn has(&self, key_id: &str, issued_at: Micros) -> bool {
        issued_at < self.floor || self.until.contains_key(key_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_stays_while_its_tokens_live_and_then_makes_room() {
        let life_us = ACCESS_TOKEN_LIFE.as_micros() as i64;
        let mut revoked = Revoked::new(2);
        revoked.insert("a", Micros(0));
        revoked.insert("b", Micros(life_us));
        assert!(revoked.has("a", Micros(0)) && revoked.has("b", Micros(0)));
        revoked.insert("c", Micros(2 * life_us));
        assert!(revoked.has("b", Micros(0)) && revoked.has("c", Micros(0)));
        assert!(
            !revoked.has("other", Micros(0)),
            "nobody else is refused while there is room"
        );
    }

    #[test]
    fn too_many_refuse_everything_older_instead_of_forgetting_one() {
        let mut revoked = Revoked::new(2);
        for key in ["a", "b", "c"] {
            revoked.insert(key, Micros(10));
        }
        for key in ["a", "b", "c", "other"] {
            assert!(revoked.has(key, Micros(9)), "{key}");
            assert!(!revoked.has(key, Micros(11)), "{key}");
        }
    }
}
