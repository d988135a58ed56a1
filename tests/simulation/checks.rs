//! What must be true of the stages and the log, whatever happened.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use prepx_bus::{Log, Record, Topic, TopicPartition};
use prepx_domain::{Asset, OrderId};
use prepx_risk::AccountCodec;
use prepx_stage::lane::{self, Run};
use prepx_stage::shadow::Shadow;
use prepx_stage::{Codec, Event, Partition, Seat, Snapshots, Topology};
use prepx_trading::MatchingCodec;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::clients::Clients;

/// All that is durable from an offset on; a read gives what it has at hand.
fn records(log: &dyn Log, of: TopicPartition, from: u64) -> Vec<Record> {
    let (mut next, mut all) = (from, Vec::new());
    loop {
        let more = log.read(of, next, usize::MAX).expect("readable");
        let Some(last) = more.last() else { return all };
        next = last.offset + 1;
        all.extend(more);
    }
}

/// The live state is the fold of the newest snapshot and the durable journal (I6). To be asked
/// when everything is durable.
pub fn fold_is_live<C: Codec>(
    codec: &C,
    live: &Partition<C>,
    log: &dyn Log,
    snapshots: &Snapshots,
) {
    let mut shadow = snapshots
        .load(codec, live.seat())
        .expect("a snapshot, or none");
    let journal = live.seat().journal();
    for record in records(log, journal, shadow.next_offset) {
        shadow.state.fold(codec, &record.payload).expect("foldable");
    }
    assert_eq!(&shadow.state.head, live.head(), "I6: the head of {journal}");
    let bytes = |machine| {
        let mut bytes = Vec::new();
        codec.encode_state(machine, &mut bytes);
        bytes
    };
    let same = bytes(&shadow.state.machine) == bytes(live.machine());
    assert!(
        same,
        "I6: the state of {journal} is not the fold of its journal"
    );
}

/// What the journal says was decided is decided again, event by event (I7).
pub fn decides_again<C: Codec>(codec: Arc<C>, seat: Seat, log: &dyn Log, snapshots: &Snapshots)
where
    Event<C>: Debug,
{
    let mut shadow = Shadow::open(codec, seat, log, snapshots, None).expect("a place to begin");
    while let Some(again) = shadow.decide(log).expect("readable") {
        let differences = again.differences;
        assert!(differences.is_empty(), "I7: {seat}: {differences:?}");
    }
}

/// I3 and I4 within every account partition; to be asked at any time.
pub fn money_is_conserved<'a>(accounts: impl Iterator<Item = &'a Partition<AccountCodec>>) {
    for partition in accounts {
        partition.machine().check_invariants().expect("I3, I4");
    }
}

/// I2, I3 over all partitions, when everything has arrived and every client was told.
pub fn books_balance<'a>(
    accounts: impl Iterator<Item = &'a Partition<AccountCodec>>,
    clients: &Clients,
) {
    let (mut clearing, mut outside) = (BTreeMap::<Asset, i64>::new(), BTreeMap::new());
    for partition in accounts {
        for (asset, books) in partition.machine().books() {
            *clearing.entry(asset).or_default() += books.clearing_minor;
            *outside.entry(asset).or_default() -= books.outside_minor;
        }
    }
    clearing.retain(|_, sum| *sum != 0);
    outside.retain(|_, sum| *sum != 0);
    assert_eq!(
        clearing,
        BTreeMap::new(),
        "I3: clearing is zero when everything has arrived"
    );
    assert_eq!(
        outside,
        clients.outside_minor(),
        "I2: every accepted transfer, once"
    );
    let orders: BTreeSet<_> = clients.orders().iter().collect();
    assert_eq!(
        orders.len(),
        clients.orders().len(),
        "I2: an order id was given twice"
    );
}

/// The orders that live on the books are those that accounts hold money for, when everything has
/// arrived.
pub fn books_and_accounts_agree<'a>(
    accounts: impl Iterator<Item = &'a Partition<AccountCodec>>,
    matching: impl Iterator<Item = &'a Partition<MatchingCodec>>,
) {
    let mut open = BTreeSet::<OrderId>::new();
    for partition in accounts {
        let stage = partition.machine();
        for account in stage.accounts() {
            open.extend(stage.open_orders(account).iter().map(|order| order.id));
        }
    }
    let mut living = BTreeSet::new();
    for partition in matching {
        for book in partition.machine().export().books {
            let parked = [&book.early, &book.kept, &book.late];
            let all = book.orders.iter().chain(parked.into_iter().flatten());
            living.extend(all.map(|order| order.order.order));
        }
    }
    assert_eq!(open, living, "I1: an order lives on one side only");
}

/// How many orders wait for their session.
pub fn parked<'a>(matching: impl Iterator<Item = &'a Partition<MatchingCodec>>) -> usize {
    let books = matching.flat_map(|partition| partition.machine().export().books);
    books
        .map(|book| book.early.len() + book.kept.len() + book.late.len())
        .sum()
}

/// How many of the orders that accounts remember have traded.
pub fn traded<'a>(accounts: impl Iterator<Item = &'a Partition<AccountCodec>>) -> usize {
    let of_partition = |partition: &Partition<AccountCodec>| -> usize {
        let stage = partition.machine();
        let orders = |account| [stage.open_orders(account), stage.recent_orders(account)].concat();
        let all = stage.accounts().into_iter().flat_map(orders);
        all.filter(|order| order.filled_minor > 0).count()
    };
    accounts.map(of_partition).sum()
}

fn partitions(topology: Topology) -> impl Iterator<Item = TopicPartition> {
    let all = Topic::ALL.iter();
    all.flat_map(move |topic| (0..topology.partitions(*topic)).map(|at| topic.partition(at)))
}

/// On every lane of the log every number comes, and none before the one before it (I2).
pub fn lanes_are_dense(log: &dyn Log, topology: Topology) {
    let lanes = [
        Topic::OrderProcessing,
        Topic::OrderExecutions,
        Topic::PortfolioUpdates,
        Topic::MarketData,
    ];
    for at in partitions(topology).filter(|at| lanes.contains(&at.topic)) {
        let mut last = BTreeMap::<TopicPartition, u64>::new();
        for record in records(log, at, log.start(at)) {
            let run = Run::decode(&record.payload).expect("a lane record");
            // Retention may have taken the beginning.
            let last = last.entry(run.source).or_insert(match log.start(at) {
                0 => 0,
                _ => run.first - 1,
            });
            lane::repeats(run.source, *last, run.first, run.count).expect("no gap");
            *last = (*last).max(run.first + run.count - 1);
        }
    }
}

/// Everything that is on the log, in one number (I7).
pub fn fingerprint(log: &dyn Log, topology: Topology) -> u64 {
    let mut hash = 0;
    for at in partitions(topology) {
        for record in records(log, at, log.start(at)) {
            hash = xxh3_64_with_seed(&record.payload, hash ^ record.offset);
        }
    }
    hash
}
