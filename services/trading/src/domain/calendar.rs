//! When instruments trade: the sessions of the New York Stock Exchange from a data file, and the
//! day of instruments that never close.
//!
//! Pure: the moment is given. Refuses nothing but a data file that does not parse.

use std::collections::BTreeMap;

use jiff::civil::{Date, Time, Weekday, date, time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use prepx_domain::{Hours, Micros, SessionCalendar, TradingDay};

/// Days that depart from the rule, from the exchange's published list.
const NYSE: &str = include_str!("../../data/nyse.txt");

/// The last day of the hours that the matching stage is given.
const LAST_DAY: Date = date(2099, 12, 31);

const OPEN: Time = time(9, 30, 0, 0);
const CLOSE: Time = time(16, 0, 0, 0);
const EXTENDED_OPEN: Time = time(4, 0, 0, 0);
const EXTENDED_CLOSE: Time = time(20, 0, 0, 0);
/// The first days whose trades settle one and two business days later.
const T_PLUS_1: Date = date(2024, 5, 28);
const T_PLUS_2: Date = date(2017, 9, 5);
/// How long after an early close the extended session still runs.
const EXTENDED_AFTER_EARLY_CLOSE_HOURS: i64 = 4;

/// Why a line of the data file was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text:?} is neither `closed YYYY-MM-DD` nor `early YYYY-MM-DD HH:MM`")]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

/// One trading day. Times are New York's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The day.
    pub date: Date,
    /// Start of the regular session.
    pub open: Time,
    /// End of the regular session.
    pub close: Time,
    /// Start of trading before the open.
    pub extended_open: Time,
    /// End of trading after the close.
    pub extended_close: Time,
}

/// The regular session now and next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// Whether the regular session is on.
    pub is_open: bool,
    /// When one next opens.
    pub next_open: Micros,
    /// When one next closes.
    pub next_close: Micros,
}

/// The exchange's calendar.
#[derive(Clone, Debug)]
pub struct Nyse {
    zone: TimeZone,
    /// Closed all day, or until when the regular session runs.
    exceptions: BTreeMap<Date, Option<Time>>,
}

impl Nyse {
    /// The calendar that comes with the program.
    pub fn bundled() -> Result<Nyse, ParseError> {
        Nyse::parse(NYSE)
    }

    /// Reads `closed DATE` and `early DATE HH:MM` lines; `#` starts a comment.
    pub fn parse(text: &str) -> Result<Nyse, ParseError> {
        let mut exceptions = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let content = line.split('#').next().unwrap_or_default().trim();
            if !content.is_empty() {
                let (date, close) = parse_line(content).ok_or_else(|| ParseError {
                    line: index + 1,
                    text: line.to_owned(),
                })?;
                exceptions.insert(date, close);
            }
        }
        let zone = TimeZone::get("America/New_York").expect("the zone is bundled in the program");
        Ok(Nyse { zone, exceptions })
    }

    /// The first and the last day that the data speaks of.
    pub fn range(&self) -> Option<(Date, Date)> {
        Some((
            *self.exceptions.keys().next()?,
            *self.exceptions.keys().next_back()?,
        ))
    }

    /// The session of a day, if it trades.
    pub fn session(&self, date: Date) -> Option<Session> {
        let weekend = matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
        let close = match self.exceptions.get(&date) {
            Some(None) => return None,
            Some(Some(early)) => *early,
            None if weekend => return None,
            None => CLOSE,
        };
        let extended_close = if close == CLOSE {
            EXTENDED_CLOSE
        } else {
            close.saturating_add(EXTENDED_AFTER_EARLY_CLOSE_HOURS.hours())
        };
        Some(Session {
            date,
            open: OPEN,
            close,
            extended_open: EXTENDED_OPEN,
            extended_close,
        })
    }

    /// The trading days from `first` to `last`, both included.
    pub fn sessions(&self, first: Date, last: Date) -> impl Iterator<Item = Session> {
        first
            .series(1.day())
            .take_while(move |date| *date <= last)
            .filter_map(|date| self.session(date))
    }

    /// The day on which what trades on a day settles by the rule for that day: one business day later since
    /// 2024-05-28, two since 2017-09-05, three before. The exchange trades on two holidays of the banks, on which nothing
    /// settles.
    pub fn settlement(&self, traded: Date) -> Date {
        let business_days = match traded {
            day if day >= T_PLUS_1 => 1,
            day if day >= T_PLUS_2 => 2,
            _ => 3,
        };
        let settles = |day: &Date| self.session(*day).is_some() && !is_bank_holiday(*day);
        let mut days = traded.series(1.day()).skip(1).filter(settles);
        days.nth(business_days - 1).unwrap_or(traded)
    }

    /// The hours for the matching stage: every session from the first day of the data to the end of
    /// the century, by the rule where the data ends.
    pub fn hours(&self) -> Hours {
        let first = self.range().map_or(LAST_DAY, |(first, _)| first);
        let days = self.sessions(first, LAST_DAY).map(|session| {
            let at = |time| self.at(session.date, time);
            TradingDay {
                extended_open: at(session.extended_open),
                open: at(session.open),
                close: at(session.close),
                extended_close: at(session.extended_close),
            }
        });
        Hours::new(days.collect())
    }

    /// What the market clock shows at `now`.
    pub fn clock(&self, now: Micros) -> ClockReading {
        let today = self.date(now);
        let mut ahead = today
            .series(1.day())
            .filter_map(|date| self.session(date))
            .map(|session| {
                (
                    self.at(session.date, session.open),
                    self.at(session.date, session.close),
                )
            });
        let endless = "a calendar of weekdays has a session ahead of any day";
        let (open, close) = ahead.find(|(_, close)| *close > now).expect(endless);
        if open > now {
            return ClockReading {
                is_open: false,
                next_open: open,
                next_close: close,
            };
        }
        let (next_open, _) = ahead.next().expect(endless);
        ClockReading {
            is_open: true,
            next_open,
            next_close: close,
        }
    }

    /// When a day order that is placed at `now` ends: at the close of the session that is on or
    /// comes next; without sessions, at the next midnight UTC.
    pub fn day_end(&self, calendar: SessionCalendar, extended: bool, now: Micros) -> Micros {
        match calendar {
            SessionCalendar::Always => {
                let day_us = 86_400_000_000;
                Micros((now.0.div_euclid(day_us) + 1) * day_us)
            }
            SessionCalendar::Nyse => self
                .date(now)
                .series(1.day())
                .filter_map(|date| self.session(date))
                .map(|s| self.at(s.date, if extended { s.extended_close } else { s.close }))
                .find(|end| *end > now)
                .expect("a calendar of weekdays has a session ahead of any day"),
        }
    }

    fn date(&self, at: Micros) -> Date {
        timestamp(at).to_zoned(self.zone.clone()).date()
    }

    fn at(&self, date: Date, time: Time) -> Micros {
        // No session starts or ends in the hour that a change of clocks skips or repeats.
        let zoned = date.to_datetime(time).to_zoned(self.zone.clone());
        Micros(zoned.map_or(i64::MAX, |zoned| zoned.timestamp().as_microsecond()))
    }
}

/// A moment as jiff has it; moments beyond its range are held at its ends.
fn timestamp(at: Micros) -> Timestamp {
    Timestamp::from_microsecond(at.0).unwrap_or(if at.0 < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// Columbus Day and Veterans Day.
fn is_bank_holiday(date: Date) -> bool {
    let is_monday = date.weekday() == Weekday::Monday;
    match (date.month(), date.day()) {
        (10, 8..=14) => is_monday,
        (11, 11) => true,
        (11, 12) => is_monday,
        _ => false,
    }
}

fn parse_line(content: &str) -> Option<(Date, Option<Time>)> {
    let mut words = content.split_whitespace();
    let (kind, date) = (words.next()?, words.next()?.parse().ok()?);
    let close = match (kind, words.next()) {
        ("closed", None) => None,
        ("early", Some(time)) => Some(time.parse().ok()?),
        _ => return None,
    };
    words.next().is_none().then_some((date, close))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use prepx_domain::SessionPhase;

    fn micros(text: &str) -> Micros {
        Micros(
            text.parse::<Timestamp>()
                .expect("a timestamp")
                .as_microsecond(),
        )
    }

    fn text(at: Micros) -> String {
        timestamp(at).to_string()
    }

    fn check_clock(now: &str, expect: Expect) {
        let reading = Nyse::bundled().expect("it parses").clock(micros(now));
        expect.assert_eq(&format!(
            "open={} next_open={} next_close={}",
            reading.is_open,
            text(reading.next_open),
            text(reading.next_close)
        ));
    }

    #[test]
    fn the_clock_knows_weekends_holidays_early_closes_and_summer_time() {
        check_clock(
            "2024-01-12T15:00:00Z",
            expect!["open=true next_open=2024-01-16T14:30:00Z next_close=2024-01-12T21:00:00Z"],
        );
        check_clock(
            "2024-01-13T15:00:00Z",
            expect!["open=false next_open=2024-01-16T14:30:00Z next_close=2024-01-16T21:00:00Z"],
        );
        check_clock(
            "2024-11-29T17:59:59Z",
            expect!["open=true next_open=2024-12-02T14:30:00Z next_close=2024-11-29T18:00:00Z"],
        );
        check_clock(
            "2024-11-29T18:00:00Z",
            expect!["open=false next_open=2024-12-02T14:30:00Z next_close=2024-12-02T21:00:00Z"],
        );
        check_clock(
            "2024-07-01T13:30:00Z",
            expect!["open=true next_open=2024-07-02T13:30:00Z next_close=2024-07-01T20:00:00Z"],
        );
    }

    #[test]
    fn the_recorded_day_of_the_replay_was_a_full_session() {
        let session = Nyse::bundled()
            .expect("it parses")
            .session(date(2012, 6, 21));
        assert_eq!(session.map(|s| (s.open, s.close)), Some((OPEN, CLOSE)));
    }

    #[test]
    fn a_year_has_as_many_sessions_as_the_exchange_says() {
        let nyse = Nyse::bundled().expect("it parses");
        let count = |year| nyse.sessions(date(year, 1, 1), date(year, 12, 31)).count();
        assert_eq!(
            [count(2012), count(2020), count(2024), count(2025)],
            [250, 253, 252, 250]
        );
    }

    #[test]
    fn trades_settle_on_business_days() {
        let nyse = Nyse::bundled().expect("it parses");
        for (traded, settles) in [
            // Over a weekend, a holiday, Good Friday, and two days on which the exchange trades without the banks.
            (date(2025, 1, 2), date(2025, 1, 3)),
            (date(2025, 1, 17), date(2025, 1, 21)),
            (date(2025, 4, 17), date(2025, 4, 21)),
            (date(2024, 10, 11), date(2024, 10, 15)),
            (date(2026, 11, 10), date(2026, 11, 12)),
            // By the rules of before.
            (date(2024, 5, 24), date(2024, 5, 29)),
            (date(2024, 5, 28), date(2024, 5, 29)),
            (date(2017, 9, 1), date(2017, 9, 7)),
            (date(2012, 6, 21), date(2012, 6, 26)),
        ] {
            assert_eq!(nyse.settlement(traded), settles, "{traded}");
        }
    }

    #[test]
    fn a_day_order_ends_with_its_session() {
        let nyse = Nyse::bundled().expect("it parses");
        let end = |calendar, extended, now| text(nyse.day_end(calendar, extended, micros(now)));
        let friday_evening = "2024-11-29T18:30:00Z";
        assert_eq!(
            end(SessionCalendar::Nyse, false, friday_evening),
            "2024-12-02T21:00:00Z"
        );
        assert_eq!(
            end(SessionCalendar::Nyse, true, friday_evening),
            "2024-11-29T22:00:00Z"
        );
        assert_eq!(
            end(SessionCalendar::Always, false, friday_evening),
            "2024-11-30T00:00:00Z"
        );
    }

    #[test]
    fn the_hours_are_what_the_clock_shows() {
        let nyse = Nyse::bundled().expect("it parses");
        let hours = nyse.hours();
        let phase_at = |now: &str| {
            let (phase, until) = hours.at(SessionCalendar::Nyse, micros(now));
            format!("{phase:?} until {}", text(until))
        };
        for (now, expected) in [
            ("2024-01-13T15:00:00Z", "Closed until 2024-01-16T09:00:00Z"),
            (
                "2024-01-16T09:00:00Z",
                "Extended until 2024-01-16T14:30:00Z",
            ),
            ("2024-11-29T17:59:59Z", "Regular until 2024-11-29T18:00:00Z"),
            (
                "2024-11-29T18:00:00Z",
                "Extended until 2024-11-29T22:00:00Z",
            ),
            ("2024-07-01T13:30:00Z", "Regular until 2024-07-01T20:00:00Z"),
            ("2080-07-02T13:30:00Z", "Regular until 2080-07-02T20:00:00Z"),
        ] {
            assert_eq!(phase_at(now), expected, "at {now}");
        }
        let mut now = micros("2024-01-01T00:00:00Z");
        for _ in 0..1_000 {
            let (phase, until) = hours.at(SessionCalendar::Nyse, now);
            let is_open = nyse.clock(now).is_open;
            assert_eq!(phase == SessionPhase::Regular, is_open, "at {}", text(now));
            now = until;
        }
    }

    #[test]
    fn a_damaged_file_names_its_line() {
        let error = Nyse::parse("# ok\nclosed 2024-01-01\nearly 2024-07-03").expect_err("no time");
        expect!["line 3: \"early 2024-07-03\" is neither `closed YYYY-MM-DD` nor `early YYYY-MM-DD HH:MM`"]
            .assert_eq(&error.to_string());
    }
}
