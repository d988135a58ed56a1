//! Reading: markets at a start, and pages of the past.

use std::collections::BTreeMap;

use prepx_domain::market::Bar;
use prepx_domain::{Instrument, InstrumentId, Micros, Side, TradeId};
use prepx_proto::journal::{self, v1};
use prepx_store::Result;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use crate::market::{Market, MarketRow, Markets, Quote, Trade, WIDTHS_US};
use crate::page::{Place, Range};

/// Every market as of the last commit.
pub async fn markets(connection: &mut SqliteConnection) -> Result<Markets> {
    let rows = sqlx::query("SELECT definition, number, book_at_us, quote_at_us FROM markets")
        .fetch_all(&mut *connection)
        .await?;
    let mut markets = BTreeMap::new();
    for row in &rows {
        let market = Market::from(market_of(row)?);
        markets.insert(market.instrument.id, market);
    }
    for (id, market) in &mut markets {
        complete(connection, *id, market).await?;
    }
    Ok(Markets::new(markets))
}

async fn complete(
    connection: &mut SqliteConnection,
    id: InstrumentId,
    market: &mut Market,
) -> Result<()> {
    let levels =
        sqlx::query("SELECT side, price_ticks, qty_lots FROM levels WHERE instrument_id = $1")
            .bind(id.raw())
            .fetch_all(&mut *connection)
            .await?;
    for row in &levels {
        let side = side_of(row.try_get("side")?)?;
        let (price_ticks, qty_lots) = (row.try_get("price_ticks")?, row.try_get("qty_lots")?);
        market.book.set(side, price_ticks, qty_lots);
    }
    market.last_trade = trades(connection, id, &newest(1)).await?.pop();
    for (place, width_us) in WIDTHS_US.into_iter().enumerate() {
        let mut found = bars(connection, id, width_us, &newest(2))
            .await?
            .into_iter();
        market.bars[place] = found.next();
        // The last width is the day.
        market.day_before = found.next();
    }
    Ok(())
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
    connection: &mut SqliteConnection,
    instrument: InstrumentId,
    range: &Range,
) -> Result<Vec<Trade>> {
    let mut sql = QueryBuilder::new("SELECT * FROM trades WHERE instrument_id = ");
    sql.push_bind(instrument.raw());
    narrow(&mut sql, "at_us", range, |at| at.0);
    if let Some(Place { at, number }) = range.past {
        sql.push(" AND (at_us, trade_id)")
            .push(beyond(range))
            .push("(");
        sql.push_bind(at.0).push(", ").push_bind(number).push(")");
    }
    order(&mut sql, &["at_us", "trade_id"], range);
    let rows = sql.build().fetch_all(connection).await?;
    rows.iter().map(trade_of).collect()
}

/// Quotes of an instrument.
pub async fn quotes(
    connection: &mut SqliteConnection,
    instrument: InstrumentId,
    range: &Range,
) -> Result<Vec<Quote>> {
    let mut sql = QueryBuilder::new("SELECT * FROM quotes WHERE instrument_id = ");
    sql.push_bind(instrument.raw());
    // By the key, which has milliseconds, and then exactly.
    narrow(&mut sql, "at_ms", range, Micros::millis);
    narrow(&mut sql, "at_us", range, |at| at.0);
    if let Some(Place { at, .. }) = range.past {
        sql.push(" AND at_ms")
            .push(beyond(range))
            .push_bind(at.millis());
    }
    order(&mut sql, &["at_ms"], range);
    let rows = sql.build().fetch_all(connection).await?;
    rows.iter().map(|row| Ok(quote_of(row)?)).collect()
}

/// Bars of a width of an instrument.
pub async fn bars(
    connection: &mut SqliteConnection,
    instrument: InstrumentId,
    width_us: i64,
    range: &Range,
) -> Result<Vec<Bar>> {
    let mut sql = QueryBuilder::new("SELECT * FROM bars WHERE instrument_id = ");
    sql.push_bind(instrument.raw());
    sql.push(" AND width_us = ").push_bind(width_us);
    narrow(&mut sql, "start_us", range, |at| at.0);
    order(&mut sql, &["start_us"], range);
    let rows = sql.build().fetch_all(connection).await?;
    rows.iter().map(|row| Ok(bar_of(row)?)).collect()
}

fn narrow(
    sql: &mut QueryBuilder<Sqlite>,
    column: &str,
    range: &Range,
    value: impl Fn(Micros) -> i64,
) {
    sql.push(format_args!(" AND {column} >= "))
        .push_bind(value(range.start));
    sql.push(format_args!(" AND {column} <= "))
        .push_bind(value(range.end));
}

const fn beyond(range: &Range) -> &'static str {
    if range.newest_first { " < " } else { " > " }
}

fn order(sql: &mut QueryBuilder<Sqlite>, columns: &[&str], range: &Range) {
    let way = if range.newest_first { " DESC" } else { " ASC" };
    let columns: Vec<_> = columns
        .iter()
        .map(|column| format!("{column}{way}"))
        .collect();
    sql.push(format_args!(" ORDER BY {} LIMIT ", columns.join(", ")));
    sql.push_bind(range.limit as i64);
}

fn damaged(column: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: "not a value that this service writes".into(),
    }
}

fn side_of(code: i64) -> sqlx::Result<Side> {
    match code {
        1 => Ok(Side::Buy),
        2 => Ok(Side::Sell),
        _ => Err(damaged("side")),
    }
}

fn market_of(row: &SqliteRow) -> sqlx::Result<MarketRow> {
    let bytes: &[u8] = row.try_get("definition")?;
    let definition =
        journal::decode_message::<v1::Instrument>(bytes).and_then(Instrument::try_from);
    let moment = |column| -> sqlx::Result<Option<Micros>> {
        let at_us: i64 = row.try_get(column)?;
        Ok((at_us != 0).then_some(Micros(at_us)))
    };
    Ok(MarketRow {
        instrument: definition.map_err(|_| damaged("definition"))?,
        number: row.try_get::<i64, _>("number")? as u64,
        book_at: moment("book_at_us")?,
        quote_at: moment("quote_at_us")?,
    })
}

fn trade_of(row: &SqliteRow) -> Result<Trade> {
    Ok(Trade {
        id: TradeId::new(row.try_get("trade_id")?).ok_or_else(|| damaged("trade_id"))?,
        at: Micros(row.try_get("at_us")?),
        price_ticks: row.try_get("price_ticks")?,
        qty_lots: row.try_get("qty_lots")?,
        taker: side_of(row.try_get("taker")?)?,
    })
}

fn quote_of(row: &SqliteRow) -> sqlx::Result<Quote> {
    Ok(Quote {
        at: Micros(row.try_get("at_us")?),
        bid_ticks: row.try_get("bid_ticks")?,
        bid_lots: row.try_get("bid_lots")?,
        ask_ticks: row.try_get("ask_ticks")?,
        ask_lots: row.try_get("ask_lots")?,
    })
}

fn bar_of(row: &SqliteRow) -> sqlx::Result<Bar> {
    let turnover: &[u8] = row.try_get("turnover")?;
    let turnover = turnover.try_into().map_err(|_| damaged("turnover"))?;
    Ok(Bar {
        start: Micros(row.try_get("start_us")?),
        open_ticks: row.try_get("open_ticks")?,
        high_ticks: row.try_get("high_ticks")?,
        low_ticks: row.try_get("low_ticks")?,
        close_ticks: row.try_get("close_ticks")?,
        volume_lots: row.try_get("volume_lots")?,
        trades: row.try_get::<i64, _>("trades")? as u64,
        turnover: i128::from_be_bytes(turnover),
    })
}
