//! Which server of a database is the primary now, and how far its replicas are behind.
//!
//! Nobody configures that: every server is asked every second, and at once after one has refused a caller. So writers
//! follow the promotion of a replica by themselves. If two servers claim to be the primary, it is the one with the
//! newer timeline; one with an older timeline than was seen before is an old primary that has been replaced.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use metrics::Gauge;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{ConnectOptions as _, PgConnection, Row as _};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::database::name;

/// How often the servers are asked.
const PAUSE: Duration = Duration::from_secs(1);
/// The least time between two rounds of questions.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// A server that takes longer to answer counts as away.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// The longest delay that is reported.
const DELAY_MAX: Duration = Duration::from_secs(600);
/// A replica that is further behind is not read from, because readers would wait for it in vain.
const READ_DELAY_MAX: Duration = Duration::from_secs(5);

/// The position up to which a server has applied the write-ahead log, and for a primary its timeline, with
/// which the names of its files begin.
const ASK: &str = "
    SELECT pg_wal_lsn_diff(place, '0/0')::BIGINT AS place,
           ('x' || substr(file, 1, 8))::BIT(32)::BIGINT AS timeline
    FROM (SELECT CASE WHEN follows THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS place,
                 CASE WHEN NOT follows THEN pg_walfile_name(pg_current_wal_lsn()) END AS file
          FROM (SELECT pg_is_in_recovery() AS follows) AS role) AS state";

/// A server's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    /// Bytes of write-ahead log that were applied.
    place: i64,
    /// How often a primary has been promoted; none for a replica.
    timeline: Option<i64>,
}

/// Servers by their numbers in the URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Roles {
    primary: Option<usize>,
    /// And how long ago the primary was at the position of each.
    replicas: Vec<(usize, Duration)>,
}

/// The roles of a database's servers, which are watched as long as a clone of this exists. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Members {
    roles: watch::Receiver<Roles>,
    look: Arc<Notify>,
    looking: Arc<Looking>,
    turn: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Looking(AbortHandle);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Members {
    /// Begins to watch, on the current runtime.
    pub(super) fn watch(schema: &str, servers: impl Iterator<Item = PgConnectOptions>) -> Members {
        let (told, roles) = watch::channel(Roles::default());
        let look = Arc::new(Notify::new());
        let watcher = Watcher {
            servers: servers
                .map(|connect| Server::new(schema, connect))
                .collect(),
            history: History::default(),
            newest_timeline: 0,
            told,
            look: Arc::clone(&look),
        };
        let looking = Arc::new(Looking(tokio::spawn(watcher.run()).abort_handle()));
        Members {
            roles,
            look,
            looking,
            turn: Arc::default(),
        }
    }

    /// The primary, as soon as there is one.
    pub(super) async fn primary(&self) -> usize {
        let mut roles = self.roles.clone();
        let there = roles.wait_for(|roles| roles.primary.is_some()).await;
        match there.ok().and_then(|roles| roles.primary) {
            Some(primary) => primary,
            // The watch has ended: the caller runs into its time limit.
            None => std::future::pending().await,
        }
    }

    /// Waits until the primary is a server other than this one.
    pub(super) async fn another_than(&self, primary: usize) {
        let mut roles = self.roles.clone();
        let other = |roles: &Roles| roles.primary.is_some_and(|now| now != primary);
        if roles.wait_for(other).await.is_err() {
            std::future::pending().await
        }
    }

    /// Whether a server is the primary.
    pub(super) fn has_primary(&self) -> bool {
        self.roles.borrow().primary.is_some()
    }

    /// A replica that is not far behind; replicas take turns.
    pub(super) fn replica(&self) -> Option<usize> {
        let roles = self.roles.borrow();
        let near =
            |(server, delay): &(usize, Duration)| (*delay <= READ_DELAY_MAX).then_some(*server);
        let near: Vec<usize> = roles.replicas.iter().filter_map(near).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        near.get(turn.checked_rem(near.len())?).copied()
    }

    /// Asks the servers again now.
    pub(super) fn look(&self) {
        self.look.notify_one();
    }

    /// Stops asking.
    pub(super) fn end(&self) {
        self.looking.0.abort();
    }
}

struct Watcher {
    servers: Vec<Server>,
    history: History,
    newest_timeline: i64,
    told: watch::Sender<Roles>,
    look: Arc<Notify>,
}

impl Watcher {
    async fn run(mut self) {
        loop {
            let asked = self.servers.iter_mut().map(Server::ask);
            let answers = join_all(asked).await;
            let roles = self.roles(&answers);
            self.tell(roles);
            tokio::time::sleep(PAUSE_MIN).await;
            // A change that is missed here is seen in the next round.
            let _ = tokio::time::timeout(PAUSE - PAUSE_MIN, self.look.notified()).await;
        }
    }

    fn roles(&mut self, answers: &[Option<Answer>]) -> Roles {
        let (before, at) = (self.told.borrow().primary, Instant::now());
        let primary = primary(answers, before, self.newest_timeline);
        if let Some((_, Answer { place, timeline })) = primary {
            self.newest_timeline = timeline.unwrap_or(self.newest_timeline);
            self.history.add(at, place);
        }
        let follows = |(server, answer): (usize, &Option<Answer>)| {
            let answer = answer.filter(|answer| answer.timeline.is_none())?;
            Some((server, self.history.delay(at, answer.place)))
        };
        Roles {
            primary: primary.map(|(server, _)| server),
            replicas: answers.iter().enumerate().filter_map(follows).collect(),
        }
    }

    fn tell(&self, roles: Roles) {
        let before = self.told.borrow().primary;
        if before != roles.primary {
            let named =
                |server: Option<usize>| server.map(|server| self.servers[server].name.as_str());
            let (before, now) = (named(before), named(roles.primary));
            tracing::info!(before, now, "the primary of a database");
        }
        for (number, server) in self.servers.iter().enumerate() {
            let delay = roles
                .replicas
                .iter()
                .find(|(replica, _)| *replica == number);
            server.publish(
                roles.primary == Some(number),
                delay.map(|(_, delay)| *delay),
            );
        }
        self.told.send_replace(roles);
    }
}

/// The primary: of the servers that claim to be it, and are not older than an earlier primary, the one that
/// was promoted last; the current one if two addresses lead to the same server.
fn primary(
    answers: &[Option<Answer>],
    now: Option<usize>,
    newest_timeline: i64,
) -> Option<(usize, Answer)> {
    let leads = |(server, answer): (usize, &Option<Answer>)| {
        let answer = (*answer)?;
        (answer.timeline? >= newest_timeline).then_some((server, answer))
    };
    let leading = answers.iter().enumerate().filter_map(leads);
    leading.max_by_key(|(server, answer)| (answer.timeline, now == Some(*server)))
}

/// Positions of the primary with their times: a replica lags by the time since the primary passed the
/// replica's position.
#[derive(Default)]
struct History(VecDeque<(Instant, i64)>);

impl History {
    fn add(&mut self, at: Instant, place: i64) {
        // A promoted replica may be behind what its primary had.
        while self.0.back().is_some_and(|(_, last)| *last > place) {
            self.0.pop_back();
        }
        if self.0.back().is_none_or(|(_, last)| *last < place) {
            self.0.push_back((at, place));
        }
        while self.0.len() > 1 && at - self.0[0].0 > DELAY_MAX {
            self.0.pop_front();
        }
    }

    fn delay(&self, at: Instant, place: i64) -> Duration {
        let passed = self.0.partition_point(|(_, passed)| *passed <= place);
        let missed = self.0.get(passed);
        missed.map_or(Duration::ZERO, |(since, _)| at - *since)
    }
}

struct Server {
    name: String,
    connect: PgConnectOptions,
    connection: Option<PgConnection>,
    /// Why it did not answer last time; logged once until that changes.
    told: String,
    delay_seconds: Gauge,
    /// 1 for the current role of a server, 0 for the others.
    roles: [Gauge; ROLES.len()],
}

/// A server that is neither the primary nor a replica counts as away.
const ROLES: [&str; 3] = ["leads", "follows", "away"];

impl Server {
    fn new(schema: &str, connect: PgConnectOptions) -> Server {
        let name = name(&connect);
        let labels = [("schema", schema.to_owned()), ("server", name.clone())];
        let role = |role: &str| {
            let mut labels = labels.to_vec();
            labels.push(("role", role.to_owned()));
            metrics::gauge!("prepx_store_server", &labels)
        };
        Server {
            name,
            connect,
            connection: None,
            told: String::new(),
            delay_seconds: metrics::gauge!("prepx_store_server_delay_seconds", &labels),
            roles: ROLES.map(role),
        }
    }

    /// A server's answer; none if it takes too long.
    async fn ask(&mut self) -> Option<Answer> {
        let answer = match tokio::time::timeout(ANSWER_MAX, self.try_ask()).await {
            Ok(answer) => answer,
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        };
        let why = match &answer {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        if !why.is_empty() {
            self.connection = None;
            if why != self.told {
                tracing::warn!(server = self.name, %why, "a server of a database does not answer");
            }
        }
        self.told = why;
        answer.ok()
    }

    async fn try_ask(&mut self) -> sqlx::Result<Answer> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(self.connect.connect().await?),
        };
        let row: PgRow = sqlx::raw_sql(ASK).fetch_one(connection).await?;
        Ok(Answer {
            place: row.try_get("place")?,
            timeline: row.try_get("timeline")?,
        })
    }

    fn publish(&self, leads: bool, delay: Option<Duration>) {
        let is = [leads, delay.is_some(), !leads && delay.is_none()];
        for (gauge, is) in self.roles.iter().zip(is) {
            gauge.set(f64::from(u8::from(is)));
        }
        let delay = delay.unwrap_or_default();
        self.delay_seconds.set(delay.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn leads(timeline: i64) -> Option<Answer> {
        Some(Answer {
            place: 100,
            timeline: Some(timeline),
        })
    }
    const FOLLOWS: Option<Answer> = Some(Answer {
        place: 90,
        timeline: None,
    });

    #[test]
    fn the_primary_is_the_one_that_was_promoted_last() {
        let found =
            |answers: &[_], now, newest| primary(answers, now, newest).map(|(server, _)| server);
        assert_eq!(found(&[leads(1), FOLLOWS], None, 0), Some(0));
        assert_eq!(found(&[None, FOLLOWS], Some(0), 1), None);
        assert_eq!(found(&[None, leads(2)], Some(0), 1), Some(1));
        assert_eq!(
            found(&[leads(1), leads(2)], Some(0), 1),
            Some(1),
            "two of them"
        );
        assert_eq!(
            found(&[leads(1), None], Some(1), 2),
            None,
            "the old one is back"
        );
        assert_eq!(
            found(&[leads(3), leads(3)], Some(0), 3),
            Some(0),
            "one by two addresses"
        );
    }

    #[test]
    fn a_replica_is_as_late_as_the_primary_is_past_it() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut history = History::default();
        for (seconds, place) in [(0, 10), (1, 20), (2, 20), (3, 30), (4, 40)] {
            history.add(at(seconds), place);
        }
        let delay = |place| history.delay(at(5), place).as_secs();
        assert_eq!(
            [40, 39, 30, 29, 20, 19, 10, 5].map(delay),
            [0, 1, 1, 2, 2, 4, 4, 5]
        );
        let now = |place| history.delay(at(4), place);
        assert_eq!(
            now(39),
            Duration::ZERO,
            "what it has only now, nobody has missed"
        );
        history.add(at(5), 25);
        let delay = |place| history.delay(at(6), place).as_secs();
        assert_eq!(
            [30, 25, 24].map(delay),
            [0, 0, 1],
            "of what a new primary has"
        );
        history.add(at(5_000), 25);
        assert_eq!(
            history.delay(at(5_000), 24).as_secs(),
            4_995,
            "it is behind for as long as it is"
        );
    }
}
