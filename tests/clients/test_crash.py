"""kill -9 under load: what was acknowledged is there, once, with the same id, and every cent that is
held is held for an order."""

import http.client
import json
import os
import threading
import uuid
from decimal import Decimal

from conftest import Server, on_kafka, trader, verify

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "10"))
ACKNOWLEDGED_BEFORE_KILL = 60
CALLERS = 4
# Orders that are also asked for one by one, the newest: all of every round would be most of a long test.
LOOKED_UP = 2 * ACKNOWLEDGED_BEFORE_KILL
# As many as a list may have.
PAGE = 500


class Api:
    """One kept-alive connection with an account's key."""

    def __init__(self, url, key):
        self.connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
        self.headers = {
            "APCA-API-KEY-ID": key.key_id,
            "APCA-API-SECRET-KEY": key.secret_key,
            "Content-Type": "application/json",
        }

    def call(self, method, path, body=None):
        text = None if body is None else json.dumps(body)
        self.connection.request(method, path, text, self.headers)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read() or "null")


def load(server, account, symbol, acknowledged, enough):
    """Places orders until the server is gone; notes each acknowledged one."""
    api = Api(server.url, account)
    while True:
        name = str(uuid.uuid4())
        side, price = ("buy", "99.5") if uuid.UUID(name).int % 2 else ("sell", "100.5")
        order = {
            "symbol": symbol, "qty": "0.001", "side": side, "type": "limit",
            "time_in_force": "gtc", "limit_price": price, "client_order_id": name,
        }
        try:
            status, answer = api.call("POST", "/v2/orders", order)
        except (OSError, http.client.HTTPException):
            return
        assert status == 200, answer
        acknowledged.append((name, answer["id"]))
        if len(acknowledged) >= ACKNOWLEDGED_BEFORE_KILL:
            enough.set()


def crash_under_load(server, account, symbol):
    acknowledged, enough = [], threading.Event()
    callers = [
        threading.Thread(target=load, args=(server, account, symbol, acknowledged, enough))
        for _ in range(CALLERS)
    ]
    for caller in callers:
        caller.start()
    assert enough.wait(timeout=60)
    server.kill()
    for caller in callers:
        caller.join(timeout=30)
    return acknowledged


def test_nothing_acknowledged_is_lost_or_doubled_by_kill_9(tmp_path):
    server = Server(tmp_path / "data").start()
    server.admin(
        "instrument", "add", "--symbol", "CRASH", "--class", "us_equity", "--tick", "0.01",
        "--lot", "0.001", "--calendar", "always", "--reference-price", "100",
    )
    account = trader(server, "USD=100000", "CRASH=1000")
    every = {}
    for _ in range(ROUNDS):
        every.update(crash_under_load(server, account, "CRASH"))
        server.start()
        check(Api(server.url, account), every)
    running = verify("--url", server.url, "--json")
    assert running.returncode == 0, running.stderr
    server.kill()
    if not on_kafka():
        stopped = verify("--data-dir", str(server.data_dir), "--json")
        assert stopped.returncode == 0, stopped.stderr
        assert json.loads(stopped.stdout)["audit"]["records"] > 0
    server.start()
    assert server.stop() == 0


def check(api, every):
    """Each acknowledged order stands, once and under its id, and what is held is held for orders."""
    standing = open_orders(api)
    by_name = {order["client_order_id"]: (order["id"], order["status"]) for order in standing}
    assert len(by_name) == len(standing), "an order stands twice"
    lost = [name for name, order_id in every.items() if by_name.get(name) != (order_id, "new")]
    assert not lost, f"{len(lost)} of {len(every)} acknowledged orders are not there: {lost[:5]}"
    for name, order_id in list(every.items())[-LOOKED_UP:]:
        status, order = api.call("GET", f"/v2/orders:by_client_order_id?client_order_id={name}")
        assert (status, order["id"], order["status"]) == (200, order_id, "new")
    buys = [order for order in standing if order["side"] == "buy"]
    held = sum(Decimal(order["qty"]) * Decimal(order["limit_price"]) for order in buys)
    _, account = api.call("GET", "/v2/account")
    assert Decimal(account["cash"]) - Decimal(account["buying_power"]) == held


def open_orders(api):
    """All of them, the oldest first."""
    orders, after = [], ""
    while True:
        _, page = api.call("GET", f"/v2/orders?status=open&limit={PAGE}&direction=asc{after}")
        orders += page
        if len(page) < PAGE:
            return orders
        after = "&after=" + page[-1]["created_at"]
