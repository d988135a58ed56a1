"""Bad input: a 4xx with a code and what would be right, never a 5xx, and the server lives on."""

import gzip
import http.client
import json
import socket

import pytest

GOOD = {
    "qty": "1", "side": "buy", "type": "limit", "time_in_force": "gtc", "limit_price": "99",
}


@pytest.fixture
def trader(add_trader):
    return add_trader("USD=1000")


def call(server, method, path, body=None, headers=None, key=None):
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    sent = {"Content-Type": "application/json", **(headers or {})}
    if key:
        sent |= {"APCA-API-KEY-ID": key.key_id, "APCA-API-SECRET-KEY": key.secret_key}
    connection.request(method, path, body, sent)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read() or "null")


def refused(server, trader, body):
    text = body if isinstance(body, (str, bytes)) else json.dumps(body)
    status, answer = call(server, "POST", "/v2/orders", text, key=trader)
    assert isinstance(answer["code"], int) and answer["message"] and answer["request_id"], answer
    assert str(answer["code"]).startswith(str(status)), answer
    return status, answer["message"]


@pytest.mark.parametrize("body", [
    pytest.param(body, id=name) for name, body in {
        "empty": "",
        "cut": "{",
        "list": "[]",
        "null": "null",
        "number": "1",
        "text": '"text"',
        "no value": '{"qty":',
        "too much": '{"a":1}}',
        "zero byte": "\0",
        "twice": '{"qty":"1","qty":"2"}',
        "deep": "[" * 60_000,
        "not utf-8": b"\xff\xfe",
        "lone surrogate": '{"symbol":"\\ud800"}',
    }.items()
])
def test_bodies_that_are_no_order(server, trader, body):
    status, _ = refused(server, trader, body)
    assert status in (400, 422)


@pytest.mark.parametrize("body, encoding", [
    (gzip.compress(b"{}"), "gzip"), (gzip.compress(b"{}"), None), (b"{}", "br"), (b"\x78\x9c", "deflate"),
])
def test_bodies_that_are_compressed(server, trader, body, encoding):
    headers = {"Content-Encoding": encoding} if encoding else {}
    status, answer = call(server, "POST", "/v2/orders", body, headers, key=trader)
    assert (status, answer["reason"]) == (400, "UNREADABLE_CONTENT_ENCODING"), answer
    assert (encoding or "gzip") in answer["message"] and "uncompressed" in answer["message"], answer


def test_a_body_may_say_that_it_is_not_compressed(server, trader):
    status, answer = call(server, "POST", "/v2/orders", "{}", {"Content-Encoding": "identity"}, key=trader)
    assert (status, answer["code"]) == (422, 42210000), answer


@pytest.mark.parametrize("change, status, word", [
    ({"symbol": "NOSUCH"}, 404, "NOSUCH"),
    ({"symbol": ""}, 422, "symbol is required"),
    ({"symbol": 7}, 422, "symbol"),
    ({"side": "hold"}, 422, "buy"),
    ({"side": None}, 422, "side"),
    ({"type": "iceberg"}, 422, "limit"),
    ({"time_in_force": "forever"}, 422, "gtc"),
    ({"qty": "0"}, 422, "above 0"),
    ({"qty": "-1"}, 422, "above 0"),
    ({"qty": "NaN"}, 422, "qty"),
    ({"qty": "1e400"}, 422, "qty"),
    ({"qty": "0.0001"}, 422, "0.001"),
    ({"qty": "0.000000001"}, 422, "8 decimal places"),
    ({"qty": "99999999999999999999999"}, 422, "large"),
    ({"qty": True}, 422, "qty"),
    ({"qty": {}}, 422, "qty"),
    ({"limit_price": "99.001"}, 422, "0.01"),
    ({"limit_price": "0"}, 422, "above 0"),
    ({"limit_price": None}, 422, "limit_price"),
    ({"limit_price": "150"}, 422, "105"),
    ({"stop_price": "90"}, 422, "stop_price"),
    ({"surprise": 1}, 422, "surprise"),
    ({"client_order_id": "x" * 129}, 422, "128"),
    ({"notional": "10", "qty": None}, 422, "notional"),
    ({"type": "trailing_stop", "trail_price": "1"}, 422, "trail"),
    ({"order_class": "bracket", "take_profit": {"limit_price": "1"}}, 422, "order_class"),
    ({"qty": "1000000"}, 403, "insufficient balance for USD"),
])
def test_orders_with_one_thing_wrong(server, trader, symbol, change, status, word):
    seen, message = refused(server, trader, {**GOOD, "symbol": symbol, **change})
    assert seen == status and word in message, message


def test_long_values_are_not_said_back(server, trader):
    status, message = refused(server, trader, {**GOOD, "symbol": "A" * 20_000})
    assert status == 404 and len(message) < 1_000
    assert message.endswith("not found; GET /v2/assets lists what trades here")


def test_keys(server, trader):
    status, answer = call(server, "GET", "/v2/account")
    assert (status, answer["code"]) == (401, 40110000)
    wrong = {"APCA-API-KEY-ID": trader.key_id, "APCA-API-SECRET-KEY": "wrong"}
    status, answer = call(server, "GET", "/v2/account", headers=wrong)
    assert (status, answer["code"]) == (401, 40110000)
    status, _ = call(server, "GET", "/v2/account", headers={"Authorization": "Bearer a.b.c"})
    assert status == 401
    status, _ = call(server, "POST", "/api/v1/admin/instruments", "{}", key=trader)
    assert status == 403


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/v2/orders/not-a-uuid", 422),
    ("GET", "/v2/orders/00000000-0000-4000-8000-000000000000", 404),
    ("DELETE", "/v2/orders/00000000-0000-4000-8000-000000000000", 404),
    ("GET", "/v2/orders?limit=0", 422),
    ("GET", "/v2/orders?limit=501", 422),
    ("GET", "/v2/account/activities?page_size=0", 422),
    ("GET", "/v2/stocks/bars?symbols=A&timeframe=1Min&limit=0", 422),
    ("GET", "/v2/stocks/trades?symbols=A&limit=0", 422),
    ("GET", "/v2/stocks/quotes?symbols=A&limit=0", 422),
    ("GET", "/v1beta3/crypto/us/bars?symbols=A%2FB&timeframe=1Min&limit=0", 422),
    ("GET", "/v1beta3/crypto/us/trades?symbols=A%2FB&limit=0", 422),
    ("GET", "/v2/orders?status=some", 422),
    ("GET", "/v2/orders?after=yesterday", 422),
    ("GET", "/v2/orders:by_client_order_id", 422),
    ("GET", "/v2/orders:by_client_order_id?client_order_id=nobody", 404),
    ("GET", "/v2/positions/NOSUCH", 404),
    ("GET", "/v2/assets/NOSUCH", 404),
    ("GET", "/v2/calendar?start=2024-13-01", 422),
    ("GET", "/v2/nothing", 404),
    ("GET", "/v2/%ff%00", 404),
    ("PUT", "/v2/orders", 405),
    ("GET", "/stream", 400),
    ("POST", "/v2/iex", 400),
])
def test_paths_and_queries(server, trader, method, path, status):
    seen, answer = call(server, method, path, key=trader)
    assert seen == status and isinstance(answer["code"], int) and answer["message"], answer
    assert answer["request_id"], answer


def test_a_change_that_changes_nothing_is_refused(server, trader, symbol):
    status, order = call(server, "POST", "/v2/orders", json.dumps({**GOOD, "symbol": symbol}), key=trader)
    assert status == 200, order
    path = f"/v2/orders/{order['id']}"
    for nothing in ({}, {"qty": None}, {"client_order_id": "another name"}):
        status, answer = call(server, "PATCH", path, json.dumps(nothing), key=trader)
        assert status == 422 and "nothing would change" in answer["message"], answer


def test_headers_that_are_too_large_are_told_so(server):
    status, answer = call(server, "GET", "/v2/clock", headers={"X-Long": "x" * 40_000})
    assert (status, answer["code"]) == (431, 43110000), answer
    assert "32768" in answer["message"] and answer["request_id"]


def test_a_giant_body_is_refused(server, trader):
    for megabytes in (0.1, 2, 16):
        body = b"[" + b"1," * int(megabytes * 500_000)
        status, answer = call(server, "POST", "/v2/orders", body, key=trader)
        assert (status, answer["code"]) == (413, 41310000)


def test_a_half_sent_request_ends(server):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as half:
        half.sendall(b"POST /v2/orders HTTP/1.1\r\nHost: x\r\nContent-Le")
        while half.recv(4096):
            pass


def test_what_is_not_http_is_cut_off(server):
    host, port = server.url.removeprefix("http://").split(":")
    for garbage in (b"\0" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01" + b"\xff" * 600):
        with socket.create_connection((host, int(port)), timeout=60) as other:
            other.sendall(garbage)
            try:
                other.shutdown(socket.SHUT_WR)
                while other.recv(4096):
                    pass
            except OSError:
                pass  # cut off before it could say goodbye
    assert call(server, "GET", "/api/health")[1]["status"] == "ok"
