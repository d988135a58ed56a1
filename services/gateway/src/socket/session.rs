//! One socket from beginning to end: sign in, change subscriptions, pass on events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures::FutureExt as _;
use http::HeaderMap;
use prepx_auth::{Credentials, Identity};
use prepx_domain::{AssetClass, Code};
use prepx_proto::notification::v1 as wire;
use prepx_runtime::serve::Place;
use prepx_runtime::status;
use serde_json::Value;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout};
use tonic::Status;
use wire::subscribe_response::Message as Update;

use super::data::{self, Refusal, Subscriptions};
use super::form::Form;
use super::link::{self, Link};
use super::trading;
use super::{Edge, Protocol, Seat};

/// How long a socket may take to sign in.
const AUTH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one message may take to be written; a client that reads more slowly counts as not reading.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the other end may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a sign of life is asked for.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// After so many heartbeats without an answer the socket is closed.
const SILENT_HEARTBEATS_MAX: u32 = 4;
/// Events in one message.
const ITEMS_MAX: usize = 64;
/// The code of a close after which clients are to connect again: the service restarts.
const RESTART: u16 = 1_012;

/// One socket.
pub struct Session {
    edge: Arc<Edge>,
    socket: WebSocket,
    /// The place of its connection.
    place: Option<Place>,
    protocol: Protocol,
    form: Form,
    identity: Option<(Arc<Identity>, Seat)>,
    link: Option<Link>,
    subscriptions: Subscriptions,
    /// For each unanswered change of subscriptions, the requested channels that are not supported.
    unsupported: VecDeque<Vec<&'static str>>,
    /// Heartbeats since the last message of the client.
    silent: u32,
}

/// Why a socket ends.
enum End {
    /// The other end is gone.
    Gone,
    /// We close, with a code and a reason.
    Close(u16, &'static str),
}

type Step = Result<(), End>;

impl Session {
    /// A socket that was just opened.
    pub fn new(
        edge: Arc<Edge>,
        socket: WebSocket,
        place: Option<Place>,
        protocol: Protocol,
        form: Form,
    ) -> Session {
        Session {
            edge,
            socket,
            place,
            protocol,
            form,
            identity: None,
            link: None,
            subscriptions: Subscriptions::default(),
            unsupported: VecDeque::new(),
            silent: 0,
        }
    }

    /// Serves it to its end.
    pub async fn run(mut self, headers: &HeaderMap) {
        let Err(end) = self.serve(headers).await;
        if let End::Close(code, reason) = end {
            let frame = CloseFrame {
                code,
                reason: reason.into(),
            };
            if self.write(Message::Close(Some(frame))).await.is_ok() {
                let closed = async { while let Some(Ok(_)) = self.socket.recv().await {} };
                // A client that does not answer the close is not waited for.
                let _ = timeout(CLOSE_TIMEOUT, closed).await;
            }
        }
    }

    async fn serve(&mut self, headers: &HeaderMap) -> Result<std::convert::Infallible, End> {
        if matches!(self.protocol, Protocol::Data(_)) {
            self.say(&data::success("connected")).await?;
        }
        match Credentials::from_headers(headers) {
            Ok(Credentials::Absent) => {}
            shown => self.sign_in(shown.ok()).await?,
        }
        let drain = self.edge.drain.clone();
        let deadline = Instant::now() + AUTH_TIMEOUT;
        let mut heartbeat = heartbeat();
        loop {
            tokio::select! {
                () = drain.draining() => return Err(restart()),
                () = sleep_until(deadline), if self.identity.is_none() => self.too_late().await?,
                _ = heartbeat.tick() => self.beat().await?,
                said = self.socket.recv() => self.hear(said).await?,
                update = link::next(&mut self.link) => self.tell(update).await?,
            }
        }
    }

    async fn write(&mut self, message: Message) -> Step {
        match timeout(WRITE_TIMEOUT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => {
                // Over HTTP/2 what was written would stay for as long as the connection does.
                self.place.iter().for_each(Place::close_unread);
                Err(End::Gone)
            }
        }
    }

    async fn say(&mut self, value: &Value) -> Step {
        let message = match self.protocol {
            Protocol::Trading => Form::Json.value(value),
            Protocol::Data(_) => self.form.value(value),
        };
        self.write(message).await
    }

    async fn too_late(&mut self) -> Step {
        let told = match self.protocol {
            Protocol::Trading => trading::unauthorized("no key came within 10 s"),
            Protocol::Data(_) => data::error(data::AUTH_TIMEOUT),
        };
        self.say(&told).await?;
        Err(End::Close(close_code::POLICY, "auth timeout"))
    }

    async fn beat(&mut self) -> Step {
        self.silent += 1;
        if self.silent > SILENT_HEARTBEATS_MAX {
            return Err(End::Gone);
        }
        self.write(Message::Ping(Vec::new().into())).await
    }

    async fn hear(&mut self, said: Option<Result<Message, axum::Error>>) -> Step {
        self.silent = 0;
        match said {
            None | Some(Ok(Message::Close(_))) => Err(End::Gone),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(message)) => match self.form.read(&message) {
                Some(value) => self.ask(&value).await,
                None => self.refuse(data::INVALID_SYNTAX).await,
            },
            // Too large, or no WebSocket at all: where the next message begins is not known.
            Some(Err(error)) => {
                tracing::debug!(%error, "a socket sent an unreadable message");
                self.refuse(data::INVALID_SYNTAX).await?;
                Err(End::Close(
                    close_code::SIZE,
                    "a message was too large or malformed",
                ))
            }
        }
    }

    async fn refuse(&mut self, refusal: Refusal) -> Step {
        let (code, message) = refusal;
        let told = match self.protocol {
            Protocol::Trading => trading::error(code, message),
            Protocol::Data(_) => data::error(refusal),
        };
        self.say(&told).await
    }

    async fn ask(&mut self, message: &Value) -> Step {
        match self.protocol {
            Protocol::Trading => self.ask_trading(message).await,
            Protocol::Data(class) => self.ask_data(class, message).await,
        }
    }

    async fn ask_trading(&mut self, message: &Value) -> Step {
        match trading::read(message) {
            Ok(trading::Ask::Auth { key, secret }) => {
                self.sign_in(Credentials::key(&key, &secret).ok()).await
            }
            Ok(trading::Ask::Listen(listen)) => {
                if self.identity.is_none() {
                    return self.say(&trading::authorization(false, "listen")).await;
                }
                self.change(trading::listen(listen)).await
            }
            Err(wrong) => self.say(&trading::error(400, wrong)).await,
        }
    }

    async fn ask_data(&mut self, class: AssetClass, message: &Value) -> Step {
        let more = match data::read(message) {
            Ok(data::Ask::Auth { key, secret }) => {
                return self.sign_in(Credentials::key(&key, &secret).ok()).await;
            }
            Ok(_) if self.identity.is_none() => return self.refuse(data::NOT_AUTHENTICATED).await,
            Ok(ask) => ask == data::Ask::Subscribe,
            Err(refusal) => return self.refuse(refusal).await,
        };
        match self.subscriptions.change(class, message, more) {
            Ok(data::Change {
                wire: None,
                unsupported,
            }) => self.say(&data::unsupported(&unsupported)).await,
            Ok(data::Change {
                wire: Some(change),
                unsupported,
            }) => {
                self.unsupported.push_back(unsupported);
                let change = wire::subscribe_request::Change::Market(change);
                self.change(change).await
            }
            Err(refusal) => self.refuse(refusal).await,
        }
    }

    /// Sends all subscriptions after a change, then the error about unsupported channels. In this order, because a
    /// client that receives an error first takes the whole change for refused.
    async fn subscribed(&mut self, class: AssetClass) -> Step {
        let subscriptions = self.subscriptions.subscription(class);
        self.say(&subscriptions).await?;
        match self.unsupported.pop_front() {
            Some(unsupported) if !unsupported.is_empty() => {
                self.say(&data::unsupported(&unsupported)).await
            }
            _ => Ok(()),
        }
    }

    async fn change(&mut self, change: wire::subscribe_request::Change) -> Step {
        let has_room = self.link.as_ref().is_some_and(|link| link.change(change));
        if has_room {
            return Ok(());
        }
        // Clients wait for the answer to a change; one that does not is not worth a queue.
        self.refuse(data::INVALID_SYNTAX).await?;
        Err(End::Close(close_code::POLICY, "too many changes at once"))
    }

    /// Signs in with what was shown; `None` is something that cannot be credentials.
    async fn sign_in(&mut self, shown: Option<Credentials>) -> Step {
        if self.identity.is_some() && matches!(self.protocol, Protocol::Data(_)) {
            return self.refuse(data::ALREADY_AUTHENTICATED).await;
        }
        let identified = match &shown {
            Some(shown) => self.edge.authenticator.identify(shown).await,
            None => Ok(None),
        };
        let identity = match identified {
            Ok(Some(identity)) => identity,
            Err(prepx_auth::Error::Unavailable) => return Err(restart()),
            Ok(None) | Err(_) => return self.sign_in_refused(data::AUTH_FAILED).await,
        };
        if let Some((signed_in, _)) = &self.identity {
            // Who shows the same key again hears the same; the socket stays whose it is.
            if signed_in.principal.key_id != identity.principal.key_id {
                return self.refuse(data::ALREADY_AUTHENTICATED).await;
            }
            let authorized = trading::authorization(true, "authenticate");
            return self.say(&authorized).await;
        }
        let Some(seat) = self.edge.seat(identity.principal.user_id) else {
            return self.sign_in_refused(data::CONNECTION_LIMIT).await;
        };
        match Link::open(self.edge.notification.clone(), &identity).await {
            Ok(link) => self.link = Some(link),
            Err(status) => return self.told_off(&status).await,
        }
        self.identity = Some((identity, seat));
        let told = match self.protocol {
            Protocol::Trading => trading::authorization(true, "authenticate"),
            Protocol::Data(_) => data::success("authenticated"),
        };
        self.say(&told).await
    }

    /// A wrong key ends the socket, so that guessing costs a connection each.
    async fn sign_in_refused(&mut self, refusal: Refusal) -> Step {
        let told = match self.protocol {
            Protocol::Trading if refusal == data::AUTH_FAILED => {
                trading::authorization(false, "authenticate")
            }
            Protocol::Trading => trading::unauthorized(refusal.1),
            Protocol::Data(_) => data::error(refusal),
        };
        self.say(&told).await?;
        Err(End::Close(close_code::POLICY, refusal.1))
    }

    async fn tell(&mut self, update: Result<Update, Status>) -> Step {
        let update = match update {
            Ok(update) => update,
            Err(status) => return self.told_off(&status).await,
        };
        match (self.protocol, update) {
            (Protocol::Trading, Update::Subscription(subscriptions)) => {
                self.say(&trading::listening(&subscriptions)).await
            }
            (Protocol::Trading, Update::TradeUpdate(update)) => {
                let body = self.edge.codecs.trade_update(&update).map_err(fault)?;
                self.write(Message::text(trading::trade_update(&body)))
                    .await
            }
            (Protocol::Data(class), Update::Subscription(_)) => self.subscribed(class).await,
            (Protocol::Data(class), Update::Market(event)) => self.tell_market(class, event).await,
            (Protocol::Trading, Update::Market(_))
            | (Protocol::Data(_), Update::TradeUpdate(_)) => Ok(()),
        }
    }

    /// Writes an event together with those that wait behind it.
    async fn tell_market(&mut self, class: AssetClass, first: wire::MarketEvent) -> Step {
        let mut items = Vec::from_iter(self.edge.codecs.item(&first).map_err(fault)?);
        let mut after = None;
        while items.len() < ITEMS_MAX {
            match link::next(&mut self.link).now_or_never() {
                None => break,
                Some(Ok(Update::Market(event))) => {
                    items.extend(self.edge.codecs.item(&event).map_err(fault)?);
                }
                Some(other) => {
                    after = Some(other);
                    break;
                }
            }
        }
        let message = self.form.items(&items);
        self.write(message).await?;
        match after {
            None | Some(Ok(Update::Market(_) | Update::TradeUpdate(_))) => Ok(()),
            Some(Ok(Update::Subscription(_))) => self.subscribed(class).await,
            Some(Err(status)) => self.told_off(&status).await,
        }
    }

    /// The stream underneath has ended: says why, and closes so that the client does what is right.
    async fn told_off(&mut self, status: &Status) -> Step {
        let error = status::read(status);
        let refusal = match error.code {
            Code::TooManyRequests if error.reason == "SLOW_CONSUMER" => data::SLOW_CLIENT,
            Code::TooManyRequests => data::CONNECTION_LIMIT,
            Code::Forbidden => data::INSUFFICIENT,
            Code::Unauthenticated => return self.sign_in_refused(data::AUTH_FAILED).await,
            Code::Invalid => data::SYMBOL_LIMIT,
            Code::Unavailable => return Err(restart()),
            _ => {
                tracing::error!(%error, "a socket's stream failed");
                data::INTERNAL
            }
        };
        self.refuse(refusal).await?;
        Err(End::Close(close_code::POLICY, refusal.1))
    }
}

fn heartbeat() -> Interval {
    let mut beats = interval(HEARTBEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first beat of an interval comes at once.
    beats.reset();
    beats
}

fn restart() -> End {
    End::Close(RESTART, "connect again")
}

fn fault(error: prepx_transcode::Error) -> End {
    tracing::error!(%error, "an event has no JSON form");
    End::Close(close_code::ERROR, "internal error")
}
