//! Timeframes, pure: how requests name the width of bars, and the interval that a time is in.
//!
//! Minutes and hours count from midnight UTC. Days, weeks and months are those of the asset class ([`day`]); weeks begin on
//! Monday, months count from January.

use std::fmt;
use std::str::FromStr;

use jiff::ToSpan as _;
use jiff::civil::Date;
use prepx_domain::{AssetClass, Micros, day};

use crate::domain::market::WIDTHS_US;

const MINUTE_US: i64 = WIDTHS_US[0];
const HOUR_US: i64 = WIDTHS_US[1];
const DAY_US: i64 = WIDTHS_US[2];
/// The length of the day on which daylight saving time ends.
const DAY_HOURS_MAX: i64 = 25;

/// The width of bars in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeframe {
    /// 1 to 59.
    Minutes(i64),
    /// 1 to 23.
    Hours(i64),
    /// One.
    Day,
    /// One.
    Week,
    /// 1, 2, 3, 4, 6 or 12.
    Months(i64),
}

/// A text that is not a timeframe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong(String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "timeframe is {:?}: give 1Min to 59Min, 1Hour to 23Hour, 1Day, 1Week, or 1Month, 2Month, \
             3Month, 4Month, 6Month, 12Month",
            self.0
        )
    }
}

impl FromStr for Timeframe {
    type Err = Wrong;

    /// Parses `5Min`, `1Hour`, `1Day` and the like, in any case; also `T`, `H`, `D`, `W` and `M`.
    fn from_str(text: &str) -> Result<Timeframe, Wrong> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit_lower = unit.to_ascii_lowercase();
        let name = match unit_lower.as_str() {
            // The only unit whose case matters: a lower-case m means minutes elsewhere.
            "m" if unit == "m" => "",
            name => name,
        };
        let timeframe = match (name, number.parse().unwrap_or(0)) {
            ("min" | "t", count @ 1..=59) => Timeframe::Minutes(count),
            ("hour" | "h", count @ 1..=23) => Timeframe::Hours(count),
            ("day" | "d", 1) => Timeframe::Day,
            ("week" | "w", 1) => Timeframe::Week,
            ("month" | "m", count @ (1 | 2 | 3 | 4 | 6 | 12)) => Timeframe::Months(count),
            _ => return Err(Wrong(text.chars().take(40).collect())),
        };
        Ok(timeframe)
    }
}

impl Timeframe {
    /// The width of the stored bars that it is made of, in microseconds. Stored days are of UTC.
    pub const fn stored_us(self, class: AssetClass) -> i64 {
        match (self, class) {
            (Timeframe::Minutes(_), _) => MINUTE_US,
            (Timeframe::Hours(_), _) | (_, AssetClass::UsEquity) => HOUR_US,
            (_, AssetClass::Crypto) => DAY_US,
        }
    }

    /// The most stored bars that make one of these.
    pub const fn stored_max(self, class: AssetClass) -> i64 {
        let days = match self {
            Timeframe::Minutes(count) | Timeframe::Hours(count) => return count,
            Timeframe::Day => 1,
            Timeframe::Week => 7,
            Timeframe::Months(count) => 31 * count,
        };
        match class {
            AssetClass::UsEquity => DAY_HOURS_MAX * days,
            AssetClass::Crypto => days,
        }
    }

    /// The interval that contains a time: its start, and the start of the next.
    pub fn interval(self, class: AssetClass, at: Micros) -> (Micros, Micros) {
        let midnight_us = at.0 - at.0.rem_euclid(DAY_US);
        let within = |width_us: i64| {
            let start_us = at.0 - (at.0 - midnight_us) % width_us;
            // The last one of a day may be shorter.
            let end_us = (start_us + width_us).min(midnight_us + DAY_US);
            (Micros(start_us), Micros(end_us))
        };
        let date = day::date(class, at);
        let (first, length) = match self {
            Timeframe::Minutes(count) => return within(count * MINUTE_US),
            Timeframe::Hours(count) => return within(count * HOUR_US),
            Timeframe::Day => (date, 1.day()),
            Timeframe::Week => {
                let past = date.weekday().to_monday_zero_offset();
                (date.saturating_sub(past.days()), 1.week())
            }
            Timeframe::Months(count) => (first_month(date, count), count.months()),
        };
        (
            day::midnight(class, first),
            day::midnight(class, first.saturating_add(length)),
        )
    }
}

fn first_month(date: Date, count: i64) -> Date {
    let past = (i64::from(date.month()) - 1) % count;
    date.first_of_month().saturating_sub(past.months())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn at(text: &str) -> Micros {
        Micros(text.parse::<Timestamp>().unwrap().as_microsecond())
    }

    #[test]
    fn reads_the_forms_of_all_clients() {
        for (text, expected) in [
            ("1Min", Timeframe::Minutes(1)),
            ("1min", Timeframe::Minutes(1)),
            ("15T", Timeframe::Minutes(15)),
            ("1H", Timeframe::Hours(1)),
            ("4Hour", Timeframe::Hours(4)),
            ("1D", Timeframe::Day),
            ("1Day", Timeframe::Day),
            ("1Week", Timeframe::Week),
            ("1M", Timeframe::Months(1)),
            ("12Month", Timeframe::Months(12)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for wrong in [
            "", "Min", "0Min", "60Min", "24H", "2Day", "5Month", "1m", "1Mins", "-1Min",
        ] {
            assert!(wrong.parse::<Timeframe>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn intervals_by_hand() {
        let moment = at("2024-08-08T23:59:30.5Z");
        for (timeframe, start, end) in [
            ("1Min", "2024-08-08T23:59:00Z", "2024-08-09T00:00:00Z"),
            ("7Min", "2024-08-08T23:55:00Z", "2024-08-09T00:00:00Z"),
            ("5Hour", "2024-08-08T20:00:00Z", "2024-08-09T00:00:00Z"),
            ("1Day", "2024-08-08T00:00:00Z", "2024-08-09T00:00:00Z"),
            ("1Week", "2024-08-05T00:00:00Z", "2024-08-12T00:00:00Z"),
            ("1Month", "2024-08-01T00:00:00Z", "2024-09-01T00:00:00Z"),
            ("6Month", "2024-07-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        ] {
            let timeframe: Timeframe = timeframe.parse().unwrap();
            let found = timeframe.interval(AssetClass::Crypto, moment);
            assert_eq!(found, (at(start), at(end)), "{timeframe:?}");
        }
    }

    #[test]
    fn days_of_equities_are_those_of_new_york() {
        for (timeframe, moment, start, end) in [
            (
                "5Hour",
                "2024-08-08T23:59:30Z",
                "2024-08-08T20:00:00Z",
                "2024-08-09T00:00:00Z",
            ),
            (
                "1Day",
                "2024-08-09T03:59:30Z",
                "2024-08-08T04:00:00Z",
                "2024-08-09T04:00:00Z",
            ),
            (
                "1Day",
                "2024-11-03T12:00:00Z",
                "2024-11-03T04:00:00Z",
                "2024-11-04T05:00:00Z",
            ),
            (
                "1Week",
                "2024-11-03T12:00:00Z",
                "2024-10-28T04:00:00Z",
                "2024-11-04T05:00:00Z",
            ),
            (
                "1Month",
                "2024-12-01T04:00:00Z",
                "2024-11-01T04:00:00Z",
                "2024-12-01T05:00:00Z",
            ),
            (
                "12Month",
                "2024-12-01T04:00:00Z",
                "2024-01-01T05:00:00Z",
                "2025-01-01T05:00:00Z",
            ),
        ] {
            let timeframe: Timeframe = timeframe.parse().unwrap();
            let found = timeframe.interval(AssetClass::UsEquity, at(moment));
            assert_eq!(found, (at(start), at(end)), "{timeframe:?} {moment}");
        }
    }

    #[test]
    fn the_last_day_of_the_calendar_is_in_an_interval() {
        let last = Micros(253_402_300_799_999_999);
        let midnight = Micros(253_402_214_400_000_000);
        for class in [AssetClass::Crypto, AssetClass::UsEquity] {
            for timeframe in ["1Day", "1Week", "1Month", "12Month"] {
                let timeframe: Timeframe = timeframe.parse().unwrap();
                let (start, end) = timeframe.interval(class, last);
                assert!(
                    start <= last && end >= midnight,
                    "{class:?} {timeframe:?}: {start:?} {end:?}"
                );
            }
        }
    }
}
