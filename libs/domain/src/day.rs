//! Days as market data counts them: those of equities begin at midnight in New York, those of pairs at
//! midnight UTC.
//!
//! Pure: the moment is given.

use std::sync::LazyLock;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::instrument::AssetClass;
use crate::market::MINUTE_US;
use crate::time::Micros;

const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;
const EPOCH: Date = Date::constant(1970, 1, 1);
/// How far New York is behind UTC in winter: what stands for its clock where the calendar ends.
const WINTER_US: i64 = 5 * HOUR_US;
/// By the rule of since 2007, so that nothing is read for it.
static NEW_YORK: LazyLock<TimeZone> = LazyLock::new(|| {
    TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").expect("a rule in the form of POSIX")
});

/// The date of a moment.
pub fn date(class: AssetClass, at: Micros) -> Date {
    let utc = |at_us: i64| EPOCH.saturating_add(at_us.div_euclid(DAY_US).days());
    match (class, Timestamp::from_microsecond(at.0)) {
        (AssetClass::Crypto, _) => utc(at.0),
        (AssetClass::UsEquity, Ok(moment)) => moment.to_zoned(NEW_YORK.clone()).date(),
        (AssetClass::UsEquity, Err(_)) => utc(at.0.saturating_sub(WINTER_US)),
    }
}

/// The moment at which a date begins.
pub fn midnight(class: AssetClass, date: Date) -> Micros {
    let days = date.duration_since(EPOCH).as_hours().div_euclid(24);
    let utc = Micros(days.saturating_mul(DAY_US));
    match class {
        AssetClass::Crypto => utc,
        // No clock is changed at midnight.
        AssetClass::UsEquity => match date.to_zoned(NEW_YORK.clone()) {
            Ok(midnight) => Micros(midnight.timestamp().as_microsecond()),
            Err(_) => utc.plus_us(WINTER_US),
        },
    }
}

/// The moment at which the day of a moment begins.
pub fn start(class: AssetClass, at: Micros) -> Micros {
    midnight(class, date(class, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Micros {
        Micros(text.parse::<Timestamp>().unwrap().as_microsecond())
    }

    #[test]
    fn days_begin_at_midnight_of_their_place() {
        for (moment, new_york, utc) in [
            (
                "2026-01-15T04:59:59Z",
                "2026-01-14T05:00:00Z",
                "2026-01-15T00:00:00Z",
            ),
            (
                "2026-01-15T05:00:00Z",
                "2026-01-15T05:00:00Z",
                "2026-01-15T00:00:00Z",
            ),
            (
                "2026-07-01T23:00:00Z",
                "2026-07-01T04:00:00Z",
                "2026-07-01T00:00:00Z",
            ),
            // The clocks are put forward and back in the night to these days.
            (
                "2026-03-08T12:00:00Z",
                "2026-03-08T05:00:00Z",
                "2026-03-08T00:00:00Z",
            ),
            (
                "2026-03-09T12:00:00Z",
                "2026-03-09T04:00:00Z",
                "2026-03-09T00:00:00Z",
            ),
            (
                "2026-11-02T04:30:00Z",
                "2026-11-01T04:00:00Z",
                "2026-11-02T00:00:00Z",
            ),
            (
                "1970-01-01T00:00:00Z",
                "1969-12-31T05:00:00Z",
                "1970-01-01T00:00:00Z",
            ),
        ] {
            let moment = at(moment);
            assert_eq!(
                start(AssetClass::UsEquity, moment),
                at(new_york),
                "{moment:?}"
            );
            assert_eq!(start(AssetClass::Crypto, moment), at(utc), "{moment:?}");
        }
    }

    #[test]
    fn every_moment_is_in_a_day() {
        let last = Micros(253_402_300_799_999_999);
        for moment in [
            Micros(0),
            last,
            last.plus_us(-DAY_US),
            last.plus_us(-3 * DAY_US),
        ] {
            for class in [AssetClass::UsEquity, AssetClass::Crypto] {
                let start = start(class, moment);
                let length = moment.0 - start.0;
                assert!((0..25 * HOUR_US).contains(&length), "{moment:?} {class:?}");
            }
        }
    }
}
