//! Batches on order-entry streams, as fast as they are acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::StreamExt as _;
use prepx_proto::trading::v1::trading_service_client::TradingServiceClient;
use prepx_proto::trading::v1::{
    OrderCommand, OrderType, PlaceOrder, StreamOrdersRequest, TimeInForce, command_result,
    order_command,
};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use crate::accounts::{Market, Trader, connect};

const WARM_UP: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Tally {
    acknowledged: AtomicU64,
    rejected: AtomicU64,
}

pub async fn run(market: &Market, batch: usize, in_flight: usize, length: Duration) -> Result<()> {
    let tally = Arc::new(Tally::default());
    let mut tasks = tokio::task::JoinSet::new();
    let end = Instant::now() + WARM_UP + length;
    for trader in &market.traders {
        let client = TradingServiceClient::new(connect(&market.url).await?);
        let task = Feed {
            symbol: market.symbol.clone(),
            trader: trader.clone(),
            batch,
            in_flight,
            end,
            tally: Arc::clone(&tally),
        };
        tasks.spawn(task.run(client));
    }
    tokio::time::sleep(WARM_UP).await;
    let (before, began) = (tally.acknowledged.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(length).await;
    let count = tally.acknowledged.load(Ordering::Relaxed) - before;
    let rate = count as f64 / began.elapsed().as_secs_f64();
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    println!(
        "stream: {} streams, batches of {batch}, {in_flight} under way: {rate:.0} acknowledged orders/s, rejected {}",
        market.traders.len(),
        tally.rejected.load(Ordering::Relaxed)
    );
    Ok(())
}

struct Feed {
    symbol: String,
    trader: Trader,
    batch: usize,
    in_flight: usize,
    end: Instant,
    tally: Arc<Tally>,
}

impl Feed {
    async fn run(self, mut client: TradingServiceClient<tonic::transport::Channel>) -> Result<()> {
        let (send, receive) = mpsc::channel(self.in_flight);
        let room = Arc::new(Semaphore::new(self.in_flight));
        let request = self.trader.key.sign(ReceiverStream::new(receive));
        let sending = Arc::clone(&room);
        let (symbol, side, batch, end) = (self.symbol, self.trader.side, self.batch, self.end);
        tokio::spawn(async move {
            let mut number = 0u64;
            while Instant::now() < end {
                let Ok(permit) = sending.acquire().await else {
                    return;
                };
                permit.forget();
                let commands = (0..batch as u64).map(|index| OrderCommand {
                    command_id: number * batch as u64 + index + 1,
                    action: Some(order_command::Action::Place(PlaceOrder {
                        symbol: symbol.clone(),
                        side: side.into(),
                        r#type: OrderType::Limit.into(),
                        time_in_force: TimeInForce::Gtc.into(),
                        qty_e8: 100_000,
                        limit_price_e8: 10_000_000_000,
                        ..PlaceOrder::default()
                    })),
                });
                let request = StreamOrdersRequest {
                    batch_id: number,
                    stamped_at_us: 0,
                    commands: commands.collect(),
                };
                if send.send(request).await.is_err() {
                    return;
                }
                number += 1;
            }
        });
        let mut replies = client.stream_orders(request).await?.into_inner();
        while let Some(reply) = replies.next().await {
            for result in reply?.results {
                match result.outcome {
                    Some(command_result::Outcome::OrderId(_)) => {
                        self.tally.acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                    Some(command_result::Outcome::Reject(reject)) => {
                        if self.tally.rejected.fetch_add(1, Ordering::Relaxed) == 0 {
                            eprintln!("first reject: {} {}", reject.code, reject.message);
                        }
                    }
                    None => {}
                }
            }
            room.add_permits(1);
        }
        Ok(())
    }
}
