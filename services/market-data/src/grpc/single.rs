//! Requests for one equity: those for many, with one symbol.

use std::collections::BTreeMap;

use prepx_proto::market_data::v1 as wire;

use super::Handler;
use crate::app::{SYMBOLS_MAX, symbols};
use crate::error::Error;

/// The result for the only symbol.
fn only<T>(found: BTreeMap<String, T>) -> Option<T> {
    found.into_values().next()
}

impl Handler {
    /// The only symbol of a request.
    async fn one(&self, named: &str) -> Result<String, Error> {
        if named.contains(',') {
            let message =
                "symbols is a list: give one here, or many as `symbols` of the path without one";
            return Err(Error::field("symbols", message.to_owned()));
        }
        let symbols = symbols(named, SYMBOLS_MAX)?;
        self.app.check_listed(self.class, &symbols).await?;
        Ok(named.trim().to_owned())
    }

    pub(super) async fn single_bars(
        &self,
        request: wire::GetBarsRequest,
    ) -> Result<wire::GetSingleBarsResponse, Error> {
        let symbol = self.one(&request.symbols).await?;
        let found = self.bars(request).await?;
        Ok(wire::GetSingleBarsResponse {
            bars: only(found.bars).unwrap_or_default().bars,
            symbol,
            next_page_token: found.next_page_token,
        })
    }

    pub(super) async fn single_quotes(
        &self,
        request: wire::GetQuotesRequest,
    ) -> Result<wire::GetSingleQuotesResponse, Error> {
        let symbol = self.one(&request.symbols).await?;
        let found = self.quotes(request).await?;
        Ok(wire::GetSingleQuotesResponse {
            quotes: only(found.quotes).unwrap_or_default().quotes,
            symbol,
            next_page_token: found.next_page_token,
        })
    }

    pub(super) async fn single_trades(
        &self,
        request: wire::GetTradesRequest,
    ) -> Result<wire::GetSingleTradesResponse, Error> {
        let symbol = self.one(&request.symbols).await?;
        let found = self.trades(request).await?;
        Ok(wire::GetSingleTradesResponse {
            trades: only(found.trades).unwrap_or_default().trades,
            symbol,
            next_page_token: found.next_page_token,
        })
    }

    pub(super) async fn latest_single_bar(
        &self,
        request: wire::GetLatestBarsRequest,
    ) -> Result<wire::GetLatestSingleBarResponse, Error> {
        let symbol = self.one(&request.symbols).await?;
        let bar = only(self.latest_bars(request).await?.bars);
        Ok(wire::GetLatestSingleBarResponse { symbol, bar })
    }

    pub(super) async fn latest_single_quote(
        &self,
        request: wire::GetLatestQuotesRequest,
    ) -> Result<wire::GetLatestSingleQuoteResponse, Error> {
        let symbol = self.one(&request.symbols).await?;
        let quote = only(self.latest_quotes(request).await?.quotes);
        Ok(wire::GetLatestSingleQuoteResponse { symbol, quote })
    }

    pub(super) async fn latest_single_trade(
        &self,
        request: wire::GetLatestTradesRequest,
    ) -> Result<wire::GetLatestSingleTradeResponse, Error> {
        let symbol = self.one(&request.symbols).await?;
        let trade = only(self.latest_trades(request).await?.trades);
        Ok(wire::GetLatestSingleTradeResponse { symbol, trade })
    }

    pub(super) async fn single_snapshot(
        &self,
        request: wire::GetSnapshotsRequest,
    ) -> Result<wire::GetSingleSnapshotResponse, Error> {
        let symbol = self.one(&request.symbols).await?;
        let found = only(self.snapshots(request).await?.snapshots).unwrap_or_default();
        Ok(wire::GetSingleSnapshotResponse {
            symbol,
            latest_trade: found.latest_trade,
            latest_quote: found.latest_quote,
            minute_bar: found.minute_bar,
            daily_bar: found.daily_bar,
            prev_daily_bar: found.prev_daily_bar,
        })
    }
}
