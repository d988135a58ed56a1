//! Reads: markets at the start, and pages of past data.

use std::collections::BTreeMap;

use prepx_domain::market::Bar;
use prepx_domain::{AssetClass, InstrumentId, Micros, Side, TradeId, day};
use prepx_proto::journal;
use prepx_store::{Error, Query, Reader, Result, Row, query};

use crate::domain::market::{DAY, HOUR, Market, MarketRow, Markets, Quote, Trade, WIDTHS_US};
use crate::page::{Place, Range};

/// The number of hours of the day on which daylight saving time ends.
const DAY_HOURS_MAX: usize = 25;

/// The markets of instruments as of the last commit.
pub async fn markets(
    connection: &mut Reader,
    of: impl Fn(InstrumentId) -> bool,
) -> Result<Markets> {
    let rows = query("SELECT definition, number, book_at_us, quote_at_us FROM markets")
        .fetch_all(&mut *connection)
        .await?;
    let mut markets = BTreeMap::new();
    for row in &rows {
        let market = Market::from(market_of(row)?);
        if of(market.instrument.id) {
            markets.insert(market.instrument.id, market);
        }
    }
    for (id, market) in &mut markets {
        complete(connection, *id, market).await?;
    }
    Ok(Markets::new(markets))
}

async fn complete(connection: &mut Reader, id: InstrumentId, market: &mut Market) -> Result<()> {
    let levels = query("SELECT side, price_ticks, qty_lots FROM levels WHERE instrument_id = $1")
        .bind(id.raw())
        .fetch_all(&mut *connection)
        .await?;
    for row in &levels {
        let side = side_of(row.get("side")?)?;
        let (price_ticks, qty_lots) = (row.get("price_ticks")?, row.get("qty_lots")?);
        market.book.set(side, price_ticks, qty_lots);
    }
    market.last_trade = trades(connection, id, &newest(1)).await?.pop();
    for (place, width_us) in WIDTHS_US.into_iter().enumerate() {
        let mut found = match (market.instrument.class, place) {
            (AssetClass::UsEquity, DAY) => newest_days(connection, id).await?.into_iter(),
            _ => bars(connection, id, width_us, &newest(2))
                .await?
                .into_iter(),
        };
        market.bars[place] = found.next();
        // The last width is the day.
        market.day_before = found.next();
    }
    Ok(())
}

/// The two newest days with trades of an equity, newest first, combined from its hours.
async fn newest_days(connection: &mut Reader, id: InstrumentId) -> Result<Vec<Bar>> {
    let mut days = Vec::new();
    let mut end = Micros(i64::MAX);
    while days.len() < 2 {
        let last = Range { end, ..newest(1) };
        let Some(last) = bars(connection, id, WIDTHS_US[HOUR], &last).await?.pop() else {
            break;
        };
        let start = day::start(AssetClass::UsEquity, last.start);
        let whole = Range {
            start,
            end,
            newest_first: false,
            ..newest(DAY_HOURS_MAX)
        };
        let hours = bars(connection, id, WIDTHS_US[HOUR], &whole).await?;
        let together = |mut day: Bar, hour: Bar| {
            day.add(&hour);
            day
        };
        let day = hours.into_iter().reduce(together);
        days.extend(day.map(|day| Bar { start, ..day }));
        end = start.plus_us(-1);
    }
    Ok(days)
}

const fn newest(limit: usize) -> Range {
    Range {
        start: Micros(i64::MIN),
        end: Micros(i64::MAX),
        newest_first: true,
        past: None,
        limit,
    }
}

/// Trades of an instrument.
pub async fn trades(
    connection: &mut Reader,
    instrument: InstrumentId,
    range: &Range,
) -> Result<Vec<Trade>> {
    let mut sql = query(
        "SELECT at_us, trade_id, price_ticks, qty_lots, taker FROM trades
         WHERE instrument_id = ",
    );
    sql.push_bind(instrument.raw());
    narrow(&mut sql, "at_us", range, |at| at.0);
    if let Some(Place { at, number }) = range.past {
        sql.push(" AND (at_us, trade_id)").push(beyond(range));
        sql.push_list([at.0, number]);
    }
    order(&mut sql, &["at_us", "trade_id"], range);
    let rows = sql.fetch_all(connection).await?;
    rows.iter().map(trade_of).collect()
}

/// Quotes of an instrument.
pub async fn quotes(
    connection: &mut Reader,
    instrument: InstrumentId,
    range: &Range,
) -> Result<Vec<Quote>> {
    let mut sql = query(
        "SELECT at_us, bid_ticks, bid_lots, ask_ticks, ask_lots FROM quotes
         WHERE instrument_id = ",
    );
    sql.push_bind(instrument.raw());
    // First by the key, which has milliseconds, then exactly.
    narrow(&mut sql, "at_ms", range, Micros::millis);
    narrow(&mut sql, "at_us", range, |at| at.0);
    if let Some(Place { at, .. }) = range.past {
        sql.push(" AND at_ms")
            .push(beyond(range))
            .push_bind(at.millis());
    }
    order(&mut sql, &["at_ms"], range);
    let rows = sql.fetch_all(connection).await?;
    rows.iter().map(quote_of).collect()
}

/// Bars of a width of an instrument.
pub async fn bars(
    connection: &mut Reader,
    instrument: InstrumentId,
    width_us: i64,
    range: &Range,
) -> Result<Vec<Bar>> {
    let mut sql = query(
        "SELECT start_us, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, trades,
                turnover FROM bars
         WHERE instrument_id = ",
    );
    sql.push_bind(instrument.raw());
    sql.push(" AND width_us = ").push_bind(width_us);
    narrow(&mut sql, "start_us", range, |at| at.0);
    order(&mut sql, &["start_us"], range);
    let rows = sql.fetch_all(connection).await?;
    rows.iter().map(bar_of).collect()
}

fn narrow(sql: &mut Query, column: &'static str, range: &Range, value: impl Fn(Micros) -> i64) {
    for (beyond, end) in [(" >= ", range.start), (" <= ", range.end)] {
        sql.push(" AND ").push(column).push(beyond);
        sql.push_bind(value(end));
    }
}

const fn beyond(range: &Range) -> &'static str {
    if range.newest_first { " < " } else { " > " }
}

fn order(sql: &mut Query, columns: &[&'static str], range: &Range) {
    let mut before = " ORDER BY ";
    for &column in columns {
        sql.push(before).push(column);
        sql.push(if range.newest_first { " DESC" } else { " ASC" });
        before = ", ";
    }
    sql.push(" LIMIT ").push_bind(range.limit as i64);
}

fn side_of(code: i64) -> Result<Side> {
    match code {
        1 => Ok(Side::Buy),
        2 => Ok(Side::Sell),
        _ => Err(Error::Damaged("side")),
    }
}

fn market_of(row: &Row) -> Result<MarketRow> {
    let bytes: &[u8] = row.get("definition")?;
    let definition = journal::decode(bytes);
    let moment = |column| -> Result<Option<Micros>> {
        let at_us: i64 = row.get(column)?;
        Ok((at_us != 0).then_some(Micros(at_us)))
    };
    Ok(MarketRow {
        instrument: definition.map_err(|_| Error::Damaged("definition"))?,
        number: row.number("number")?,
        book_at: moment("book_at_us")?,
        quote_at: moment("quote_at_us")?,
    })
}

fn trade_of(row: &Row) -> Result<Trade> {
    Ok(Trade {
        id: TradeId::new(row.get("trade_id")?).ok_or(Error::Damaged("trade_id"))?,
        at: Micros(row.get("at_us")?),
        price_ticks: row.get("price_ticks")?,
        qty_lots: row.get("qty_lots")?,
        taker: side_of(row.get("taker")?)?,
    })
}

fn quote_of(row: &Row) -> Result<Quote> {
    Ok(Quote {
        at: Micros(row.get("at_us")?),
        bid_ticks: row.get("bid_ticks")?,
        bid_lots: row.get("bid_lots")?,
        ask_ticks: row.get("ask_ticks")?,
        ask_lots: row.get("ask_lots")?,
    })
}

fn bar_of(row: &Row) -> Result<Bar> {
    let turnover: &[u8] = row.get("turnover")?;
    let turnover = turnover
        .try_into()
        .map_err(|_| Error::Damaged("turnover"))?;
    Ok(Bar {
        start: Micros(row.get("start_us")?),
        open_ticks: row.get("open_ticks")?,
        high_ticks: row.get("high_ticks")?,
        low_ticks: row.get("low_ticks")?,
        close_ticks: row.get("close_ticks")?,
        volume_lots: row.get("volume_lots")?,
        trades: row.number("trades")?,
        turnover: i128::from_be_bytes(turnover),
    })
}
