//! The core as services reach it: the ports of both stages, in process.

use prepx_domain::AccountId;
use prepx_domain::message::{Command, ToMatching};
use prepx_domain::update::{Book, OrderView, Reply};
use prepx_domain::view::{AccountView, InstrumentView};
use prepx_stage::Partition;
use prepx_stage::port::{
    AccountPort, Answer, AuditPort, Line, MatchingPort, ReadError, StageBooks, SubmitError,
    WhichOrders,
};

use super::{AccountCodec, Core, account};

pub(crate) const SILENT: &str = "the stage gave no reply";

impl AccountPort for Core {
    fn submit(&self, commands: Vec<Command>) -> Answer<Vec<Result<Reply, SubmitError>>> {
        let (core, count) = (self.clone(), commands.len());
        Box::pin(async move {
            match core.submit_batch(commands).await {
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
        let look = move |stage: &account::Stage| orders(stage, account, &which);
        Box::pin(async move { core.query_account(account.slot(), look).await })
    }
}

/// Only the account's own orders are ever seen (I9).
pub(crate) fn orders(
    stage: &account::Stage,
    account: AccountId,
    which: &WhichOrders,
) -> Vec<OrderView> {
    match which {
        WhichOrders::Id(order) => {
            let own = |order: &OrderView| order.account == account;
            stage.order(*order).filter(own).into_iter().collect()
        }
        WhichOrders::ClientOrderId(name) => stage
            .order_by_client_id(account, name)
            .into_iter()
            .collect(),
        WhichOrders::Open => stage.open_orders(account),
        WhichOrders::Remembered => {
            let mut all = stage.open_orders(account);
            all.extend(stage.recent_orders(account));
            all.sort_unstable_by_key(|order| order.id);
            all
        }
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
        let look = |spine: &super::Spine| {
            let first = spine.accounts().next();
            first.map_or_else(Vec::new, |first| instruments_of(first.machine()))
        };
        Box::pin(async move { core.query(look).await })
    }
}

/// What an account partition knows of the instruments.
pub(crate) fn instruments_of(stage: &account::Stage) -> Vec<InstrumentView> {
    let view = |market: &account::Market| InstrumentView {
        instrument: market.instrument,
        halted: market.halted,
        reference_ticks: market.reference_ticks,
    };
    stage.markets().into_iter().map(view).collect()
}

impl AuditPort for Core {
    fn books(&self) -> Answer<Result<StageBooks, ReadError>> {
        let core = self.clone();
        Box::pin(async move { core.query(stage_books).await })
    }
}

fn stage_books(spine: &super::Spine) -> StageBooks {
    let mut found = StageBooks::default();
    for (number, partition) in (0u32..).zip(spine.accounts()) {
        found.add(books_at(number, partition));
    }
    found
}

/// The books of one partition as it is now.
pub(crate) fn books_at(number: u32, partition: &Partition<AccountCodec>) -> StageBooks {
    let machine = partition.machine();
    let flaw = machine.check_invariants().err();
    StageBooks {
        positions: vec![partition.head().seq],
        books: books_of(number, machine).collect(),
        accounts: machine.accounts().len() as u64,
        flaw: flaw.map(|flaw| format!("account partition {number}: {flaw}")),
    }
}

/// All books of one partition; those that come to zero are left out.
pub(crate) fn books_of(
    partition: u32,
    stage: &account::Stage,
) -> impl Iterator<Item = (Line, i64)> {
    let ids = stage.accounts().into_iter();
    let of_accounts = ids
        .filter_map(|id| stage.account(id))
        .flat_map(move |view| {
            let account = view.account;
            view.balances.into_iter().flat_map(move |balance| {
                let line = |book| (partition, book, balance.asset);
                [
                    (line(Book::Available(account)), balance.available_minor),
                    (line(Book::Held(account)), balance.held_minor),
                ]
            })
        });
    let own = stage.books().flat_map(move |(asset, books)| {
        let line = |book| (partition, book, asset);
        [
            (line(Book::Clearing), books.clearing_minor),
            (line(Book::Fees), books.fees_minor),
            (line(Book::Outside), books.outside_minor),
        ]
    });
    of_accounts.chain(own).filter(|(_, minor)| *minor != 0)
}
