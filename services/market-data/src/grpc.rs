//! Market data over gRPC: decode, call the use case, encode. Equities and crypto are two services with the
//! same methods.

mod decode;
mod show;
mod single;

use std::collections::BTreeMap;
use std::sync::Arc;

use prepx_domain::{AssetClass, Instrument};
use prepx_proto::convert;
use prepx_proto::market_data::v1 as wire;
use prepx_proto::market_data::v1::crypto_data_service_server::CryptoDataService;
use prepx_proto::market_data::v1::stock_data_service_server::StockDataService;
use prepx_runtime::status;
use tonic::{Request, Response, Status};

use crate::app::{App, BOOKS_MAX, SYMBOLS_MAX, symbols};
use crate::domain::market::{MINUTE, Market};
use crate::domain::timeframe::Timeframe;
use crate::error::Error;
use crate::past::Past;

/// The methods for one class of instruments.
pub struct Handler {
    app: Arc<App>,
    class: AssetClass,
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        if let Error::Store(cause) = &error {
            tracing::error!(error = %cause, "market data cannot be read");
        }
        let mut outward = status::Error::new(error.code(), error.reason(), error.to_string())
            .retry_after(error.retry_after());
        if let Error::Field(wrong) = &error {
            outward = outward.with("field", wrong.field);
        }
        status::of(&outward)
    }
}

impl Handler {
    /// Answers from `app` about instruments of `class`.
    pub const fn new(app: Arc<App>, class: AssetClass) -> Handler {
        Handler { app, class }
    }

    async fn bars(&self, request: wire::GetBarsRequest) -> Result<wire::GetBarsResponse, Error> {
        let timeframe = request.timeframe.parse::<Timeframe>();
        let timeframe = timeframe.map_err(|wrong| Error::field("timeframe", wrong.to_string()))?;
        let list = |bars| wire::BarList { bars };
        let form = (timeframe, self.class);
        let past = self.past(request.into(), form, convert::bar, list);
        let (bars, next_page_token) = past.await?;
        Ok(wire::GetBarsResponse {
            bars,
            next_page_token,
        })
    }

    async fn quotes(
        &self,
        request: wire::GetQuotesRequest,
    ) -> Result<wire::GetQuotesResponse, Error> {
        let list = |quotes| wire::QuoteList { quotes };
        let past = self.past(request.into(), (), show::quote, list);
        let (quotes, next_page_token) = past.await?;
        Ok(wire::GetQuotesResponse {
            quotes,
            next_page_token,
        })
    }

    async fn trades(
        &self,
        request: wire::GetTradesRequest,
    ) -> Result<wire::GetTradesResponse, Error> {
        let list = |trades| wire::TradeList { trades };
        let past = self.past(request.into(), (), show::trade, list);
        let (trades, next_page_token) = past.await?;
        Ok(wire::GetTradesResponse {
            trades,
            next_page_token,
        })
    }

    /// A page of past data: for each symbol the `list` of what `show` makes of its items; and the token of the next
    /// page.
    async fn past<T: Past, W, L>(
        &self,
        asked: decode::Asked,
        form: T::Form,
        show: impl Fn(&Instrument, &T) -> W + Send,
        list: impl Fn(Vec<W>) -> L + Send,
    ) -> Result<(BTreeMap<String, L>, Option<String>), Error> {
        let query = decode::query(asked, self.class, self.app.now())?;
        let found = self.app.past::<T>(self.class, &query, form).await?;
        let (lists, next_page_token) = show::history(found, show);
        let lists = lists.map(|(symbol, items)| (symbol, list(items)));
        Ok((lists.collect(), next_page_token))
    }

    async fn latest_bars(
        &self,
        request: wire::GetLatestBarsRequest,
    ) -> Result<wire::GetLatestBarsResponse, Error> {
        let newest = |market: &Market| {
            let bar = market.bars[MINUTE].as_ref()?;
            Some(convert::bar(&market.instrument, bar))
        };
        let bars = self.newest(&request.symbols, &request.currency, newest);
        Ok(wire::GetLatestBarsResponse { bars: bars.await? })
    }

    async fn latest_quotes(
        &self,
        request: wire::GetLatestQuotesRequest,
    ) -> Result<wire::GetLatestQuotesResponse, Error> {
        let newest = |market: &Market| Some(show::quote(&market.instrument, &market.quote()?));
        let quotes = self.newest(&request.symbols, &request.currency, newest);
        Ok(wire::GetLatestQuotesResponse {
            quotes: quotes.await?,
        })
    }

    async fn latest_trades(
        &self,
        request: wire::GetLatestTradesRequest,
    ) -> Result<wire::GetLatestTradesResponse, Error> {
        let newest = |market: &Market| {
            let trade = market.last_trade.as_ref()?;
            Some(show::trade(&market.instrument, trade))
        };
        let trades = self.newest(&request.symbols, &request.currency, newest);
        Ok(wire::GetLatestTradesResponse {
            trades: trades.await?,
        })
    }

    async fn order_books(
        &self,
        request: wire::GetLatestOrderBooksRequest,
    ) -> Result<wire::GetLatestOrderBooksResponse, Error> {
        decode::currency(&request.currency)?;
        let symbols = symbols(&request.symbols, BOOKS_MAX)?;
        let orderbooks = self.app.newest(self.class, &symbols, show::order_book);
        Ok(wire::GetLatestOrderBooksResponse {
            orderbooks: orderbooks.await?,
        })
    }

    async fn states(
        &self,
        request: wire::GetMarketStatesRequest,
    ) -> Result<wire::GetMarketStatesResponse, Error> {
        let symbols = symbols(&request.symbols, BOOKS_MAX)?;
        // Refused, so that a follower asks again until they are listed here too.
        self.app.check_listed(self.class, &symbols).await?;
        let markets = self.app.newest(self.class, &symbols, show::state);
        Ok(wire::GetMarketStatesResponse {
            markets: markets.await?,
        })
    }

    async fn snapshots(
        &self,
        request: wire::GetSnapshotsRequest,
    ) -> Result<wire::GetSnapshotsResponse, Error> {
        let now = self.app.now();
        let newest = |market: &Market| Some(show::snapshot(market, now));
        let snapshots = self.newest(&request.symbols, &request.currency, newest);
        Ok(wire::GetSnapshotsResponse {
            snapshots: snapshots.await?,
        })
    }

    /// What `show` makes of each named market that is known.
    async fn newest<T>(
        &self,
        named: &str,
        currency: &str,
        show: impl Fn(&Market) -> Option<T> + Send,
    ) -> Result<BTreeMap<String, T>, Error> {
        decode::currency(currency)?;
        let symbols = symbols(named, SYMBOLS_MAX)?;
        self.app.newest(self.class, &symbols, show).await
    }
}

/// One of the two services: for each method its request, its response, and the function that answers it.
macro_rules! service {
    ($service:ident { $($method:ident($request:ident) -> $answer:ident = $find:ident;)* }) => {
        #[tonic::async_trait]
        impl $service for Handler {
            $(async fn $method(
                &self,
                request: Request<wire::$request>,
            ) -> Result<Response<wire::$answer>, Status> {
                Ok(Response::new(self.$find(request.into_inner()).await?))
            })*
        }
    };
}

service!(StockDataService {
    get_bars(GetBarsRequest) -> GetBarsResponse = bars;
    get_quotes(GetQuotesRequest) -> GetQuotesResponse = quotes;
    get_trades(GetTradesRequest) -> GetTradesResponse = trades;
    get_latest_bars(GetLatestBarsRequest) -> GetLatestBarsResponse = latest_bars;
    get_latest_quotes(GetLatestQuotesRequest) -> GetLatestQuotesResponse = latest_quotes;
    get_latest_trades(GetLatestTradesRequest) -> GetLatestTradesResponse = latest_trades;
    get_latest_order_books(GetLatestOrderBooksRequest) -> GetLatestOrderBooksResponse = order_books;
    get_market_states(GetMarketStatesRequest) -> GetMarketStatesResponse = states;
    get_snapshots(GetSnapshotsRequest) -> GetSnapshotsResponse = snapshots;
    get_single_bars(GetBarsRequest) -> GetSingleBarsResponse = single_bars;
    get_single_quotes(GetQuotesRequest) -> GetSingleQuotesResponse = single_quotes;
    get_single_trades(GetTradesRequest) -> GetSingleTradesResponse = single_trades;
    get_latest_single_bar(GetLatestBarsRequest) -> GetLatestSingleBarResponse = latest_single_bar;
    get_latest_single_quote(GetLatestQuotesRequest) -> GetLatestSingleQuoteResponse = latest_single_quote;
    get_latest_single_trade(GetLatestTradesRequest) -> GetLatestSingleTradeResponse = latest_single_trade;
    get_single_snapshot(GetSnapshotsRequest) -> GetSingleSnapshotResponse = single_snapshot;
});

service!(CryptoDataService {
    get_bars(GetBarsRequest) -> GetBarsResponse = bars;
    get_quotes(GetQuotesRequest) -> GetQuotesResponse = quotes;
    get_trades(GetTradesRequest) -> GetTradesResponse = trades;
    get_latest_bars(GetLatestBarsRequest) -> GetLatestBarsResponse = latest_bars;
    get_latest_quotes(GetLatestQuotesRequest) -> GetLatestQuotesResponse = latest_quotes;
    get_latest_trades(GetLatestTradesRequest) -> GetLatestTradesResponse = latest_trades;
    get_latest_order_books(GetLatestOrderBooksRequest) -> GetLatestOrderBooksResponse = order_books;
    get_market_states(GetMarketStatesRequest) -> GetMarketStatesResponse = states;
    get_snapshots(GetSnapshotsRequest) -> GetSnapshotsResponse = snapshots;
});
