//! Users' trading accounts, in the account stage.

use std::sync::Arc;

use futures::future::BoxFuture;
use prepx_domain::message::{Action, Command};
use prepx_domain::update::Ack;
use prepx_domain::{AccountId, Slot};
use prepx_env::{Clock, Random};
use prepx_runtime::TaskError;
use prepx_stage::port::AccountPort;
use prepx_trace::Traces;
use uuid::Uuid;

/// Opens trading accounts: the account stage of the risk service.
pub trait Accounts: Send + Sync {
    /// Opens an account for a user and answers its id when that is durable. Repeating it for the same
    /// user answers the same account.
    fn open_account(
        &self,
        user_id: Uuid,
        simulated: bool,
    ) -> BoxFuture<'_, Result<AccountId, TaskError>>;
}

/// Accounts by the port of the account stage.
pub struct StageAccounts {
    /// The stage.
    pub stage: Arc<dyn AccountPort>,
    /// Stamps commands.
    pub clock: Arc<dyn Clock>,
    /// Draws their ids.
    pub random: Arc<Random>,
}

impl Accounts for StageAccounts {
    fn open_account(
        &self,
        user: Uuid,
        simulated: bool,
    ) -> BoxFuture<'_, Result<AccountId, TaskError>> {
        Box::pin(async move {
            let command = Command {
                id: self.random.uuid(),
                stamped_at: self.clock.now(),
                slot: Slot::of_user(user),
                action: Action::OpenAccount { user, simulated },
            };
            let mut replies = self
                .stage
                .submit(vec![command], Traces::of_current(1))
                .await;
            let reply = replies.pop().ok_or("the account stage gave no answer")?;
            match reply?.outcome? {
                Ack::Opened(account) => Ok(account),
                other => Err(format!("the account stage answered {other:?}").into()),
            }
        })
    }
}
