//! The controls that operators and owners have over accounts: stop them, let them trade again, and limit them.

use std::sync::Arc;
use std::time::Duration;

use prepx_domain::message::{Action, Command, Limits};
use prepx_domain::view::AccountView;
use prepx_domain::{AccountId, Code, OrderId, Reject, Slot};
use prepx_env::{Clock, Random};
use prepx_stage::port::{AccountPort, ReadError, SubmitError};
use prepx_trace::Traces;

/// The dependencies of the controls.
pub struct Deps {
    /// Decides commands and knows accounts.
    pub accounts: Arc<dyn AccountPort>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of command ids.
    pub random: Arc<Random>,
}

/// Why an account's controls could not be shown or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The account stage refused it.
    #[error(transparent)]
    Rejected(#[from] Reject),
    /// A command got no decision. It may be sent again: a repeat changes nothing.
    #[error("{0}; it is safe to ask again")]
    Submit(#[from] SubmitError),
    /// A read got no answer.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Error {
    /// The closed code of this error.
    pub const fn code(&self) -> Code {
        match self {
            Error::Rejected(reject) => reject.code(),
            Error::Submit(error) => error.code(),
            Error::Read(error) => error.code(),
        }
    }

    /// The stable name of the reason, for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Error::Rejected(reject) => reject.reason(),
            Error::Submit(error) => error.reason(),
            Error::Read(error) => error.reason(),
        }
    }

    /// When to try again, where it makes sense.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Rejected(_) => None,
            Error::Submit(error) => error.retry_after(),
            Error::Read(error) => error.retry_after(),
        }
    }
}

/// The controls of accounts.
pub struct App(Deps);

impl App {
    /// The controls over their dependencies.
    pub fn new(deps: Deps) -> Self {
        App(deps)
    }

    /// An account's controls.
    pub async fn account(&self, account: AccountId) -> Result<AccountView, Error> {
        let view = self.0.accounts.account(account).await?;
        view.ok_or(Error::Rejected(Reject::UnknownAccount))
    }

    /// Stops an account, or lets it trade again; with `cancel_orders` its open orders are ended too.
    pub async fn set_blocked(
        &self,
        account: AccountId,
        blocked: bool,
        cancel_orders: bool,
    ) -> Result<AccountView, Error> {
        let mut actions = vec![Action::SetAccountBlocked { account, blocked }];
        if cancel_orders {
            actions.push(Action::CancelAll { account });
        }
        self.decide(account.slot(), actions).await?;
        self.account(account).await
    }

    /// Suspends or resumes trading for the account's owner; open orders stay.
    pub async fn set_suspended(
        &self,
        account: AccountId,
        suspended: bool,
    ) -> Result<AccountView, Error> {
        let suspend = Action::SetTradeSuspended { account, suspended };
        self.decide(account.slot(), vec![suspend]).await?;
        self.account(account).await
    }

    /// Sets the limits of an account.
    pub async fn set_limits(
        &self,
        account: AccountId,
        limits: Limits,
    ) -> Result<AccountView, Error> {
        self.decide(account.slot(), vec![Action::SetLimits { account, limits }])
            .await?;
        self.account(account).await
    }

    /// Asks the market to end an order of any account. The order ends a moment later: by the market, or because
    /// the market does not know it.
    pub async fn end_order(&self, order: OrderId, reason: String) -> Result<(), Error> {
        self.decide(order.slot(), vec![Action::EndOrder { order, reason }])
            .await
    }

    /// Submits the actions in order; the first refusal is the answer.
    async fn decide(&self, slot: Slot, actions: Vec<Action>) -> Result<(), Error> {
        let stamped_at = self.0.clock.now();
        let command = |action| Command {
            id: self.0.random.uuid(),
            stamped_at,
            slot,
            action,
        };
        let commands: Vec<_> = actions.into_iter().map(command).collect();
        let traces = Traces::of_current(commands.len());
        for outcome in self.0.accounts.submit(commands, traces).await {
            outcome?.outcome?;
        }
        Ok(())
    }
}
