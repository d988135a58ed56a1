//! Sessions: which orders of an instrument may trade at a moment, from a table of trading days.
//!
//! Pure numbers: whoever knows time zones and holidays makes the table. Refuses a table that goes
//! back in time.

use std::sync::Arc;

use crate::instrument::SessionCalendar;
use crate::time::Micros;

/// Which orders may trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SessionPhase {
    /// None.
    Closed,
    /// Those that their owners marked for extended hours.
    Extended,
    /// All.
    Regular,
}

impl SessionPhase {
    /// Whether an order that is, or is not, marked for extended hours may trade.
    pub const fn admits(self, extended_hours: bool) -> bool {
        match self {
            SessionPhase::Closed => false,
            SessionPhase::Extended => extended_hours,
            SessionPhase::Regular => true,
        }
    }
}

/// One trading day. Each phase begins with its first moment and ends before the next one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TradingDay {
    /// Extended hours begin.
    pub extended_open: Micros,
    /// The regular session begins.
    pub open: Micros,
    /// The regular session ends, extended hours go on.
    pub close: Micros,
    /// Extended hours end.
    pub extended_close: Micros,
}

/// The trading days of the calendar `nyse`, in order. Without any it is closed for ever.
#[derive(Clone, Debug, Default)]
pub struct Hours {
    days: Arc<[TradingDay]>,
}

impl Hours {
    /// The hours of these days.
    ///
    /// # Panics
    /// When a day begins before the one before it has ended, or ends before it begins.
    pub fn new(days: Vec<TradingDay>) -> Hours {
        let ends = days
            .iter()
            .flat_map(|day| [day.extended_open, day.open, day.close, day.extended_close]);
        assert!(ends.is_sorted(), "trading days go forward in time");
        Hours { days: days.into() }
    }

    /// The phase of a calendar at `now`, and until when it lasts: always after `now`.
    pub fn at(&self, calendar: SessionCalendar, now: Micros) -> (SessionPhase, Micros) {
        match calendar {
            SessionCalendar::Always => (SessionPhase::Regular, Micros(i64::MAX)),
            SessionCalendar::Nyse => self.nyse_at(now),
        }
    }

    fn nyse_at(&self, now: Micros) -> (SessionPhase, Micros) {
        let over = |day: &TradingDay| day.extended_close <= now;
        let Some(day) = self.days.get(self.days.partition_point(over)) else {
            return (SessionPhase::Closed, Micros(i64::MAX));
        };
        if now < day.extended_open {
            (SessionPhase::Closed, day.extended_open)
        } else if now < day.open {
            (SessionPhase::Extended, day.open)
        } else if now < day.close {
            (SessionPhase::Regular, day.close)
        } else {
            (SessionPhase::Extended, day.extended_close)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(start: i64) -> TradingDay {
        TradingDay {
            extended_open: Micros(start),
            open: Micros(start + 10),
            close: Micros(start + 20),
            extended_close: Micros(start + 30),
        }
    }

    #[test]
    fn a_phase_begins_with_its_first_moment_and_ends_before_the_next() {
        use SessionPhase::{Closed, Extended, Regular};
        let hours = Hours::new(vec![day(100), day(200)]);
        for (now, phase, until) in [
            (i64::MIN, Closed, 100),
            (99, Closed, 100),
            (100, Extended, 110),
            (110, Regular, 120),
            (119, Regular, 120),
            (120, Extended, 130),
            (130, Closed, 200),
            (215, Regular, 220),
            (230, Closed, i64::MAX),
        ] {
            let found = hours.at(SessionCalendar::Nyse, Micros(now));
            assert_eq!(found, (phase, Micros(until)), "at {now}");
            let always = hours.at(SessionCalendar::Always, Micros(now));
            assert_eq!(always, (Regular, Micros(i64::MAX)));
        }
        let never = Hours::default().at(SessionCalendar::Nyse, Micros(0));
        assert_eq!(never, (Closed, Micros(i64::MAX)));
    }
}
