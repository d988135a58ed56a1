//! The questions about one equity at a time: those about many, with one symbol.

use std::collections::BTreeMap;

use prepx_proto::market_data::v1 as wire;

use super::Handler;
use crate::error::Error;

/// Takes one symbol as it is, so that a list of them is none.
fn check(symbol: &str) -> Result<(), Error> {
    if !symbol.contains(',') {
        return Ok(());
    }
    let message = "symbol is a list: give one here, or many as `symbols` of the path without one";
    Err(Error::field("symbol", message.to_owned()))
}

/// What was found of the only symbol.
fn only<T>(found: BTreeMap<String, T>) -> Option<T> {
    found.into_values().next()
}

/// The same question about a list of one.
macro_rules! past {
    ($request:ident as $many:ident { $($more:ident),* }) => {{
        check(&$request.symbol)?;
        wire::$many {
            symbols: $request.symbol.clone(),
            start: $request.start,
            end: $request.end,
            limit: $request.limit,
            sort: $request.sort,
            page_token: $request.page_token,
            feed: $request.feed,
            asof: $request.asof,
            currency: $request.currency,
            $($more: $request.$more,)*
        }
    }};
}

macro_rules! newest {
    ($request:ident as $many:ident) => {{
        check(&$request.symbol)?;
        wire::$many {
            symbols: $request.symbol.clone(),
            feed: $request.feed,
            currency: $request.currency,
        }
    }};
}

impl Handler {
    pub(super) async fn single_bars(
        &self,
        request: wire::GetSingleBarsRequest,
    ) -> Result<wire::GetSingleBarsResponse, Error> {
        let many = past!(request as GetBarsRequest { timeframe, adjustment });
        let found = self.bars(many).await?;
        Ok(wire::GetSingleBarsResponse {
            bars: only(found.bars).unwrap_or_default().bars,
            symbol: request.symbol,
            next_page_token: found.next_page_token,
        })
    }

    pub(super) async fn single_quotes(
        &self,
        request: wire::GetSingleQuotesRequest,
    ) -> Result<wire::GetSingleQuotesResponse, Error> {
        let found = self.quotes(past!(request as GetQuotesRequest {})).await?;
        Ok(wire::GetSingleQuotesResponse {
            quotes: only(found.quotes).unwrap_or_default().quotes,
            symbol: request.symbol,
            next_page_token: found.next_page_token,
        })
    }

    pub(super) async fn single_trades(
        &self,
        request: wire::GetSingleTradesRequest,
    ) -> Result<wire::GetSingleTradesResponse, Error> {
        let found = self.trades(past!(request as GetTradesRequest {})).await?;
        Ok(wire::GetSingleTradesResponse {
            trades: only(found.trades).unwrap_or_default().trades,
            symbol: request.symbol,
            next_page_token: found.next_page_token,
        })
    }

    pub(super) async fn latest_single_bar(
        &self,
        request: wire::GetLatestSingleBarRequest,
    ) -> Result<wire::GetLatestSingleBarResponse, Error> {
        let found = self.latest_bars(newest!(request as GetLatestBarsRequest));
        Ok(wire::GetLatestSingleBarResponse {
            bar: only(found.await?.bars),
            symbol: request.symbol,
        })
    }

    pub(super) async fn latest_single_quote(
        &self,
        request: wire::GetLatestSingleQuoteRequest,
    ) -> Result<wire::GetLatestSingleQuoteResponse, Error> {
        let found = self.latest_quotes(newest!(request as GetLatestQuotesRequest));
        Ok(wire::GetLatestSingleQuoteResponse {
            quote: only(found.await?.quotes),
            symbol: request.symbol,
        })
    }

    pub(super) async fn latest_single_trade(
        &self,
        request: wire::GetLatestSingleTradeRequest,
    ) -> Result<wire::GetLatestSingleTradeResponse, Error> {
        let found = self.latest_trades(newest!(request as GetLatestTradesRequest));
        Ok(wire::GetLatestSingleTradeResponse {
            trade: only(found.await?.trades),
            symbol: request.symbol,
        })
    }

    pub(super) async fn single_snapshot(
        &self,
        request: wire::GetSingleSnapshotRequest,
    ) -> Result<wire::GetSingleSnapshotResponse, Error> {
        let found = self.snapshots(newest!(request as GetSnapshotsRequest));
        let found = only(found.await?.snapshots).unwrap_or_default();
        Ok(wire::GetSingleSnapshotResponse {
            symbol: request.symbol,
            latest_trade: found.latest_trade,
            latest_quote: found.latest_quote,
            minute_bar: found.minute_bar,
            daily_bar: found.daily_bar,
            prev_daily_bar: found.prev_daily_bar,
        })
    }
}
