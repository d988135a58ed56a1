//! Asks the market-data service for books that began before this process did.

use std::sync::Arc;
use std::time::Duration;

use prepx_auth::Caller;
use prepx_domain::market::Book;
use prepx_domain::{AssetClass, Instrument, Side, decimal};
use prepx_proto::market_data::v1 as data;
use prepx_proto::market_data::v1::crypto_data_service_client::CryptoDataServiceClient;
use prepx_proto::market_data::v1::stock_data_service_client::StockDataServiceClient;
use prepx_runtime::{Drain, TaskError};
use tonic::Status;

use crate::hub::Hub;

/// How long until a book that is too old, or does not come, is asked for again.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Asks until the process ends.
///
/// # Errors
/// Never: what does not answer is asked again.
pub async fn ask(hub: Arc<Hub>, peer: Caller, drain: Drain) -> Result<(), TaskError> {
    let asking = async {
        loop {
            hub.books_awaited().await;
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
        settled &= match book(peer.clone(), &instrument).await {
            Ok(book) => hub.take_book(instrument.id, book),
            Err(error) => {
                tracing::debug!(%error, symbol = %instrument.symbol, "no book came");
                false
            }
        };
    }
    settled
}

async fn book(peer: Caller, instrument: &Instrument) -> Result<Option<Book>, Status> {
    let symbol = instrument.symbol.to_string();
    let request = data::GetLatestOrderBooksRequest {
        symbols: symbol.clone(),
        ..data::GetLatestOrderBooksRequest::default()
    };
    let answer = match instrument.class {
        AssetClass::UsEquity => {
            let mut stocks = StockDataServiceClient::new(peer);
            stocks.get_latest_order_books(request).await?
        }
        AssetClass::Crypto => {
            let mut crypto = CryptoDataServiceClient::new(peer);
            crypto.get_latest_order_books(request).await?
        }
    };
    let shown = answer.into_inner().orderbooks.remove(&symbol);
    shown.map(|shown| read(instrument, &shown)).transpose()
}

fn read(instrument: &Instrument, shown: &data::OrderBook) -> Result<Book, Status> {
    let mut book = Book::at(shown.number);
    for (side, levels) in [(Side::Buy, &shown.bids), (Side::Sell, &shown.asks)] {
        for level in levels {
            let price_ticks = steps(&level.price, instrument.quote_scale, instrument.tick_minor);
            let qty_lots = steps(&level.size, instrument.base_scale, instrument.lot_minor);
            book.set(side, price_ticks?, qty_lots?);
        }
    }
    Ok(book)
}

fn steps(shown: &str, scale: u32, step_minor: i64) -> Result<i64, Status> {
    let minor = decimal::parse(shown, scale);
    minor
        .ok()
        .filter(|minor| minor % step_minor == 0)
        .map(|minor| minor / step_minor)
        .ok_or_else(|| Status::internal(format!("a book has {shown:?}, which is no whole step")))
}
