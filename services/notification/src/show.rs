//! Events in the form of the public API: exact decimal numbers.

use prepx_domain::decimal::format;
use prepx_domain::market::{Book, Level};
use prepx_domain::message::End;
use prepx_domain::update::{Change, OrderEvent, OrderView};
use prepx_domain::{Instrument, Micros, Side};
use prepx_proto::convert::{self, price, size};
use prepx_proto::market_data::v1 as data;
use prepx_proto::notification::v1 as wire;
use wire::market_event::Event;
use wire::{Channel, TradeEvent};

use crate::domain::market::{Best, Market, MarketEvent};

/// The event of a change for its account; `None` for changes that are not about an order, or that say
/// nothing new: a triggered stop continues as the order that it is, and the end of a filled order is its
/// last fill.
pub fn trade_update(
    at: Micros,
    change: &Change,
    instrument: &Instrument,
) -> Option<wire::TradeUpdate> {
    let Change::Order { order, event } = change else {
        return None;
    };
    let mut shown = wire::TradeUpdate {
        event: trade_event(order, event)?.into(),
        timestamp: at.0,
        order: Some(convert::order(order, instrument)),
        ..wire::TradeUpdate::default()
    };
    if let OrderEvent::Fill {
        fill,
        position_minor,
    } = event
    {
        shown.price = Some(price(instrument, fill.price_ticks));
        shown.qty = Some(size(instrument, fill.qty_lots));
        shown.position_qty = Some(format(*position_minor, instrument.base_scale));
        shown.execution_id = Some(fill.execution.to_string());
    }
    Some(shown)
}

const fn trade_event(order: &OrderView, event: &OrderEvent) -> Option<TradeEvent> {
    Some(match event {
        OrderEvent::New => TradeEvent::New,
        OrderEvent::Accepted => TradeEvent::Accepted,
        OrderEvent::PendingNew => TradeEvent::PendingNew,
        OrderEvent::PendingCancel => TradeEvent::PendingCancel,
        OrderEvent::PendingReplace => TradeEvent::PendingReplace,
        OrderEvent::Fill { .. } if order.filled_minor == order.qty_minor => TradeEvent::Fill,
        OrderEvent::Fill { .. } => TradeEvent::PartialFill,
        OrderEvent::Replaced => TradeEvent::Replaced,
        OrderEvent::ReplaceRejected(_) => TradeEvent::OrderReplaceRejected,
        OrderEvent::Ended(End::Canceled(_)) => TradeEvent::Canceled,
        OrderEvent::Ended(End::Expired) => TradeEvent::Expired,
        OrderEvent::Ended(End::Rejected(_)) => TradeEvent::Rejected,
        OrderEvent::Triggered | OrderEvent::Ended(End::Filled) => return None,
    })
}

/// The channel on which an event is sent.
pub const fn channel(event: &MarketEvent) -> Channel {
    match event {
        MarketEvent::Trade { .. } => Channel::Trades,
        MarketEvent::Quote(_) => Channel::Quotes,
        MarketEvent::Level { .. } | MarketEvent::Book => Channel::Orderbooks,
        MarketEvent::Bar(_) => Channel::Bars,
        MarketEvent::UpdatedBar(_) => Channel::UpdatedBars,
        MarketEvent::Day(_) => Channel::DailyBars,
        MarketEvent::Halted(_) => Channel::Statuses,
    }
}

/// An event of a market, as its listeners receive it.
pub fn market_event(market: &Market, event: &MarketEvent) -> Event {
    let instrument = &market.instrument;
    let timestamp = market.at().0;
    match event {
        MarketEvent::Trade {
            trade,
            price_ticks,
            qty_lots,
            taker,
        } => Event::Trade(data::Trade {
            timestamp,
            price: price(instrument, *price_ticks),
            size: size(instrument, *qty_lots),
            id: trade.within_slot(),
            taker: match taker {
                Side::Buy => data::Taker::Buyer.into(),
                Side::Sell => data::Taker::Seller.into(),
            },
            exchange: convert::exchange_letter(instrument.class),
            conditions: convert::trade_conditions(instrument.class),
            tape: convert::tape(instrument.class),
        }),
        MarketEvent::Quote(best) => Event::Quote(quote(instrument, timestamp, best)),
        MarketEvent::Level {
            side,
            level: changed,
            number,
        } => {
            let changed = vec![convert::book_level(instrument, *changed)];
            let (bids, asks) = match side {
                Side::Buy => (changed, Vec::new()),
                Side::Sell => (Vec::new(), changed),
            };
            Event::Orderbook(data::OrderBook {
                timestamp,
                bids,
                asks,
                reset: false,
                number: *number,
            })
        }
        MarketEvent::Book => Event::Orderbook(book(market)),
        MarketEvent::Bar(bar) | MarketEvent::UpdatedBar(bar) | MarketEvent::Day(bar) => {
            Event::Bar(convert::bar(instrument, bar))
        }
        MarketEvent::Halted(halted) => Event::Status(status(timestamp, *halted)),
    }
}

/// The whole book; empty if it is not known.
pub fn book(market: &Market) -> data::OrderBook {
    let show = |shown: Level| convert::book_level(&market.instrument, shown);
    let bids = market.book().map(|book| book.bids().map(show).collect());
    let asks = market.book().map(|book| book.asks().map(show).collect());
    data::OrderBook {
        timestamp: market.at().0,
        bids: bids.unwrap_or_default(),
        asks: asks.unwrap_or_default(),
        reset: true,
        number: market.book().map_or(0, Book::number),
    }
}

fn quote(instrument: &Instrument, timestamp: i64, [bid, ask]: &Best) -> data::Quote {
    let side = |best: &Option<Level>| {
        let ticks = best.map_or(0, |level| level.price_ticks);
        let lots = best.map_or(0, |level| level.qty_lots);
        (price(instrument, ticks), size(instrument, lots))
    };
    let ((bid_price, bid_size), (ask_price, ask_size)) = (side(bid), side(ask));
    data::Quote {
        timestamp,
        bid_price,
        bid_size,
        ask_price,
        ask_size,
        bid_exchange: convert::exchange_letter(instrument.class),
        ask_exchange: convert::exchange_letter(instrument.class),
        conditions: convert::quote_conditions(instrument.class),
        tape: convert::tape(instrument.class),
    }
}

fn status(timestamp: i64, halted: bool) -> wire::TradingStatus {
    let (code, words) = match halted {
        true => ("H", "Trading Halt"),
        false => ("T", "Trading Resumption"),
    };
    wire::TradingStatus {
        timestamp,
        status_code: code.to_owned(),
        status_message: words.to_owned(),
        ..wire::TradingStatus::default()
    }
}
