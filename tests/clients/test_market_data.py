"""Market data through unmodified alpaca-py, without keys for crypto; numbers computed by hand."""

import itertools
import os
from datetime import datetime, timedelta, timezone

import pytest
import requests
from alpaca.common.enums import Sort
from alpaca.common.exceptions import APIError
from alpaca.data.historical import CryptoHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.requests import (
    CryptoBarsRequest,
    CryptoLatestOrderbookRequest,
    CryptoLatestTradeRequest,
    CryptoQuoteRequest,
    CryptoSnapshotRequest,
    CryptoTradesRequest,
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockQuotesRequest,
    StockSnapshotRequest,
    StockTradesRequest,
)
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
from alpaca.trading.enums import OrderSide

from test_trading import eventually, limit, status_of
from alpaca.trading.enums import OrderStatus

_numbers = itertools.count(1)


def soon():
    """A moment that everything so far is before."""
    return datetime.now(timezone.utc) + timedelta(minutes=1)


def lately():
    return datetime.now(timezone.utc) - timedelta(hours=1)


@pytest.fixture
def pair(server) -> str:
    """A fresh crypto pair: reference price 100."""
    name = f"C{os.getpid()}X{next(_numbers)}/USD"
    server.admin(
        "instrument", "add", "--symbol", name, "--class", "crypto", "--tick", "0.01",
        "--lot", "0.0001", "--calendar", "always", "--reference-price", "100",
    )
    return name


def play(add_trader, symbol):
    """Sells 4 at 100.50 and 2 at 101; buys 1.5, then 3 with a limit of 101, then bids 99 for 2.
    Trades: 1.5 and 2.5 at 100.50, 0.5 at 101. Left: 1.5 for sale at 101, 2 wanted at 99."""
    base = symbol.split("/")[0]
    seller, buyer = add_trader(f"{base}=10"), add_trader("USD=1000")
    submit = lambda who, *order: who.client.submit_order(limit(symbol, *order))
    submit(seller, OrderSide.SELL, 4, 100.50)
    submit(seller, OrderSide.SELL, 2, 101)
    submit(buyer, OrderSide.BUY, 1.5, 101)
    filled = submit(buyer, OrderSide.BUY, 3, 101)
    eventually(status_of(buyer, filled), OrderStatus.FILLED)
    submit(buyer, OrderSide.BUY, 2, 99)
    return seller, buyer


def shown(bar):
    return (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trade_count)


BAR = (100.5, 101, 100.5, 101, 4.5, 3)
# (4 × 100.50 + 0.5 × 101) / 4.5
VWAP = 100.55555556


def test_stocks(server, add_trader, symbol):
    _, buyer = play(add_trader, symbol)
    data = StockHistoricalDataClient(buyer.key_id, buyer.secret_key, url_override=server.url)
    best = lambda: data.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=symbol))[symbol]
    sides = lambda quote: (quote.bid_price, quote.bid_size, quote.ask_price, quote.ask_size)
    eventually(lambda: sides(best()), (99, 2, 101, 1.5))

    last = data.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=symbol))[symbol]
    assert (last.price, last.size) == (101, 0.5)

    window = {"symbol_or_symbols": symbol, "start": lately(), "end": soon()}
    trades = data.get_stock_trades(StockTradesRequest(**window))[symbol]
    assert [(t.price, t.size) for t in trades] == [(100.5, 1.5), (100.5, 2.5), (101, 0.5)]
    newest = data.get_stock_trades(StockTradesRequest(**window, sort=Sort.DESC, limit=2))[symbol]
    assert newest == [trades[2], trades[1]]
    quotes = data.get_stock_quotes(StockQuotesRequest(**window))[symbol]
    assert sides(quotes[-1]) == (99, 2, 101, 1.5) and sides(quotes[0]) == (0, 0, 100.5, 4)

    # A minute may end between the trades: everything that is summed over is right all the same.
    minutes = data.get_stock_bars(StockBarsRequest(**window, timeframe=TimeFrame.Minute))[symbol]
    assert sum(bar.volume for bar in minutes) == 4.5
    newest = data.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols=symbol))[symbol]
    assert newest == minutes[-1]

    days = {**window, "start": datetime.now(timezone.utc) - timedelta(days=1)}
    month = TimeFrame(1, TimeFrameUnit.Month)
    start_of_month = datetime.now(timezone.utc).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for timeframe, start in [(TimeFrame.Day, days["start"]), (month, start_of_month)]:
        bars = data.get_stock_bars(StockBarsRequest(**{**window, "start": start}, timeframe=timeframe))
        assert shown(bars[symbol][-1]) == BAR and bars[symbol][-1].vwap == VWAP

    snapshot = data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=symbol))[symbol]
    assert (snapshot.latest_trade, snapshot.latest_quote) == (last, best())
    assert shown(snapshot.daily_bar) == BAR and snapshot.previous_daily_bar is None


def test_crypto_is_open_to_everybody(server, add_trader, pair):
    play(add_trader, pair)
    data = CryptoHistoricalDataClient(url_override=server.url)
    ask = CryptoLatestOrderbookRequest(symbol_or_symbols=pair)
    levels = lambda side: [(level.price, level.size) for level in side]

    def book():
        found = data.get_crypto_latest_orderbook(ask)[pair]
        return levels(found.bids), levels(found.asks)

    eventually(book, ([(99, 2)], [(101, 1.5)]))
    window = {"symbol_or_symbols": pair, "start": lately(), "end": soon()}
    trades = data.get_crypto_trades(CryptoTradesRequest(**window))[pair]
    assert [(t.price, t.size) for t in trades] == [(100.5, 1.5), (100.5, 2.5), (101, 0.5)]
    assert data.get_crypto_latest_trade(CryptoLatestTradeRequest(symbol_or_symbols=pair))[pair] == trades[2]
    quotes = data.get_crypto_quotes(CryptoQuoteRequest(**window))[pair]
    assert (quotes[-1].bid_price, quotes[-1].ask_size) == (99, 1.5)
    bars = data.get_crypto_bars(CryptoBarsRequest(
        symbol_or_symbols=pair, timeframe=TimeFrame.Day, end=soon(),
        start=datetime.now(timezone.utc) - timedelta(days=1),
    ))[pair]
    assert shown(bars[-1]) == BAR
    snapshot = data.get_crypto_snapshot(CryptoSnapshotRequest(symbol_or_symbols=pair))[pair]
    assert snapshot.latest_trade == trades[2]

    # As ccxt asks, and exactly as the numbers are.
    answer = requests.get(
        f"{server.url}/v1beta3/crypto/us/trades",
        params={"symbols": pair, "start": lately().isoformat(), "limit": 12000},
    )
    assert [t["tks"] for t in answer.json()["trades"][pair]] == ["B", "B", "B"]
    answer = requests.get(
        f"{server.url}/v1beta3/crypto/us/bars",
        params={"symbols": pair, "timeframe": "1D", "limit": 12000},
    )
    assert answer.json()["next_page_token"] is None
    assert '"v":4.5,' in answer.text.replace(" ", "")


def test_pages_go_on_where_they_ended(server, add_trader, symbol):
    _, buyer = play(add_trader, symbol)
    other = add_trader(f"{symbol}=1")
    data = StockHistoricalDataClient(other.key_id, other.secret_key, url_override=server.url)
    everything = lambda: data.get_stock_trades(StockTradesRequest(
        symbol_or_symbols=symbol, start=lately(), end=soon()))[symbol]
    eventually(lambda: len(everything()), 3)
    keys = {"APCA-API-KEY-ID": other.key_id, "APCA-API-SECRET-KEY": other.secret_key}
    for sort in ("asc", "desc"):
        found, token = [], None
        for _ in range(4):
            page = requests.get(f"{server.url}/v2/stocks/trades", headers=keys, params={
                "symbols": symbol, "start": lately().isoformat(), "limit": 1, "sort": sort,
                "page_token": token,
            }).json()
            found += [t["i"] for t in page["trades"].get(symbol, [])]
            token = page["next_page_token"]
            if token is None:
                break
        ids = [trade.id for trade in everything()]
        # JavaScript has every digit of them.
        assert ids == sorted(set(ids)) and ids[-1] < 2**53
        assert found == (ids if sort == "asc" else ids[::-1])


def test_what_is_wrong_is_said(server, add_trader, symbol, pair):
    trader = add_trader("USD=1")
    data = StockHistoricalDataClient(trader.key_id, trader.secret_key, url_override=server.url)
    with pytest.raises(APIError) as caught:
        data.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=pair))
    assert caught.value.code == 42210000 and pair in str(caught.value)
    assert data.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="NOSUCH")) == {}
    # Nothing has happened yet: an empty answer, no error.
    assert data.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=symbol)) == {}

    get = lambda path, **query: requests.get(f"{server.url}{path}", params=query)
    assert get("/v2/stocks/trades/latest", symbols=symbol).status_code == 401
    wrong = get("/v1beta3/crypto/us/bars", symbols=pair, timeframe="61Min")
    assert wrong.status_code == 422 and "59Min" in wrong.json()["message"]
    backwards = {"start": soon().isoformat(), "end": lately().isoformat()}
    for query in ({"limit": 0}, {"page_token": "x"}, backwards):
        answer = get("/v1beta3/crypto/us/trades", symbols=pair, **query)
        assert (answer.status_code, answer.json()["code"]) == (422, 42210000), query


def test_any_time_can_be_asked_for(server, add_trader, symbol, call):
    _, buyer = play(add_trader, symbol)
    count = lambda path, **query: len(call(buyer, "GET", path, **query)[1])
    trades = lambda **query: call(buyer, "GET", f"/v2/stocks/{symbol}/trades", **query)[1]["trades"]
    eventually(lambda: len(trades()), 3)
    first, last = "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"
    orders = count("/v2/orders", status="all")
    eventually(lambda: count("/v2/account/activities"), 4)
    for path, query, whole in [
        ("/v2/orders", {"status": "all"}, orders), ("/v2/account/activities", {}, 4),
    ]:
        assert orders and count(path, after=first, until=last, **query) == whole
        assert count(path, after=last, **query) == count(path, until=first, **query) == 0
    assert count("/v2/account/activities", date="9999-12-31") == 0
    assert len(trades(start=first)) == len(trades(end=last)) == len(trades(start=first, end=last)) == 3
    assert trades(start=last) == trades(start=first, end=first) == []
    for timeframe in ("1Min", "1Day", "1Week", "12Month"):
        _, bars = call(
            buyer, "GET", f"/v2/stocks/{symbol}/bars", timeframe=timeframe, start=first, end=last
        )
        assert sum(bar["n"] for bar in bars["bars"]) == 3, bars
    path = "/v2/account/portfolio/history"
    for end in ({"end": last}, {"date_end": "9999-12-31"}):
        assert len(call(buyer, "GET", path, period="1D", timeframe="1H", **end)[1]["timestamp"]) in (24, 25)
    status, refused = call(buyer, "GET", path, timeframe="1D", start=first)
    assert status == 422 and "10000 is the most" in refused["message"], refused
