//! Values at the last midnight (UTC): what an account had and was worth, and prices.
//!
//! They do not change for a day, so they are read once and cached; when they cannot be read, answers leave them out. An
//! account opened today has no values at midnight: its day begins with what was paid in since.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use prepx_cache::{Cache, Loaded, Options, Space};
use prepx_domain::market::interval;
use prepx_domain::{AccountId, Asset, Instrument, Micros};

use super::App;
use crate::domain::holdings::Holdings;
use crate::domain::points::{DAY, DAY_US, Points};
use crate::domain::worth::Prices;
use crate::error::Error;
use crate::prices;
use crate::store::Store;

/// How long a last midnight stays the last.
const TTL: Duration = Duration::from_hours(24);
/// How long an answer waits for these values: its current values do not come from SQL and must not wait for it.
const PATIENCE: Duration = Duration::from_secs(1);
/// The size of the cache of one kind of values.
const BYTES_MAX: u64 = 8 << 20;

/// How much there was of each asset, in minor units.
type Held = Arc<BTreeMap<Asset, i64>>;

/// What an account was worth at a midnight.
pub struct LastEquity {
    /// The midnight.
    pub midnight: Micros,
    /// In minor units of the currency; `None` when that cannot be read now.
    pub minor: Option<i64>,
}

/// The caches, by kind of value.
pub struct Midnights {
    /// By account and midnight, in minor units of the currency.
    worths: Space<i64>,
    /// By account and midnight.
    held: Space<Held>,
    /// By instrument and midnight, in quote minor units.
    prices: Space<Option<i64>>,
}

impl Midnights {
    /// Empty caches.
    pub fn new(cache: &Cache) -> Midnights {
        Midnights {
            worths: space(cache, "worth at midnight", |_| size_of::<i64>()),
            held: space(cache, "holdings at midnight", |held| {
                held.len() * size_of::<(Asset, i64)>()
            }),
            prices: space(cache, "prices at midnight", |_| size_of::<Option<i64>>()),
        }
    }
}

fn space<V: Clone + Send + Sync + 'static>(
    cache: &Cache,
    name: &'static str,
    weigh: fn(&V) -> usize,
) -> Space<V> {
    cache.space(Options {
        name,
        bytes_max: BYTES_MAX,
        ttl_max: TTL,
        weigh,
        // Only this process reads it.
        codec: None,
    })
}

/// The cached value of a key, loaded if necessary.
async fn cached<V: Clone + Send + Sync + 'static>(
    space: &Space<V>,
    key: &str,
    load: impl Future<Output = Result<Loaded<V>, Error>>,
) -> Option<V> {
    in_time(space.get_or_load(key.as_bytes(), load)).await
}

/// The value read, unless that takes too long.
async fn in_time<V, E: Display>(read: impl Future<Output = Result<V, E>>) -> Option<V> {
    let lacking = "shown without what there was at the last midnight";
    match tokio::time::timeout(PATIENCE, read).await {
        Ok(Ok(value)) => return Some(value),
        Ok(Err(error)) => tracing::warn!(%error, "{lacking}"),
        Err(_) => tracing::warn!(after = ?PATIENCE, "{lacking}"),
    }
    None
}

impl<S: Store> App<S> {
    /// What an account was worth at the last midnight, or what it began with since.
    pub async fn last_equity(&self, holdings: &Holdings) -> LastEquity {
        let (account, today) = (holdings.account.account, self.today());
        let midnight = today.first;
        let minor = if holdings.opened_at >= midnight {
            in_time(Box::pin(self.paid_minor(account, &today))).await
        } else {
            let load = async {
                let worth = Box::pin(self.worth(account, &today)).await?;
                let (value, ttl) = (worth.base_minor, TTL);
                Ok::<_, Error>(Loaded { value, ttl })
            };
            let key = format!("{account:?} {midnight:?}");
            cached(&self.midnights.worths, &key, load).await
        };
        LastEquity { midnight, minor }
    }

    /// What was paid in today, less what was paid out, at the prices of the last midnight.
    async fn paid_minor(&self, account: AccountId, today: &Points) -> Result<i64, Error> {
        let changes = self.books.changes(account, today).await?;
        let changes = changes.unwrap_or_default();
        let mut prices = Vec::new();
        for instrument in self.valued(changes.paid_assets().collect()).await? {
            prices.push(Prices {
                opening_minor: self.last_day_price_minor(&instrument).await,
                closes_minor: Vec::new(),
                instrument,
            });
        }
        Ok(changes.paid_minor(&prices))
    }

    /// How much an account had of each asset at the last midnight, in minor units; `None` when that cannot
    /// be read now.
    pub async fn last_held_minor(&self, holdings: &Holdings) -> Option<Held> {
        let (account, today) = (holdings.account.account, self.today());
        if holdings.opened_at >= today.first {
            return Some(Held::default());
        }
        let load = async {
            let changes = Box::pin(self.books.changes(account, &today)).await?;
            let (value, ttl) = (Arc::new(changes.unwrap_or_default().opening), TTL);
            Ok::<_, Error>(Loaded { value, ttl })
        };
        let key = format!("{account:?} {:?}", today.first);
        cached(&self.midnights.held, &key, load).await
    }

    /// The last price of an instrument before the last midnight, in quote minor units; `None` when there
    /// was none, or that cannot be read now.
    pub async fn last_day_price_minor(&self, instrument: &Instrument) -> Option<i64> {
        let midnight = self.today().first;
        let load = async {
            let read = prices::before(&self.deps.market_data, instrument, midnight);
            let read = Box::pin(read).await;
            let (value, ttl) = (read.map_err(Error::Prices)?, TTL);
            Ok::<_, Error>(Loaded { value, ttl })
        };
        let key = format!("{:?} {midnight:?}", instrument.id);
        cached(&self.midnights.prices, &key, load).await.flatten()
    }

    /// The current day as the single point of a history.
    fn today(&self) -> Points {
        Points {
            first: interval(self.deps.clock.now(), DAY_US),
            width: DAY,
            count: 1,
        }
    }
}
