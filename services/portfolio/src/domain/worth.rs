//! What an account was worth over time, pure: its holdings at the end of each point, at the prices of that time;
//! exact until displayed.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::slice::Iter;

use prepx_domain::{Asset, Instrument, Micros};

use crate::domain::holdings::{CURRENCY, ratio, value_minor};
use crate::domain::points::Points;

/// The change of an account's quantity of an asset within an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// When the interval begins.
    pub at: Micros,
    /// The asset.
    pub asset: Asset,
    /// The change, in minor units.
    pub change_minor: i64,
    /// The part of it that was paid in, or out if negative.
    pub paid_minor: i64,
}

/// What an account had, and its changes since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Its quantities before the first change, in minor units.
    pub opening: BTreeMap<Asset, i64>,
    /// In the order of their intervals. No point ends within an interval.
    pub shifts: Vec<Shift>,
}

/// The prices of an instrument over time, in quote minor units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prices {
    /// The instrument.
    pub instrument: Instrument,
    /// Before the first point.
    pub opening_minor: Option<i64>,
    /// The last price of each point that has one, by its beginning.
    pub closes_minor: Vec<(Micros, i64)>,
}

/// What an account was worth, in minor units of the currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worth {
    /// Before the first point.
    pub base_minor: i64,
    /// The value of each point.
    pub points: Vec<Point>,
}

/// One point of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When it begins.
    pub at: Micros,
    /// The value at its end.
    pub equity_minor: i64,
    /// The value less the base and less what was paid in since.
    pub profit_minor: i64,
    /// That over the base and what was paid in since, at [`RATIO_SCALE`](crate::domain::holdings::RATIO_SCALE); 0 if
    /// those are not above 0.
    pub profit_ratio: i64,
}

impl Changes {
    /// Every asset that the account had in this time.
    pub fn assets(&self) -> impl Iterator<Item = Asset> {
        let shifted = self.shifts.iter().map(|shift| shift.asset);
        self.opening.keys().copied().chain(shifted)
    }

    /// Every asset that was paid in or out.
    pub fn paid_assets(&self) -> impl Iterator<Item = Asset> {
        let paid = self.shifts.iter().filter(|shift| shift.paid_minor != 0);
        paid.map(|shift| shift.asset)
    }

    /// What was paid in, less what was paid out, at the prices before the first point, in minor units of the
    /// currency. Assets without a price have no value.
    pub fn paid_minor(&self, prices: &[Prices]) -> i64 {
        let marks: Vec<Mark<'_>> = prices.iter().map(Mark::new).collect();
        let value = |shift: &Shift| value_of(shift.asset, shift.paid_minor, &marks);
        self.shifts.iter().map(value).fold(0, i64::saturating_add)
    }
}

impl Worth {
    /// Values what an account had. Assets without a price have no value.
    pub fn of(points: &Points, changes: &Changes, prices: &[Prices]) -> Worth {
        let mut held = changes.opening.clone();
        let mut shifts = changes.shifts.iter().peekable();
        let mut marks: Vec<Mark<'_>> = prices.iter().map(Mark::new).collect();
        take_until(&mut shifts, points.first, |shift| add(&mut held, shift));
        let base_minor = worth(&held, &marks);
        let mut paid_minor = 0i64;
        let point = |at: Micros| {
            let end = at.plus_us(points.width.us);
            marks.iter_mut().for_each(|mark| mark.advance(end));
            take_until(&mut shifts, end, |shift| {
                add(&mut held, shift);
                let value = value_of(shift.asset, shift.paid_minor, &marks);
                paid_minor = paid_minor.saturating_add(value);
            });
            let equity_minor = worth(&held, &marks);
            let invested_minor = base_minor.saturating_add(paid_minor);
            let profit_minor = equity_minor.saturating_sub(invested_minor);
            Point {
                at,
                equity_minor,
                profit_minor,
                profit_ratio: ratio(profit_minor, invested_minor).unwrap_or(0),
            }
        };
        Worth {
            base_minor,
            points: points.starts().map(point).collect(),
        }
    }
}

/// The price of an instrument as time passes.
struct Mark<'a> {
    instrument: &'a Instrument,
    price_minor: Option<i64>,
    next: Peekable<Iter<'a, (Micros, i64)>>,
}

impl<'a> Mark<'a> {
    fn new(prices: &'a Prices) -> Mark<'a> {
        Mark {
            instrument: &prices.instrument,
            price_minor: prices.opening_minor,
            next: prices.closes_minor.iter().peekable(),
        }
    }

    fn advance(&mut self, end: Micros) {
        while let Some((_, close_minor)) = self.next.next_if(|(at, _)| *at < end) {
            self.price_minor = Some(*close_minor);
        }
    }
}

fn take_until<'a>(
    shifts: &mut Peekable<Iter<'a, Shift>>,
    end: Micros,
    mut take: impl FnMut(&'a Shift),
) {
    while let Some(shift) = shifts.next_if(|shift| shift.at < end) {
        take(shift);
    }
}

fn add(held: &mut BTreeMap<Asset, i64>, shift: &Shift) {
    let minor = held.entry(shift.asset).or_default();
    *minor = minor.saturating_add(shift.change_minor);
}

fn worth(held: &BTreeMap<Asset, i64>, marks: &[Mark<'_>]) -> i64 {
    held.iter()
        .map(|(asset, minor)| value_of(*asset, *minor, marks))
        .fold(0, i64::saturating_add)
}

fn value_of(asset: Asset, minor: i64, marks: &[Mark<'_>]) -> i64 {
    if asset.as_str() == CURRENCY {
        return minor;
    }
    marks
        .iter()
        .filter(|mark| mark.instrument.base == asset)
        .filter_map(|mark| value_minor(mark.instrument, minor, mark.price_minor?))
        .fold(0, i64::saturating_add)
}

#[cfg(test)]
mod tests;
