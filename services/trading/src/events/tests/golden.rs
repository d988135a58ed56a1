//! The bytes of every event and of a state, fixed. A change here is a change of the format: old
//! journals must still be read, so add what is new and leave what stands.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use expect_test::{Expect, expect};
use prepx_domain::message::{BookOrder, CancelReason, End, Refusal};
use prepx_domain::{
    AccountId, ExecutionId, Hours, Micros, OrderId, OrderKind, SessionPhase, Side, Slot,
    TimeInForce, TradeId,
};
use prepx_matching::{
    BookSnapshot, Engine, Event, LiveOrder, Party, SlotIds, Snapshot, Standing, Trade,
};
use prepx_stage::Codec as _;
use prost_reflect::DynamicMessage;

use super::market::instrument;
use super::{CODEC, engine_of, state_bytes, through_the_log};

const AT: Micros = Micros(1_800_000_000_000_000);

fn order_id(number: i64) -> OrderId {
    OrderId::new((222_163_200_000 << 22) | number).expect("not negative")
}

fn account() -> AccountId {
    AccountId::new((222_163_200_000 << 22) | 1).expect("not negative")
}

fn live(number: i64, kind: OrderKind) -> LiveOrder {
    LiveOrder {
        order: BookOrder {
            order: order_id(number),
            account: account(),
            instrument: instrument(1).id,
            side: Side::Buy,
            kind,
            time_in_force: TimeInForce::GoodTilCanceled,
            qty_lots: 300,
            protect_ticks: kind.limit().is_none().then_some(1_040),
            post_only: false,
            extended_hours: true,
            awaits_session: false,
            expires_at: Some(AT),
        },
        cum_lots: 100,
        triggered: false,
        pair: Some(order_id(9)),
    }
}

fn party(number: i64) -> Party {
    Party {
        execution: ExecutionId::new(number << 22).expect("not negative"),
        account: account(),
        order: order_id(number),
        fee_minor: 1_530_864 - 3_000_000 * (number % 2),
        cum_lots: 100,
        left_lots: 200,
    }
}

#[expect(clippy::too_many_lines, reason = "one sample an event")]
fn events() -> Vec<Event> {
    let (instrument, account) = (instrument(1), account());
    let (order, old, new) = (order_id(2), order_id(2), order_id(3));
    let (instrument_id, cum_lots, left_lots) = (instrument.id, 100, 200);
    let resting = Standing::Resting {
        side: Side::Sell,
        price_ticks: 1_001,
    };
    let event = |end, stood| Event::Ended {
        instrument: instrument_id,
        account,
        order,
        cum_lots,
        end,
        stood,
    };
    let refusal = Refusal::QuantityTraded { cum_lots };
    vec![
        Event::Defined(instrument),
        Event::Halted {
            instrument: instrument_id,
            halted: true,
        },
        Event::Halted {
            instrument: instrument_id,
            halted: false,
        },
        Event::Reference {
            instrument: instrument_id,
            price_ticks: 1_001,
            at: AT,
        },
        Event::SessionChanged {
            instrument: instrument_id,
            phase: SessionPhase::Extended,
            until: AT,
        },
        Event::LevelParked {
            instrument: instrument_id,
            side: Side::Buy,
            price_ticks: 999,
        },
        Event::Parked {
            live: live(2, OrderKind::Market),
            early: true,
            notify: true,
        },
        Event::ReleaseBegan { orders_max: 4_096 },
        Event::Entered {
            account,
            order,
            parked: true,
        },
        Event::Rested(live(2, OrderKind::Limit { limit: 999 })),
        Event::Waited(live(2, OrderKind::Stop { stop: 1_010 })),
        Event::Triggered {
            instrument: instrument_id,
            account,
            order,
            waited: true,
        },
        Event::Paused(live(2, OrderKind::Market)),
        Event::Released { order },
        Event::Traded(Trade {
            instrument: instrument_id,
            trade: TradeId::new(7 << 22).expect("not negative"),
            price_ticks: 1_001,
            qty_lots: 100,
            notional_minor: 100_100_000,
            taker_side: Side::Sell,
            maker: party(4),
            taker: party(5),
        }),
        Event::Replaced {
            instrument: instrument_id,
            account,
            old,
            new,
            cum_lots,
            stood: Standing::Waiting,
        },
        Event::Reduced {
            instrument: instrument_id,
            account,
            old,
            new,
            cum_lots,
            left_lots,
            stood: resting,
        },
        Event::ReplaceRejected {
            account,
            old,
            new,
            refusal,
        },
        event(End::Canceled(CancelReason::Requested), resting),
        event(End::Rejected(Refusal::Halted), Standing::Arriving),
        event(End::Expired, Standing::Waiting),
        Event::Absent {
            account,
            order: order_id(9),
        },
        Event::Moved {
            live: live(3, OrderKind::Limit { limit: 998 }),
            from_ticks: 999,
        },
    ]
}

fn state() -> Snapshot {
    let parked = |number, kind| LiveOrder {
        pair: None,
        ..live(number, kind)
    };
    let triggered = LiveOrder {
        triggered: true,
        ..live(6, OrderKind::Stop { stop: 1_001 })
    };
    Snapshot {
        slots: vec![SlotIds {
            slot: Slot::new(77).expect("in range"),
            trade: TradeId::new(7 << 22),
            execution: ExecutionId::new(8 << 22),
        }],
        books: vec![BookSnapshot {
            instrument: instrument(1),
            halted: true,
            phase: SessionPhase::Regular,
            phase_until: AT,
            last_ticks: Some(1_001),
            reference_ticks: Some(1_000),
            reference_at: AT,
            updates: 300,
            orders: vec![
                live(2, OrderKind::Limit { limit: 999 }),
                live(
                    3,
                    OrderKind::StopLimit {
                        stop: 1_010,
                        limit: 1_020,
                    },
                ),
            ]
            .into_iter()
            .enumerate()
            .map(|(at, order)| LiveOrder {
                pair: (at == 0).then(|| order_id(9)),
                ..order
            })
            .collect(),
            early: vec![parked(10, OrderKind::Limit { limit: 998 })],
            kept: vec![parked(11, OrderKind::Limit { limit: 997 })],
            late: vec![parked(12, OrderKind::Market)],
        }],
        taking: Some(parked(13, OrderKind::Market)),
        triggered: vec![LiveOrder {
            pair: None,
            ..triggered
        }],
        releases_left: 5,
        expiring: [3, 2, 6, 10, 11, 12, 13].map(order_id).to_vec(),
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
    CODEC.encode_event(event, &mut bytes);
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
            0a33090034410000000000120649312f555344180220e22b288d383008380840c0843d48904e50d0860358c701608827680170e807
            110034410000000000
            190034410000000000
            221509003441000000000010e907190080982817650600
            8201140900344100000000001002190080982817650600
            8a010e090034410000000000100118e707
            9201450a3f0a3209020000005a7dee0c11010000005a7dee0c19003441000000000020012801400248ac025090086100809828176506006801106421090000005a7dee0c10011801
            98018020
            a2011409010000005a7dee0c11020000005a7dee0c1801
            2a3f0a3209020000005a7dee0c11010000005a7dee0c1900344100000000002001280230e707400248ac026100809828176506006801106421090000005a7dee0c
            32420a3509020000005a7dee0c11010000005a7dee0c1900344100000000002001280338f207400248ac025090086100809828176506006801106421090000005a7dee0c
            3a1d09003441000000000011010000005a7dee0c19020000005a7dee0c2001
            aa013f0a3209020000005a7dee0c11010000005a7dee0c19003441000000000020012801400248ac025090086100809828176506006801106421090000005a7dee0c
            41020000005a7dee0c
            4a6c090034410000000000110000c0010000000018e907206428a0cfdd2f30023a2509000000010000000011010000005a7dee0c19040000005a7dee0c20e0efba01286430c801422509000040010000000011010000005a7dee0c19050000005a7dee0c209fabb301286430c801
            522a09003441000000000011010000005a7dee0c19020000005a7dee0c21030000005a7dee0c286432021a00
            5a3209003441000000000011010000005a7dee0c19020000005a7dee0c21030000005a7dee0c286430c8013a071205080210e907
            621f09010000005a7dee0c11020000005a7dee0c19030000005a7dee0c22023064
            6a2a09003441000000000011010000005a7dee0c19020000005a7dee0c20642a02100132071205080210e907
            6a2709003441000000000011010000005a7dee0c19020000005a7dee0c20642a0422021a0032020a00
            6a2509003441000000000011010000005a7dee0c19020000005a7dee0c20642a021a0032021a00
            721209010000005a7dee0c11090000005a7dee0c
            7a440a3f0a3209030000005a7dee0c11010000005a7dee0c1900344100000000002001280230e607400248ac026100809828176506006801106421090000005a7dee0c10e707
        "#]],
    );
}

#[test]
fn bytes_of_a_state() {
    let bytes = state_bytes(&Engine::restore(&state(), Hours::default()));
    assert_eq!(engine_of(&bytes).export(), state());
    check(
        [bytes],
        expect![[r#"
            0a14084d110000c0010000000019000000020000000012f8020a33090034410000000000120649312f555344180220e22b288d383008380840c0843d48904e50d0860358c701608827680170e807100118e90720e80729008098281765060030ac023a3f0a3209020000005a7dee0c11010000005a7dee0c1900344100000000002001280230e707400248ac026100809828176506006801106421090000005a7dee0c3a390a3509030000005a7dee0c11010000005a7dee0c1900344100000000002001280430fc0738f207400248ac0261008098281765060068011064400349008098281765060052360a32090a0000005a7dee0c11010000005a7dee0c1900344100000000002001280230e607400248ac02610080982817650600680110645a360a32090b0000005a7dee0c11010000005a7dee0c1900344100000000002001280230e507400248ac026100809828176506006801106462360a32090c0000005a7dee0c11010000005a7dee0c19003441000000000020012801400248ac02509008610080982817650600680110641a3b0a3509060000005a7dee0c11010000005a7dee0c1900344100000000002001280338e907400248ac025090086100809828176506006801106418012238030000005a7dee0c020000005a7dee0c060000005a7dee0c0a0000005a7dee0c0b0000005a7dee0c0c0000005a7dee0c0d0000005a7dee0c2a360a32090d0000005a7dee0c11010000005a7dee0c19003441000000000020012801400248ac02509008610080982817650600680110643005
        "#]],
    );
}

#[test]
fn every_event_has_golden_bytes() {
    let event = prepx_proto::descriptors()
        .get_message_by_name("prepx.journal.v1.MatchingEvent")
        .expect("it is in the pool");
    let met: BTreeSet<u32> = events()
        .iter()
        .map(|sample| DynamicMessage::decode(event.clone(), &bytes_of(sample)[..]))
        .flat_map(|message| {
            let message = message.expect("our bytes");
            message
                .fields()
                .map(|(field, _)| field.number())
                .collect::<Vec<_>>()
        })
        .collect();
    let all: BTreeSet<u32> = event.fields().map(|field| field.number()).collect();
    assert_eq!(met, all);
}
