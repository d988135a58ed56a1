//! Timeframes: how bars are asked for, and which interval a moment falls into. Pure.
//!
//! Minutes and hours count from midnight UTC, weeks begin on Monday, months count from January.

use std::fmt;
use std::str::FromStr;

use jiff::ToSpan as _;
use jiff::civil::Date;
use prepx_domain::Micros;

use crate::domain::market::WIDTHS_US;

const MINUTE_US: i64 = WIDTHS_US[0];
const HOUR_US: i64 = WIDTHS_US[1];
const DAY_US: i64 = WIDTHS_US[2];
const EPOCH: Date = Date::constant(1970, 1, 1);

/// The width of the bars that are asked for.
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

/// A text that is no timeframe.
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

    /// Reads `5Min`, `1Hour`, `1Day` and the like, in any case; also `T`, `H`, `D`, `W` and `M`.
    fn from_str(text: &str) -> Result<Timeframe, Wrong> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit_lower = unit.to_ascii_lowercase();
        let name = match unit_lower.as_str() {
            // The one unit whose case tells: a lower-case m is taken for minutes elsewhere.
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
    /// The width of the stored bars that it is made of, in microseconds.
    pub const fn stored_us(self) -> i64 {
        match self {
            Timeframe::Minutes(_) => MINUTE_US,
            Timeframe::Hours(_) => HOUR_US,
            Timeframe::Day | Timeframe::Week | Timeframe::Months(_) => DAY_US,
        }
    }

    /// How many stored bars one of it has at most.
    pub const fn stored_max(self) -> i64 {
        match self {
            Timeframe::Minutes(count) | Timeframe::Hours(count) => count,
            Timeframe::Day => 1,
            Timeframe::Week => 7,
            Timeframe::Months(count) => 31 * count,
        }
    }

    /// The interval that holds a moment: its start, and that of the next.
    pub fn interval(self, at: Micros) -> (Micros, Micros) {
        let midnight_us = at.0 - at.0.rem_euclid(DAY_US);
        let within = |width_us: i64| {
            let start_us = at.0 - (at.0 - midnight_us) % width_us;
            // The last of a day may be shorter.
            let end_us = (start_us + width_us).min(midnight_us + DAY_US);
            (Micros(start_us), Micros(end_us))
        };
        match self {
            Timeframe::Minutes(count) => within(count * MINUTE_US),
            Timeframe::Hours(count) => within(count * HOUR_US),
            Timeframe::Day => within(DAY_US),
            Timeframe::Week => {
                // 1970-01-01 was a Thursday.
                let past = (midnight_us.div_euclid(DAY_US) + 3).rem_euclid(7);
                let start_us = midnight_us - past * DAY_US;
                (Micros(start_us), Micros(start_us + 7 * DAY_US))
            }
            Timeframe::Months(count) => months(Micros(midnight_us), count),
        }
    }
}

fn months(midnight: Micros, count: i64) -> (Micros, Micros) {
    let date = date_of(midnight);
    let past = (i64::from(date.month()) - 1) % count;
    let start = date.first_of_month().saturating_sub(past.months());
    (
        at_midnight(start),
        at_midnight(start.saturating_add(count.months())),
    )
}

fn date_of(midnight: Micros) -> Date {
    EPOCH.saturating_add(midnight.0.div_euclid(DAY_US).days())
}

fn at_midnight(date: Date) -> Micros {
    Micros(date.duration_since(EPOCH).as_hours() / 24 * DAY_US)
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
            let found = timeframe.parse::<Timeframe>().unwrap().interval(moment);
            assert_eq!(found, (at(start), at(end)), "{timeframe}");
        }
    }

    #[test]
    fn the_last_day_of_the_calendar_is_in_an_interval() {
        let last = Micros(253_402_300_799_999_999);
        let midnight = Micros(253_402_214_400_000_000);
        for timeframe in ["1Day", "1Week", "1Month", "12Month"] {
            let (start, end) = timeframe.parse::<Timeframe>().unwrap().interval(last);
            assert!(
                start <= midnight && end >= midnight,
                "{timeframe}: {start:?} {end:?}"
            );
        }
    }
}
