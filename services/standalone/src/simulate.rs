//! `--simulate on`: a seeded population of simulated traders that keeps a market alive. Each is a
//! user with an account like any other, marked as simulated, and trades through the same services.
//!
//! Refuses to matter: when it cannot continue, it logs that and ends; the platform keeps serving.

mod population;
mod traders;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use prepx_auth::ApiKey;
use prepx_runtime::{Drain, Peer, TaskError};
use serde::Deserialize;

use crate::disk;
use population::Population;
use traders::Traders;

/// How the population acts.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where its randomness begins: the same seed acts the same.
    pub seed: u64,
    /// Actions a second of all traders together, 1 to 1,000.
    pub actions_per_second: u32,
    /// What the data directory may take, in bytes, 16 MiB at least: beyond it the oldest archives of
    /// the log, the oldest rows of simulated accounts and the oldest of the markets are dropped. What
    /// real accounts did is kept for ever and may take more.
    pub disk_bytes_max: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            seed: 1,
            actions_per_second: 20,
            disk_bytes_max: 2 << 30,
        }
    }
}

impl Config {
    /// # Errors
    /// Says which value is wrong, and what would be right.
    pub fn validate(&self) -> std::result::Result<(), String> {
        if self.disk_bytes_max < disk::BYTES_MIN {
            return Err(format!(
                "simulation.disk_bytes_max is {}: it must be at least {}",
                self.disk_bytes_max,
                disk::BYTES_MIN
            ));
        }
        match self.actions_per_second {
            1..=1_000 => Ok(()),
            rate => Err(format!(
                "simulation.actions_per_second is {rate}: it must be 1 to 1,000"
            )),
        }
    }
}

/// The dependencies of the simulation.
pub struct Deps {
    /// The directory of its traders' keys.
    pub data_dir: PathBuf,
    /// The services of this process.
    pub peer: Peer,
    /// The operator's key: it lists instruments and opens accounts.
    pub operator: ApiKey,
}

/// Runs the population until the process drains.
///
/// # Errors
/// Never: what went wrong is logged.
pub async fn run(config: Config, deps: Deps, drain: Drain) -> std::result::Result<(), TaskError> {
    tokio::select! {
        ended = trade(&config, &deps) => {
            if let Err(error) = ended {
                tracing::error!(error = format!("{error:#}"), "the simulated traders have stopped");
            }
            drain.stopping().await;
        }
        () = drain.stopping() => {}
    }
    Ok(())
}

async fn trade(config: &Config, deps: &Deps) -> Result<()> {
    let mut traders = Traders::open(deps).await?;
    let (makers, takers) = (traders::MAKERS, traders::TAKERS);
    let mut population = Population::new(config.seed, traders.markets(), makers, takers);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / config.actions_per_second);
    // After a stall there is nothing to catch up with.
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        traders.carry_out(population.act()).await?;
    }
}

/// The file in a data directory with the keys of the simulated traders.
pub fn keys_file(data_dir: &Path) -> PathBuf {
    data_dir.join("simulated.toml")
}
