//! Asks the market-data service for books and days that began before this process did.

use std::sync::Arc;
use std::time::Duration;

use prepx_auth::Caller;
use prepx_domain::market::{Bar, Book};
use prepx_domain::{AssetClass, Instrument, Micros, Side, decimal};
use prepx_proto::market_data::v1 as data;
use prepx_proto::market_data::v1::crypto_data_service_client::CryptoDataServiceClient;
use prepx_proto::market_data::v1::stock_data_service_client::StockDataServiceClient;
use prepx_runtime::{Drain, TaskError};
use tonic::Status;

use crate::domain::market::Whole;
use crate::hub::Hub;

/// How long until what is too old, or does not come, is asked for again.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Asks until the process ends.
///
/// # Errors
/// Never: what does not answer is asked again.
pub async fn ask(hub: Arc<Hub>, peer: Caller, drain: Drain) -> Result<(), TaskError> {
    let asking = async {
        loop {
            hub.markets_awaited().await;
            while !ask_once(&hub, &peer).await {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    };
    tokio::select! {
        () = drain.stopping() => Ok(()),
        () = asking => Ok(()),
    }
}

/// Whether everything that was asked for is settled.
async fn ask_once(hub: &Hub, peer: &Caller) -> bool {
    let mut settled = true;
    for instrument in hub.awaited() {
        settled &= match ask_for(peer.clone(), &instrument).await {
            Ok(whole) => hub.take(instrument.id, whole),
            Err(error) => {
                tracing::debug!(%error, symbol = %instrument.symbol, "no market came");
                false
            }
        };
    }
    settled
}

async fn ask_for(peer: Caller, instrument: &Instrument) -> Result<Option<Whole>, Status> {
    let symbol = instrument.symbol.to_string();
    let request = data::GetMarketStatesRequest {
        symbols: symbol.clone(),
    };
    let answer = match instrument.class {
        AssetClass::UsEquity => {
            let mut stocks = StockDataServiceClient::new(peer);
            stocks.get_market_states(request).await?
        }
        AssetClass::Crypto => {
            let mut crypto = CryptoDataServiceClient::new(peer);
            crypto.get_market_states(request).await?
        }
    };
    let shown = answer.into_inner().markets.remove(&symbol);
    shown.map(|shown| read(instrument, &shown)).transpose()
}

fn read(instrument: &Instrument, shown: &data::MarketState) -> Result<Whole, Status> {
    let levels = shown.book.as_ref();
    let levels = levels.ok_or_else(|| Status::internal("a market without a book"))?;
    let mut book = Book::at(levels.number);
    for (side, levels) in [(Side::Buy, &levels.bids), (Side::Sell, &levels.asks)] {
        for level in levels {
            book.set(
                side,
                ticks(instrument, &level.price)?,
                lots(instrument, &level.size)?,
            );
        }
    }
    let day = shown.day.as_ref();
    let day = day.map(|day| read_day(instrument, day, &shown.day_turnover));
    let day = day.transpose()?;
    Ok(Whole { book, day })
}

fn read_day(instrument: &Instrument, day: &data::Bar, turnover: &str) -> Result<Bar, Status> {
    let turnover = turnover.parse();
    Ok(Bar {
        start: Micros(day.timestamp),
        open_ticks: ticks(instrument, &day.open)?,
        high_ticks: ticks(instrument, &day.high)?,
        low_ticks: ticks(instrument, &day.low)?,
        close_ticks: ticks(instrument, &day.close)?,
        volume_lots: lots(instrument, &day.volume)?,
        trades: day.trade_count.unsigned_abs(),
        turnover: turnover
            .map_err(|error| Status::internal(format!("a day's turnover: {error}")))?,
    })
}

fn ticks(instrument: &Instrument, shown: &str) -> Result<i64, Status> {
    steps(shown, instrument.quote_scale, instrument.tick_minor)
}

fn lots(instrument: &Instrument, shown: &str) -> Result<i64, Status> {
    steps(shown, instrument.base_scale, instrument.lot_minor)
}

fn steps(shown: &str, scale: u32, step_minor: i64) -> Result<i64, Status> {
    let minor = decimal::parse(shown, scale);
    minor
        .ok()
        .filter(|minor| minor % step_minor == 0)
        .map(|minor| minor / step_minor)
        .ok_or_else(|| Status::internal(format!("a market has {shown:?}, which is no whole step")))
}
