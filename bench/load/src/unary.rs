//! Single orders at a fixed rate, latency from the intended time. One thread sends and reads it all, and
//! does as little for it as it can: it runs on the cores that the server needs.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use hdrhistogram::Histogram;
use prepx_proto::trading::v1::{OrderType, SubmitOrderRequest, TimeInForce};

use crate::accounts::{Market, Trader};
use crate::call::{Line, Prepared};
use crate::pace::Pace;

const WARM_UP: Duration = Duration::from_secs(1);
/// What is sent later than this after its time is counted as late.
const LATE: Duration = Duration::from_millis(1);

struct Tally {
    latencies_us: Histogram<u64>,
    refused: u64,
    late_sends: u64,
}

/// An answer: when it was asked for, and whether that was after warming up.
struct Answer {
    intended: Instant,
    counts: bool,
    outcome: Result<()>,
}

pub async fn run(market: &Market, rate: u64, connections: usize, length: Duration) -> Result<()> {
    let order =
        |trader: &Trader| Prepared::new(&market.url, &trader.key, &order(&market.symbol, trader));
    let orders = market
        .traders
        .iter()
        .map(order)
        .collect::<Result<Vec<_>>>()?;
    let url = market.url.clone();
    let load = thread::spawn(move || -> Result<Tally> {
        tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?
            .block_on(offer(&url, &orders, rate, connections, length))
    });
    let joined = tokio::task::spawn_blocking(|| load.join()).await?;
    let tally = joined.map_err(|_| anyhow!("the load panicked"))??;
    report(&tally, rate, length);
    Ok(())
}

async fn offer(
    url: &str,
    orders: &[Prepared],
    rate: u64,
    connections: usize,
    length: Duration,
) -> Result<Tally> {
    let mut lines = Vec::new();
    for _ in 0..connections {
        lines.push(Line::open(url).await?);
    }
    let mut tally = Tally {
        latencies_us: Histogram::new_with_bounds(1, 60_000_000, 3)?,
        refused: 0,
        late_sends: 0,
    };
    let mut pace = Pace::begin(rate, WARM_UP + length)?;
    let mut calls = FuturesUnordered::new();
    while !(pace.is_over() && calls.is_empty()) {
        tokio::select! {
            Some(answer) = calls.next() => tally.count(answer),
            ticked = pace.tick(), if !pace.is_over() => ticked?,
        }
        while let Some((number, intended, after)) = pace.due() {
            tally.late_sends += u64::from(intended.elapsed() > LATE);
            let line = lines[number % lines.len()].clone();
            let order = orders[number % orders.len()].clone();
            calls.push(async move {
                let outcome = line.submit(order).await;
                Answer {
                    intended,
                    counts: after >= WARM_UP,
                    outcome,
                }
            });
        }
    }
    Ok(tally)
}

impl Tally {
    fn count(&mut self, answer: Answer) {
        match answer.outcome {
            Ok(()) if answer.counts => {
                let taken_us = answer.intended.elapsed().as_micros() as u64;
                self.latencies_us.saturating_record(taken_us.max(1));
            }
            Ok(()) => {}
            Err(refusal) => {
                self.refused += 1;
                if self.refused == 1 {
                    eprintln!("first refusal: {refusal:#}");
                }
            }
        }
    }
}

fn order(symbol: &str, trader: &Trader) -> SubmitOrderRequest {
    SubmitOrderRequest {
        symbol: symbol.to_owned(),
        qty: Some("0.001".into()),
        side: trader.side.into(),
        r#type: OrderType::Limit.into(),
        time_in_force: TimeInForce::Gtc.into(),
        limit_price: Some("100".into()),
        ..SubmitOrderRequest::default()
    }
}

fn report(tally: &Tally, rate: u64, length: Duration) {
    let latencies = &tally.latencies_us;
    let ms = |quantile: f64| latencies.value_at_quantile(quantile) as f64 / 1_000.0;
    println!(
        "unary: offered {rate}/s for {} s, acknowledged {} ({:.0}/s), refused {}, sent late {}",
        length.as_secs(),
        latencies.len(),
        latencies.len() as f64 / length.as_secs_f64(),
        tally.refused,
        tally.late_sends,
    );
    println!(
        "  from the intended time: p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms",
        ms(0.5),
        ms(0.9),
        ms(0.99),
        ms(0.999),
        latencies.max() as f64 / 1_000.0
    );
}
