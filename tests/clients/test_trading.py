"""Orders through unmodified alpaca-py; every number is computed by hand."""

import time
from datetime import date, datetime

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import AssetClass, OrderSide, OrderStatus, OrderType, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetAssetsRequest,
    GetCalendarRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopOrderRequest,
)

from conftest import PATIENCE_S


def limit(symbol, side, qty, price, tif=TimeInForce.GTC, **more):
    return LimitOrderRequest(
        symbol=symbol, side=side, qty=qty, limit_price=price, time_in_force=tif, **more
    )


def eventually(read, wanted):
    """Asks until the answer is as wanted: what the market does after an acknowledgement is seen
    a moment later."""
    deadline = time.monotonic() + PATIENCE_S
    while (seen := read()) != wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    assert seen == wanted


def status_of(trader, order):
    return lambda: trader.client.get_order_by_id(order.id).status


def error_of(call):
    with pytest.raises(APIError) as caught:
        call()
    return caught.value


def test_two_accounts_trade_and_every_number_is_right(add_trader, symbol):
    seller, buyer = add_trader(f"{symbol}=10"), add_trader("USD=1000")
    ask = seller.client.submit_order(limit(symbol, OrderSide.SELL, 4, 100.50))
    assert (ask.status, ask.filled_qty, ask.order_type) == (OrderStatus.NEW, "0", OrderType.LIMIT)

    bid = buyer.client.submit_order(limit(symbol, OrderSide.BUY, 2.5, 101, client_order_id=f"{symbol}-b"))
    eventually(status_of(buyer, bid), OrderStatus.FILLED)
    eventually(status_of(seller, ask), OrderStatus.PARTIALLY_FILLED)

    filled = buyer.client.get_order_by_client_id(f"{symbol}-b")
    assert (filled.id, filled.filled_qty, filled.filled_avg_price) == (bid.id, "2.5", "100.5")
    # 2.5 × 100.50 = 251.25, of 1,000.
    account = buyer.client.get_account()
    assert (account.cash, account.buying_power) == ("748.75", "748.75")
    position = buyer.client.get_open_position(symbol)
    assert (position.qty, position.avg_entry_price, position.cost_basis) == ("2.5", "100.5", "251.25")
    assert (position.market_value, position.unrealized_pl) == ("251.25", "0")

    # 10 − 2.5 are left, 1.5 of them held by what is left of the order.
    left = seller.client.get_open_position(symbol)
    assert (left.qty, left.qty_available) == ("7.5", "6")
    assert seller.client.get_account().cash == "251.25"
    seller.client.cancel_order_by_id(ask.id)
    eventually(status_of(seller, ask), OrderStatus.CANCELED)
    assert seller.client.get_open_position(symbol).qty_available == "7.5"


def test_a_hold_stands_until_the_order_ends(add_trader, symbol):
    trader = add_trader("USD=500")
    order = trader.client.submit_order(limit(symbol, OrderSide.BUY, 3, 99.99))
    account = trader.client.get_account()
    # 3 × 99.99 = 299.97.
    assert (account.cash, account.buying_power) == ("500", "200.03")
    refused = error_of(lambda: trader.client.submit_order(limit(symbol, OrderSide.BUY, 3, 99.99)))
    assert (refused.status_code, refused.code) == (403, 40310000)
    assert refused.message == "insufficient balance for USD: needs 299.97, 200.03 available"
    assert [o.id for o in trader.client.cancel_orders()] == [order.id]
    eventually(lambda: trader.client.get_account().buying_power, "500")


def test_replace_makes_a_new_order(add_trader, symbol):
    trader = add_trader("USD=1000")
    old = trader.client.submit_order(limit(symbol, OrderSide.BUY, 5, 98))
    new = trader.client.replace_order_by_id(old.id, ReplaceOrderRequest(qty=4, limit_price=99))
    assert new.id != old.id and new.replaces == old.id
    eventually(status_of(trader, old), OrderStatus.REPLACED)
    eventually(status_of(trader, new), OrderStatus.NEW)
    assert trader.client.get_order_by_id(old.id).replaced_by == new.id
    # 4 × 99 = 396.
    eventually(lambda: trader.client.get_account().buying_power, "604")
    trader.client.cancel_order_by_id(new.id)
    eventually(status_of(trader, new), OrderStatus.CANCELED)
    assert error_of(lambda: trader.client.cancel_order_by_id(new.id)).status_code == 422


def test_a_market_order_takes_what_is_there_within_the_collar(add_trader, symbol):
    maker, taker = add_trader(f"{symbol}=10"), add_trader("USD=2000")
    for qty, price in ((1, 100), (2, 101), (3, 104)):
        maker.client.submit_order(limit(symbol, OrderSide.SELL, qty, price))
    order = taker.client.submit_order(
        MarketOrderRequest(symbol=symbol, qty=4, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
    )
    eventually(status_of(taker, order), OrderStatus.FILLED)
    # 100 + 2 × 101 + 104 = 406; 406 / 4 = 101.5.
    assert trader_price(taker, order) == ("4", "101.5")
    eventually(lambda: taker.client.get_account().cash, "1594")


def trader_price(trader, order):
    seen = trader.client.get_order_by_id(order.id)
    return seen.filled_qty, seen.filled_avg_price


def test_time_in_force(add_trader, symbol):
    maker, taker = add_trader(f"{symbol}=10"), add_trader("USD=5000")
    maker.client.submit_order(limit(symbol, OrderSide.SELL, 1, 100))
    whole = taker.client.submit_order(limit(symbol, OrderSide.BUY, 2, 100, TimeInForce.FOK))
    eventually(status_of(taker, whole), OrderStatus.CANCELED)
    assert trader_price(taker, whole) == ("0", None)
    part = taker.client.submit_order(limit(symbol, OrderSide.BUY, 2, 100, TimeInForce.IOC))
    eventually(status_of(taker, part), OrderStatus.CANCELED)
    assert trader_price(taker, part) == ("1", "100")


def test_stops_wait_for_the_market(add_trader, symbol):
    maker, holder = add_trader("USD=5000", f"{symbol}=10"), add_trader(f"{symbol}=5", "USD=1000")
    stop = holder.client.submit_order(
        StopOrderRequest(symbol=symbol, qty=1, side=OrderSide.SELL, stop_price=98, time_in_force=TimeInForce.GTC)
    )
    stop_limit = holder.client.submit_order(
        StopLimitOrderRequest(
            symbol=symbol, qty=1, side=OrderSide.SELL, stop_price=97, limit_price=96.5,
            time_in_force=TimeInForce.GTC,
        )
    )
    assert (stop.status, stop.stop_price) == (OrderStatus.NEW, "98")
    maker.client.submit_order(limit(symbol, OrderSide.BUY, 1, 98))
    maker.client.submit_order(limit(symbol, OrderSide.BUY, 1, 97.5))
    holder.client.submit_order(limit(symbol, OrderSide.SELL, 1, 98, TimeInForce.IOC))
    eventually(status_of(holder, stop), OrderStatus.FILLED)
    assert trader_price(holder, stop) == ("1", "97.5")
    assert holder.client.get_order_by_id(stop_limit.id).status == OrderStatus.NEW


def test_listings(add_trader, symbol):
    trader = add_trader("USD=1000")
    made = [trader.client.submit_order(limit(symbol, OrderSide.BUY, 1, 96 + i)) for i in range(3)]
    trader.client.cancel_order_by_id(made[1].id)
    eventually(status_of(trader, made[1]), OrderStatus.CANCELED)
    ids = lambda **query: [o.id for o in trader.client.get_orders(GetOrdersRequest(**query))]
    assert ids() == [made[2].id, made[0].id]
    assert ids(status=QueryOrderStatus.CLOSED) == [made[1].id]
    assert ids(status=QueryOrderStatus.ALL, limit=2) == [made[2].id, made[1].id]
    assert ids(symbols=["NOSUCH"]) == []


def test_refusals_say_what_would_be_right(add_trader, symbol):
    trader, other = add_trader("USD=1000"), add_trader("USD=1000")
    order = trader.client.submit_order(limit(symbol, OrderSide.BUY, 1, 99, client_order_id=f"{symbol}-1"))

    def refused(request):
        error = error_of(lambda: trader.client.submit_order(request))
        return error.status_code, error.code

    assert refused(limit(symbol, OrderSide.BUY, 1, 99, client_order_id=f"{symbol}-1")) == (422, 42210000)
    assert refused(limit(symbol, OrderSide.BUY, 1, 99.001)) == (422, 42210000)
    assert refused(limit(symbol, OrderSide.BUY, 1, 106)) == (422, 42210000)
    assert refused(limit(symbol, OrderSide.SELL, 1, 100)) == (403, 40310000)
    assert error_of(lambda: other.client.get_order_by_id(order.id)).status_code == 404
    assert error_of(lambda: other.client.cancel_order_by_id(order.id)).status_code == 404
    assert error_of(lambda: trader.client.get_asset("NOSUCH")).status_code == 404


def test_assets_clock_and_calendar(add_trader, symbol):
    client = add_trader().client
    asset = client.get_asset(symbol)
    assert (asset.symbol, asset.tradable, asset.fractionable) == (symbol, True, True)
    assert client.get_asset(str(asset.id)) == asset
    listed = client.get_all_assets(GetAssetsRequest(asset_class=AssetClass.US_EQUITY))
    assert asset.id in [other.id for other in listed]
    assert asset.id not in [
        other.id for other in client.get_all_assets(GetAssetsRequest(asset_class=AssetClass.CRYPTO))
    ]
    clock = client.get_clock()
    assert clock.is_open == (clock.next_close < clock.next_open)
    days = client.get_calendar(GetCalendarRequest(start=date(2024, 7, 2), end=date(2024, 7, 5)))
    # The third closes early, the fourth is Independence Day.
    assert [(day.date, day.open, day.close) for day in days] == [
        (date(2024, 7, d), datetime(2024, 7, d, 9, 30), datetime(2024, 7, d, hour, 0))
        for d, hour in ((2, 16), (3, 13), (5, 16))
    ]


def test_positions_are_closed_at_the_market(add_trader, symbol):
    maker, holder = add_trader("USD=10000"), add_trader(f"{symbol}=10")
    maker.client.submit_order(limit(symbol, OrderSide.BUY, 20, 99))
    half = holder.client.close_position(symbol, ClosePositionRequest(percentage="50"))
    eventually(status_of(holder, half), OrderStatus.FILLED)
    assert (half.side, half.qty, half.order_type) == (OrderSide.SELL, "5", OrderType.MARKET)
    resting = holder.client.submit_order(limit(symbol, OrderSide.SELL, 2, 104))
    # What the order holds cannot be sold until it is cancelled.
    (kept,) = holder.client.close_all_positions(cancel_orders=False)
    assert kept.status == 403
    (closed,) = holder.client.close_all_positions(cancel_orders=True)
    assert (closed.status, closed.body.qty) == (200, "5")
    eventually(holder.client.get_all_positions, [])
    assert holder.client.get_order_by_id(resting.id).status == OrderStatus.CANCELED
    # 10 × 99.
    assert holder.client.get_account().cash == "990"
    assert error_of(lambda: holder.client.get_open_position(symbol)).status_code == 404


def test_a_halted_instrument_and_a_stopped_account_only_cancel(server, add_trader, symbol):
    trader = add_trader("USD=1000")
    order = trader.client.submit_order(limit(symbol, OrderSide.BUY, 1, 99))
    server.admin("halt", "--symbol", symbol)
    halted = error_of(lambda: trader.client.submit_order(limit(symbol, OrderSide.BUY, 1, 99)))
    assert (halted.status_code, halted.code) == (403, 40320000)
    assert trader.client.get_asset(symbol).tradable is False
    server.admin("resume", "--symbol", symbol)
    server.admin("kill-switch", "--account", trader.account_id, "on")
    assert trader.client.get_account().trading_blocked is True
    stopped = error_of(lambda: trader.client.submit_order(limit(symbol, OrderSide.BUY, 1, 99)))
    assert (stopped.status_code, stopped.code) == (403, 40320000)
    trader.client.cancel_order_by_id(order.id)
    eventually(status_of(trader, order), OrderStatus.CANCELED)
    server.admin("kill-switch", "--account", trader.account_id, "off")
    assert trader.client.submit_order(limit(symbol, OrderSide.BUY, 1, 99)).status == OrderStatus.NEW
