//! Single orders at a fixed rate, latency from the intended time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use prepx_proto::trading::v1::trading_service_client::TradingServiceClient;
use prepx_proto::trading::v1::{OrderType, SubmitOrderRequest, TimeInForce};
use tokio::sync::mpsc;

use crate::accounts::{Market, Trader, connect};

const WARM_UP: Duration = Duration::from_secs(1);
/// What may wait for the runtime; when it is full the load generator itself is the bottleneck.
const QUEUE: usize = 100_000;

struct Tally {
    latencies_us: Mutex<Histogram<u64>>,
    refused: AtomicU64,
    late_sends: AtomicU64,
}

pub async fn run(market: &Market, rate: u64, connections: usize, length: Duration) -> Result<()> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(TradingServiceClient::new(connect(&market.url).await?));
    }
    let tally = Arc::new(Tally {
        latencies_us: Mutex::new(Histogram::new_with_bounds(1, 60_000_000, 3)?),
        refused: AtomicU64::new(0),
        late_sends: AtomicU64::new(0),
    });
    let (send, mut due) = mpsc::channel::<(u64, Instant)>(QUEUE);
    let began = Instant::now();
    let pacer = thread::spawn(move || pace(rate, began, WARM_UP + length, &send));
    let mut tasks = tokio::task::JoinSet::new();
    while let Some((number, intended)) = due.recv().await {
        if intended.elapsed() > Duration::from_millis(1) {
            tally.late_sends.fetch_add(1, Ordering::Relaxed);
        }
        let trader = &market.traders[number as usize % market.traders.len()];
        let request = order(&market.symbol, trader);
        let mut client = clients[number as usize % clients.len()].clone();
        let tally = Arc::clone(&tally);
        let counts = intended.duration_since(began) >= WARM_UP;
        tasks.spawn(async move {
            let outcome = client.submit_order(request).await;
            match outcome {
                Ok(_) if counts => {
                    let taken = intended.elapsed().as_micros() as u64;
                    let _ = tally
                        .latencies_us
                        .lock()
                        .expect("not poisoned")
                        .record(taken.max(1));
                }
                Ok(_) => {}
                Err(status) => {
                    if tally.refused.fetch_add(1, Ordering::Relaxed) == 0 {
                        eprintln!("first refusal: {status}");
                    }
                }
            }
        });
        while tasks.try_join_next().is_some() {}
    }
    while tasks.join_next().await.is_some() {}
    pacer.join().expect("the pacer ends");
    report(&tally, rate, length);
    Ok(())
}

/// Hands out intended times at the rate. It sleeps and never spins: a thread that spins would take
/// from the server one of the cores that they share. What it hands out late counts as latency.
fn pace(rate: u64, began: Instant, length: Duration, send: &mpsc::Sender<(u64, Instant)>) {
    let gap = Duration::from_nanos(1_000_000_000 / rate);
    let count = (length.as_nanos() / gap.as_nanos()) as u64;
    for number in 0..count {
        let intended = began + gap * u32::try_from(number).expect("a benchmark is short");
        thread::sleep(intended.saturating_duration_since(Instant::now()));
        if send.blocking_send((number, intended)).is_err() {
            return;
        }
    }
}

fn order(symbol: &str, trader: &Trader) -> tonic::Request<SubmitOrderRequest> {
    trader.key.sign(SubmitOrderRequest {
        symbol: symbol.to_owned(),
        qty: Some("0.001".into()),
        side: trader.side.into(),
        r#type: OrderType::Limit.into(),
        time_in_force: TimeInForce::Gtc.into(),
        limit_price: Some("100".into()),
        ..SubmitOrderRequest::default()
    })
}

fn report(tally: &Tally, rate: u64, length: Duration) {
    let latencies = tally.latencies_us.lock().expect("not poisoned");
    let ms = |quantile: f64| latencies.value_at_quantile(quantile) as f64 / 1_000.0;
    println!(
        "unary: offered {rate}/s for {} s, acknowledged {} ({:.0}/s), refused {}, sent late {}",
        length.as_secs(),
        latencies.len(),
        latencies.len() as f64 / length.as_secs_f64(),
        tally.refused.load(Ordering::Relaxed),
        tally.late_sends.load(Ordering::Relaxed),
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
