//! The engine's quotes as they are told while a market is replayed: the best of the book after each transition.
//!
//! Owns the listening. Refuses to judge: what was missed is missing, and market data's history is asked instead.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::channel::mpsc;
use prepx_env::{Clock as _, SystemClock};
use prepx_proto::notification::v1 as wire;
use prepx_proto::notification::v1::notification_service_client::NotificationServiceClient;
use prepx_proto::trading::v1::AssetClass;
use tokio::task::JoinHandle;
use tonic::Streaming;
use wire::market_event::Event;
use wire::subscribe_request::Change;
use wire::subscribe_response::Message;

use super::plan::State;
use super::trader::Quote;
use crate::client::{Connection, words};

/// The quotes of one instrument from now on.
pub struct LiveQuotes {
    quotes: Arc<Mutex<Vec<Quote>>>,
    listening: JoinHandle<()>,
    /// Listening ends with it.
    _requests: mpsc::Sender<wire::SubscribeRequest>,
}

impl LiveQuotes {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn listen(connection: &Connection, symbol: &str) -> Result<LiveQuotes> {
        let (mut requests, sent) = mpsc::channel(1);
        let quotes = wire::ChannelSymbols {
            channel: wire::Channel::Quotes.into(),
            symbols: vec![symbol.to_owned()],
        };
        let market = Change::Market(wire::ChangeMarket {
            class: AssetClass::UsEquity.into(),
            subscribe: vec![quotes],
            unsubscribe: Vec::new(),
        });
        let change = Some(market);
        requests.try_send(wire::SubscribeRequest { change })?;
        let mut client = NotificationServiceClient::new(connection.peer());
        let told = client.subscribe(connection.request(sent)).await;
        let mut told = told.map_err(words)?.into_inner();
        let first = told.message().await.map_err(words)?;
        first.context("the server ended the quotes")?;
        let quotes = Arc::default();
        let listening = tokio::spawn(hear(told, Arc::clone(&quotes)));
        Ok(LiveQuotes {
            quotes,
            listening,
            _requests: requests,
        })
    }

    /// All quotes, when the last of them shows a state; `None` when it does not within a time, or some were missed.
    pub async fn until(self, last: &State, within: Duration, look: Duration) -> Option<Vec<Quote>> {
        let clock = SystemClock::new();
        let quotes = || self.quotes.lock().unwrap_or_else(PoisonError::into_inner);
        while quotes().last().map(|quote| quote.state) != Some(*last) {
            if self.listening.is_finished() || clock.monotonic() >= within {
                return None;
            }
            tokio::time::sleep(look).await;
        }
        self.listening.abort();
        let heard = std::mem::take(&mut *quotes());
        Some(heard)
    }
}

/// Keeps what is told until it ends. Of one transition, whose changes have one time, the last quote stands.
async fn hear(mut told: Streaming<wire::SubscribeResponse>, quotes: Arc<Mutex<Vec<Quote>>>) {
    while let Ok(Some(told)) = told.message().await {
        let Some(Message::Market(wire::MarketEvent {
            event: Some(Event::Quote(quote)),
            ..
        })) = told.message
        else {
            continue;
        };
        let Ok(quote) = Quote::read(&quote) else {
            return;
        };
        let mut quotes = quotes.lock().unwrap_or_else(PoisonError::into_inner);
        match quotes.last_mut() {
            Some(last) if last.at_us == quote.at_us => *last = quote,
            _ => quotes.push(quote),
        }
    }
}
