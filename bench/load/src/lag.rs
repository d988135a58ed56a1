//! How far the consumers of the log are behind when the load ends, and how long they take to catch up:
//! read from `/metrics`, as whoever operates PrepX would.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PREFIX: &str = "prepx_consumer_lag_";
const POLL: Duration = Duration::from_millis(100);
/// A consumer that has not drained by then does not.
const DRAIN_MAX: Duration = Duration::from_secs(300);

/// By consumer: records, positions and seconds behind.
type Lags = BTreeMap<String, [f64; 3]>;

/// Prints every consumer's lag, waits until all have drained, and prints how long each took.
pub async fn drain(url: &str) -> Result<()> {
    let began = Instant::now();
    let mut left = read(url).await?;
    for (consumer, [records, positions, seconds]) in &left {
        println!("  lag of {consumer}: {records} records, {positions} positions, {seconds:.1} s");
    }
    while !left.is_empty() {
        let now = read(url).await?;
        left.retain(|consumer, _| {
            let behind = now.get(consumer).is_none_or(|[records, ..]| *records > 0.0);
            if !behind {
                println!(
                    "  {consumer} had drained after {:.1} s",
                    began.elapsed().as_secs_f64()
                );
            }
            behind
        });
        if began.elapsed() > DRAIN_MAX {
            bail!("not drained after {} s: {left:?}", DRAIN_MAX.as_secs());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

async fn read(url: &str) -> Result<Lags> {
    let host = url
        .strip_prefix("http://")
        .context("the URL is no http://HOST:PORT")?;
    let mut socket = TcpStream::connect(host).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut page = String::new();
    socket.read_to_string(&mut page).await?;
    let lags = parse(&page);
    if lags.is_empty() {
        bail!("{url}/metrics has no {PREFIX}…");
    }
    Ok(lags)
}

/// Lines such as `prepx_consumer_lag_records{consumer="portfolio"} 12`.
fn parse(page: &str) -> Lags {
    let mut lags = Lags::new();
    for line in page.lines().filter_map(|line| line.strip_prefix(PREFIX)) {
        let Some((name, rest)) = line.split_once("{consumer=\"") else {
            continue;
        };
        let Some((consumer, value)) = rest.split_once("\"} ") else {
            continue;
        };
        let at = match name {
            "records" => 0,
            "positions" => 1,
            "seconds" => 2,
            _ => continue,
        };
        lags.entry(consumer.to_owned()).or_default()[at] = value.trim().parse().unwrap_or(0.0);
    }
    lags
}
