//! Values at the last midnight (UTC): what an account was worth, and prices. They do not change for a
//! day, so they are read once and kept; when they cannot be read, answers go without them.

use std::time::Duration;

use prepx_cache::{Cache, Loaded, Options, Space};
use prepx_domain::market::interval;
use prepx_domain::{Instrument, Micros};

use super::App;
use crate::domain::holdings::Holdings;
use crate::domain::points::{DAY, DAY_US, Points};
use crate::error::Error;
use crate::prices;
use crate::store::Store;

/// No longer than that is anybody's last midnight the same.
const TTL: Duration = Duration::from_hours(24);
/// How long an answer waits for it at most: what is now does not come from SQL, and must not wait for that.
const PATIENCE: Duration = Duration::from_secs(1);
/// What the answers of one kind may take.
const BYTES_MAX: u64 = 8 << 20;

/// What is kept, by kind.
pub struct Midnights {
    /// By account and midnight, in minor units of the currency.
    worths: Space<i64>,
    /// By instrument and midnight, in quote minor units.
    prices: Space<Option<i64>>,
}

impl Midnights {
    /// Nothing yet.
    pub fn new(cache: &Cache) -> Midnights {
        Midnights {
            worths: space(cache, "worth at midnight"),
            prices: space(cache, "prices at midnight"),
        }
    }
}

fn space<V: Clone + Send + Sync + 'static>(cache: &Cache, name: &'static str) -> Space<V> {
    cache.space(Options {
        name,
        bytes_max: BYTES_MAX,
        ttl_max: TTL,
        weigh: |_| size_of::<V>(),
        // Nobody else asks for it.
        codec: None,
    })
}

/// What is kept under a key, loaded if need be.
async fn kept<V: Clone + Send + Sync + 'static>(
    space: &Space<V>,
    key: &str,
    load: impl Future<Output = Result<Loaded<V>, Error>>,
) -> Option<V> {
    let read = tokio::time::timeout(PATIENCE, space.get_or_load(key.as_bytes(), load)).await;
    let lacking = "shown without what there was at the last midnight";
    match read {
        Ok(Ok(value)) => return Some(value),
        Ok(Err(error)) => tracing::warn!(%error, "{lacking}"),
        Err(_) => tracing::warn!(after = ?PATIENCE, "{lacking}"),
    }
    None
}

impl<S: Store> App<S> {
    /// What an account was worth at the last midnight, in minor units of the currency; `None` when that
    /// cannot be read now.
    pub async fn last_equity_minor(&self, holdings: &Holdings) -> Option<i64> {
        let midnight = self.last_midnight();
        if holdings.opened_at >= midnight {
            return Some(0);
        }
        let account = holdings.account.account;
        let load = async {
            let points = Points {
                first: midnight,
                width: DAY,
                count: 1,
            };
            let worth = Box::pin(self.worth(account, &points)).await?;
            let (value, ttl) = (worth.base_minor, TTL);
            Ok::<_, Error>(Loaded { value, ttl })
        };
        let key = format!("{account:?} {midnight:?}");
        kept(&self.midnights.worths, &key, load).await
    }

    /// The last price of an instrument before the last midnight, in quote minor units; `None` when there
    /// was none, or that cannot be read now.
    pub async fn last_day_price_minor(&self, instrument: &Instrument) -> Option<i64> {
        let midnight = self.last_midnight();
        let load = async {
            let read = prices::before(&self.deps.market_data, instrument, midnight);
            let read = Box::pin(read).await;
            let (value, ttl) = (read.map_err(Error::Prices)?, TTL);
            Ok::<_, Error>(Loaded { value, ttl })
        };
        let key = format!("{:?} {midnight:?}", instrument.id);
        kept(&self.midnights.prices, &key, load).await.flatten()
    }

    fn last_midnight(&self) -> Micros {
        interval(self.deps.clock.now(), DAY_US)
    }
}
