//! The command line of `prepx replay`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::Target;

/// Which recording to replay, and where.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 the engine agrees with everything that the recording can tell, 1 it does not
or the replay failed.

Examples:
  prepx replay lobster --messages AMZN_message_1.csv.gz --book AMZN_orderbook_1.csv.gz --symbol AMZN
  prepx replay lobster --messages day.csv --symbol AMZN --speed 60x --json"
)]
pub struct Replay {
    /// Which platform, and as whom.
    #[command(flatten)]
    pub target: Target,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// In which form it was recorded.
    #[command(subcommand)]
    pub format: Recorded,
}

/// Forms of recordings.
#[derive(Debug, Subcommand)]
pub enum Recorded {
    /// Order by order, as LOBSTER writes NASDAQ's markets.
    #[command(after_help = "Examples:
  prepx replay lobster --messages AMZN_message_1.csv.gz --book AMZN_orderbook_1.csv.gz --symbol AMZN
  prepx replay lobster --messages day.csv --symbol AMZN --speed 60x --json")]
    Lobster(Lobster),
}

/// A recording of LOBSTER's. Files that end in .gz are unpacked.
#[derive(Debug, Args)]
pub struct Lobster {
    /// The messages.
    #[arg(long, value_name = "FILE")]
    pub messages: PathBuf,
    /// The book after each message; without it only executions are compared.
    #[arg(long, value_name = "FILE")]
    pub book: Option<PathBuf>,
    /// The instrument; listed as an equity with a tick of 0.01 unless it is there.
    #[arg(long)]
    pub symbol: String,
    /// How fast: max, or a multiple of the recorded speed such as 10x.
    #[arg(long, value_name = "max|Nx", default_value = "max", value_parser = parse_speed)]
    pub speed: Speed,
}

/// How fast to replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// As fast as the engine answers.
    Max,
    /// So many times as fast as it was recorded.
    Times(u32),
}

impl Speed {
    /// When something is due that was recorded so many microseconds after the start.
    pub fn due(self, recorded_us: i64) -> Option<Duration> {
        match self {
            Speed::Max => None,
            Speed::Times(times) => {
                Some(Duration::from_micros(recorded_us.max(0).unsigned_abs()) / times)
            }
        }
    }
}

fn parse_speed(text: &str) -> Result<Speed, String> {
    let times = text.strip_suffix('x').and_then(|times| times.parse().ok());
    match times {
        _ if text == "max" => Ok(Speed::Max),
        Some(times) if times > 0 => Ok(Speed::Times(times)),
        _ => Err(format!(
            "{text:?} is neither max nor a multiple such as 10x"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_max_or_a_multiple() {
        assert_eq!(parse_speed("max"), Ok(Speed::Max));
        assert_eq!(parse_speed("10x"), Ok(Speed::Times(10)));
        let due = Speed::Times(10).due(1_000_000);
        assert_eq!(due, Some(Duration::from_millis(100)));
        assert!(
            ["0x", "10", "-1x", ""]
                .iter()
                .all(|text| parse_speed(text).is_err())
        );
    }
}
