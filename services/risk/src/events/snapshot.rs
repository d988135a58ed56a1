//! The account stage's whole state as one message.

use prepx_account::{
    AccountRecord, Balance, Books, Cause, Decision, LastIds, Market, Moved, Name, Order, Phase,
    Snapshot,
};
use prepx_domain::{AccountId, Asset, Micros, OrderId, Slot};
use prepx_proto::journal::v1;
use prepx_proto::{message, oneof};

use super::AccountCodec;

message! {
    Snapshot = AccountSnapshot {
        accounts, markets, orders, last_ids, books, commands, ended, freed_names;
        horizon as horizon_us
    } by AccountCodec
}

message! {
    AccountRecord = AccountRecord {
        id, user, simulated, blocked, suspended, limits, balances, names;
        created_at as created_at_us
    } by AccountCodec
}

message! {
    Balance = AccountBalance {
        asset, available_minor, held_minor, buying_minor, cost_minor
    } by AccountCodec
}

message! {
    { (name, order) }: (Name, OrderId) = TakenName { name, order } by AccountCodec
}

message! {
    { Name(high, low) }: Name = NameHash { high, low } by AccountCodec
}

message! {
    Market = AccountMarket { instrument, halted, phase, reference_ticks } by AccountCodec
}

message! {
    Order = OrderRecord {
        book, client_order_id, parked, hold_minor, held_minor, buying_minor, cum_lots,
        filled_notional_minor, fee_minor, phase, cancel_requested, triggered, replaces, replaced_by;
        created_at as created_at_us, updated_at as updated_at_us
    } by AccountCodec
}

oneof! {
    Phase = OrderRecord.phase: order_record::Phase {
        Pending = Pending,
        Open = Open,
        Ended { end; at as at_us } = Ended(PhaseEnded),
        Replaced { at } = ReplacedAtUs,
    } by AccountCodec
}

message! {
    { (slot, LastIds { account, order }) }: (Slot, LastIds) = AccountIds {
        slot, account, order
    } by AccountCodec
}

message! {
    { (asset, Books { clearing_minor, fees_minor, outside_minor }) }: (Asset, Books) = PartitionBooks {
        asset, clearing_minor, fees_minor, outside_minor
    } by AccountCodec
}

message! {
    { (Cause { command, stamped_at, at }, decision) }: (Cause, Decision) = CommandRecord {
        command, decision; stamped_at as stamped_at_us, at as at_us
    } by AccountCodec
}

oneof! {
    Decision = CommandRecord.decision: command_record::Decision {
        Opened(account) = OpenedAccount,
        Moved(moved) = Moved,
        Order(order) = Order,
        Canceling(orders) = Canceling(OrderIds),
        Done = Done,
        Rejected(reject) = Rejected,
    } by AccountCodec
}

message! {
    Moved = Balance { asset, available_minor } by AccountCodec
}

message! {
    { (at, account, order) }: (Micros, AccountId, OrderId) = EndedOrder {
        account, order; at as at_us
    } by AccountCodec
}

message! {
    { (at, account, name) }: (Micros, AccountId, Name) = FreedName {
        account, name; at as at_us
    } by AccountCodec
}
