//! What an operator may set, with units in the names.

use serde::Deserialize;

/// The user service's part of the configuration.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether the fixed keys `demo` and `operator` are made and accepted. Loopback only.
    pub dev: bool,
    /// Memory of one argon2id hash, in KiB.
    pub hash_memory_kib: u32,
    /// Hashes that are computed at the same time: this many times the memory, and cores.
    pub hashes_at_once: usize,
    /// The most hashes that may wait for their turn; further ones are refused with "try later".
    pub hashes_waiting_max: usize,
    /// Passwords that may be tried for one address at once; a right one forgives the wrong ones.
    pub sign_in_tries_max: u32,
    /// In how many seconds so many tries come back, and how long who tries more waits.
    pub sign_in_window_s: u32,
    /// How long a sign-in session can be refreshed, in days.
    pub session_days: u32,
    /// How long a signing key is used before the next is drawn, in days.
    pub signing_key_days: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            dev: false,
            hash_memory_kib: 47_104,
            hashes_at_once: 2,
            hashes_waiting_max: 64,
            sign_in_tries_max: 10,
            sign_in_window_s: 900,
            session_days: 30,
            signing_key_days: 90,
        }
    }
}

/// A value that cannot be, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("user.{name} is {value}, it must be {right}")]
pub struct Problem {
    name: &'static str,
    value: u64,
    right: &'static str,
}

impl Config {
    /// Whether the service can run with these values.
    pub fn validate(&self) -> Result<(), Problem> {
        let check = |name, value: u64, right, good: bool| {
            if good {
                Ok(())
            } else {
                Err(Problem { name, value, right })
            }
        };
        let memory = u64::from(self.hash_memory_kib);
        check(
            "hash_memory_kib",
            memory,
            "at least 47104 (46 MiB)",
            memory >= 47_104,
        )?;
        let at_once = self.hashes_at_once as u64;
        check(
            "hashes_at_once",
            at_once,
            "from 1 to 64",
            (1..=64).contains(&at_once),
        )?;
        let waiting = self.hashes_waiting_max as u64;
        check(
            "hashes_waiting_max",
            waiting,
            "at most 10000",
            waiting <= 10_000,
        )?;
        let tries = u64::from(self.sign_in_tries_max);
        check("sign_in_tries_max", tries, "at least 1", tries >= 1)?;
        let window = u64::from(self.sign_in_window_s);
        check(
            "sign_in_window_s",
            window,
            "from 1 to 86400",
            (1..=86_400).contains(&window),
        )?;
        let session = u64::from(self.session_days);
        check(
            "session_days",
            session,
            "from 1 to 365",
            (1..=365).contains(&session),
        )?;
        let signing = u64::from(self.signing_key_days);
        check(
            "signing_key_days",
            signing,
            "from 1 to 3650",
            (1..=3_650).contains(&signing),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_sound_and_a_weak_hash_is_refused() {
        assert_eq!(Config::default().validate(), Ok(()));
        let weak = Config {
            hash_memory_kib: 1_024,
            ..Config::default()
        };
        let said = weak.validate().unwrap_err().to_string();
        assert_eq!(
            said,
            "user.hash_memory_kib is 1024, it must be at least 47104 (46 MiB)"
        );
    }
}
