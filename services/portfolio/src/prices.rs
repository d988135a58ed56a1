//! Past prices, from the market-data service.

use prepx_auth::Caller;
use prepx_domain::{AssetClass, Instrument, Micros, decimal};
use prepx_proto::market_data::v1 as data;
use prepx_proto::market_data::v1::crypto_data_service_client::CryptoDataServiceClient;
use prepx_proto::market_data::v1::stock_data_service_client::StockDataServiceClient;
use prepx_proto::trading::v1::Sort;
use tonic::Status;

use crate::domain::points::{DAY, Points};
use crate::domain::worth::Prices;

/// The last price of each point, and the one before the first.
///
/// # Errors
/// When market-data does not answer, or its answer is not a price.
pub async fn of(peer: &Caller, instrument: Instrument, points: &Points) -> Result<Prices, Status> {
    Ok(Prices {
        opening_minor: before(peer, &instrument, points.first).await?,
        closes_minor: closes(peer, &instrument, points).await?,
        instrument,
    })
}

/// The last price before a time, in quote minor units; before the first trade the instrument's seed.
///
/// # Errors
/// As [`of`].
pub async fn before(
    peer: &Caller,
    instrument: &Instrument,
    moment: Micros,
) -> Result<Option<i64>, Status> {
    let newest = data::GetBarsRequest {
        timeframe: "1Min".to_owned(),
        start: Some(0),
        end: Some(moment.0 - 1),
        limit: Some(1),
        sort: Sort::Desc.into(),
        ..data::GetBarsRequest::default()
    };
    let (found, _) = page(peer, instrument, newest).await?;
    let seed_minor = instrument
        .seed_reference_ticks
        .and_then(|ticks| instrument.price_minor(ticks));
    Ok(found.first().map(|(_, close)| *close).or(seed_minor))
}

async fn closes(
    peer: &Caller,
    instrument: &Instrument,
    points: &Points,
) -> Result<Vec<(Micros, i64)>, Status> {
    let mut closes = Vec::new();
    let mut token = Some(String::new());
    // Days of points are UTC days, daily bars of equities are New York's.
    let (timeframe, bars_max) = match points.width {
        DAY => ("12Hour", 2 * points.count),
        width => (width.name, points.count),
    };
    // A page may be cut short, but only the last page may be empty.
    while let Some(page_token) = token.take().filter(|_| closes.len() <= bars_max) {
        let request = data::GetBarsRequest {
            timeframe: timeframe.to_owned(),
            start: Some(points.first.0.max(0)),
            end: Some(points.end().0 - 1),
            limit: Some(i32::MAX),
            page_token,
            ..data::GetBarsRequest::default()
        };
        let (bars, next) = page(peer, instrument, request).await?;
        token = next.filter(|_| !bars.is_empty());
        closes.extend(bars);
    }
    Ok(closes)
}

/// The last prices of a page of bars, and the beginning of the next page.
async fn page(
    peer: &Caller,
    instrument: &Instrument,
    request: data::GetBarsRequest,
) -> Result<(Vec<(Micros, i64)>, Option<String>), Status> {
    let symbol = instrument.symbol.to_string();
    let request = data::GetBarsRequest {
        symbols: symbol.clone(),
        ..request
    };
    let peer = peer.clone();
    let answer = match instrument.class {
        AssetClass::UsEquity => StockDataServiceClient::new(peer).get_bars(request).await?,
        AssetClass::Crypto => CryptoDataServiceClient::new(peer).get_bars(request).await?,
    };
    let data::GetBarsResponse {
        mut bars,
        next_page_token,
    } = answer.into_inner();
    let bars = bars.remove(&symbol).unwrap_or_default().bars;
    let close = |bar: &data::Bar| {
        let minor = decimal::parse(&bar.close, instrument.quote_scale);
        let minor = minor.map_err(|error| Status::internal(format!("a bar's close: {error}")))?;
        Ok((Micros(bar.timestamp), minor))
    };
    let closes = bars.iter().map(close).collect::<Result<_, Status>>()?;
    Ok((closes, next_page_token))
}
