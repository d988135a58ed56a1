"""What an account was worth over time, through unmodified alpaca-py; every number is computed by hand."""

from datetime import datetime, timedelta, timezone

import pytest
from alpaca.trading.enums import OrderSide, OrderStatus
from alpaca.trading.requests import GetPortfolioHistoryRequest
from test_trading import error_of, eventually, limit, status_of


def history(trader, **asked):
    return trader.client.get_portfolio_history(GetPortfolioHistoryRequest(**asked))


def last(trader, **asked):
    found = history(trader, **asked)
    assert len(found.equity) == len(found.timestamp) == len(found.profit_loss)
    return found.equity[-1], found.profit_loss[-1], found.profit_loss_pct[-1]


def test_equity_follows_trades_prices_and_deposits(server, add_trader, symbol):
    maker, owner = add_trader(f"{symbol}=10", "USD=1000"), add_trader("USD=1000")
    assert last(owner, period="1D") == (1000, 0, 0)
    # Buys 4 at 100; then 1 is sold between others at 103: 600 + 4 × 103 = 1,012.
    maker.client.submit_order(limit(symbol, OrderSide.SELL, 4, 100))
    bought = owner.client.submit_order(limit(symbol, OrderSide.BUY, 4, 100))
    eventually(status_of(owner, bought), OrderStatus.FILLED)
    assert last(owner, period="1D") == (1000, 0, 0)
    maker.client.submit_order(limit(symbol, OrderSide.SELL, 1, 103))
    other = add_trader("USD=1000")
    taken = other.client.submit_order(limit(symbol, OrderSide.BUY, 1, 103))
    eventually(status_of(other, taken), OrderStatus.FILLED)
    # 12 of the 1,000 that were paid in.
    eventually(lambda: last(owner, period="1D"), (1012, 12, 0.012))
    # What is paid in is no profit: 500, and 2 shares at 103. 12 / 1,706 = 0.00703400 to 8 places.
    server.admin("deposit", "--account", owner.account_id, "USD=500", f"{symbol}=2")
    expected = (1718, 12, 0.007034)
    for asked in (
        {}, {"period": "1D"}, {"period": "1W"}, {"period": "1A", "timeframe": "1D"},
        {"period": "2D", "timeframe": "1H"}, {"period": "1D", "timeframe": "5Min"},
    ):
        found = last(owner, **asked)
        assert found == expected, asked
    assert float(owner.client.get_account().equity) == 1718


def test_points_are_where_they_are_asked_for(add_trader, symbol):
    owner = add_trader("USD=10")
    now = datetime.now(timezone.utc)
    hours = history(owner, period="1D", timeframe="1H", extended_hours=True)
    assert (hours.timeframe, len(hours.timestamp), hours.base_value) == ("1H", 24, 0)
    assert [b - a for a, b in zip(hours.timestamp, hours.timestamp[1:])] == [3600] * 23
    assert 0 <= now.timestamp() - hours.timestamp[-1] < 3600 + 60
    assert hours.equity[:22] == [0] * 22
    # The Go client always sends it, the clients before alpaca-py say `date_start`.
    assert history(owner, period="1D", timeframe="1H", extended_hours=False).timestamp == hours.timestamp

    yesterday = now.date() - timedelta(days=1)
    days = history(owner, period="1W", timeframe="1D", date_end=yesterday)
    midnight = datetime(yesterday.year, yesterday.month, yesterday.day, tzinfo=timezone.utc)
    assert days.timestamp == [int(midnight.timestamp()) - 86400 * back for back in range(6, -1, -1)]
    start = history(owner, start=now - timedelta(hours=2), timeframe="15Min")
    assert 8 <= len(start.timestamp) <= 9


@pytest.mark.parametrize("asked, message", [
    ({"period": "1Y"}, 'period is "1Y"'),
    ({"timeframe": "2Min"}, "give 1Min, 5Min, 15Min, 1H or 1D"),
    ({"period": "1M", "timeframe": "1Min"}, "10000 is the most"),
    ({"pnl_reset": "per_day"}, "give no_reset or leave it out"),
    ({"cashflow_types": "ALL"}, "give NONE or leave it out"),
    ({"intraday_reporting": "market_hours"}, "give continuous or leave it out"),
    ({"start": datetime(2200, 1, 1)}, "not later than now"),
])
def test_what_cannot_be_shown_is_refused(add_trader, asked, message):
    owner = add_trader("USD=1")
    refused = error_of(lambda: history(owner, **asked))
    assert (refused.status_code, refused.code) == (422, 42210000)
    assert message in refused.message
