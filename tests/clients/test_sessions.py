"""Sessions of the calendar `nyse`, by an unmodified alpaca-py on whatever day and hour this runs: what orders
do agrees with what the market clock and the calendar say."""

import itertools
import os
import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, OrderStatus, TimeInForce
from alpaca.trading.requests import (
    GetCalendarRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
)
from conftest import PATIENCE_S, Server, trader

NEW_YORK = ZoneInfo("America/New_York")
# Further than this from the next change of sessions nothing can change while a test runs.
MARGIN = timedelta(seconds=60)
_numbers = itertools.count(1)


@pytest.fixture
def listed(server) -> str:
    """An instrument that trades in the sessions of the exchange: reference price 100."""
    name = f"N{os.getpid()}X{next(_numbers)}"
    server.admin(
        "instrument", "add", "--symbol", name, "--class", "us_equity", "--tick", "0.01",
        "--lot", "0.001", "--calendar", "nyse", "--reference-price", "100",
    )
    return name


def phase_of(client) -> str:
    """`closed`, `extended` or `regular`, from the calendar, and checked against the clock."""
    while True:
        clock = client.get_clock()
        now = clock.timestamp.astimezone(NEW_YORK)
        days = client.get_calendar(GetCalendarRequest(start=now.date(), end=now.date()))
        changes = [now + timedelta(days=1)]
        phase = "closed"
        if days:
            day = days[0]
            open_, close = (at.replace(tzinfo=NEW_YORK) for at in (day.open, day.close))
            late = timedelta(hours=4)
            early = open_.replace(hour=4, minute=0)
            changes += [early, open_, close, close + late]
            if open_ <= now < close:
                phase = "regular"
            elif early <= now < close + late:
                phase = "extended"
        assert clock.is_open == (phase == "regular")
        nearest = min(abs(change - now) for change in changes)
        if nearest > MARGIN:
            return phase
        time.sleep(1)  # A minute around a change is nobody's: wait until it is over.


def limit(symbol, side, price, **more):
    return LimitOrderRequest(
        symbol=symbol, qty=1, side=side, limit_price=price,
        **{"time_in_force": TimeInForce.GTC, **more},
    )


def until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.05)
    return found


def test_orders_trade_in_their_session_and_wait_for_it_otherwise(add_trader, listed):
    buyer, seller = add_trader("USD=1000"), add_trader(f"{listed}=10")
    trades = phase_of(buyer.client) == "regular"
    waiting = OrderStatus.NEW if trades else OrderStatus.ACCEPTED

    sold = seller.client.submit_order(limit(listed, OrderSide.SELL, 100))
    assert sold.status == waiting
    bought = buyer.client.submit_order(limit(listed, OrderSide.BUY, 100))
    if trades:
        until(lambda: buyer.client.get_order_by_id(bought.id).status == OrderStatus.FILLED)
        return
    # They would meet at once; nothing executes, and the money is held.
    assert bought.status == OrderStatus.ACCEPTED
    assert buyer.client.get_order_by_id(bought.id).status == OrderStatus.ACCEPTED
    assert [order.id for order in buyer.client.get_orders()] == [bought.id]
    account = buyer.client.get_account()
    assert float(account.cash) == 1000 and float(account.buying_power) == 900

    changed = buyer.client.replace_order_by_id(bought.id, ReplaceOrderRequest(qty=2))
    changed = until(
        lambda: (order := buyer.client.get_order_by_id(changed.id)).status == OrderStatus.ACCEPTED
        and order
    )
    assert float(changed.qty) == 2
    assert float(buyer.client.get_account().buying_power) == 800
    buyer.client.cancel_order_by_id(changed.id)
    until(lambda: buyer.client.get_order_by_id(changed.id).status == OrderStatus.CANCELED)
    assert float(buyer.client.get_account().buying_power) == 1000
    seller.client.cancel_orders()


def test_what_must_trade_at_once_is_refused_while_it_cannot(add_trader, listed):
    buyer = add_trader("USD=1000")
    if phase_of(buyer.client) == "regular":
        order = buyer.client.submit_order(
            limit(listed, OrderSide.BUY, 100, time_in_force=TimeInForce.IOC)
        )
        until(lambda: buyer.client.get_order_by_id(order.id).status == OrderStatus.CANCELED)
        return
    for time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
        with pytest.raises(APIError) as refused:
            buyer.client.submit_order(
                limit(listed, OrderSide.BUY, 100, time_in_force=time_in_force)
            )
        assert refused.value.status_code == 422
        assert "send time_in_force day or gtc" in refused.value.message
    # A market order of the day waits for the session.
    order = buyer.client.submit_order(
        MarketOrderRequest(
            symbol=listed, qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY
        )
    )
    assert order.status == OrderStatus.ACCEPTED
    buyer.client.cancel_order_by_id(order.id)


def test_extended_hours_are_for_limit_orders_of_day_and_gtc(add_trader, listed):
    buyer, seller = add_trader("USD=1000"), add_trader(f"{listed}=10")
    with pytest.raises(APIError) as refused:
        buyer.client.submit_order(
            MarketOrderRequest(
                symbol=listed, qty=1, side=OrderSide.BUY,
                time_in_force=TimeInForce.DAY, extended_hours=True,
            )
        )
    assert refused.value.status_code == 422 and "extended_hours" in refused.value.message

    phase = phase_of(buyer.client)
    extended = {"time_in_force": TimeInForce.DAY, "extended_hours": True}
    seller.client.submit_order(limit(listed, OrderSide.SELL, 100, **extended))
    bought = buyer.client.submit_order(limit(listed, OrderSide.BUY, 100, **extended))
    assert bought.extended_hours
    if phase == "closed":
        assert bought.status == OrderStatus.ACCEPTED
    else:
        until(lambda: buyer.client.get_order_by_id(bought.id).status == OrderStatus.FILLED)


def test_orders_that_wait_outlive_a_crash(tmp_path):
    server = Server(tmp_path / "data").start()
    name = "NIGHT"
    server.admin(
        "instrument", "add", "--symbol", name, "--class", "us_equity", "--tick", "0.01",
        "--lot", "0.001", "--calendar", "nyse", "--reference-price", "100",
    )
    owner = trader(server, "USD=1000")
    order = owner.client.submit_order(limit(name, OrderSide.BUY, 99))
    server.kill()
    server.start()
    client = TradingClient(owner.key_id, owner.secret_key, url_override=server.url)
    again = client.get_order_by_id(order.id)
    assert again.status in (OrderStatus.ACCEPTED, OrderStatus.NEW)
    assert float(client.get_account().buying_power) == 901
    client.cancel_order_by_id(order.id)
    until(lambda: client.get_order_by_id(order.id).status == OrderStatus.CANCELED)
    assert server.stop() == 0
