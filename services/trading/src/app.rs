//! The use cases of order entry, one function each: check the form, submit the command, answer.

use std::sync::Arc;

use prepx_domain::ascii::is_named;
use prepx_domain::message::{Action, Command, ToMatching};
use prepx_domain::update::{Ack, OrderView, Reply};
use prepx_domain::view::InstrumentView;
use prepx_domain::{AccountId, AssetClass, Instrument, Micros, OrderId, Reject, Side};
use prepx_env::{Clock, Random};
use prepx_stage::port::{
    AccountPort, HistoryPort, MatchingPort, PastOrders, SubmitError, WhichOrders,
};
use uuid::Uuid;

use crate::domain::calendar::Nyse;
use crate::domain::form::{self, InstrumentForm, OrderForm, ReplaceForm};
use crate::error::Error;
use crate::history;
use crate::instruments::{Instruments, instrument_id};
use crate::metrics::{Metrics, OrderCommand};
use crate::spans;

/// The dependencies of order entry.
pub struct Deps {
    /// Decides commands and knows orders.
    pub accounts: Arc<dyn AccountPort>,
    /// Knows orders that the account stage no longer remembers.
    pub history: Arc<dyn HistoryPort>,
    /// Knows instruments.
    pub matching: Arc<dyn MatchingPort>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of command ids.
    pub random: Arc<Random>,
}

/// Order entry.
pub struct App {
    deps: Deps,
    instruments: Instruments,
    nyse: Nyse,
    metrics: Metrics,
}

/// Which orders a listing shows.
#[derive(Clone, Debug)]
pub struct OrderQuery {
    /// Open ones, ended ones or both.
    pub status: QueryStatus,
    /// At most this many.
    pub limit: usize,
    /// Only those accepted after this time.
    pub after: Option<Micros>,
    /// Only those accepted at or before this time.
    pub until: Option<Micros>,
    /// Newest first.
    pub newest_first: bool,
    /// Only this side.
    pub side: Option<Side>,
    /// Only these symbols, with or without slash; all when empty.
    pub symbols: Vec<String>,
}

/// Which orders, by state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryStatus {
    /// Open.
    Open,
    /// Ended.
    Closed,
    /// Both.
    All,
}

impl App {
    /// Order entry over its dependencies.
    pub fn new(deps: Deps, nyse: Nyse) -> Self {
        let instruments = Instruments::new(Arc::clone(&deps.matching));
        App {
            deps,
            instruments,
            nyse,
            metrics: Metrics::default(),
        }
    }

    /// Places an order; answers when the account's decision is durable.
    pub async fn place(
        &self,
        account: AccountId,
        symbol: &str,
        form: OrderForm<'_>,
    ) -> Result<OrderView, Error> {
        let placed = self.place_one(account, symbol, form).await;
        self.counted(OrderCommand::Place, placed)
    }

    async fn place_one(
        &self,
        account: AccountId,
        symbol: &str,
        mut form: OrderForm<'_>,
    ) -> Result<OrderView, Error> {
        form::check_symbol(symbol)?;
        let instrument = self.instrument(symbol).await?;
        let now = self.deps.clock.now();
        let command = self.deps.random.uuid_at(now);
        let drawn = command.to_string();
        if form.client_order_id.is_empty() {
            form.client_order_id = &drawn;
        }
        let order = form.place(account, &instrument, &self.nyse, now)?;
        let hint = format!(
            "; GET /v2/orders:by_client_order_id?client_order_id={} tells",
            order.client_order_id
        );
        self.order_of(
            self.decide(command, account, now, Action::Place(order), &hint)
                .await?,
        )
    }

    /// Replaces an order by a new one.
    pub async fn replace(
        &self,
        account: AccountId,
        order: OrderId,
        form: ReplaceForm<'_>,
    ) -> Result<OrderView, Error> {
        let replaced = self.replace_one(account, order, form).await;
        self.counted(OrderCommand::Replace, replaced)
    }

    async fn replace_one(
        &self,
        account: AccountId,
        order: OrderId,
        mut form: ReplaceForm<'_>,
    ) -> Result<OrderView, Error> {
        let old = self.order(account, order).await?;
        let instrument = self.instruments.by_id(old.instrument).await?;
        let instrument = instrument.ok_or_else(|| Error::UnknownAsset(old.symbol.to_string()))?;
        let now = self.deps.clock.now();
        let command = self.deps.random.uuid_at(now);
        let drawn = command.to_string();
        if form.client_order_id.is_empty() {
            form.client_order_id = &drawn;
        }
        let replace = form.replace(&old, &instrument, &self.nyse, now)?;
        let hint = format!("; GET /v2/orders/{order} tells");
        self.order_of(
            self.decide(command, account, now, Action::Replace(replace), &hint)
                .await?,
        )
    }

    /// Asks the market to end an order.
    pub async fn cancel(&self, account: AccountId, order: OrderId) -> Result<(), Error> {
        let hint = format!("; GET /v2/orders/{order} tells");
        let cancel = Action::Cancel { account, order };
        let decided = self.decide_now(account, cancel, &hint).await;
        self.counted(OrderCommand::Cancel, decided).map(drop)
    }

    /// Asks the market to end every open order of the account; says which.
    pub async fn cancel_all(&self, account: AccountId) -> Result<Vec<OrderId>, Error> {
        let hint = "; GET /v2/orders tells";
        let cancel = Action::CancelAll { account };
        let decided = self.decide_now(account, cancel, hint).await;
        match self.counted(OrderCommand::CancelAll, decided)? {
            Ack::Canceling(orders) => Ok(orders),
            other => Err(unexpected(&other)),
        }
    }

    /// One order of the account.
    pub async fn order(&self, account: AccountId, order: OrderId) -> Result<OrderView, Error> {
        let both = (WhichOrders::Id(order), PastOrders::Id(order));
        let found = self.one(account, both).await?;
        found.ok_or_else(|| Error::UnknownOrder(order.to_string()))
    }

    /// The newest order of the account with this client order id.
    pub async fn order_by_name(&self, account: AccountId, name: &str) -> Result<OrderView, Error> {
        let both = (
            WhichOrders::ClientOrderId(name.to_owned()),
            PastOrders::ClientOrderId(name.to_owned()),
        );
        let found = self.one(account, both).await?;
        found.ok_or_else(|| Error::UnknownOrder(name.chars().take(64).collect()))
    }

    async fn one(
        &self,
        account: AccountId,
        (remembered, past): (WhichOrders, PastOrders),
    ) -> Result<Option<OrderView>, Error> {
        let (accounts, history) = (&*self.deps.accounts, &*self.deps.history);
        history::order(accounts, history, account, remembered, past).await
    }

    /// The orders of the account that a query asks for.
    pub async fn orders(
        &self,
        account: AccountId,
        query: &OrderQuery,
    ) -> Result<Vec<OrderView>, Error> {
        let (accounts, history) = (&*self.deps.accounts, &*self.deps.history);
        history::orders(accounts, history, account, query).await
    }

    /// Every instrument as it is now.
    pub async fn assets(&self) -> Result<Vec<InstrumentView>, Error> {
        Ok(self.instruments.all().await?)
    }

    /// One instrument, by symbol or UUID.
    pub async fn asset(&self, symbol_or_id: &str) -> Result<InstrumentView, Error> {
        let view = self.instruments.view(symbol_or_id).await?;
        view.ok_or_else(|| Error::unknown_asset(symbol_or_id))
    }

    /// Starts trading an instrument. Repeating it with the same values changes nothing.
    pub async fn define(&self, form: InstrumentForm<'_>) -> Result<InstrumentView, Error> {
        let wanted = form.instrument(self.deps.clock.now())?;
        let symbol = wanted.symbol;
        let listed = self.instruments.all().await?;
        let is_it =
            |view: &&InstrumentView| is_named(view.instrument.symbol.as_str(), symbol.as_str());
        if let Some(&view) = listed.iter().find(is_it) {
            let id = view.instrument.id;
            if view.instrument == (Instrument { id, ..wanted }) {
                return Ok(view);
            }
            return Err(Error::Conflict(format!(
                "{} is listed with other values; a definition does not change",
                view.instrument.symbol
            )));
        }
        let listed = listed.iter().map(|view| &view.instrument);
        if let Some((asset, of)) = form::ambiguous_asset(&wanted, listed) {
            return Err(Error::AmbiguousAsset { asset, of });
        }
        self.tell_matching(ToMatching::Define(wanted)).await?;
        self.asset(symbol.as_str()).await
    }

    /// Stops or resumes continuous trading in an instrument, by symbol or UUID.
    pub async fn set_halted(
        &self,
        symbol_or_id: &str,
        halted: bool,
    ) -> Result<InstrumentView, Error> {
        let id = self.asset(symbol_or_id).await?.instrument.id;
        let command = if halted {
            ToMatching::Halt(id)
        } else {
            ToMatching::Resume(id)
        };
        self.tell_matching(command).await?;
        self.asset(symbol_or_id).await
    }

    /// Commands of one account from its order-entry stream, in order; one outcome for each.
    pub async fn submit(&self, commands: Vec<Command>) -> Vec<Result<Reply, SubmitError>> {
        let kinds: Vec<_> = commands
            .iter()
            .map(|command| OrderCommand::of(&command.action))
            .collect();
        let batch = spans::Batch::begin(&commands);
        let outcomes = self.deps.accounts.submit(commands, batch.traces()).await;
        batch.end(&outcomes);
        for (kind, outcome) in kinds.into_iter().zip(&outcomes) {
            let outcome = match outcome {
                Ok(reply) => reply.outcome.as_ref().map(drop).map_err(Reject::reason),
                Err(error) => Err(error.reason()),
            };
            self.metrics.count(kind, outcome);
        }
        outcomes
    }

    fn counted<T>(&self, command: OrderCommand, outcome: Result<T, Error>) -> Result<T, Error> {
        let plain = outcome.as_ref().map(drop).map_err(Error::reason);
        self.metrics.count(Some(command), plain);
        outcome
    }

    /// The instrument of a symbol or a UUID.
    pub async fn instrument(&self, symbol_or_id: &str) -> Result<Instrument, Error> {
        let found = match instrument_id(symbol_or_id) {
            Some(id) => self.instruments.by_id(id).await?,
            None => self.instruments.by_symbol(symbol_or_id).await?,
        };
        found.ok_or_else(|| Error::unknown_asset(symbol_or_id))
    }

    /// The symbols of all instruments of these classes, or of those among them that are named.
    pub async fn symbols_of(
        &self,
        classes: &[AssetClass],
        named: &[String],
    ) -> Result<Vec<String>, Error> {
        let is_wanted =
            |symbol: &str| named.is_empty() || named.iter().any(|given| is_named(symbol, given));
        let views = self.instruments.all().await?;
        let of_classes = views
            .iter()
            .filter(|view| classes.contains(&view.instrument.class));
        let symbols = of_classes.map(|view| view.instrument.symbol.to_string());
        Ok(symbols.filter(|symbol| is_wanted(symbol)).collect())
    }

    /// The exchange's calendar.
    pub fn nyse(&self) -> &Nyse {
        &self.nyse
    }

    /// The time now.
    pub fn now(&self) -> Micros {
        self.deps.clock.now()
    }

    async fn tell_matching(&self, command: ToMatching) -> Result<(), Error> {
        let hint = "; GET /api/v1/admin/instruments tells".to_owned();
        let told = self.deps.matching.command(command).await;
        told.map_err(|source| Error::Submit { source, hint })
    }

    async fn decide_now(&self, account: AccountId, what: Action, hint: &str) -> Result<Ack, Error> {
        let now = self.deps.clock.now();
        let command = self.deps.random.uuid_at(now);
        self.decide(command, account, now, what, hint).await
    }

    async fn decide(
        &self,
        id: Uuid,
        account: AccountId,
        stamped_at: Micros,
        action: Action,
        hint: &str,
    ) -> Result<Ack, Error> {
        let command = Command {
            id,
            stamped_at,
            slot: account.slot(),
            action,
        };
        let span = spans::Single::begin(id);
        let submitted = self.deps.accounts.submit(vec![command], span.traces());
        let outcome = submitted.await.pop();
        let outcome = outcome.unwrap_or_else(|| Err(SubmitError::Unknown("no answer".into())));
        span.end(&outcome);
        match outcome {
            Ok(reply) => Ok(reply.outcome?),
            Err(source) => {
                let asks = matches!(source, SubmitError::Unknown(_));
                Err(Error::Submit {
                    source,
                    hint: if asks { hint.into() } else { String::new() },
                })
            }
        }
    }

    fn order_of(&self, ack: Ack) -> Result<OrderView, Error> {
        match ack {
            Ack::Order(order) => Ok(*order),
            other => Err(unexpected(&other)),
        }
    }
}

/// The stage answered a different question: a bug, whose effect is unknown.
fn unexpected(ack: &Ack) -> Error {
    let source = SubmitError::Unknown(format!("the account stage answered {ack:?}"));
    Error::Submit {
        source,
        hint: String::new(),
    }
}

impl OrderQuery {
    /// Whether the query matches this order.
    pub fn shows(&self, order: &OrderView) -> bool {
        let status = match self.status {
            QueryStatus::Open => !order.status.is_final(),
            QueryStatus::Closed => order.status.is_final(),
            QueryStatus::All => true,
        };
        status
            && self.after.is_none_or(|after| order.created_at > after)
            && self.until.is_none_or(|until| order.created_at <= until)
            && self.side.is_none_or(|side| order.side == side)
            && (self.symbols.is_empty()
                || self
                    .symbols
                    .iter()
                    .any(|given| is_named(order.symbol.as_str(), given)))
    }
}
