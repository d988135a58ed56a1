//! Ids of 63 bits that route by themselves: 41 bits of milliseconds, 12 of slot, 10 of counter.
//!
//! One writer allots a slot's ids and never goes back, so an id is unique without coordination and
//! sorts by time. Outside they are UUIDs of version 8 by a fixed, reversible mapping that includes
//! the kind, so an order's id is never taken for an account's.

use std::fmt;

use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::field::FieldError;
use crate::time::Micros;

/// How many permanent slots accounts and symbols hash into.
pub const SLOTS: u16 = 4_096;

/// 2020-01-01T00:00:00Z in milliseconds: ids count from here and last until 2089.
const EPOCH_MS: i64 = 1_577_836_800_000;
const COUNTER_BITS: u32 = 10;
const SLOT_BITS: u32 = 12;

/// One of the 4,096 permanent slots. slot → partition → shard → region is data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u16);

impl Slot {
    /// The slot of a user's accounts.
    pub fn of_user(user: Uuid) -> Slot {
        Slot::of_bytes(user.as_bytes())
    }

    /// The slot of an instrument.
    pub fn of_symbol(symbol: &str) -> Slot {
        Slot::of_bytes(symbol.as_bytes())
    }

    fn of_bytes(bytes: &[u8]) -> Slot {
        Slot((xxh3_64(bytes) % u64::from(SLOTS)) as u16)
    }

    /// The slot with this number, if there is one.
    pub fn new(number: u16) -> Option<Slot> {
        (number < SLOTS).then_some(Slot(number))
    }

    /// 0 to 4,095.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The partition of this slot while `partitions` share all slots in contiguous ranges.
    pub const fn partition(self, partitions: u32) -> u32 {
        self.0 as u32 * partitions / SLOTS as u32
    }
}

/// The id that follows `last` in a slot at `now`, as raw bits: never smaller than `last`, even when
/// the clock stands still or the counter of a millisecond is used up.
fn next_raw(slot: Slot, now: Micros, last: Option<i64>) -> i64 {
    let now_ms = now.millis().saturating_sub(EPOCH_MS).max(0);
    let (ms, counter) = match last {
        Some(last) if last >> (COUNTER_BITS + SLOT_BITS) >= now_ms => {
            let ms = last >> (COUNTER_BITS + SLOT_BITS);
            let counter = (last & ((1 << COUNTER_BITS) - 1)).saturating_add(1);
            if counter >> COUNTER_BITS == 0 {
                (ms, counter)
            } else {
                (ms.saturating_add(1), 0)
            }
        }
        _ => (now_ms, 0),
    };
    (ms << (COUNTER_BITS + SLOT_BITS)) | (i64::from(slot.0) << COUNTER_BITS) | counter
}

/// 50 bits that tie a UUID to its kind and number, so that a mistyped or random one is refused.
const fn check_bits(kind: u8, raw: i64) -> u128 {
    let mut mixed = raw as u64 ^ ((kind as u64) << 56);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 14) as u128
}

/// Layout of RFC 9562 version 8: 60 bits of the number around the version, the variant, the last
/// four bits of the number, eight bits of kind, 50 check bits.
const fn to_uuid(kind: u8, raw: i64) -> Uuid {
    let number = raw as u128;
    Uuid::from_u128(
        ((number >> 16) << 80)
            | (0x8 << 76)
            | (((number >> 4) & 0xfff) << 64)
            | (0b10 << 62)
            | ((number & 0xf) << 58)
            | ((kind as u128) << 50)
            | check_bits(kind, raw),
    )
}

fn from_uuid(kind: u8, uuid: Uuid) -> Option<i64> {
    let bits = uuid.as_u128();
    let number = ((bits >> 80) << 16) | (((bits >> 64) & 0xfff) << 4) | ((bits >> 58) & 0xf);
    let raw = i64::try_from(number).ok()?;
    (to_uuid(kind, raw) == uuid).then_some(raw)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(i64);

        impl $name {
            /// The number that stands for this kind in a UUID.
            const KIND: u8 = $kind;

            /// The id from its 63 bits; `None` when negative.
            pub const fn new(raw: i64) -> Option<Self> {
                if raw < 0 { None } else { Some(Self(raw)) }
            }

            /// The id that follows `last` in a slot at `now`.
            pub fn next(slot: Slot, now: Micros, last: Option<Self>) -> Self {
                Self(next_raw(slot, now, last.map(|id| id.0)))
            }

            /// The 63 bits.
            pub const fn raw(self) -> i64 {
                self.0
            }

            /// The 51 bits of it that differ within its slot: they ascend as ids do, and binary floating point
            /// has all of them.
            pub const fn within_slot(self) -> i64 {
                let counter = self.0 & ((1 << COUNTER_BITS) - 1);
                (self.0 >> (COUNTER_BITS + SLOT_BITS) << COUNTER_BITS) | counter
            }

            /// The slot whose writer allotted this id.
            pub const fn slot(self) -> Slot {
                Slot(((self.0 >> COUNTER_BITS) & (SLOTS as i64 - 1)) as u16)
            }

            /// The form that clients see.
            pub const fn uuid(self) -> Uuid {
                to_uuid(Self::KIND, self.0)
            }

            /// The id behind a client's UUID; `None` when it is not one of this kind.
            pub fn from_uuid(uuid: Uuid) -> Option<Self> {
                from_uuid(Self::KIND, uuid).map(Self)
            }

            /// The id that a client wrote into `field`; `None` when it is a UUID, and not one of this kind.
            ///
            /// # Errors
            /// It is no UUID.
            pub fn parse(field: &'static str, text: &str) -> Result<Option<Self>, FieldError> {
                match text.parse() {
                    Ok(uuid) => Ok(Self::from_uuid(uuid)),
                    Err(_) => {
                        let message = format!("{field} {text:?} is not a UUID");
                        Err(FieldError::new(field, message))
                    }
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.uuid().fmt(f)
            }
        }
    )*};
}

ids! {
    /// A trading account; carries the slot of its user.
    AccountId = 1;
    /// An order; carries the slot of its account.
    OrderId = 2;
    /// One side of a trade as its account sees it; carries the slot of the instrument.
    ExecutionId = 3;
    /// A trade as the market sees it; carries the slot of the instrument.
    TradeId = 4;
    /// An instrument; carries the slot of its symbol.
    InstrumentId = 5;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn uuids_are_reversible_and_know_their_kind(raw in 0..=i64::MAX) {
            let order = OrderId::new(raw).expect("not negative");
            prop_assert_eq!(OrderId::from_uuid(order.uuid()), Some(order));
            prop_assert_eq!(AccountId::from_uuid(order.uuid()), None);
            prop_assert_eq!(order.uuid().get_version_num(), 8);
        }

        #[test]
        fn a_slot_never_goes_back(slot in 0..SLOTS, steps in prop::collection::vec(-5_000i64..5_000, 1..3_000)) {
            let slot = Slot::new(slot).expect("in range");
            let (mut now, mut last) = (Micros(1_800_000_000_000_000), None);
            for step in steps {
                now = now.plus_us(step);
                let id = OrderId::next(slot, now, last);
                prop_assert!(Some(id) > last);
                prop_assert!(Some(id.within_slot()) > last.map(OrderId::within_slot));
                prop_assert_eq!(id.slot(), slot);
                last = Some(id);
            }
        }
    }

    #[test]
    fn what_differs_within_a_slot_is_exact_in_binary_floating_point() {
        let greatest = TradeId::new(i64::MAX).expect("not negative").within_slot();
        assert_eq!(greatest, (1 << 51) - 1);
        assert!(greatest < 1 << f64::MANTISSA_DIGITS);
    }

    #[test]
    fn a_used_up_millisecond_borrows_from_the_next() {
        let now = Micros(1_800_000_000_000_000);
        let mut last = None;
        for _ in 0..5_000 {
            let id = TradeId::next(Slot(7), now, last);
            assert!(Some(id) > last);
            last = Some(id);
        }
    }

    #[test]
    fn partitions_share_the_slots_evenly() {
        for partitions in [1, 2, 3, 8, 100] {
            let mut count = vec![0u32; partitions as usize];
            for slot in 0..SLOTS {
                count[Slot(slot).partition(partitions) as usize] += 1;
            }
            let (least, most) = (count.iter().min(), count.iter().max());
            assert!(
                most.zip(least)
                    .is_some_and(|(most, least)| most - least <= 1),
                "{count:?}"
            );
        }
    }
}
