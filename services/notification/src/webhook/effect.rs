//! The effect of the webhooks' group: makes deliveries of an account's events, and sends them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::StatusCode;
use prepx_bus::{Topic, TopicPartition};
use prepx_domain::update::{AccountUpdate, Change};
use prepx_domain::{AccountId, Instrument, InstrumentId, Micros};
use prepx_errand::{Attempt, Effect, Errand, Group, Origin, Outcome};
use prepx_proto::journal;
use prepx_proto::notification::v1::TradeUpdate;
use prepx_stage::follow::{Message, Poison};
use prepx_stage::port::{MatchingPort, ReadError};
use prepx_transcode::Codec;
use prost::Message as _;
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::keys::{self, Keys};
use super::line::{Dialer, Line};
use super::store::Store;
use crate::show;

/// The group of the webhooks.
pub const GROUP: Group = Group {
    name: "webhooks",
    input: Topic::PortfolioUpdates,
    retries: &[
        Topic::WebhookRetries1,
        Topic::WebhookRetries2,
        Topic::WebhookRetries3,
        Topic::WebhookRetries4,
    ],
    dead: Topic::WebhookDeadLetters,
};

/// The header with the id of the event.
const EVENT_ID: &str = "prepx-event-id";
/// The header with the time of the attempt.
const TIMESTAMP: &str = "prepx-timestamp";
/// The header with the signature.
const SIGNATURE: &str = "prepx-signature";

/// Why the group cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] prepx_store::Error),
    /// A message cannot be decoded.
    #[error(transparent)]
    Poison(#[from] Poison<journal::Error>),
    /// The stage does not answer.
    #[error("the instruments cannot be asked for: {0}")]
    Instruments(#[from] ReadError),
    /// An event has no JSON.
    #[error("an event has no JSON: {0}")]
    Json(#[from] prepx_transcode::Error),
}

/// Sends the events of accounts.
pub struct WebhookEffect {
    /// The store of endpoints.
    pub store: Store,
    /// Ids and secrets.
    pub keys: Keys,
    /// Connects to endpoints.
    pub dialer: Dialer,
    /// The JSON of events.
    pub codec: Codec,
    /// Knows the instruments.
    pub matching: Arc<dyn MatchingPort>,
    /// The instruments that are known so far.
    pub instruments: Mutex<HashMap<InstrumentId, Instrument>>,
}

/// The connection to an endpoint.
pub struct Way {
    endpoint: Endpoint,
    line: Line,
    gone: bool,
}

impl Effect for WebhookEffect {
    const GROUP: Group = GROUP;
    type Way = Way;
    type Error = Error;

    async fn errands(
        &self,
        partition: TopicPartition,
        messages: &[(Origin, Message)],
    ) -> Result<Vec<Errand>, Error> {
        if !self.store.any().await? {
            return Ok(Vec::new());
        }
        let updates = of_orders(partition, messages)?;
        let accounts: BTreeSet<AccountId> = updates.iter().map(|(_, one)| one.account).collect();
        let accounts: Vec<AccountId> = accounts.into_iter().collect();
        let mut endpoints = BTreeMap::<AccountId, Vec<Endpoint>>::new();
        for endpoint in self.store.live(&accounts).await? {
            let own = endpoints.entry(endpoint.account).or_default();
            own.push(endpoint);
        }
        let mut errands = Vec::new();
        for (origin, update) in &updates {
            if let Some(own) = endpoints.get(&update.account) {
                self.add(*origin, update, own, &mut errands).await?;
            }
        }
        Ok(errands)
    }

    async fn way(&self, target: Uuid) -> Result<Option<Way>, Error> {
        let way = |endpoint| Way {
            endpoint,
            line: Line::default(),
            gone: false,
        };
        Ok(self.store.get(target).await?.map(way))
    }

    async fn attempt(&self, way: &mut Way, errand: &Errand, now: Micros) -> Result<Outcome, Error> {
        if way.gone {
            return Ok(Outcome::Gone);
        }
        let mut headers = headers(errand.event, now);
        let secret = self.keys.secret(way.endpoint.id);
        let signed = keys::signature(&secret, seconds(now), &errand.payload);
        headers.push((SIGNATURE, signed));
        let place = &way.endpoint.place;
        let answer = self
            .dialer
            .post(&mut way.line, place, &headers, &errand.payload);
        let failure = match answer.await {
            Ok(status) if status.is_success() => return Ok(Outcome::Done),
            Ok(StatusCode::GONE) => {
                self.store.disable(way.endpoint.id, now).await?;
                way.gone = true;
                return Ok(Outcome::Gone);
            }
            Ok(status) => format!("HTTP {}", status.as_u16()),
            Err(failure) => failure.to_string(),
        };
        Ok(Outcome::Failed(Attempt {
            at: now,
            failure,
            tried: true,
        }))
    }
}

/// The headers of an attempt, except the signature.
pub fn headers(event: Uuid, at: Micros) -> Vec<(&'static str, String)> {
    vec![
        (EVENT_ID, event.to_string()),
        (TIMESTAMP, seconds(at).to_string()),
    ]
}

const fn seconds(at: Micros) -> i64 {
    at.0.div_euclid(1_000_000)
}

fn of_orders(
    partition: TopicPartition,
    messages: &[(Origin, Message)],
) -> Result<Vec<(Origin, AccountUpdate)>, Error> {
    let mut updates = Vec::new();
    for (origin, message) in messages {
        let update: Result<AccountUpdate, _> = journal::decode(&message.payload);
        let update = update.map_err(|source| Poison {
            partition,
            offset: message.offset,
            source,
        })?;
        if matches!(update.change, Change::Order { .. }) {
            updates.push((*origin, update));
        }
    }
    Ok(updates)
}

impl WebhookEffect {
    /// The deliveries of an update, to the endpoints of its account that want it.
    async fn add(
        &self,
        origin: Origin,
        update: &AccountUpdate,
        endpoints: &[Endpoint],
        to: &mut Vec<Errand>,
    ) -> Result<(), Error> {
        let Change::Order { order, .. } = &update.change else {
            return Ok(());
        };
        let Some(instrument) = self.instrument(order.instrument).await? else {
            return Ok(());
        };
        let Some(shown) = show::trade_update(update.at, &update.change, &instrument) else {
            return Ok(());
        };
        let (event, id) = (shown.event(), self.keys.event(origin));
        let wants =
            |endpoint: &&Endpoint| endpoint.events.has(event) && endpoint.created_at <= update.at;
        let mut wanting = endpoints.iter().filter(wants).peekable();
        if wanting.peek().is_none() {
            return Ok(());
        }
        let payload = self.body(shown, id)?;
        to.extend(wanting.map(|endpoint| Errand {
            origin,
            id: self.keys.errand(id, endpoint.id),
            event: id,
            target: endpoint.id,
            what: name(event.as_str_name()),
            payload: payload.clone(),
            due: update.at,
            attempts: Vec::new(),
        }));
        Ok(())
    }

    fn body(&self, shown: TradeUpdate, event: Uuid) -> Result<Bytes, Error> {
        let told = TradeUpdate {
            at: shown.timestamp,
            event_id: Some(event.to_string()),
            ..shown
        };
        let mut body = Vec::new();
        self.codec.encode(&told.encode_to_vec(), &mut body)?;
        Ok(body.into())
    }

    /// An instrument; if it is unknown, all are asked for.
    async fn instrument(&self, id: InstrumentId) -> Result<Option<Instrument>, Error> {
        if let Some(known) = self.known(id) {
            return Ok(Some(known));
        }
        let views = self.matching.instruments().await?;
        let all = views
            .into_iter()
            .map(|view| (view.instrument.id, view.instrument));
        let all: HashMap<_, _> = all.collect();
        *self
            .instruments
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = all;
        Ok(self.known(id))
    }

    fn known(&self, id: InstrumentId) -> Option<Instrument> {
        let known = self
            .instruments
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.get(&id).copied()
    }
}

/// The name of an event in the API.
fn name(event: &str) -> String {
    event
        .trim_start_matches("TRADE_EVENT_")
        .to_ascii_lowercase()
}
