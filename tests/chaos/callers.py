"""Callers of the platform: each has an account, places orders one after the other and notes what it is
told."""

import http.client
import itertools
import json
import random
import threading
import time
import uuid
from collections.abc import Callable

from history import History

CALL_SECONDS_MAX = 15
# For what has to come.
SECONDS_MAX = 120
# The books may be behind for as long as a database or a broker takes to come back.
READ_SECONDS_MAX = 60
PAUSE_SECONDS = 0.02
PAUSE_SECONDS_AFTER_FAILURE = 0.1
PRICES = ("99.5", "99.75", "100", "100.25", "100.5")
QUANTITIES = ("0.001", "0.002", "0.005")
CANCELS_PERCENT = 15
SCANS_PERCENT = 5
PAGE = 500


class NeverSent(Exception):
    """Nobody has taken the connection."""


class Api:
    """One connection with a key, to any of the gateways: when one is away, to the next."""

    def __init__(self, gateways: list[str], key: tuple[str, str]):
        self.gateways, self.connection = itertools.cycle(gateways), None
        self.headers = {
            "APCA-API-KEY-ID": key[0],
            "APCA-API-SECRET-KEY": key[1],
            "Content-Type": "application/json",
        }

    def call(self, method: str, path: str, body=None) -> tuple[int, object]:
        """The status and the JSON of the answer.

        Raises NeverSent, or OSError when nobody can say whether the call has arrived."""
        text = None if body is None else json.dumps(body)
        connection = self.connected()
        try:
            connection.request(method, path, text, self.headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or "null")
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.forget()
            raise OSError(f"{method} {path}: {error!r}") from error

    def connected(self) -> http.client.HTTPConnection:
        if self.connection is None:
            connection = http.client.HTTPConnection(next(self.gateways), timeout=CALL_SECONDS_MAX)
            try:
                connection.connect()
            except OSError as error:
                raise NeverSent(str(error)) from error
            self.connection = connection
        return self.connection

    def forget(self):
        if self.connection:
            self.connection.close()
        self.connection = None


class Caller(threading.Thread):
    """Places orders until it is told to stop."""

    def __init__(self, api: Api, account: str, symbols: list[str], history: History, seed: int):
        super().__init__(daemon=True)
        self.api, self.account, self.symbols, self.history = api, account, symbols, history
        self.random, self.stopping = random.Random(seed), threading.Event()
        # The ids of acknowledged orders, and when each was placed and acknowledged.
        self.acknowledged, self.times = [], []

    def run(self):
        while not self.stopping.is_set():
            if not self.place():
                self.stopping.wait(PAUSE_SECONDS_AFTER_FAILURE)
            if self.acknowledged and self.random.randrange(100) < CANCELS_PERCENT:
                self.cancel(self.random.choice(self.acknowledged))
            if self.random.randrange(100) < SCANS_PERCENT:
                self.scan()
            time.sleep(PAUSE_SECONDS)

    def count(self) -> int:
        return len(self.times)

    def since(self, moment: float) -> bool:
        """Whether an order was acknowledged that was placed after a moment."""
        return bool(self.times) and self.times[-1][0] > moment

    def longest_wait(self, moment: float) -> float:
        """The longest time from an acknowledgement to the next one, of those after a moment."""
        pairs = itertools.pairwise(self.times)
        return max((at - before for (_, before), (_, at) in pairs if at > moment), default=0.0)

    def place(self) -> bool:
        """One order; whether it was acknowledged."""
        order = {
            "symbol": self.random.choice(self.symbols), "qty": self.random.choice(QUANTITIES),
            "side": self.random.choice(("buy", "sell")), "type": "limit", "time_in_force": "gtc",
            "limit_price": self.random.choice(PRICES), "client_order_id": self.name_of_an_order(),
        }
        name = order["client_order_id"]
        self.history.note("invoke", account=self.account, order=order)
        begun = time.monotonic()
        kind, told = self.answer(order)
        self.history.note(kind, account=self.account, name=name, **told)
        if kind == "ok":
            self.acknowledged.append(told["id"])
            self.times.append((begun, time.monotonic()))
        return kind == "ok"

    def name_of_an_order(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def answer(self, order: dict) -> tuple[str, dict]:
        try:
            status, body = self.api.call("POST", "/v2/orders", order)
        except NeverSent as error:
            return "refused", {"why": f"never sent: {error}"}
        except OSError as error:
            return "unknown", {"why": str(error)}
        if status == 200:
            return "ok", {"id": body["id"]}
        # Every refusal that is final has a status of 4xx; of the rest nobody knows.
        return "refused" if 400 <= status < 500 else "unknown", {"why": f"{status} {body}"}

    def cancel(self, order_id: str):
        try:
            status, _ = self.api.call("DELETE", f"/v2/orders/{order_id}")
        except (NeverSent, OSError):
            return
        if status == 204:
            self.history.note("cancel", account=self.account, id=order_id)


    def scan(self):
        """What is to be seen at this moment, as long as one answer has room for all of it."""
        try:
            status, orders = self.api.call("GET", f"/v2/orders?status=all&limit={PAGE}&direction=asc")
        except (NeverSent, OSError):
            return
        if status == 200 and len(orders) < PAGE:
            self.history.note("scan", account=self.account, names=[order["client_order_id"] for order in orders])


def everything(api: Api) -> dict:
    """All orders of an account, its money and its positions."""
    orders, after = [], ""
    while True:
        page = asked(api, f"/v2/orders?status=all&limit={PAGE}&direction=asc{after}")
        orders += page
        if len(page) < PAGE:
            break
        after = f"&after={page[-1]['created_at']}"
    account, positions = asked(api, "/v2/account"), asked(api, "/v2/positions")
    return {
        "orders": [{name: order[name] for name in SHOWN} for order in orders],
        "cash": account["cash"],
        "buying_power": account["buying_power"],
        "positions": {position["symbol"]: position["qty"] for position in positions},
    }


SHOWN = ("id", "client_order_id", "symbol", "side", "qty", "limit_price", "status", "filled_qty")


def asked(api: Api, path: str):
    """What a read says, which may be repeated."""

    def once():
        status, body = api.call("GET", path)
        if status != 200:
            raise OSError(f"{path}: {status} {body}")
        return body

    return patiently(once, READ_SECONDS_MAX)


def patiently(attempt: Callable, seconds_max: float):
    """What an attempt gives, repeated until it does not fail."""
    deadline = time.monotonic() + seconds_max
    while True:
        try:
            return attempt()
        except (NeverSent, OSError, RuntimeError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def until(what: str, condition: Callable[[], bool], seconds_max: float = SECONDS_MAX):
    """Waits for what has to come; whoever cannot be asked for the moment is asked again."""
    deadline = time.monotonic() + seconds_max
    problem = "not yet"
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except (OSError, RuntimeError) as error:
            problem = error
        time.sleep(0.1)
    raise RuntimeError(f"not within {seconds_max} s: {what} ({problem})")
