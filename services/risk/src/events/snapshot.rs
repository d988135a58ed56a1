//! The account stage's whole state as one message.

use prepx_account::{
    AccountRecord, Balance, Books, Cause, Decision, LastIds, Market, Moved, Name, Order, Phase,
    Snapshot,
};
use prepx_domain::{AccountId, Asset, Micros, OrderId, Slot};
use prepx_proto::journal::value::{
    Choice as _, choice, id, ids, optional_id, pack, present, raw_ids, slot, unpack, uuid,
};
use prepx_proto::journal::{Error, v1};

pub(super) fn to_wire(snapshot: Snapshot) -> v1::AccountSnapshot {
    v1::AccountSnapshot {
        accounts: map(snapshot.accounts, account_to_wire),
        markets: map(snapshot.markets, market_to_wire),
        orders: map(snapshot.orders, order_to_wire),
        last_ids: map(snapshot.last_ids, last_ids_to_wire),
        books: map(snapshot.books, books_to_wire),
        commands: map(snapshot.commands, command_to_wire),
        horizon_us: snapshot.horizon.0,
        ended: map(snapshot.ended, |(at, account, order)| v1::EndedOrder {
            at_us: at.0,
            account: account.raw(),
            order: order.raw(),
        }),
        freed_names: map(snapshot.freed_names, |(at, account, name)| v1::FreedName {
            at_us: at.0,
            account: account.raw(),
            name: Some(name_to_wire(name)),
        }),
    }
}

pub(super) fn from_wire(wire: v1::AccountSnapshot) -> Result<Snapshot, Error> {
    Ok(Snapshot {
        accounts: try_map(wire.accounts, account_from_wire)?,
        markets: try_map(wire.markets, market_from_wire)?,
        orders: try_map(wire.orders, order_from_wire)?,
        last_ids: try_map(wire.last_ids, last_ids_from_wire)?,
        books: try_map(wire.books, books_from_wire)?,
        commands: try_map(wire.commands, command_from_wire)?,
        horizon: Micros(wire.horizon_us),
        ended: try_map(wire.ended, |ended| {
            let account = id("EndedOrder.account", ended.account)?;
            Ok((
                Micros(ended.at_us),
                account,
                id("EndedOrder.order", ended.order)?,
            ))
        })?,
        freed_names: try_map(wire.freed_names, |freed| {
            let account = id("FreedName.account", freed.account)?;
            Ok((
                Micros(freed.at_us),
                account,
                name_from_wire("FreedName.name", freed.name)?,
            ))
        })?,
    })
}

fn map<T, W>(items: Vec<T>, to_wire: impl Fn(T) -> W) -> Vec<W> {
    items.into_iter().map(to_wire).collect()
}

fn try_map<W, T>(
    items: Vec<W>,
    from_wire: impl Fn(W) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    items.into_iter().map(from_wire).collect()
}

fn account_to_wire(account: AccountRecord) -> v1::AccountRecord {
    v1::AccountRecord {
        id: account.id.raw(),
        user: Some(account.user.into()),
        simulated: account.simulated,
        created_at_us: account.created_at.0,
        blocked: account.blocked,
        suspended: account.suspended,
        limits: Some(account.limits.into()),
        balances: map(account.balances, |balance| v1::AccountBalance {
            asset: pack(balance.asset),
            available_minor: balance.available_minor,
            held_minor: balance.held_minor,
            buying_minor: balance.buying_minor,
            cost_minor: balance.cost_minor,
        }),
        names: map(account.names, |(name, order)| v1::TakenName {
            name: Some(name_to_wire(name)),
            order: order.raw(),
        }),
    }
}

fn account_from_wire(wire: v1::AccountRecord) -> Result<AccountRecord, Error> {
    Ok(AccountRecord {
        id: id("AccountRecord.id", wire.id)?,
        user: uuid("AccountRecord.user", wire.user)?,
        simulated: wire.simulated,
        created_at: Micros(wire.created_at_us),
        blocked: wire.blocked,
        suspended: wire.suspended,
        limits: present("AccountRecord.limits", wire.limits)?.into(),
        balances: try_map(wire.balances, |balance| {
            Ok(Balance {
                asset: unpack("AccountBalance.asset", balance.asset)?,
                available_minor: balance.available_minor,
                held_minor: balance.held_minor,
                buying_minor: balance.buying_minor,
                cost_minor: balance.cost_minor,
            })
        })?,
        names: try_map(wire.names, |taken| {
            let name = name_from_wire("TakenName.name", taken.name)?;
            Ok((name, id("TakenName.order", taken.order)?))
        })?,
    })
}

const fn name_to_wire(Name(high, low): Name) -> v1::NameHash {
    v1::NameHash { high, low }
}

fn name_from_wire(field: &'static str, wire: Option<v1::NameHash>) -> Result<Name, Error> {
    present(field, wire).map(|hash| Name(hash.high, hash.low))
}

fn market_to_wire(market: Market) -> v1::AccountMarket {
    v1::AccountMarket {
        instrument: Some((&market.instrument).into()),
        halted: market.halted,
        phase: market.phase.number(),
        reference_ticks: market.reference_ticks,
    }
}

fn market_from_wire(wire: v1::AccountMarket) -> Result<Market, Error> {
    Ok(Market {
        instrument: present("AccountMarket.instrument", wire.instrument)?.try_into()?,
        halted: wire.halted,
        phase: choice("AccountMarket.phase", wire.phase)?,
        reference_ticks: wire.reference_ticks,
    })
}

fn order_to_wire(order: Order) -> v1::OrderRecord {
    use v1::order_record::Phase as Wire;
    let phase = match order.phase {
        Phase::Pending => Wire::Pending(()),
        Phase::Open => Wire::Open(()),
        Phase::Ended { at, end } => Wire::Ended(v1::PhaseEnded {
            at_us: at.0,
            end: Some(end.into()),
        }),
        Phase::Replaced { at } => Wire::ReplacedAtUs(at.0),
    };
    v1::OrderRecord {
        book: Some((&order.book).into()),
        client_order_id: order.client_order_id.as_ref().to_owned(),
        hold_minor: order.hold_minor,
        held_minor: order.held_minor,
        buying_minor: order.buying_minor,
        cum_lots: order.cum_lots,
        filled_notional_minor: order.filled_notional_minor,
        fee_minor: order.fee_minor,
        created_at_us: order.created_at.0,
        updated_at_us: order.updated_at.0,
        cancel_requested: order.cancel_requested,
        triggered: order.triggered,
        replaces: order.replaces.map(OrderId::raw),
        replaced_by: order.replaced_by.map(OrderId::raw),
        parked: order.parked,
        phase: Some(phase),
    }
}

fn order_from_wire(wire: v1::OrderRecord) -> Result<Order, Error> {
    use v1::order_record::Phase as Wire;
    let phase = match present("OrderRecord.phase", wire.phase)? {
        Wire::Pending(()) => Phase::Pending,
        Wire::Open(()) => Phase::Open,
        Wire::Ended(ended) => Phase::Ended {
            at: Micros(ended.at_us),
            end: present("PhaseEnded.end", ended.end)?.try_into()?,
        },
        Wire::ReplacedAtUs(at_us) => Phase::Replaced { at: Micros(at_us) },
    };
    Ok(Order {
        book: present("OrderRecord.book", wire.book)?.try_into()?,
        client_order_id: wire.client_order_id.into(),
        parked: wire.parked,
        hold_minor: wire.hold_minor,
        held_minor: wire.held_minor,
        buying_minor: wire.buying_minor,
        cum_lots: wire.cum_lots,
        filled_notional_minor: wire.filled_notional_minor,
        fee_minor: wire.fee_minor,
        created_at: Micros(wire.created_at_us),
        updated_at: Micros(wire.updated_at_us),
        phase,
        cancel_requested: wire.cancel_requested,
        triggered: wire.triggered,
        replaces: optional_id("OrderRecord.replaces", wire.replaces)?,
        replaced_by: optional_id("OrderRecord.replaced_by", wire.replaced_by)?,
    })
}

fn last_ids_to_wire((slot, last): (Slot, LastIds)) -> v1::AccountIds {
    v1::AccountIds {
        slot: u32::from(slot.number()),
        account: last.account.map(AccountId::raw),
        order: last.order.map(OrderId::raw),
    }
}

fn last_ids_from_wire(wire: v1::AccountIds) -> Result<(Slot, LastIds), Error> {
    let last = LastIds {
        account: optional_id("AccountIds.account", wire.account)?,
        order: optional_id("AccountIds.order", wire.order)?,
    };
    Ok((slot("AccountIds.slot", wire.slot)?, last))
}

fn books_to_wire((asset, books): (Asset, Books)) -> v1::PartitionBooks {
    v1::PartitionBooks {
        asset: pack(asset),
        clearing_minor: books.clearing_minor,
        fees_minor: books.fees_minor,
        outside_minor: books.outside_minor,
    }
}

fn books_from_wire(wire: v1::PartitionBooks) -> Result<(Asset, Books), Error> {
    let books = Books {
        clearing_minor: wire.clearing_minor,
        fees_minor: wire.fees_minor,
        outside_minor: wire.outside_minor,
    };
    Ok((unpack("PartitionBooks.asset", wire.asset)?, books))
}

fn command_to_wire((cause, decision): (Cause, Decision)) -> v1::CommandRecord {
    use v1::command_record::Decision as Wire;
    let decision = match decision {
        Decision::Opened(account) => Wire::OpenedAccount(account.raw()),
        Decision::Moved(moved) => Wire::Moved(v1::Balance {
            asset: pack(moved.asset),
            available_minor: moved.available_minor,
        }),
        Decision::Order(order) => Wire::Order(order.raw()),
        Decision::Canceling(orders) => Wire::Canceling(v1::OrderIds {
            orders: raw_ids(&orders),
        }),
        Decision::Done => Wire::Done(()),
        Decision::Rejected(reject) => Wire::Rejected(reject.as_ref().into()),
    };
    v1::CommandRecord {
        command: Some(cause.command.into()),
        stamped_at_us: cause.stamped_at.0,
        at_us: cause.at.0,
        decision: Some(decision),
    }
}

fn command_from_wire(wire: v1::CommandRecord) -> Result<(Cause, Decision), Error> {
    use v1::command_record::Decision as Wire;
    let cause = Cause {
        command: uuid("CommandRecord.command", wire.command)?,
        stamped_at: Micros(wire.stamped_at_us),
        at: Micros(wire.at_us),
    };
    let decision = match present("CommandRecord.decision", wire.decision)? {
        Wire::OpenedAccount(raw) => Decision::Opened(id("CommandRecord.opened_account", raw)?),
        Wire::Moved(moved) => Decision::Moved(Box::new(Moved {
            asset: unpack("Balance.asset", moved.asset)?,
            available_minor: moved.available_minor,
        })),
        Wire::Order(raw) => Decision::Order(id("CommandRecord.order", raw)?),
        Wire::Canceling(canceling) => {
            Decision::Canceling(ids("OrderIds.orders", &canceling.orders)?.into())
        }
        Wire::Done(()) => Decision::Done,
        Wire::Rejected(reject) => Decision::Rejected(Box::new(reject.try_into()?)),
    };
    Ok((cause, decision))
}
