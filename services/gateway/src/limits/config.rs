//! The settings of the limits on requests, and the figures of the profiles.

use std::collections::BTreeMap;
use std::time::Duration;

use prepx_cache::{Limiter, Rate};
use prepx_runtime::config::Error;
use serde::Deserialize;
use uuid::Uuid;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// The limits on requests from outside. The tightest one counts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The profile with the figures of the tiers; `off`: nothing is limited.
    pub profile: Profile,
    /// The tier of traders that are not listed under `users`. Operators are `enterprise`.
    pub default_tier: Tier,
    /// The tiers of users, by user id.
    pub users: BTreeMap<Uuid, Tier>,
    /// Figures of tiers that differ from the profile's.
    pub tiers: BTreeMap<Tier, TierLimit>,
    /// All requests together.
    pub global: BlockLimit,
    /// By address; behind a proxy that is the proxy's.
    pub address: BlockLimit,
    /// By user.
    pub user: BlockLimit,
    /// Orders placed and replaced, by account.
    pub trading: BlockLimit,
    /// Calls that cancel orders, by address. They count against no other limit, and no other blocks them.
    pub cancels: BlockLimit,
}

/// A profile: the source of the tiers' figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Nothing is limited.
    #[default]
    Off,
    /// Five tiers by minute and hour, with bursts.
    Tiers,
    /// 10,000, 1,000, 100 and 10 a minute.
    Prepx,
}

/// The tier of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Everybody else.
    #[default]
    Free,
    /// Pays a little.
    Basic,
    /// Pays.
    Premium,
    /// Has a contract.
    Enterprise,
    /// Has done what it should not.
    Suspicious,
}

/// The figures of a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierLimit {
    /// Requests that are refilled per minute.
    pub per_minute: u32,
    /// Requests that are refilled per hour, and the most at once; 0 for no such limit.
    #[serde(default)]
    pub per_hour: u32,
    /// The most requests at once after a pause; 0 for as many as in a minute.
    #[serde(default)]
    pub burst: u32,
}

/// A limit that blocks callers that exceed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockLimit {
    /// Requests per minute, and the most at once; 0 for no limit.
    pub per_minute: u32,
    /// For how many seconds a caller that exceeds it is blocked.
    pub block_s: u32,
}

impl Default for Config {
    fn default() -> Config {
        let block = |per_minute, block_s| BlockLimit {
            per_minute,
            block_s,
        };
        Config {
            profile: Profile::default(),
            default_tier: Tier::default(),
            users: BTreeMap::new(),
            tiers: BTreeMap::new(),
            global: block(10_000, 60),
            address: block(1_000, 300),
            user: block(2_000, 300),
            trading: block(600, 600),
            cancels: block(6_000, 0),
        }
    }
}

impl Config {
    /// Checks these figures.
    ///
    /// # Errors
    /// Names the figure, and what would be right.
    pub fn validate(&self) -> Result<(), Error> {
        for (tier, limit) in &self.tiers {
            prepx_runtime::config::at_least(
                &format!("rate_limits.tiers.{tier:?}.per_minute").to_lowercase(),
                limit.per_minute.into(),
                1,
            )?;
        }
        Ok(())
    }

    /// The limits of a tier; `None` when the profile is off.
    pub fn tier(&self, tier: Tier) -> Option<Limiter> {
        let limit = self.profile.limit(tier)?;
        Some(
            self.tiers
                .get(&tier)
                .copied()
                .unwrap_or(limit)
                .limiter(tier),
        )
    }
}

impl Profile {
    fn limit(self, tier: Tier) -> Option<TierLimit> {
        let limit = |per_minute, per_hour, burst| TierLimit {
            per_minute,
            per_hour,
            burst,
        };
        Some(match (self, tier) {
            (Profile::Off, _) => return None,
            (_, Tier::Suspicious) => limit(10, 0, 0),
            (Profile::Tiers, Tier::Free) => limit(60, 1_000, 100),
            (Profile::Tiers, Tier::Basic) => limit(300, 10_000, 500),
            (Profile::Tiers, Tier::Premium) => limit(1_000, 50_000, 2_000),
            (Profile::Tiers, Tier::Enterprise) => limit(5_000, 500_000, 10_000),
            (Profile::Prepx, Tier::Free) => limit(100, 0, 0),
            (Profile::Prepx, Tier::Basic) => limit(1_000, 0, 0),
            (Profile::Prepx, Tier::Premium | Tier::Enterprise) => limit(10_000, 0, 0),
        })
    }
}

impl TierLimit {
    fn limiter(self, tier: Tier) -> Limiter {
        let name = match tier {
            Tier::Free => "free",
            Tier::Basic => "basic",
            Tier::Premium => "premium",
            Tier::Enterprise => "enterprise",
            Tier::Suspicious => "suspicious",
        };
        let burst = match self.burst {
            0 => self.per_minute,
            burst => burst,
        };
        let minutely = Rate {
            count: self.per_minute,
            per: MINUTE,
            burst,
        };
        let limiter = Limiter::new(name, minutely);
        match self.per_hour {
            0 => limiter,
            per_hour => limiter.and(Rate::new(per_hour, HOUR)),
        }
    }
}

impl BlockLimit {
    /// `None` without a limit.
    pub fn limiter(self, name: &'static str) -> Option<Limiter> {
        let block = Duration::from_secs(self.block_s.into());
        let rate = Rate::new(self.per_minute, MINUTE);
        (self.per_minute > 0).then(|| Limiter::new(name, rate).blocking(block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn nothing_is_limited_unless_a_profile_is_chosen() {
        assert_eq!(read(""), Config::default());
        assert_eq!(Config::default().tier(Tier::Suspicious), None);
    }

    #[test]
    fn a_tier_has_the_figures_of_the_profile_or_its_own() {
        let config = read("profile = \"tiers\"\ntiers.basic = { per_minute = 7 }");
        let rate = |count, per, burst| Rate { count, per, burst };
        let free = Limiter::new("free", rate(60, MINUTE, 100)).and(Rate::new(1_000, HOUR));
        assert_eq!(config.tier(Tier::Free), Some(free));
        let basic = Limiter::new("basic", Rate::new(7, MINUTE));
        assert_eq!(config.tier(Tier::Basic), Some(basic));
        let config = read("profile = \"prepx\"\ntrading = { per_minute = 0, block_s = 0 }");
        assert_eq!(
            config.tier(Tier::Free),
            Some(Limiter::new("free", Rate::new(100, MINUTE)))
        );
        assert_eq!(config.trading.limiter("trading"), None);
    }

    #[test]
    fn a_tier_that_allows_nothing_is_refused() {
        let problem = read("tiers.free = { per_minute = 0 }")
            .validate()
            .unwrap_err();
        assert!(
            problem
                .to_string()
                .contains("rate_limits.tiers.free.per_minute is 0")
        );
    }
}
