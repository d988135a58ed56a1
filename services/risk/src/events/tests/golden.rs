//! The bytes of every event and of a state, fixed. A change here is a change of the format: old
//! journals must still be read, so add what is new and leave what stands.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use expect_test::{Expect, expect};
use prepx_account::{
    AccountRecord, Balance, Books, Cause, Decision, Event, LastIds, Market, Moved, Name, Order,
    Phase, Snapshot, Stage,
};
use prepx_domain::message::{BookOrder, BookReplace, CancelReason, End, Fill, Limits, Refusal};
use prepx_domain::{
    AccountId, Asset, ExecutionId, Micros, OrderId, OrderKind, Reject, SessionPhase, Side, Slot,
    TimeInForce, TradeId,
};
use prepx_stage::Codec as _;
use prost_reflect::DynamicMessage;
use uuid::Uuid;

use super::exchange::{START, share};
use super::{AccountCodec, codec, state_bytes, through_the_log};

const COMMAND: Uuid = Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef);
const CAUSE: Cause = Cause {
    command: COMMAND,
    stamped_at: START,
    at: START.plus_us(7),
};

fn order_id(number: i64) -> OrderId {
    OrderId::new((222_163_200_000 << 22) | number).expect("not negative")
}

fn account() -> AccountId {
    AccountId::new((222_163_200_000 << 22) | 1).expect("not negative")
}

fn usd() -> Asset {
    "USD".parse().expect("an asset")
}

fn limits() -> Limits {
    Limits {
        order_qty_minor: 10_000,
        order_notional_minor: 500_000,
        open_orders: 500,
        position_minor: 1_000_000,
    }
}

fn book_order(number: i64) -> BookOrder {
    BookOrder {
        order: order_id(number),
        account: account(),
        instrument: share().id,
        side: Side::Buy,
        kind: OrderKind::Limit { limit: 999 },
        time_in_force: TimeInForce::GoodTilCanceled,
        qty_lots: 300,
        protect_ticks: None,
        post_only: true,
        extended_hours: true,
        awaits_session: true,
        expires_at: Some(START.plus_us(1_000_000)),
    }
}

fn fill() -> Fill {
    Fill {
        execution: ExecutionId::new(3 << 22).expect("not negative"),
        trade: TradeId::new(4 << 22).expect("not negative"),
        account: account(),
        order: order_id(2),
        instrument: share().id,
        side: Side::Buy,
        price_ticks: 999,
        qty_lots: 1,
        notional_minor: 999,
        fee_minor: -1,
        cum_lots: 7,
        maker: true,
    }
}

fn of_accounts() -> Vec<Event> {
    let (cause, account, asset, amount_minor) = (CAUSE, account(), usd(), 100_000);
    vec![
        Event::Opened {
            cause,
            account,
            user: COMMAND,
            simulated: true,
            limits: limits(),
        },
        Event::Deposited {
            cause,
            account,
            asset,
            amount_minor,
        },
        Event::Withdrawn {
            cause,
            account,
            asset,
            amount_minor,
            cost_minor: 77,
        },
        Event::BlockSet {
            cause,
            account,
            blocked: true,
        },
        Event::SuspensionSet {
            cause,
            account,
            suspended: true,
        },
        Event::LimitsSet {
            cause,
            account,
            limits: limits(),
        },
    ]
}

fn of_orders() -> Vec<Event> {
    let (cause, account) = (CAUSE, account());
    let (order, replace) = (
        book_order(2),
        BookReplace {
            old: order_id(2),
            new: book_order(3),
        },
    );
    let reject = || {
        Box::new(Reject::TooLarge {
            field: prepx_domain::reject::Field::Qty,
        })
    };
    vec![
        Event::Placed {
            cause,
            order,
            client_order_id: "mine-1".into(),
            hold_minor: 299_700,
            buying_minor: 30_000,
            created_at: cause.at,
        },
        Event::ReplaceSent {
            cause,
            replace,
            client_order_id: "mine-2".into(),
            hold_minor: 300,
            buying_minor: 200,
            created_at: cause.at.plus_us(7),
        },
        Event::CancelSent {
            cause,
            account,
            orders: vec![order_id(2), order_id(3)],
            reason: None,
        },
        Event::CancelSent {
            cause,
            account,
            orders: vec![order_id(2)],
            reason: Some("bug 7".into()),
        },
        Event::Rejected {
            cause,
            reject: reject(),
        },
        Event::Refused {
            command: COMMAND,
            reject: reject(),
        },
        Event::Repeated { command: COMMAND },
    ]
}

fn of_market() -> Vec<Event> {
    let (at, instrument, released_minor) = (CAUSE.at, share().id, 40);
    let (order, old, new) = (order_id(2), order_id(2), order_id(3));
    vec![
        Event::Defined(Box::new(share())),
        Event::Halted {
            instrument,
            halted: true,
        },
        Event::Halted {
            instrument,
            halted: false,
        },
        Event::ReferenceMoved {
            instrument,
            price_ticks: 1_001,
        },
        Event::SessionChanged {
            instrument,
            phase: SessionPhase::Regular,
        },
        Event::Parked {
            at,
            order,
            parked: true,
        },
        Event::Parked {
            at,
            order,
            parked: false,
        },
        Event::Triggered { at, order },
        Event::Filled {
            at,
            fill: fill(),
            qty_minor: 100,
            held_minor: 1_000,
            available_minor: -1,
            cost_minor: -999,
        },
        Event::Replaced {
            at,
            old,
            new,
            held_minor: 299_700,
            buying_minor: 29_300,
            released_minor,
        },
        Event::ReplaceRejected {
            at,
            old,
            new,
            refusal: Refusal::NotLiving,
            released_minor,
        },
        Event::Ended {
            at,
            order,
            end: End::Expired,
            released_minor,
        },
        Event::TimePassed { at },
    ]
}

fn events() -> Vec<Event> {
    [of_accounts(), of_orders(), of_market()].concat()
}

fn order(number: i64, phase: Phase) -> Order {
    let lives = matches!(phase, Phase::Pending | Phase::Open);
    Order {
        book: book_order(number),
        client_order_id: format!("mine-{number}").into(),
        parked: number == 2,
        hold_minor: 299_700,
        held_minor: if lives { 200_000 } else { 0 },
        buying_minor: if lives { 20_000 } else { 0 },
        cum_lots: 7,
        filled_notional_minor: 6_993,
        fee_minor: -7,
        created_at: START,
        updated_at: START.plus_us(number),
        phase,
        cancel_requested: number == 2,
        triggered: number == 3,
        replaces: (number == 3).then(|| order_id(2)),
        replaced_by: (number == 2).then(|| order_id(3)),
    }
}

fn decisions() -> Vec<(Cause, Decision)> {
    let moved = Moved {
        asset: usd(),
        available_minor: 100_000,
    };
    let decisions = [
        Decision::Opened(account()),
        Decision::Moved(Box::new(moved)),
        Decision::Order(order_id(2)),
        Decision::Canceling(Box::new([order_id(2), order_id(3)])),
        Decision::Done,
        Decision::Rejected(Box::new(Reject::UnknownOrder)),
    ];
    let caused = |(at, decision)| {
        let command = Uuid::from_u128(at as u128 + 1);
        (Cause { command, ..CAUSE }, decision)
    };
    decisions.into_iter().enumerate().map(caused).collect()
}

fn state() -> Snapshot {
    let balance = |asset, available_minor, buying_minor| Balance {
        asset,
        available_minor,
        held_minor: 400_000,
        buying_minor,
        cost_minor: 6_993,
    };
    let ended = START.plus_us(9);
    let canceled = End::Canceled(CancelReason::Requested);
    let (old_name, new_name) = (Name(1, 2), Name(3, 4));
    Snapshot {
        accounts: vec![AccountRecord {
            id: account(),
            user: COMMAND,
            simulated: true,
            created_at: START,
            blocked: true,
            suspended: true,
            limits: limits(),
            balances: vec![balance(share().base, 700, 40_000), balance(usd(), -1, 0)],
            names: vec![(old_name, order_id(2)), (new_name, order_id(3))],
        }],
        markets: vec![Market {
            instrument: share(),
            halted: true,
            phase: SessionPhase::Extended,
            reference_ticks: Some(1_001),
        }],
        orders: vec![
            order(2, Phase::Open),
            order(3, Phase::Pending),
            order(
                4,
                Phase::Ended {
                    at: ended,
                    end: canceled,
                },
            ),
            order(5, Phase::Replaced { at: ended }),
        ],
        last_ids: vec![(
            Slot::new(4_095).expect("in range"),
            LastIds {
                account: Some(account()),
                order: Some(order_id(5)),
            },
        )],
        books: vec![(
            usd(),
            Books {
                clearing_minor: -6_993,
                fees_minor: -7,
                outside_minor: -1_000_000,
            },
        )],
        commands: decisions(),
        horizon: Micros(START.0 - 1),
        ended: vec![
            (ended, account(), order_id(4)),
            (ended, account(), order_id(5)),
        ],
        freed_names: vec![(ended, account(), old_name)],
    }
}

fn check(all: impl IntoIterator<Item = Vec<u8>>, expect: Expect) {
    let mut lines = String::new();
    for bytes in all {
        for byte in bytes {
            write!(lines, "{byte:02x}").expect("a string takes everything");
        }
        lines.push('\n');
    }
    expect.assert_eq(&lines);
}

fn bytes_of(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec().encode_event(event, &mut bytes);
    bytes
}

#[test]
fn bytes_of_events() {
    let events = events();
    events
        .iter()
        .for_each(|event| assert_eq!(through_the_log(event), *event));
    check(
        events.iter().map(bytes_of),
        expect![[r#"
            0a1209ef4dab896745230111efcdab8967452381110080982817650600190780982817650600222f09010000005a7dee0c121209ef4dab896745230111efcdab89674523811801220e08904e10a0c21e18f40320c0843d
            0a1209ef4dab896745230111efcdab89674523811100809828176506001907809828176506002a1009010000005a7dee0c108d3818a08d06
            0a1209ef4dab896745230111efcdab8967452381110080982817650600190780982817650600321309010000005a7dee0c108d3818a08d06209a01
            0a1209ef4dab896745230111efcdab89674523811100809828176506001907809828176506003a0b09010000005a7dee0c1001
            0a1209ef4dab896745230111efcdab8967452381110080982817650600190780982817650600ca010b09010000005a7dee0c1001
            0a1209ef4dab896745230111efcdab8967452381110080982817650600190780982817650600421909010000005a7dee0c120e08904e10a0c21e18f40320c0843d
            0a1209ef4dab896745230111efcdab89674523811100809828176506001907809828176506004a480a3609020000005a7dee0c11010000005a7dee0c1900401c005a7dee0c2001280230e707400248ac0258016140c2a728176506006801700112066d696e652d3118b4a51220b0ea01
            0a1209ef4dab896745230111efcdab896745238111008098281765060019078098281765060052530a4109020000005a7dee0c123609030000005a7dee0c11010000005a7dee0c1900401c005a7dee0c2001280230e707400248ac0258016140c2a728176506006801700112066d696e652d3218ac0220c8012807
            0a1209ef4dab896745230111efcdab89674523811100809828176506001907809828176506005a1b09010000005a7dee0c1210020000005a7dee0c030000005a7dee0c
            0a1209ef4dab896745230111efcdab89674523811100809828176506001907809828176506005a1a09010000005a7dee0c1208020000005a7dee0c1a056275672037
            0a1209ef4dab896745230111efcdab896745238111008098281765060019078098281765060062024801
            0a1209ef4dab896745230111efcdab89674523816a024801
            0a1209ef4dab896745230111efcdab89674523817200
            7a2f0900401c005a7dee0c120441434d45180120b9e714288d38300238024001486450a08d06588f0360d00f680270e807
            810100401c005a7dee0c
            890100401c005a7dee0c
            92010c0900401c005a7dee0c10e907
            d2010b0900401c005a7dee0c1003
            190780982817650600d901020000005a7dee0c
            190780982817650600e101020000005a7dee0c
            1907809828176506009901020000005a7dee0c
            190780982817650600a201490a3d090000c0000000000011000000010000000019010000005a7dee0c21020000005a7dee0c2900401c005a7dee0c300138e707400148e707500158076001106418e807200128cd0f
            190780982817650600aa011c09020000005a7dee0c11030000005a7dee0c18b4a51220f4e4012828
            190780982817650600b2011809020000005a7dee0c11030000005a7dee0c1a022a002028
            190780982817650600ba010f09020000005a7dee0c12021a001828
            190780982817650600c20100
        "#]],
    );
}

#[test]
fn bytes_of_a_state() {
    let config = codec().initial().config();
    let bytes = state_bytes(&Stage::restore(config, state()));
    let read = codec().decode_state(AccountCodec::STATE_VERSION, &bytes);
    assert_eq!(read.expect("this version wrote it").export(), state());
    check(
        [bytes],
        expect![[r#"
            0a9c0109010000005a7dee0c121209ef4dab896745230111efcdab896745238118012100809828176506002801320e08904e10a0c21e18f40320c0843d3a1208b9e71410f80a1880ea302080f10428a26d3a0c088d3810011880ea3028a26d421d0a1209010000000000000011020000000000000011020000005a7dee0c421d0a1209030000000000000011040000000000000011030000005a7dee0c480112380a2f0900401c005a7dee0c120441434d45180120b9e714288d38300238024001486450a08d06588f0360d00f680270e807100118e90720021a760a3609020000005a7dee0c11010000005a7dee0c1900401c005a7dee0c2001280230e707400248ac0258016140c2a728176506006801700112066d696e652d3218b4a51220c09a0c28a09c01300738d136400d490080982817650600510280982817650600620078019101030000005a7dee0c9801011a740a3609030000005a7dee0c11010000005a7dee0c1900401c005a7dee0c2001280230e707400248ac0258016140c2a728176506006801700112066d696e652d3318b4a51220c09a0c28a09c01300738d136400d4900809828176506005103809828176506005a008001018901020000005a7dee0c1a6c0a3609040000005a7dee0c11010000005a7dee0c1900401c005a7dee0c2001280230e707400248ac0258016140c2a728176506006801700112066d696e652d3418b4a512300738d136400d4900809828176506005104809828176506006a0d090980982817650600120210011a660a3609050000005a7dee0c11010000005a7dee0c1900401c005a7dee0c2001280230e707400248ac0258016140c2a728176506006801700112066d696e652d3518b4a512300738d136400d490080982817650600510580982817650600710980982817650600221508ff1f11010000005a7dee0c19050000005a7dee0c2a0c088d3810a16d180d20ff887a32260a0911010000000000000011008098281765060019078098281765060021010000005a7dee0c32260a091102000000000000001100809828176506001907809828176506002a07088d3810a08d0632260a0911030000000000000011008098281765060019078098281765060031020000005a7dee0c32310a091104000000000000001100809828176506001907809828176506003a120a10020000005a7dee0c030000005a7dee0c321f0a09110500000000000000110080982817650600190780982817650600420032210a091106000000000000001100809828176506001907809828176506004a021a0039ff7f982817650600421b09098098281765060011010000005a7dee0c19040000005a7dee0c421b09098098281765060011010000005a7dee0c19050000005a7dee0c4a2609098098281765060011010000005a7dee0c1a12090100000000000000110200000000000000
        "#]],
    );
}

#[test]
fn every_event_has_golden_bytes() {
    let event = prepx_proto::descriptors()
        .get_message_by_name("prepx.journal.v1.AccountEvent")
        .expect("it is in the pool");
    let mut met = BTreeSet::new();
    for sample in events() {
        let message = DynamicMessage::decode(event.clone(), &bytes_of(&sample)[..]);
        let message = message.expect("our bytes");
        met.extend(message.fields().map(|(field, _)| field.number()));
    }
    let all: BTreeSet<u32> = event.fields().map(|field| field.number()).collect();
    assert_eq!(met, all);
}
