//! The use cases of portfolio: show what an account has and had, move money, close positions.

mod history;
mod midnight;

use std::sync::Arc;
use std::time::Duration;

use prepx_auth::Caller;
use prepx_cache::Cache;
use prepx_domain::message::{Action, Command, PlaceOrder};
use prepx_domain::update::{Ack, OrderView};
use prepx_domain::view::InstrumentView;
use prepx_domain::{AccountId, FieldError, OrderKind, Reject, Side, TimeInForce, text};
use prepx_env::{Clock, Random};
use prepx_stage::Following;
use prepx_stage::port::{AccountPort, AuditPort, MatchingPort, SubmitError, UpdatesPort};
use prepx_trace::Traces;
use uuid::Uuid;

pub use self::midnight::LastEquity;
use self::midnight::Midnights;
use crate::audit::{Audit, Counts};
use crate::books::Books;
use crate::domain::activity::{Activity, Query};
use crate::domain::closing::Part;
use crate::domain::holdings::{Holdings, Position};
use crate::domain::transfer::{Transfer, Wanted};
use crate::error::Error;
use crate::store::Store;

/// How often, and how many times, to check whether cancelled orders have released their holds.
const RELEASE_POLL: Duration = Duration::from_millis(5);
const RELEASE_POLLS_MAX: u32 = 200;
/// The longest idempotency key, in characters.
const KEY_CHARS_MAX: usize = 128;

/// The dependencies of portfolio.
pub struct Deps {
    /// Decides commands and knows accounts.
    pub accounts: Arc<dyn AccountPort>,
    /// Knows instruments and last prices.
    pub matching: Arc<dyn MatchingPort>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of command ids.
    pub random: Arc<Random>,
    /// Reads the balances of all stages, for comparing.
    pub audit: Arc<dyn AuditPort>,
    /// Reads all updates of accounts, for comparing.
    pub updates: Arc<dyn UpdatesPort>,
    /// The log that the books are projected from.
    pub following: Following,
    /// How much disk space they may use; beyond that the history of simulated accounts is compacted.
    pub bytes_max: Option<u64>,
    /// The cache of what was read from the books.
    pub cache: Cache,
    /// How often to prefetch what the busiest accounts ask for; never when zero.
    pub warm_every: Duration,
    /// The market-data service, which knows past prices.
    pub market_data: Caller,
}

/// A position that was to be closed, and the outcome.
pub struct Closed {
    /// The position.
    pub position: Position,
    /// The order that sells it.
    pub outcome: Result<OrderView, Error>,
}

/// Portfolio over its store.
pub struct App<S> {
    midnights: Midnights,
    deps: Deps,
    store: S,
    books: Books,
}

impl<S: Store> App<S> {
    /// Portfolio over its dependencies.
    pub fn new(deps: Deps, store: S, books: Books) -> Self {
        App {
            midnights: Midnights::new(&deps.cache),
            deps,
            store,
            books,
        }
    }

    /// The activities of an account, with the instruments that it trades.
    pub async fn activities(
        &self,
        query: &Query,
    ) -> Result<(Vec<Activity>, Vec<InstrumentView>), Error> {
        if query.kinds.is_empty() {
            // Nothing of these types ever occurs.
            return Ok((Vec::new(), Vec::new()));
        }
        let found = self.books.activities(query).await?;
        Ok((found, self.deps.matching.instruments().await?))
    }

    /// Compares the ledger with the stages (I3, I4, I6).
    pub async fn audit(&self) -> Result<Audit, Error> {
        Ok(self.books.audit(&*self.deps.audit).await?)
    }

    /// Compares every row of the tables with the log: how many rows there are, or the first difference in words.
    pub async fn compare_tables(&self) -> Result<Result<Counts, String>, Error> {
        Ok(self.books.compare_tables().await?)
    }

    /// Everything that an account has, valued at the last trades.
    pub async fn holdings(&self, account: AccountId) -> Result<Holdings, Error> {
        let view = self.deps.accounts.account(account).await?;
        let view = view.ok_or(Error::Rejected(Reject::UnknownAccount))?;
        Ok(Holdings::of(view, &self.deps.matching.instruments().await?))
    }

    /// One position, by symbol (the slash of a pair may be left out) or instrument UUID.
    pub async fn position(
        &self,
        account: AccountId,
        symbol_or_id: &str,
    ) -> Result<Position, Error> {
        let holdings = self.holdings(account).await?;
        let found = holdings.position(symbol_or_id).copied();
        found.ok_or_else(|| Error::NoPosition(symbol_or_id.chars().take(64).collect()))
    }

    /// Sells a position, or part of it, by a market order.
    pub async fn close(
        &self,
        account: AccountId,
        symbol_or_id: &str,
        part: Part<'_>,
    ) -> Result<OrderView, Error> {
        let position = self.position(account, symbol_or_id).await?;
        let qty_minor = part.quantity(&position)?;
        self.sell(account, &position, qty_minor).await
    }

    /// Sells all positions by market orders, after ending all open orders if asked to.
    pub async fn close_all(
        &self,
        account: AccountId,
        cancel_orders: bool,
    ) -> Result<Vec<Closed>, Error> {
        if cancel_orders {
            self.decide(
                account,
                self.deps.random.uuid(),
                Action::CancelAll { account },
            )
            .await?;
            self.wait_for_release(account).await?;
        }
        let mut closed = Vec::new();
        for position in self.holdings(account).await?.positions {
            let outcome = match Part::All.quantity(&position) {
                Ok(qty_minor) => self.sell(account, &position, qty_minor).await,
                Err(error) => Err(error.into()),
            };
            closed.push(Closed { position, outcome });
        }
        Ok(closed)
    }

    /// Moves money in or out under an idempotency key; a repeat books nothing and gets the first answer.
    pub async fn transfer(&self, wanted: Wanted, key: &str) -> Result<Transfer, Error> {
        text::check(key, 1..=KEY_CHARS_MAX).map_err(|error| {
            FieldError::new("idempotency_key", format!("idempotency_key {error}"))
        })?;
        let drawn = Transfer {
            wanted,
            idempotency_key: key.to_owned(),
            command: self.deps.random.uuid(),
            stamped_at: self.deps.clock.now(),
            settled: false,
        };
        let transfer = self.store.remember(&drawn).await?;
        if transfer.wanted != wanted {
            return Err(Error::KeyUsed(key.to_owned()));
        }
        if transfer.settled {
            return Ok(transfer);
        }
        self.carry_out(&transfer).await?;
        Ok(Transfer {
            settled: true,
            ..transfer
        })
    }

    async fn carry_out(&self, transfer: &Transfer) -> Result<(), Error> {
        match self.outcome(transfer.command()).await {
            Ok(_) => {
                // Once settled it is never sent again. When this write fails the repeat sends the
                // same command, and the stage answers it with the first decision.
                Ok(self.store.settle(transfer).await?)
            }
            Err(Error::Rejected(reject)) if !matches!(reject, Reject::Stale { .. }) => {
                self.store.forget(transfer).await?;
                Err(reject.into())
            }
            Err(error) => Err(error),
        }
    }

    async fn sell(
        &self,
        account: AccountId,
        position: &Position,
        qty_minor: i64,
    ) -> Result<OrderView, Error> {
        let command = self.deps.random.uuid();
        let order = PlaceOrder {
            account,
            symbol: position.instrument.symbol,
            side: Side::Sell,
            kind: OrderKind::Market,
            // It ends by itself: a market order never rests, and one that waits for its session
            // trades when that begins.
            time_in_force: TimeInForce::Day,
            qty_minor,
            post_only: false,
            extended_hours: false,
            expires_at: None,
            client_order_id: command.to_string(),
        };
        match self.decide(account, command, Action::Place(order)).await? {
            Ack::Order(order) => Ok(*order),
            other => Err(unexpected(&other)),
        }
    }

    /// Waits until nothing is held, but at most a second; what is still held then is not sold.
    async fn wait_for_release(&self, account: AccountId) -> Result<(), Error> {
        for _ in 0..RELEASE_POLLS_MAX {
            let view = self.deps.accounts.account(account).await?;
            if view.is_none_or(|view| view.open_orders == 0) {
                break;
            }
            tokio::time::sleep(RELEASE_POLL).await;
        }
        Ok(())
    }

    async fn decide(&self, account: AccountId, id: Uuid, action: Action) -> Result<Ack, Error> {
        let stamped_at = self.deps.clock.now();
        self.outcome(Command {
            id,
            stamped_at,
            slot: account.slot(),
            action,
        })
        .await
    }

    async fn outcome(&self, command: Command) -> Result<Ack, Error> {
        let outcome = self
            .deps
            .accounts
            .submit(vec![command], Traces::of_current(1))
            .await
            .pop();
        let reply = outcome.unwrap_or_else(|| Err(SubmitError::Unknown("no answer".into())))?;
        Ok(reply.outcome?)
    }
}

/// The stage answered a different question: a bug, whose effect is unknown.
fn unexpected(ack: &Ack) -> Error {
    Error::Submit(SubmitError::Unknown(format!(
        "the account stage answered {ack:?}"
    )))
}
