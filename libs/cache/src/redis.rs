//! Redis or Valkey, single or cluster: values that processes share, limits that they count together, news.
//!
//! Owns: the keys, the scripts and what they mean. Refuses: to fail, or to make a caller wait. Every call reports when the
//! servers could not be asked, and the process then goes on by itself. Everything about a key is decided in one step on
//! the server that has it, by that server's clock.

mod link;
mod listener;
mod news;
mod tls;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fred::interfaces::PubsubInterface;
use fred::types::Value;
use fred::types::scripts::Script;
use prepx_env::Random;
use tokio::task::JoinSet;

use crate::limiter::{Limiter, State, Verdict};
use crate::presence::PAUSE;
use crate::{Memory, RedisLocation, removals};
use link::Link;
use listener::Listener;
use news::News;

/// How long a lease on a key lasts if nobody ends it.
const LEASE: Duration = Duration::from_secs(1);
/// How long a starting process waits for servers before it goes on without them.
const OPENING: Duration = Duration::from_secs(5);
/// How many removals are tried again when the servers answer. Beyond that, removed values expire on their own.
const OWED_MAX: usize = 10_000;

/// The engine, one per process; see the module.
pub(crate) struct Redis {
    prefix: String,
    link: Arc<Link>,
    scripts: Scripts,
    /// Distinguishes this process's news and leases from those of others.
    origin: [u8; news::ORIGIN_BYTES],
    leases: AtomicU64,
    random: Random,
    owed: Mutex<BTreeSet<(&'static str, Bytes)>>,
}

struct Scripts {
    look: Script,
    fill: Script,
    replace: Script,
    generation: Script,
    take: Script,
}

/// The result of a look-up.
pub(crate) enum Look {
    /// The servers are away, so this is unknown.
    Away,
    /// Nothing is kept.
    Absent,
    /// Another process loads it.
    Busy,
    /// Nothing is kept, and the caller has the lease to load it.
    Leased(Lease),
    /// The value and the time that it has left.
    Found(Bytes, Duration),
}

/// The right to store a value under a key. Dropping it gives it up.
pub(crate) struct Lease {
    redis: Arc<Redis>,
    key: Bytes,
    token: Bytes,
    is_used: bool,
}

impl Redis {
    /// Opens the engine behind `near`, with the tasks that keep it going; dropping these ends them.
    ///
    /// # Errors
    /// An invalid location; servers that are away are no error.
    pub(crate) async fn open(
        location: &RedisLocation,
        near: Arc<Memory>,
    ) -> Result<(Arc<Redis>, JoinSet<()>), fred::error::Error> {
        let link = Arc::new(Link::new(location)?);
        let random = Random::from_system();
        let redis = Arc::new(Redis {
            prefix: location.prefix.clone(),
            link: Arc::clone(&link),
            scripts: Scripts::new(),
            origin: random.bytes(),
            leases: AtomicU64::new(0),
            random,
            owed: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        let paying = Arc::clone(&redis);
        tasks.spawn(async move { Arc::clone(&paying.link).keep(|| paying.pay()).await });
        tasks.spawn(Arc::clone(&link).report());
        let (listener, subscribed) = Listener::new(location.clone(), Arc::clone(&redis), near);
        tasks.spawn(listener.listen());
        let ready = async {
            // Both connections, so that no message from now on is missed.
            let _ = subscribed.await;
            while redis.link.is_away() {
                tokio::time::sleep(PAUSE / 10).await;
            }
        };
        if tokio::time::timeout(OPENING, ready).await.is_err() {
            tracing::warn!("the cache's servers do not answer: starting without them");
        }
        Ok((redis, tasks))
    }

    /// Looks for a value.
    pub(crate) async fn look(&self, space: &str, key: &[u8]) -> Look {
        let key = self.key('v', space, key);
        let args = vec![Value::Bytes(Bytes::new()), millis(LEASE)];
        match self.link.run(&self.scripts.look, &key, args).await {
            Some(answer) => found(answer).unwrap_or(Look::Absent),
            None => Look::Away,
        }
    }

    /// Looks for a value, and takes the lease to load it if nothing is there.
    pub(crate) async fn look_or_lease(self: &Arc<Self>, space: &str, key: &[u8]) -> Look {
        let key = self.key('v', space, key);
        let number = self.leases.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let token = Bytes::from([&self.origin[..], &number].concat());
        let args = vec![Value::Bytes(token.clone()), millis(LEASE)];
        let Some(answer) = self.link.run(&self.scripts.look, &key, args).await else {
            return Look::Away;
        };
        if answer.as_bytes() == Some(b"leased") {
            return Look::Leased(Lease {
                redis: Arc::clone(self),
                key,
                token,
                is_used: false,
            });
        }
        found(answer).unwrap_or(Look::Busy)
    }

    /// Replaces the value under a key by another or none, and notifies all processes.
    pub(crate) async fn replace(
        &self,
        space: &'static str,
        key: &[u8],
        value: Option<(Bytes, Duration)>,
    ) {
        let is_away = self.link.is_away();
        if is_away
            || Box::pin(self.replace_anyway(space, key, value))
                .await
                .is_none()
        {
            self.owe(space, Bytes::copy_from_slice(key));
        }
    }

    /// The same, also while the servers count as away; `None` if it was not done, or may not have been.
    async fn replace_anyway(
        &self,
        space: &str,
        key: &[u8],
        value: Option<(Bytes, Duration)>,
    ) -> Option<()> {
        // First of all: a lease is ended only when nobody finds behind it any more what was before.
        let step = self.of_generation(space, removals::counter(key), true);
        self.link
            .run_anyway(&self.scripts.generation, &step.0, step.1)
            .await?;
        let (bytes, ttl) = value.unwrap_or_default();
        let args = vec![
            Value::Bytes(bytes),
            millis(ttl),
            self.channel().into(),
            Value::Bytes(News::removed(self.origin, space, key).encode()),
        ];
        let key = self.key('v', space, key);
        let answer = self
            .link
            .run_anyway(&self.scripts.replace, &key, args)
            .await;
        answer.map(drop)
    }

    /// The generation of the keys that share a counter of removals: no two are alike. `None` when the
    /// servers could not be asked. See `l3`.
    pub(crate) async fn generation(&self, space: &str, counter: u16) -> Option<u64> {
        let (key, args) = self.of_generation(space, counter, false);
        let answer = self.link.run(&self.scripts.generation, &key, args).await?;
        answer.as_bytes()?.try_into().ok().map(u64::from_le_bytes)
    }

    /// Asks for a generation, or for a new one.
    fn of_generation(&self, space: &str, counter: u16, is_step: bool) -> (Bytes, Vec<Value>) {
        let key = self.key('g', space, counter.to_string().as_bytes());
        let new = Bytes::copy_from_slice(&self.random.bytes::<8>());
        (
            key,
            vec![Value::Bytes(new), Value::from(u32::from(is_step))],
        )
    }

    /// Counts in one step; `None` when the servers could not be asked.
    pub(crate) async fn take(&self, limiter: &Limiter, key: &[u8], count: u32) -> Option<Verdict> {
        let key = self.key('l', limiter.name(), key);
        let mut args = vec![Value::from(count), integer(limiter.block_us())];
        for rate in limiter.rates() {
            args.extend([integer(rate.interval_us()), Value::from(rate.burst)]);
        }
        let answer = self.link.run(&self.scripts.take, &key, args).await?;
        let [now_us, first, second, blocked] = numbers(answer)?;
        let mut state = State::from_us([first, second], blocked);
        Some(limiter.take(&mut state, count, now_us.saturating_mul(1_000)))
    }

    /// Forgets what was counted under a key.
    pub(crate) async fn forgive(&self, limiter: &Limiter, key: &[u8]) {
        use fred::interfaces::KeysInterface;
        let key = self.key('l', limiter.name(), key);
        self.link
            .call(async |client| client.del::<Value, _>(&key[..]).await)
            .await;
    }

    /// Tells the other processes.
    pub(crate) async fn publish(&self, topic: &'static str, message: Bytes) {
        let news = News::message(self.origin, topic, message).encode();
        let channel = self.channel();
        self.link
            .call(async |client| client.publish::<Value, _, _>(channel, news).await)
            .await;
    }

    fn key(&self, kind: char, name: &str, key: &[u8]) -> Bytes {
        let before = format!("{}:{kind}:{name}:", self.prefix);
        [before.as_bytes(), key].concat().into()
    }

    fn channel(&self) -> String {
        format!("{}:news", self.prefix)
    }

    fn owe(&self, space: &'static str, key: Bytes) {
        let mut owed = self.owed();
        if owed.len() < OWED_MAX {
            owed.insert((space, key));
        }
        drop(owed);
        self.link.settle_soon();
    }

    /// Makes up for removals that failed while the servers were away, before anybody asks them again.
    async fn pay(&self) {
        let owed = std::mem::take(&mut *self.owed());
        for (space, key) in owed {
            if self.replace_anyway(space, &key, None).await.is_none() {
                self.owe(space, key);
            }
        }
    }

    fn owed(&self) -> MutexGuard<'_, BTreeSet<(&'static str, Bytes)>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Stores a value, if nothing has ended the lease.
    pub(crate) async fn fill(mut self, value: Bytes, ttl: Duration) {
        self.is_used = true;
        self.end(value, ttl).await;
    }

    async fn end(&self, value: Bytes, ttl: Duration) {
        let args = vec![
            Value::Bytes(self.token.clone()),
            Value::Bytes(value),
            millis(ttl),
        ];
        let Redis { link, scripts, .. } = &*self.redis;
        link.run(&scripts.fill, &self.key, args).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.is_used {
            return;
        }
        // What fails here ends by its own time.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let given_up = Lease {
                redis: Arc::clone(&self.redis),
                key: self.key.clone(),
                token: self.token.clone(),
                is_used: true,
            };
            runtime.spawn(async move { given_up.end(Bytes::new(), Duration::ZERO).await });
        }
    }
}

impl Scripts {
    fn new() -> Scripts {
        Scripts {
            look: Script::from_lua(include_str!("redis/look.lua")),
            fill: Script::from_lua(include_str!("redis/fill.lua")),
            replace: Script::from_lua(include_str!("redis/replace.lua")),
            generation: Script::from_lua(include_str!("redis/generation.lua")),
            take: Script::from_lua(include_str!("redis/take.lua")),
        }
    }
}

fn found(answer: Value) -> Option<Look> {
    if answer.as_bytes() == Some(b"absent") {
        return Some(Look::Absent);
    }
    let mut parts = answer.into_array().into_iter();
    let value = parts.next()?.into_owned_bytes()?;
    let left_ms = parts.next()?.as_u64()?;
    Some(Look::Found(value.into(), Duration::from_millis(left_ms)))
}

fn numbers<const N: usize>(answer: Value) -> Option<[u64; N]> {
    let numbers: Option<Vec<u64>> = answer.into_array().iter().map(Value::as_u64).collect();
    numbers?.try_into().ok()
}

fn millis(time: Duration) -> Value {
    integer(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}
