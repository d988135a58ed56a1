//! Streams over gRPC: decode, change the subscription, pass on notifications.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, stream};
use prepx_auth::{Identity, Principal, Scope};
use prepx_domain::{AccountId, AssetClass, Code};
use prepx_proto::notification::v1 as wire;
use prepx_proto::notification::v1::notification_service_server::NotificationService;
use prepx_proto::trading::v1::AssetClass as WireClass;
use prepx_runtime::status;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;
use wire::Channel;
use wire::subscribe_request::Change;
use wire::subscribe_response::Message;

use crate::hub::{EVERY, Hub, SYMBOLS_MAX, Subscription, SubscriptionChange};

/// The longest symbol.
const SYMBOL_BYTES_MAX: usize = 32;

/// Answers from the hub.
pub struct Handler(pub Arc<Hub>);

/// One listener's stream.
struct Session {
    identity: Arc<Identity>,
    /// `None` when the listener has sent its last request.
    requests: Option<Streaming<wire::SubscribeRequest>>,
    subscription: Subscription,
}

#[tonic::async_trait]
impl NotificationService for Handler {
    type SubscribeStream =
        Pin<Box<dyn Stream<Item = Result<wire::SubscribeResponse, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<wire::SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let identity = prepx_auth::identity(request.extensions()).map_err(|e| e.status())?;
        let session = Session {
            identity: Arc::clone(identity),
            requests: Some(request.into_inner()),
            subscription: self.0.listener()?,
        };
        let told = stream::unfold(Some(session), |session| async {
            let mut session = session?;
            match session.next().await {
                Ok(told) => Some((Ok(told), Some(session))),
                Err(status) => Some((Err(status), None)),
            }
        });
        Ok(Response::new(Box::pin(told)))
    }

    type ListenToTradesStream =
        Pin<Box<dyn Stream<Item = Result<wire::TradeUpdate, Status>> + Send>>;

    async fn listen_to_trades(
        &self,
        request: Request<wire::ListenToTradesRequest>,
    ) -> Result<Response<Self::ListenToTradesStream>, Status> {
        let account = prepx_auth::account(&request)?;
        from_now(request.get_ref())?;
        let subscription = self.0.listener()?;
        subscription.listen(Some(account));
        let told = stream::unfold(Some(subscription), |subscription| async {
            let mut subscription = subscription?;
            match next_trade(&mut subscription).await {
                Ok(update) => Some((Ok(update), Some(subscription))),
                Err(status) => Some((Err(status), None)),
            }
        });
        Ok(Response::new(Box::pin(told)))
    }
}

/// Nothing is stored here: the past is read elsewhere.
fn from_now(request: &wire::ListenToTradesRequest) -> Result<(), Status> {
    let asked = [
        ("since", &request.since),
        ("until", &request.until),
        ("since_id", &request.since_id),
        ("until_id", &request.until_id),
    ];
    match asked.iter().find(|(_, given)| given.is_some()) {
        Some((field, _)) => {
            let message = format!(
                "{field} must be left out: events are told from now on; /v2/orders and \
                 /v2/account/activities have what was"
            );
            Err(invalid(field, message))
        }
        None => Ok(()),
    }
}

async fn next_trade(subscription: &mut Subscription) -> Result<wire::TradeUpdate, Status> {
    loop {
        let told = Arc::unwrap_or_clone(subscription.next().await?);
        if let Some(Message::TradeUpdate(update)) = told.message {
            let at = update.timestamp;
            return Ok(wire::TradeUpdate { at, ..update });
        }
    }
}

impl Session {
    /// The next notification.
    async fn next(&mut self) -> Result<wire::SubscribeResponse, Status> {
        loop {
            let Some(requests) = &mut self.requests else {
                return Ok(Arc::unwrap_or_clone(self.subscription.next().await?));
            };
            tokio::select! {
                request = requests.message() => match request? {
                    Some(request) => self.change(request)?,
                    None => self.requests = None,
                },
                told = self.subscription.next() => return Ok(Arc::unwrap_or_clone(told?)),
            }
        }
    }

    fn change(&self, request: wire::SubscribeRequest) -> Result<(), Status> {
        let principal = &self.identity.principal;
        match request.change {
            None => Err(invalid(
                "change",
                "a request has one change: account or market",
            )),
            Some(Change::Account(change)) => {
                let account = account(principal, &change.account_id)?;
                self.subscription.listen(change.listen.then_some(account));
                Ok(())
            }
            Some(Change::Market(change)) => {
                permit(principal, Scope::DataRead)?;
                self.subscription.change(market_change(&change)?)
            }
        }
    }
}

/// The caller's own account; another one is refused whether it exists or not (I9).
fn account(principal: &Principal, named: &str) -> Result<AccountId, Status> {
    permit(principal, Scope::OrdersRead)?;
    let own = principal.account().map_err(|error| error.status())?;
    if named.is_empty() || named.parse::<Uuid>().is_ok_and(|named| named == own.uuid()) {
        return Ok(own);
    }
    let error = status::Error::new(
        Code::Forbidden,
        "NOT_YOUR_ACCOUNT",
        "account_id is not the account of this key: leave it out to hear of that",
    );
    Err(status::of(&error))
}

pub(crate) fn permit(principal: &Principal, scope: Scope) -> Result<(), Status> {
    if principal.scopes.has(scope) {
        return Ok(());
    }
    let message = format!("this key may not listen to that: it lacks the scope {scope}");
    let error = status::Error::new(Code::Forbidden, "SCOPE_MISSING", message);
    Err(status::of(&error))
}

fn market_change(change: &wire::ChangeMarket) -> Result<SubscriptionChange, Status> {
    let class = match change.class() {
        WireClass::UsEquity => AssetClass::UsEquity,
        WireClass::Crypto => AssetClass::Crypto,
        _ => return Err(invalid("class", "class is required: us_equity or crypto")),
    };
    Ok(SubscriptionChange {
        class,
        more: symbols(&change.subscribe)?,
        less: symbols(&change.unsubscribe)?,
    })
}

fn symbols(lists: &[wire::ChannelSymbols]) -> Result<Vec<(Channel, String)>, Status> {
    let count: usize = lists.iter().map(|list| list.symbols.len()).sum();
    if count > SYMBOLS_MAX {
        let message = format!("{count} symbols at once: give at most {SYMBOLS_MAX}");
        return Err(invalid("symbols", message));
    }
    let mut named = Vec::with_capacity(count);
    for list in lists {
        let channel = list.channel();
        if channel == Channel::Unspecified {
            let message =
                "channel is trades, quotes, bars, updated_bars, daily_bars, orderbooks or statuses";
            return Err(invalid("channel", message));
        }
        for symbol in &list.symbols {
            let is_name = |byte: u8| byte.is_ascii_graphic();
            if symbol.is_empty() || symbol.len() > SYMBOL_BYTES_MAX || !symbol.bytes().all(is_name)
            {
                let message =
                    format!("a symbol has 1 to {SYMBOL_BYTES_MAX} letters; {EVERY} is all");
                return Err(invalid("symbols", message));
            }
            named.push((channel, symbol.clone()));
        }
    }
    Ok(named)
}

pub(crate) fn invalid(field: &str, message: impl Into<String>) -> Status {
    let error = status::Error::new(Code::Invalid, "INVALID_VALUE", message);
    status::of(&error.with("field", field))
}
