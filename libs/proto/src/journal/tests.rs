pub(crate) mod arbitrary;
mod golden;
mod samples;

use proptest::prelude::*;
use std::fmt::Debug;

use prepx_domain::message::{Command, ToAccount, ToMatching};
use prepx_domain::update::{AccountUpdate, MarketUpdate, Reply};
use prepx_domain::{Asset, Side};

use super::{Error, Part, Record, decode, encode, v1};

fn bytes_of<T: Record>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(value, &mut bytes);
    bytes
}

fn round_trips<T: Record + PartialEq + Debug>(value: &T) {
    assert_eq!(decode::<T>(&bytes_of(value)).as_ref(), Ok(value));
}

/// What follows `value` when some of its bytes are damaged: any outcome but a panic, and what is
/// understood can be written and read again.
fn survives_damage<T: Record + PartialEq + Debug>(value: &T, damage: &[(prop::sample::Index, u8)]) {
    let mut bytes = bytes_of(value);
    for (at, byte) in damage {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    if let Ok(understood) = decode::<T>(&bytes) {
        round_trips(&understood);
    }
    let cut = damage.first().map_or(0, |(at, _)| at.index(bytes.len()));
    let _any_outcome = decode::<T>(&bytes[..cut]);
}

fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
}

macro_rules! records {
    ($($name:ident: $record:ty = $strategy:expr;)*) => {$(
        mod $name {
            use super::*;

            proptest! {
                #[test]
                fn comes_back_as_it_was(value in $strategy) {
                    round_trips::<$record>(&value);
                }

                #[test]
                fn damaged_is_an_error_and_never_a_panic(value in $strategy, damage in damage()) {
                    survives_damage::<$record>(&value, &damage);
                }

                #[test]
                fn garbage_is_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
                    let _any_outcome = decode::<$record>(&bytes);
                }
            }
        }
    )*};
}

records! {
    account_update: AccountUpdate = arbitrary::account_update();
    command: Command = arbitrary::command();
    instrument: prepx_domain::Instrument = arbitrary::instrument();
    market_update: MarketUpdate = arbitrary::market_update();
    reply: Reply = arbitrary::reply();
    to_account: ToAccount = arbitrary::to_account();
    to_matching: ToMatching = arbitrary::to_matching();
}

proptest! {
    #[test]
    fn a_packed_name_stands_for_one_asset_only(packed in any::<u64>()) {
        if let Ok(asset) = Asset::from_wire(packed, "") {
            prop_assert_eq!(asset.to_wire(), packed);
        }
    }
}

#[test]
fn names_are_packed_as_the_proto_says() {
    let packed = |name: &str| name.parse::<Asset>().expect("a name").to_wire();
    assert_eq!(packed("A"), 1);
    assert_eq!(packed("USD"), 21 + 19 * 40 + 4 * 1_600);
    assert_eq!(packed("////////////"), 40u64.pow(12) - 1);
    // A name with a hole, and one of 13 characters.
    assert!(matches!(
        Asset::from_wire(40, "f"),
        Err(Error::Name { field: "f", .. })
    ));
    assert!(matches!(
        Asset::from_wire(40u64.pow(12), "f"),
        Err(Error::Name { .. })
    ));
    assert!(matches!(Asset::from_wire(0, "f"), Err(Error::Name { .. })));
}

/// What a newer version may have written is refused, never taken for something else.
#[test]
fn what_this_version_does_not_know_is_an_error() {
    let place = v1::BookOrder {
        side: Side::Buy as i32 + 1,
        r#type: v1::OrderType::Market as i32,
        time_in_force: v1::TimeInForce::Day as i32,
        ..v1::BookOrder::default()
    };
    let read = |order| {
        let message = Some(v1::to_matching::Message::Place(order));
        let mut bytes = Vec::new();
        super::encode_message(&v1::ToMatching { message }, &mut bytes);
        decode::<ToMatching>(&bytes)
    };
    assert!(read(place).is_ok());
    let check = |order, error| assert_eq!(read(order), Err(error));
    let unknown = |field, number| Error::Unknown { field, number };
    check(
        v1::BookOrder { side: 9, ..place },
        unknown("BookOrder.side", 9),
    );
    check(
        v1::BookOrder { side: 0, ..place },
        unknown("BookOrder.side", 0),
    );
    check(
        v1::BookOrder {
            r#type: 77,
            ..place
        },
        unknown("BookOrder.type", 77),
    );
    check(
        v1::BookOrder {
            limit_ticks: 5,
            ..place
        },
        Error::OutOfRange {
            field: "BookOrder.type",
            number: 5,
        },
    );
    check(
        v1::BookOrder {
            account: -1,
            ..place
        },
        Error::OutOfRange {
            field: "BookOrder.account",
            number: -1,
        },
    );
    // A member of the oneof with the number 100: `(100 << 3) | 2`, and no bytes.
    assert_eq!(
        decode::<ToAccount>(&[0xa2, 0x06, 0x00]),
        Err(Error::Missing("ToAccount.message"))
    );
    assert_eq!(
        decode::<ToAccount>(&[]),
        Err(Error::Missing("ToAccount.message"))
    );
    assert!(matches!(
        decode::<ToAccount>(&[0xff]),
        Err(Error::Malformed(_))
    ));
}
