//! Load on the whole order path over gRPC, with durable acknowledgement.
//!
//! `unary`: an open loop; latency counts from the intended time of sending, so that a stall is not
//! hidden by the orders that it held back. `stream`: batches of 100 on one order-entry stream an
//! account. Both end with how far every consumer is behind, and how long that takes to drain.

mod accounts;
mod call;
mod lag;
mod pace;
mod stream;
mod unary;

use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Cli {
    /// Where PrepX serves, started with `--dev --simulate off`.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Accounts that trade, half of them buyers.
    #[arg(long, default_value_t = 8)]
    accounts: usize,
    /// How long to measure, in seconds, after a second of warming up.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    #[command(subcommand)]
    load: Load,
}

#[derive(Subcommand)]
enum Load {
    /// Single orders at a fixed rate.
    Unary {
        /// Orders a second.
        #[arg(long, default_value_t = 10_000)]
        rate: u64,
        /// HTTP/2 connections.
        #[arg(long, default_value_t = 4)]
        connections: usize,
    },
    /// Batches as fast as they are acknowledged.
    Stream {
        /// Orders in a batch.
        #[arg(long, default_value_t = 100)]
        batch: usize,
        /// Batches under way on each stream.
        #[arg(long, default_value_t = 16)]
        in_flight: usize,
    },
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let market = accounts::Market::make(&cli.url, cli.accounts).await?;
    let length = Duration::from_secs(cli.seconds);
    match cli.load {
        Load::Unary { rate, connections } => unary::run(&market, rate, connections, length).await?,
        Load::Stream { batch, in_flight } => stream::run(&market, batch, in_flight, length).await?,
    }
    lag::drain(&cli.url).await
}
