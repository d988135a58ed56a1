//! Whether servers answer. They count as away when the connection is lost or several commands in a row have failed, and as
//! back when they answer a trial command, which one caller makes for all. While they are away no caller waits for them.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Commands in a row that fail before servers count as away.
const FAILURES_MAX: u32 = 3;
/// How long to wait between two tries to reach servers that are away.
pub(crate) const PAUSE: Duration = Duration::from_millis(250);
/// How often servers are asked for their statistics.
pub(crate) const REPORTS: Duration = Duration::from_secs(15);

/// What is known of servers at one place.
pub(crate) struct Presence {
    level: &'static str,
    place: String,
    is_away: AtomicBool,
    failures: AtomicU32,
    wanted: Notify,
}

impl Presence {
    /// Servers of a level that have not answered yet.
    pub(crate) fn new(level: &'static str, place: String) -> Presence {
        let presence = Presence {
            level,
            place,
            is_away: AtomicBool::new(true),
            failures: AtomicU32::new(0),
            wanted: Notify::new(),
        };
        presence.tell(1.0);
        presence
    }

    pub(crate) fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Acquire)
    }

    /// They have answered a command.
    pub(crate) fn succeed(&self) {
        self.failures.store(0, Ordering::Release);
    }

    /// They have not answered a command in time, or wrongly. Returns whether they count as away from now on.
    pub(crate) fn fail(&self, why: &str) -> bool {
        metrics::counter!("prepx_cache_failures_total", "level" => self.level).increment(1);
        let is_last = self.failures.fetch_add(1, Ordering::AcqRel) + 1 >= FAILURES_MAX;
        if is_last {
            self.lose(why);
        }
        is_last
    }

    /// They count as away from now on.
    pub(crate) fn lose(&self, why: &str) {
        if !self.is_away.swap(true, Ordering::AcqRel) {
            self.tell(1.0);
            let Presence { level, place, .. } = self;
            tracing::warn!(
                level,
                place,
                why,
                "the cache's servers are away: going on without"
            );
            self.try_soon();
        }
    }

    /// They count as there from now on.
    pub(crate) fn find(&self) {
        self.succeed();
        if self.is_away.swap(false, Ordering::AcqRel) {
            self.tell(0.0);
            let Presence { level, place, .. } = self;
            tracing::info!(level, place, "the cache's servers answer");
        }
    }

    /// Asks for a trial command soon.
    pub(crate) fn try_soon(&self) {
        self.wanted.notify_one();
    }

    /// Waits until a trial command is asked for.
    pub(crate) async fn wait(&self) {
        self.wanted.notified().await;
        // What has just failed is not tried again at once.
        tokio::time::sleep(PAUSE).await;
    }

    /// One of them has evicted so many values since it was started. Every process that asks it gets the same number.
    pub(crate) fn evicted(&self, server: String, count: u64) {
        let labels = [("level", self.level.to_owned()), ("server", server)];
        metrics::counter!("prepx_cache_server_evictions_total", &labels).absolute(count);
    }

    fn tell(&self, away: f64) {
        let labels = [
            ("level", self.level.to_owned()),
            ("server", self.place.clone()),
        ];
        metrics::gauge!("prepx_cache_away", &labels).set(away);
    }
}
