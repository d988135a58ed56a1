//! Writes: bulk inserts and pruning.

use prepx_domain::InstrumentId;
use prepx_proto::journal;
use prepx_store::{Result, Tx, query};

use super::Keep;
use crate::domain::market::{Rows, side_code};

/// Writes the rows of a batch.
pub async fn rows(tx: &mut Tx, rows: &Rows) -> Result<()> {
    markets(tx, rows).await?;
    levels(tx, rows).await?;
    trades(tx, rows).await?;
    quotes(tx, rows).await?;
    bars(tx, rows).await
}

async fn markets(tx: &mut Tx, rows: &Rows) -> Result<()> {
    let markets: Vec<_> = rows.markets.values().collect();
    let into = "INSERT INTO markets (instrument_id, definition, number, book_at_us, quote_at_us)";
    let newer = "ON CONFLICT (instrument_id) DO UPDATE SET number = excluded.number,
        book_at_us = excluded.book_at_us, quote_at_us = excluded.quote_at_us";
    tx.insert_rows(into, 5, newer, &markets, |market, values| {
        let mut definition = Vec::new();
        journal::encode(&market.instrument, &mut definition);
        values
            .push(market.instrument.id.raw())
            .push(definition)
            .push(market.number as i64)
            .push(market.book_at.map_or(0, |at| at.0))
            .push(market.quote_at.map_or(0, |at| at.0));
    })
    .await
}

async fn levels(tx: &mut Tx, rows: &Rows) -> Result<()> {
    let (gone, living): (Vec<_>, Vec<_>) = rows.levels.iter().partition(|(_, qty)| **qty == 0);
    let into = "INSERT INTO levels (instrument_id, side, price_ticks, qty_lots)";
    let newer = "ON CONFLICT (instrument_id, side, price_ticks)
        DO UPDATE SET qty_lots = excluded.qty_lots";
    tx.insert_rows(
        into,
        4,
        newer,
        &living,
        |((id, side, price), qty), values| {
            values.push(id.raw()).push(*side).push(*price).push(**qty);
        },
    )
    .await?;
    // The rows of a bulk insert also serve as the list of rows to delete.
    let from = "DELETE FROM levels WHERE (instrument_id, side, price_ticks) IN (";
    tx.insert_rows(from, 3, ")", &gone, |((id, side, price), _), values| {
        values.push(id.raw()).push(*side).push(*price);
    })
    .await
}

async fn trades(tx: &mut Tx, rows: &Rows) -> Result<()> {
    let into = "INSERT INTO trades
        (instrument_id, at_us, trade_id, price_ticks, qty_lots, taker)";
    tx.insert_rows(into, 6, "", &rows.trades, |(id, trade), values| {
        values
            .push(id.raw())
            .push(trade.at.0)
            .push(trade.id.raw())
            .push(trade.price_ticks)
            .push(trade.qty_lots)
            .push(side_code(trade.taker));
    })
    .await
}

async fn quotes(tx: &mut Tx, rows: &Rows) -> Result<()> {
    let quotes: Vec<_> = rows.quotes.iter().collect();
    let into = "INSERT INTO quotes
        (instrument_id, at_ms, at_us, bid_ticks, bid_lots, ask_ticks, ask_lots)";
    let newer = "ON CONFLICT (instrument_id, at_ms) DO UPDATE SET at_us = excluded.at_us,
        bid_ticks = excluded.bid_ticks, bid_lots = excluded.bid_lots,
        ask_ticks = excluded.ask_ticks, ask_lots = excluded.ask_lots";
    tx.insert_rows(into, 7, newer, &quotes, |((id, at_ms), quote), values| {
        values
            .push(id.raw())
            .push(*at_ms)
            .push(quote.at.0)
            .push(quote.bid_ticks)
            .push(quote.bid_lots)
            .push(quote.ask_ticks)
            .push(quote.ask_lots);
    })
    .await
}

async fn bars(tx: &mut Tx, rows: &Rows) -> Result<()> {
    let bars: Vec<_> = rows.bars.iter().collect();
    let into = "INSERT INTO bars (instrument_id, width_us, start_us, open_ticks, high_ticks,
        low_ticks, close_ticks, volume_lots, trades, turnover)";
    let newer = "ON CONFLICT (instrument_id, width_us, start_us)
        DO UPDATE SET high_ticks = excluded.high_ticks, low_ticks = excluded.low_ticks,
        close_ticks = excluded.close_ticks, volume_lots = excluded.volume_lots,
        trades = excluded.trades, turnover = excluded.turnover";
    tx.insert_rows(
        into,
        10,
        newer,
        &bars,
        |((id, width_us, _), bar), values| {
            values
                .push(id.raw())
                .push(*width_us)
                .push(bar.start.0)
                .push(bar.open_ticks)
                .push(bar.high_ticks)
                .push(bar.low_ticks)
                .push(bar.close_ticks)
                .push(bar.volume_lots)
                .push(bar.trades as i64)
                .push(bar.turnover.to_be_bytes().to_vec());
        },
    )
    .await
}

/// Deletes the rows of an instrument that are not to be kept.
pub async fn prune(tx: &mut Tx, instrument: InstrumentId, keep: Keep) -> Result<()> {
    let trades = "DELETE FROM trades WHERE instrument_id = $1 AND (at_us, trade_id) <= (
            SELECT at_us, trade_id FROM trades WHERE instrument_id = $1
            ORDER BY at_us DESC, trade_id DESC LIMIT 1 OFFSET $2)";
    let quotes = "DELETE FROM quotes WHERE instrument_id = $1 AND at_ms <= (
            SELECT at_ms FROM quotes WHERE instrument_id = $1
            ORDER BY at_ms DESC LIMIT 1 OFFSET $2)";
    let minutes = "DELETE FROM bars WHERE instrument_id = $1 AND width_us = 60000000
        AND start_us <= (
            SELECT start_us FROM bars WHERE instrument_id = $1 AND width_us = 60000000
            ORDER BY start_us DESC LIMIT 1 OFFSET $2)";
    let kept = [
        (trades, Some(keep.rows)),
        (quotes, Some(keep.rows)),
        (minutes, keep.minutes),
    ];
    for (sql, rows) in kept {
        let Some(rows) = rows else { continue };
        let pruned = query(sql).bind(instrument.raw()).bind(rows as i64);
        pruned.execute(&mut *tx).await?;
    }
    Ok(())
}
