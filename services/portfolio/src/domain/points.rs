//! The time that a history covers, and its division into points. Pure.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan as _};
use prepx_domain::market::{MINUTE_US, interval};
use prepx_domain::{FieldError, Micros};

/// A day in microseconds.
pub const DAY_US: i64 = 24 * HOUR_US;
const HOUR_US: i64 = 60 * MINUTE_US;
/// The most points of one history.
const POINTS_MAX: i64 = 10_000;
/// The largest number of units in a period.
const PERIOD_MAX: i64 = 9_999;

/// The width of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width {
    /// Its name in the API.
    pub name: &'static str,
    /// Its microseconds; divides a day.
    pub us: i64,
}

const fn width(name: &'static str, us: i64) -> Width {
    Width { name, us }
}

const MINUTE: Width = width("1Min", MINUTE_US);
const QUARTER: Width = width("15Min", 15 * MINUTE_US);
/// A day.
pub const DAY: Width = width("1D", DAY_US);
const WIDTHS: [Width; 5] = [
    MINUTE,
    width("5Min", 5 * MINUTE_US),
    QUARTER,
    width("1H", HOUR_US),
    DAY,
];

/// Consecutive points in time, of one width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Points {
    /// When the first begins.
    pub first: Micros,
    /// The width of each.
    pub width: Width,
    /// The number of points, at least 1.
    pub count: usize,
}

/// A client's request; what is `None` or empty has its default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// Number and unit.
    pub period: &'a str,
    /// The name of a width.
    pub timeframe: &'a str,
    /// The beginning.
    pub start: Option<Micros>,
    /// The end, exclusive.
    pub end: Option<Micros>,
}

impl Points {
    /// The points of a request, none of them later than now.
    ///
    /// # Errors
    /// When a value is wrong, or there would be too many points.
    pub fn of(asked: &Asked<'_>, now: Micros) -> Result<Points, FieldError> {
        for (name, moment) in [("start", asked.start), ("end", asked.end)] {
            if moment.is_some_and(|moment| moment < Micros(0)) {
                return Err(FieldError::new(
                    name,
                    format!("{name} must not be before 1970"),
                ));
            }
        }
        let (since, until, length_us) = span(asked, now)?;
        let width = match asked.timeframe {
            "" if length_us < 7 * DAY_US => MINUTE,
            "" if length_us < 30 * DAY_US => QUARTER,
            "" => DAY,
            name => named_width(name)?,
        };
        let last = interval(until.plus_us(-1), width.us);
        let first = match asked.start {
            Some(start) => interval(start, width.us),
            // As many points as fit into the period; the last one may be incomplete.
            None => interval(since.plus_us(-1), width.us).plus_us(width.us),
        };
        if first > last || first.0 < 0 {
            let message = "start must be before end and not later than now, and not before 1970";
            return Err(FieldError::new("start", message.to_owned()));
        }
        let count = (last.0 - first.0) / width.us + 1;
        if count > POINTS_MAX {
            let message = format!(
                "timeframe is {}: that would be {count} points and {POINTS_MAX} is the most; give a \
                 wider one or a shorter period",
                width.name
            );
            return Err(FieldError::new("timeframe", message));
        }
        Ok(Points {
            first,
            width,
            count: count.unsigned_abs() as usize,
        })
    }

    /// When each begins.
    pub fn starts(&self) -> impl Iterator<Item = Micros> + use<> {
        let Points { first, width, .. } = *self;
        (0i64..)
            .take(self.count)
            .map(move |number| first.plus_us(number * width.us))
    }

    /// The end of the last, exclusive.
    pub fn end(&self) -> Micros {
        self.first.plus_us(self.count as i64 * self.width.us)
    }

    /// Points of this width over all the days that these points touch.
    pub fn of_whole_days(&self) -> Points {
        let first = self.midnight();
        let end = interval(self.end().plus_us(DAY_US - 1), DAY_US);
        Points {
            first,
            count: ((end.0 - first.0) / self.width.us).unsigned_abs() as usize,
            ..*self
        }
    }

    /// The midnight (UTC) at or before the first.
    pub fn midnight(&self) -> Micros {
        interval(self.first, DAY_US)
    }
}

/// Begin and end, and the name of that period.
fn span(asked: &Asked<'_>, now: Micros) -> Result<(Micros, Micros, i64), FieldError> {
    if asked.start.is_some() && asked.end.is_some() && !asked.period.is_empty() {
        let message = "give two of period, start and end, not all of them";
        return Err(FieldError::new("period", message.to_owned()));
    }
    let default = if asked.start.is_some() { "" } else { "1M" };
    let period = match (asked.period, default) {
        ("", "") => None,
        ("", text) | (text, _) => Some(period(text)?),
    };
    let (since, until) = match (asked.start, asked.end, period) {
        (Some(start), None, Some((length, _))) => (start, moved(start, length)?.min(now)),
        (Some(start), end, _) => (start, end.unwrap_or(now).min(now)),
        (None, end, period) => {
            let until = end.unwrap_or(now).min(now);
            let length = period.map_or_else(Span::new, |(length, _)| length);
            (moved(until, length.negate())?, until)
        }
    };
    let length_us = period.map_or(until.0 - since.0, |(_, nominal_us)| nominal_us);
    Ok((since, until, length_us))
}

/// A period, and its name.
fn period(text: &str) -> Result<(Span, i64), FieldError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number = number.parse().unwrap_or(0);
    if (1..=PERIOD_MAX).contains(&number) {
        match unit {
            "D" => return Ok((number.days(), number * DAY_US)),
            "W" => return Ok((number.weeks(), number * 7 * DAY_US)),
            "M" => return Ok((number.months(), number * 30 * DAY_US)),
            "A" => return Ok((number.years(), number * 365 * DAY_US)),
            _ => {}
        }
    }
    let given: String = text.chars().take(20).collect();
    let message = format!(
        "period is {given:?}: give a number from 1 to {PERIOD_MAX} and D for days, W for weeks, M \
         for months or A for years, such as 1M"
    );
    Err(FieldError::new("period", message))
}

fn named_width(name: &str) -> Result<Width, FieldError> {
    let found = WIDTHS.into_iter().find(|width| width.name == name);
    found.ok_or_else(|| {
        let given: String = name.chars().take(20).collect();
        let message = format!("timeframe is {given:?}: give 1Min, 5Min, 15Min, 1H or 1D");
        FieldError::new("timeframe", message)
    })
}

fn moved(at: Micros, by: Span) -> Result<Micros, FieldError> {
    let moment = Timestamp::from_microsecond(at.0).ok();
    let moved = moment.and_then(|moment| moment.to_zoned(TimeZone::UTC).checked_add(by).ok());
    let moved = moved.ok_or_else(|| {
        let message = "period reaches beyond the calendar: give a shorter one";
        FieldError::new("period", message.to_owned())
    })?;
    Ok(Micros(moved.timestamp().as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Micros {
        Micros(text.parse::<Timestamp>().unwrap().as_microsecond())
    }

    fn check(asked: Asked<'_>, first: &str, width: &str, count: usize) {
        let found = Points::of(&asked, at("2026-11-21T10:30:00Z")).unwrap();
        assert_eq!(
            (found.first, found.width.name, found.count),
            (at(first), width, count),
            "{asked:?}"
        );
        assert_eq!(found.starts().count(), count);
        assert_eq!(
            found.starts().last().unwrap().plus_us(found.width.us),
            found.end()
        );
    }

    #[test]
    fn points_by_hand() {
        let of = |period, timeframe| Asked {
            period,
            timeframe,
            ..Asked::default()
        };
        check(Asked::default(), "2026-10-22T00:00:00Z", "1D", 31);
        check(of("1D", ""), "2026-11-20T10:30:00Z", "1Min", 1_440);
        check(of("1D", "1H"), "2026-11-20T11:00:00Z", "1H", 24);
        check(of("1W", ""), "2026-11-14T10:30:00Z", "15Min", 672);
        check(of("2D", "1D"), "2026-11-20T00:00:00Z", "1D", 2);
        check(of("1A", ""), "2025-11-22T00:00:00Z", "1D", 365);
        let midnight = Some(at("2026-11-20T00:00:00Z"));
        let day = Asked {
            end: midnight,
            ..of("1D", "1H")
        };
        check(day, "2026-11-19T00:00:00Z", "1H", 24);
        let since = Asked {
            start: midnight,
            ..of("", "1H")
        };
        check(since, "2026-11-20T00:00:00Z", "1H", 35);
        let both = Asked {
            period: "1D",
            ..since
        };
        check(both, "2026-11-20T00:00:00Z", "1H", 24);
    }

    #[test]
    fn whole_days_hold_the_points_that_they_are_of() {
        for (period, timeframe, first, count) in [
            ("1D", "1H", "2026-11-20T00:00:00Z", 48),
            ("2D", "1D", "2026-11-20T00:00:00Z", 2),
            ("1D", "1Min", "2026-11-20T00:00:00Z", 2 * 1_440),
        ] {
            let asked = Asked {
                period,
                timeframe,
                ..Asked::default()
            };
            let points = Points::of(&asked, at("2026-11-21T10:30:00Z")).unwrap();
            let whole = points.of_whole_days();
            assert_eq!((whole.first, whole.count), (at(first), count), "{asked:?}");
            assert_eq!(whole.end(), at("2026-11-22T00:00:00Z"));
            assert_eq!(whole.of_whole_days(), whole);
        }
    }

    #[test]
    fn what_cannot_be_shown_is_refused() {
        let now = at("2026-11-21T10:30:00Z");
        let refused = |asked: Asked<'_>| Points::of(&asked, now).unwrap_err().to_string();
        for period in ["1", "D", "0D", "1m", "-1D", "1.5D", "10000D", "1M2"] {
            let asked = Asked {
                period,
                ..Asked::default()
            };
            assert!(refused(asked).starts_with("period is "), "{period}");
        }
        let timeframe = Asked {
            timeframe: "2Min",
            ..Asked::default()
        };
        assert!(refused(timeframe).contains("give 1Min, 5Min, 15Min, 1H or 1D"));
        let many = Asked {
            timeframe: "1Min",
            ..Asked::default()
        };
        assert!(refused(many).contains("10000 is the most"));
        let future = Asked {
            start: Some(now.plus_us(DAY_US)),
            ..Asked::default()
        };
        assert!(refused(future).contains("not later than now"));
        let earliest = Asked {
            start: Some(Micros(i64::MIN)),
            ..Asked::default()
        };
        assert!(refused(earliest).contains("start must not be before 1970"));
        let earliest = Asked {
            end: Some(Micros(i64::MIN)),
            ..Asked::default()
        };
        assert!(refused(earliest).contains("end must not be before 1970"));
        let all = Asked {
            period: "1D",
            start: Some(now),
            end: Some(now),
            ..Asked::default()
        };
        assert!(refused(all).contains("not all of them"));
        let long = Asked {
            period: "9999A",
            ..Asked::default()
        };
        assert!(refused(long).contains("not before 1970"));
    }
}
