//! Activities, pure: what changed an account, in the order in which it happened.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use prepx_domain::update::{AccountUpdate, Change, OrderEvent};
use prepx_domain::{AccountId, Micros};
use uuid::Uuid;

use crate::domain::holdings::CURRENCY;
use crate::domain::points::DAY_US;

const EPOCH: Date = Date::constant(1970, 1, 1);

/// The kinds of changes of an account. The store has their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A trade.
    Fill = 1,
    /// A deposit of cash.
    CashDeposit = 2,
    /// A withdrawal of cash.
    CashWithdrawal = 3,
    /// A fee on an equity.
    Fee = 4,
    /// A fee on a crypto pair.
    CryptoFee = 5,
    /// A deposit or withdrawal of an asset other than cash.
    Journal = 6,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 6] = [
        Kind::Fill,
        Kind::CashDeposit,
        Kind::CashWithdrawal,
        Kind::Fee,
        Kind::CryptoFee,
        Kind::Journal,
    ];

    /// Its number in the store and in ids.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind with this number.
    pub fn of_code(code: i64) -> Option<Kind> {
        Kind::ALL
            .into_iter()
            .find(|kind| i64::from(kind.code()) == code)
    }

    /// How a change of an account appears to its owner: not at all, as one activity, or as a trade and its
    /// fee.
    pub fn of(update: &AccountUpdate) -> [Option<Kind>; 2] {
        match &update.change {
            Change::Deposited { asset, .. } | Change::Withdrawn { asset, .. }
                if asset.as_str() != CURRENCY =>
            {
                [Some(Kind::Journal), None]
            }
            Change::Deposited { .. } => [Some(Kind::CashDeposit), None],
            Change::Withdrawn { .. } => [Some(Kind::CashWithdrawal), None],
            Change::Order {
                order,
                event: OrderEvent::Fill { fill, .. },
            } => {
                let fee = match (fill.fee_minor, order.symbol.as_str().contains('/')) {
                    (0, _) => None,
                    (_, true) => Some(Kind::CryptoFee),
                    (_, false) => Some(Kind::Fee),
                };
                [Some(Kind::Fill), fee]
            }
            _ => [None, None],
        }
    }
}

/// The place of an activity among those of its account. Ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When it was decided.
    pub at: Micros,
    /// The partition of the account stage that emitted it.
    pub partition: u32,
    /// Its message's number on that partition's lane.
    pub number: u64,
    /// Its place among the activities of a message.
    pub kind: Kind,
}

/// Something that changed an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Its place.
    pub place: Place,
    /// What happened.
    pub update: AccountUpdate,
}

/// A query for activities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The account.
    pub account: AccountId,
    /// Only these kinds.
    pub kinds: Vec<Kind>,
    /// Only activities after this time.
    pub after: Option<Micros>,
    /// Only activities until this time.
    pub until: Option<Micros>,
    /// Whether the newest come first.
    pub newest_first: bool,
    /// Only those after this one, in that order.
    pub past: Option<Place>,
    /// At most this many.
    pub limit: u32,
}

const PARTITION_BITS: u32 = 12;
const KIND_BITS: u32 = 4;
const WITHIN_MS_BITS: u32 = 10;
const NUMBER_BITS: u32 = 48;

impl Place {
    /// `YYYYMMDDhhmmssmmm::UUID`: the time in milliseconds, and in the UUID what the time leaves open
    /// (version 8: number, microseconds, kind, partition).
    pub fn id(&self) -> String {
        let moment = Timestamp::from_microsecond(self.at.0).unwrap_or(Timestamp::MAX);
        let text = moment
            .to_zoned(TimeZone::UTC)
            .strftime("%Y%m%d%H%M%S%3f")
            .to_string();
        let within_ms = self.at.0.rem_euclid(1_000) as u64;
        let rest = (within_ms << (KIND_BITS + PARTITION_BITS))
            | (u64::from(self.kind.code()) << PARTITION_BITS)
            | u64::from(self.partition);
        // 48 bits of number, the version, nothing; the variant, nothing, the rest.
        let bits = (u128::from(self.number) << 80) | (0x8 << 76) | (0b10 << 62) | u128::from(rest);
        format!("{text}::{}", Uuid::from_u128(bits))
    }

    /// The place in an id; none if it is not one.
    pub fn of_id(id: &str) -> Option<Place> {
        let (text, uuid) = id.split_once("::")?;
        if text.len() != 17 {
            return None;
        }
        let seconds = DateTime::strptime("%Y%m%d%H%M%S", text.get(..14)?).ok()?;
        let ms: i64 = text.get(14..)?.parse().ok()?;
        let second = seconds
            .to_zoned(TimeZone::UTC)
            .ok()?
            .timestamp()
            .as_second();
        let bits = uuid.parse::<Uuid>().ok()?.as_u128();
        let field = |from: u32, width: u32| ((bits >> from) & ((1 << width) - 1)) as u64;
        let place = Place {
            at: Micros(
                (second * 1_000 + ms) * 1_000
                    + field(KIND_BITS + PARTITION_BITS, WITHIN_MS_BITS) as i64,
            ),
            partition: field(0, PARTITION_BITS) as u32,
            number: field(80, NUMBER_BITS),
            kind: Kind::of_code(field(PARTITION_BITS, KIND_BITS) as i64)?,
        };
        (place.id() == id).then_some(place)
    }
}

/// The times from the beginning of one day until before the beginning of the day after the other, UTC.
pub fn day(date: Date) -> (Micros, Micros) {
    let days = date.duration_since(EPOCH).as_hours() / 24;
    let start = Micros(days * DAY_US);
    (start, start.plus_us(DAY_US))
}

/// The day of a time, `YYYY-MM-DD`, UTC.
pub fn date_of(at: Micros) -> String {
    let moment = Timestamp::from_microsecond(at.0).unwrap_or(Timestamp::MAX);
    moment.to_zoned(TimeZone::UTC).date().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use proptest::prelude::*;

    #[test]
    fn every_day_of_the_calendar_has_its_moments() {
        for (date, start_us) in [
            ("1970-01-02", 86_400_000_000),
            ("9999-12-31", 253_402_214_400_000_000),
            ("0001-01-01", -62_135_596_800_000_000),
        ] {
            let start = Micros(start_us);
            assert_eq!(day(date.parse().unwrap()), (start, start.plus_us(DAY_US)));
        }
    }

    #[test]
    fn an_id_begins_with_its_time() {
        let place = Place {
            at: Micros(1_760_000_000_123_456),
            partition: 3,
            number: 77,
            kind: Kind::Fill,
        };
        expect!["20251009085320123::00000000-004d-8000-8000-000001c81003"].assert_eq(&place.id());
    }

    #[test]
    fn what_is_no_id_is_not_taken_for_one() {
        for wrong in [
            "",
            "::",
            "20251009085320123",
            "20251009085320123::nonsense",
            "20251009085320123::00000000-004d-8000-8000-000001c8f003",
            "20251399085320123::00000000-004d-8000-8000-000001c81003",
        ] {
            assert_eq!(Place::of_id(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn ids_lead_back_to_their_place_and_sort_by_millisecond(
            at in 0i64..4_000_000_000_000_000,
            later in 1_000i64..1_000_000_000,
            partition in 0u32..4_096,
            number in 1u64..(1 << 48),
            kind in prop::sample::select(Kind::ALL.to_vec()),
        ) {
            let place = Place { at: Micros(at), partition, number, kind };
            prop_assert_eq!(Place::of_id(&place.id()), Some(place));
            let next = Place { at: Micros(at + later), ..place };
            prop_assert!(place.id() < next.id());
        }
    }
}
