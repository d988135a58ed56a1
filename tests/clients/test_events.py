"""Events of orders over plain HTTP, as the Go client hears them: server-sent events of GET /v2/events/trades."""

import json

import pytest
import requests
from alpaca.trading.enums import OrderSide
from test_trading import limit


def keys(trader):
    return {"APCA-API-KEY-ID": trader.key_id, "APCA-API-SECRET-KEY": trader.secret_key}


class Events:
    def __init__(self, server, trader, **headers):
        self.answer = requests.get(
            f"{server.url}/v2/events/trades", headers=keys(trader) | headers, stream=True, timeout=30,
        )
        assert self.answer.status_code == 200
        self.lines = self.answer.iter_lines(chunk_size=1)

    def next(self, prefix=b"data: "):
        line = next(line for line in self.lines if line.startswith(prefix))
        return json.loads(line.removeprefix(prefix))


def test_an_owner_hears_of_the_own_orders(server, add_trader, symbol):
    seller, buyer = add_trader(f"{symbol}=10"), add_trader("USD=1000")
    own, other = Events(server, seller), Events(server, buyer, Accept="application/x-ndjson")
    assert own.answer.headers["Content-Type"] == "text/event-stream"
    ask = seller.client.submit_order(limit(symbol, OrderSide.SELL, 4, 100.50))
    new = own.next()
    assert (new["event"], new["order"]["id"]) == ("new", str(ask.id))
    assert new["at"] == new["timestamp"] and "price" not in new
    bid = buyer.client.submit_order(limit(symbol, OrderSide.BUY, 2.5, 101))
    fill = own.next()
    assert (fill["event"], fill["price"], fill["qty"], fill["position_qty"]) == (
        "partial_fill", "100.5", "2.5", "7.5",
    )
    assert fill["order"]["id"] == str(ask.id) and fill["execution_id"]
    # I9: the other hears only of the other order, here as lines of JSON.
    heard = [other.next(prefix=b"") for _ in range(2)]
    assert [(told["event"], told["order"]["id"]) for told in heard] == [
        ("new", str(bid.id)), ("fill", str(bid.id)),
    ]


@pytest.mark.parametrize("asked", ["since=2026-01-01T00:00:00Z", "until=2026-01-01", "since_id=1", "until_id=1"])
def test_what_was_is_asked_for_elsewhere(server, add_trader, asked):
    url = f"{server.url}/v2/events/trades?{asked}"
    refused = requests.get(url, headers=keys(add_trader("USD=1")), timeout=30)
    assert (refused.status_code, refused.json()["code"]) == (422, 42210000)
    assert "must be left out" in refused.json()["message"]


def test_nobody_hears_without_a_key(server):
    refused = requests.get(f"{server.url}/v2/events/trades", timeout=30)
    assert (refused.status_code, refused.json()["code"]) == (401, 40110000)
