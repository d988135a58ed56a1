//! The core as services reach it: the ports of both stages, in process.

use prepx_domain::AccountId;
use prepx_domain::message::{Command, ToMatching};
use prepx_domain::update::{OrderView, Reply};
use prepx_domain::view::{AccountView, InstrumentView};
use prepx_risk::views;
use prepx_stage::port::{
    AccountPort, Answer, AuditPort, HeadsPort, MatchingPort, ReadError, StageBooks, SubmitError,
    WhichOrders,
};
use prepx_stage::{Head, Seat, Stage};
use prepx_trace::Traces;

use super::{Core, Pipeline, account};

const SILENT: &str = "the stage gave no reply";

impl AccountPort for Core {
    fn submit(
        &self,
        commands: Vec<Command>,
        traces: Traces,
    ) -> Answer<Vec<Result<Reply, SubmitError>>> {
        let (core, count) = (self.clone(), commands.len());
        Box::pin(async move {
            match core.submit_batch(commands, traces).await {
                Err(error) => vec![Err(error); count],
                Ok(replies) => {
                    let reply = |reply: Option<Reply>| {
                        reply.ok_or_else(|| SubmitError::Unknown(SILENT.into()))
                    };
                    replies.into_iter().map(reply).collect()
                }
            }
        })
    }

    fn account(&self, account: AccountId) -> Answer<Result<Option<AccountView>, ReadError>> {
        let core = self.clone();
        let look = move |stage: &account::Stage| stage.account(account);
        Box::pin(async move { core.query_account(account.slot(), look).await })
    }

    fn orders(
        &self,
        account: AccountId,
        which: WhichOrders,
    ) -> Answer<Result<Vec<OrderView>, ReadError>> {
        let core = self.clone();
        let look = move |stage: &account::Stage| views::orders(stage, account, &which);
        Box::pin(async move { core.query_account(account.slot(), look).await })
    }
}

impl MatchingPort for Core {
    fn command(&self, command: ToMatching) -> Answer<Result<(), SubmitError>> {
        let core = self.clone();
        Box::pin(async move { core.submit_instrument(command).await })
    }

    /// Every account partition knows every instrument, in the order of the lanes; the first one
    /// is asked, because it has them all in one place.
    fn instruments(&self) -> Answer<Result<Vec<InstrumentView>, ReadError>> {
        let core = self.clone();
        let look = |pipeline: &Pipeline| {
            let first = pipeline.accounts().next();
            first.map_or_else(Vec::new, |first| views::instruments(first.machine()))
        };
        Box::pin(async move { core.query(look).await })
    }
}

impl AuditPort for Core {
    fn books(&self) -> Answer<Result<StageBooks, ReadError>> {
        let core = self.clone();
        Box::pin(async move { core.query(stage_books).await })
    }
}

fn stage_books(pipeline: &Pipeline) -> StageBooks {
    let mut found = StageBooks::default();
    for (number, partition) in (0u32..).zip(pipeline.accounts()) {
        found.add(views::books(number, partition));
    }
    found
}

impl HeadsPort for Core {
    fn seats(&self) -> Vec<Seat> {
        let topology = self.topology();
        let stages = [Stage::ACCOUNT, Stage::MATCHING];
        stages
            .into_iter()
            .flat_map(|stage| topology.seats(stage))
            .collect()
    }

    fn heads(&self) -> Answer<Vec<(Seat, Head)>> {
        let core = self.clone();
        Box::pin(async move { core.query(heads).await.unwrap_or_default() })
    }
}

fn heads(pipeline: &Pipeline) -> Vec<(Seat, Head)> {
    let accounts = pipeline
        .accounts()
        .map(|one| (one.seat(), one.head().clone()));
    let matching = pipeline
        .matching()
        .map(|one| (one.seat(), one.head().clone()));
    accounts.chain(matching).collect()
}
