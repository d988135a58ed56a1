//! Cached reads of an account's books: pages of orders and activities, and how its holdings have changed.
//!
//! Owns their keys. The account's version is part of the key ([`crate::versions`]), so nothing has to be
//! invalidated: what is found under a key is what would be read again, except for the compacted past of
//! simulated accounts. It is in the memory of this process only: the next request is as likely to go to
//! another process, which reads for itself. Refuses to cache the value of an account: prices change
//! independently of it.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use prepx_cache::{Cache, Options, Space};
use prepx_domain::AccountId;
use prepx_domain::update::OrderView;
use prepx_stage::port::{PastOrders, PastQuery};
use prepx_store::Result;

use crate::domain::activity::{Activity, Query};
use crate::domain::points::Points;
use crate::domain::worth::Changes;
use crate::store::ledger::View;

/// How long an answer is cached. It never becomes wrong, but may never be asked for again.
pub const TTL: Duration = Duration::from_secs(30 * 60);
/// The most memory for answers of one kind.
const BYTES_MAX: u64 = 32 << 20;
/// About the size of an order, and of an activity with its order.
const ORDER_BYTES: usize = 512;
const ACTIVITY_BYTES: usize = 1_024;

/// Answers by kind. Clones share them.
#[derive(Clone, Debug)]
pub struct ReadCache {
    activities: Space<Arc<Vec<Activity>>>,
    orders: Space<Arc<Vec<OrderView>>>,
    changes: Space<Arc<Option<Changes>>>,
}

/// A read of an account's books that is cached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// A page of activities.
    Activities(Query),
    /// A page of past orders.
    Orders(PastQuery),
    /// The changes of its holdings between these points.
    Changes(Points),
}

/// A question of one kind.
pub trait Ask: Clone + Debug + Into<Question> + Send + Sync {
    /// The answer.
    type Found: Clone + Send + Sync + 'static;

    /// The cache of the answers.
    fn space(cache: &ReadCache) -> &Space<Arc<Self::Found>>;

    /// Reads the answer from the books.
    fn read(
        &self,
        view: &mut View,
        account: AccountId,
    ) -> impl Future<Output = Result<Self::Found>> + Send;

    /// The key of the answer at a version of the account.
    fn key(&self, account: AccountId, version: u64) -> String {
        format!("{account:?} {version} {self:?}")
    }
}

impl ReadCache {
    /// An empty cache.
    pub fn new(cache: &Cache) -> ReadCache {
        ReadCache {
            activities: space(cache, "activities of accounts", |found| {
                found.len() * ACTIVITY_BYTES
            }),
            orders: space(cache, "orders of accounts", |found| {
                found.len() * ORDER_BYTES
            }),
            changes: space(cache, "changes of accounts", |found| {
                let changes = Option::as_ref(found);
                changes.map_or(0, |changes| size_of_val(&changes.shifts[..]))
            }),
        }
    }
}

fn space<V: Send + Sync + 'static>(
    cache: &Cache,
    name: &'static str,
    weigh: fn(&Arc<V>) -> usize,
) -> Space<Arc<V>> {
    cache.space(Options {
        name,
        bytes_max: BYTES_MAX,
        ttl_max: TTL,
        weigh,
        // Versions are offsets of the log, the same everywhere; but a page is cheaper to read than to encode.
        codec: None,
    })
}

impl Ask for Query {
    type Found = Vec<Activity>;

    fn space(cache: &ReadCache) -> &Space<Arc<Vec<Activity>>> {
        &cache.activities
    }

    async fn read(&self, view: &mut View, _account: AccountId) -> Result<Vec<Activity>> {
        view.activities(self).await
    }
}

impl Ask for PastQuery {
    type Found = Vec<OrderView>;

    fn space(cache: &ReadCache) -> &Space<Arc<Vec<OrderView>>> {
        &cache.orders
    }

    async fn read(&self, view: &mut View, account: AccountId) -> Result<Vec<OrderView>> {
        let which = PastOrders::Query(self.clone());
        view.orders(account, &which).await
    }
}

impl Ask for Points {
    type Found = Option<Changes>;

    fn space(cache: &ReadCache) -> &Space<Arc<Option<Changes>>> {
        &cache.changes
    }

    async fn read(&self, view: &mut View, account: AccountId) -> Result<Option<Changes>> {
        view.changes(account, self).await
    }
}

impl From<Query> for Question {
    fn from(query: Query) -> Question {
        Question::Activities(query)
    }
}

impl From<PastQuery> for Question {
    fn from(query: PastQuery) -> Question {
        Question::Orders(query)
    }
}

impl From<Points> for Question {
    fn from(points: Points) -> Question {
        Question::Changes(points)
    }
}
