"""Request limits: none as it comes, and what clients see of them once a profile is chosen."""

import time

import pytest
import requests
from alpaca.common.exceptions import APIError

from conftest import PATIENCE_S, Server, trader
from test_trading import limit

SETTINGS = """
[rate_limits]
profile = "tiers"
tiers.free = { per_minute = 1, burst = 8 }
trading = { per_minute = 2, block_s = 600 }
"""


@pytest.fixture
def limited(tmp_path):
    server = Server(tmp_path / "data").start(settings=SETTINGS)
    yield server
    assert server.stop() == 0


def get(server, path, who=None, **headers):
    if who:
        headers |= {"APCA-API-KEY-ID": who.key_id, "APCA-API-SECRET-KEY": who.secret_key}
    return requests.get(server.url + path, headers=headers, timeout=PATIENCE_S)


def test_nothing_is_limited_unless_it_is_asked_for(server, add_trader):
    who = add_trader()
    session = requests.Session()
    session.headers["APCA-API-KEY-ID"] = who.key_id
    session.headers["APCA-API-SECRET-KEY"] = who.secret_key
    for _ in range(150):
        answer = session.get(server.url + "/v2/clock", timeout=PATIENCE_S)
        assert answer.status_code == 200 and "X-RateLimit-Limit" not in answer.headers


def test_a_tier_is_counted_down_and_then_refuses(limited):
    who, other = trader(limited), trader(limited)
    for left in range(7, -1, -1):
        answer = get(limited, "/v2/account", who)
        assert answer.status_code == 200
        assert answer.headers["X-RateLimit-Limit"] == "8"
        assert answer.headers["X-RateLimit-Remaining"] == str(left)
        used_s = (8 - left) * 60
        assert used_s - 10 <= int(answer.headers["X-RateLimit-Reset"]) - time.time() <= used_s + 2
    # Whatever is asked for, also what is not there.
    for path in ["/v2/account", "/v2/nothing", "/openapi.json"]:
        answer = get(limited, path, who)
        assert answer.status_code == 429, path
        assert answer.headers["X-RateLimit-Remaining"] == "0"
        assert 0 < int(answer.headers["Retry-After"]) <= 60
        error = answer.json()
        assert error["code"] == 42910000 and error["reason"] == "RATE_LIMITED"
        assert "free" in error["message"] and error["request_id"] == answer.headers["X-Request-Id"]
    assert get(limited, "/v2/account", other).status_code == 200
    assert get(limited, "/api/health", who).status_code == 200


def test_orders_are_blocked_and_cancels_are_not(limited):
    name = "LIMITED"
    limited.admin("instrument", "add", "--symbol", name, "--class", "us_equity", "--tick",
                  "0.01", "--lot", "1", "--calendar", "always", "--reference-price", "100")
    who = trader(limited, "USD=10000")
    who.client._retry = 0  # The client would try again after 3 s, three times.
    orders = [who.client.submit_order(limit(name, "buy", 1, 99)) for _ in range(2)]
    with pytest.raises(APIError) as refused:
        who.client.submit_order(limit(name, "buy", 1, 99))
    assert refused.value.code == 42910000 and "trading" in refused.value.message
    for order in orders:
        who.client.cancel_order_by_id(order.id)


def test_who_shows_no_key_is_counted_by_address(tmp_path):
    settings = SETTINGS + "address = { per_minute = 5, block_s = 300 }\n"
    server = Server(tmp_path / "data").start(settings=settings)
    answers = [get(server, "/v2/account") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert 295 <= int(answers[-1].headers["Retry-After"]) <= 300
    assert server.stop() == 0


def test_who_is_blocked_may_still_cancel(tmp_path):
    """By every limit that a client can exceed: its tier's, its own and its address's."""
    settings = SETTINGS + "user = { per_minute = 9, block_s = 300 }\naddress = { per_minute = 12, block_s = 300 }\n"
    server = Server(tmp_path / "data").start(settings=settings.replace("burst = 8", "burst = 9"))
    name = "CANCELLED"
    server.admin("instrument", "add", "--symbol", name, "--class", "us_equity", "--tick",
                 "0.01", "--lot", "1", "--calendar", "always", "--reference-price", "100")
    who = trader(server, "USD=10000")
    orders = [who.client.submit_order(limit(name, "buy", 1, 99)) for _ in range(2)]
    while get(server, "/v2/account", who).status_code == 200:
        pass
    for _ in range(12):
        assert get(server, "/v2/clock", who).status_code == 429
    who.client.cancel_order_by_id(orders[0].id)
    assert [ended.status for ended in who.client.cancel_orders()] == [200]
    assert get(server, "/v2/clock", who).status_code == 429
    assert server.stop() == 0
