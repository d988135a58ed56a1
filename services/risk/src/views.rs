//! The views of the account stage's memory that its ports show, made the same way by every owner.

use prepx_account as account;
use prepx_domain::AccountId;
use prepx_domain::update::{Book, OrderView};
use prepx_domain::view::InstrumentView;
use prepx_stage::Partition;
use prepx_stage::port::{Line, StageBooks, WhichOrders};

use crate::events::AccountCodec;

/// Only the account's own orders are ever seen (I9).
pub fn orders(stage: &account::Stage, account: AccountId, which: &WhichOrders) -> Vec<OrderView> {
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

/// What an account partition knows of the instruments.
pub fn instruments(stage: &account::Stage) -> Vec<InstrumentView> {
    let view = |market: &account::Market| InstrumentView {
        instrument: market.instrument,
        halted: market.halted,
        reference_ticks: market.reference_ticks,
    };
    stage.markets().into_iter().map(view).collect()
}

/// The books of one partition as it is now.
pub fn books(number: u32, partition: &Partition<AccountCodec>) -> StageBooks {
    let machine = partition.machine();
    let flaw = machine.check_invariants().err();
    StageBooks {
        positions: vec![partition.head().seq],
        books: lines(number, machine).collect(),
        accounts: machine.accounts().len() as u64,
        flaw: flaw.map(|flaw| format!("account partition {number}: {flaw}")),
    }
}

/// All books of one partition; those that come to zero are left out.
pub fn lines(partition: u32, stage: &account::Stage) -> impl Iterator<Item = (Line, i64)> {
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
