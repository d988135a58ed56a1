//! The settings of webhooks: the section `webhooks`.

use std::path::PathBuf;
use std::time::Duration;

use prepx_errand::Settings;
use serde::Deserialize;

use super::Networks;
use super::effect::GROUP;

/// How many endpoints are tried at the same time.
const ENDPOINTS_AT_ONCE: usize = 64;
/// How many events may wait in a partition of a retry topic; some kilobytes each.
const WAITING_MAX: u64 = 20_000;
/// How much of an embedded log the waiting events may hold.
const HELD_BYTES_MAX: u64 = 64 << 20;

/// The section `webhooks` of the settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The most endpoints of an account.
    pub endpoints_max: u32,
    /// Which addresses are allowed: `public`, `loopback` as well, or `any`. By default public; with `--dev`
    /// loopback.
    pub networks: Option<Networks>,
    /// How long an endpoint may take to answer.
    pub timeout_ms: u64,
    /// How long an event waits before it is sent again: the first time, the second and so on, 4 at most.
    pub retry_delays_ms: Vec<u64>,
    /// How many undeliverable events are kept for operators.
    pub dead_letters_max: u64,
    /// Certificates, in PEM, of authorities that are trusted beside those of the public Internet.
    pub ca_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            endpoints_max: 10,
            networks: None,
            timeout_ms: 5_000,
            retry_delays_ms: vec![5_000, 30_000, 300_000, 1_800_000],
            dead_letters_max: 100_000,
            ca_file: None,
        }
    }
}

impl Config {
    /// Checks these values.
    ///
    /// # Errors
    /// Says what would be right.
    pub fn validate(&self) -> Result<(), String> {
        let retries = GROUP.retries.len();
        let delays = &self.retry_delays_ms;
        if delays.is_empty() || delays.len() > retries || !delays.is_sorted() {
            return Err(format!(
                "webhooks.retry_delays_ms is {delays:?}: 1 to {retries} delays would be right, none shorter than the \
                 one before"
            ));
        }
        if !(100..=60_000).contains(&self.timeout_ms) {
            return Err(format!(
                "webhooks.timeout_ms is {}: 100 to 60000 would be right",
                self.timeout_ms
            ));
        }
        match self.endpoints_max {
            0..=1_000 => Ok(()),
            more => Err(format!("webhooks.endpoints_max is {more}: 1000 at most")),
        }
    }

    /// The addresses at which endpoints are allowed.
    pub fn networks(&self, dev: bool) -> Networks {
        let usual = if dev {
            Networks::Loopback
        } else {
            Networks::Public
        };
        self.networks.unwrap_or(usual)
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// The figures of the group. `held_bytes_max` is what it may hold of a log with a bound of its own.
    pub(super) fn group(&self, held_bytes_max: Option<u64>) -> Settings {
        let delays = self.retry_delays_ms.iter();
        Settings {
            delays: delays.map(|delay| Duration::from_millis(*delay)).collect(),
            turn: self.timeout(),
            targets_at_once: ENDPOINTS_AT_ONCE,
            waiting_max: WAITING_MAX,
            letters_max: self.dead_letters_max,
            held_bytes_max: held_bytes_max.unwrap_or(HELD_BYTES_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_with_what_would_be_right() {
        let check = |toml: &str, words: &str| {
            let config: Config = toml::from_str(toml).unwrap();
            let said = config.validate().err().unwrap_or_default();
            assert!(said.contains(words), "{toml}: {said}");
        };
        assert_eq!(Config::default().validate(), Ok(()));
        check("retry_delays_ms = []", "1 to 4 delays");
        check("retry_delays_ms = [2, 1]", "none shorter");
        check("retry_delays_ms = [1, 2, 3, 4, 5]", "1 to 4 delays");
        check("timeout_ms = 0", "100 to 60000");
        check("endpoints_max = 1001", "1000 at most");
        assert!(toml::from_str::<Config>("networks = 'private'").is_err());
    }

    #[test]
    fn development_is_on_this_machine() {
        let config = Config::default();
        assert_eq!(config.networks(false), Networks::Public);
        assert_eq!(config.networks(true), Networks::Loopback);
    }
}
