//! The past of an instrument: trades, quotes and bars, read page by page.

use std::fmt::Debug;
use std::future::Future;

use prepx_cache::Space;
use prepx_domain::market::{Bar, MINUTE_US, interval};
use prepx_domain::{AssetClass, InstrumentId, Micros};

use crate::domain::market::{Quote, Trade};
use crate::domain::timeframe::Timeframe;
use crate::error::Error;
use crate::page::{Place, Range};
use crate::read_cache::{Read, ReadCache};
use crate::store::View;

/// The most stored bars that one request reads for one symbol; the page ends there.
const STORED_BARS_MAX: usize = 100_000;

/// A kind of past data.
pub trait Past: Clone + Send + Sync + 'static {
    /// The parameters besides the time.
    type Form: Copy + Debug + Send + Sync;

    /// Its place among those of its instrument.
    fn place(&self) -> Place;

    /// The last moment at which the data up to `end` can still change.
    fn settled(_form: Self::Form, end: Micros) -> Micros {
        end
    }

    /// The cache of pages of these.
    fn space(cache: &ReadCache) -> &Space<Read<Self>>;

    /// Those of an instrument, and whether there are further ones.
    fn fetch(
        view: &mut View,
        instrument: InstrumentId,
        form: Self::Form,
        range: Range,
    ) -> impl Future<Output = Result<(Vec<Self>, bool), Error>> + Send;
}

impl Past for Trade {
    type Form = ();

    fn space(cache: &ReadCache) -> &Space<Read<Trade>> {
        &cache.trades
    }

    fn place(&self) -> Place {
        Place {
            at: self.at,
            number: self.id.raw(),
        }
    }

    async fn fetch(
        view: &mut View,
        instrument: InstrumentId,
        (): (),
        range: Range,
    ) -> Result<(Vec<Trade>, bool), Error> {
        Ok((view.trades(instrument, &range).await?, false))
    }
}

impl Past for Quote {
    type Form = ();

    fn space(cache: &ReadCache) -> &Space<Read<Quote>> {
        &cache.quotes
    }

    fn place(&self) -> Place {
        Place {
            at: self.at,
            number: 0,
        }
    }

    async fn fetch(
        view: &mut View,
        instrument: InstrumentId,
        (): (),
        range: Range,
    ) -> Result<(Vec<Quote>, bool), Error> {
        Ok((view.quotes(instrument, &range).await?, false))
    }
}

impl Past for Bar {
    type Form = (Timeframe, AssetClass);

    fn settled((timeframe, class): Self::Form, end: Micros) -> Micros {
        timeframe.interval(class, end).1
    }

    fn space(cache: &ReadCache) -> &Space<Read<Bar>> {
        &cache.bars
    }

    fn place(&self) -> Place {
        Place {
            at: self.start,
            number: 0,
        }
    }

    /// Bars that start at or after the minute in which the range begins.
    async fn fetch(
        view: &mut View,
        instrument: InstrumentId,
        (timeframe, class): Self::Form,
        range: Range,
    ) -> Result<(Vec<Bar>, bool), Error> {
        let interval_of = |at| timeframe.interval(class, at);
        let minute = interval(range.start, MINUTE_US);
        let (holding, next) = interval_of(minute);
        let mut from = if holding < minute { next } else { holding };
        let (_, mut until) = interval_of(range.end);
        if let Some(past) = range.past {
            let (start, end) = interval_of(past.at);
            if range.newest_first {
                until = until.min(start);
            } else {
                from = from.max(end);
            }
        }
        // One bar more than is needed, because the last one may be incomplete.
        let stored_max = (range.limit + 1) * timeframe.stored_max(class) as usize;
        let stored_range = Range {
            start: from,
            end: until.plus_us(-1),
            past: None,
            limit: stored_max.min(STORED_BARS_MAX),
            ..range
        };
        let stored = view
            .bars(instrument, timeframe.stored_us(class), &stored_range)
            .await?;
        let cut = stored.len() == stored_range.limit;
        let mut bars = merged(interval_of, stored, range.newest_first);
        if cut {
            bars.pop();
        }
        Ok((bars, cut))
    }
}

/// Combines stored bars into wider ones, in the same order.
fn merged(
    interval_of: impl Fn(Micros) -> (Micros, Micros),
    mut stored: Vec<Bar>,
    newest_first: bool,
) -> Vec<Bar> {
    if newest_first {
        stored.reverse();
    }
    let mut bars: Vec<Bar> = Vec::new();
    for bar in stored {
        let (start, _) = interval_of(bar.start);
        match bars.last_mut() {
            Some(last) if last.start == start => last.add(&bar),
            _ => bars.push(Bar { start, ..bar }),
        }
    }
    if newest_first {
        bars.reverse();
    }
    bars
}
