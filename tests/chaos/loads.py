"""Callers of a platform with accounts of their own, and what all of them are shown in the end: whatever it runs on."""

import json
import os
import pathlib
import random
import subprocess
import uuid

import services

import callers
from callers import until
from history import History

SECONDS_MAX = 120
# Of this run alone, so that nobody else's orders meet its own; some to each matching partition.
SYMBOLS = [f"C{os.getpid()}X{letter}" for letter in "ABCDEF"]
DEPOSIT = {"USD": "100000"} | {symbol: "100" for symbol in SYMBOLS}


class Load:
    """A platform, how it is reached, and who calls it."""

    # The key of an operator, and its secret.
    OPERATOR = services.OPERATOR

    def __init__(
        self, url: str, gateways: list[str], prepx: pathlib.Path, history: History, seed: int, settings: pathlib.Path | None
    ):
        """With the `settings` of a service `prepx verify` reads the journals too."""
        self.url, self.gateways, self.prepx, self.history = url, gateways, prepx, history
        self.chance, self.settings = random.Random(seed), settings

    def admin(self, *arguments: str) -> dict:
        """Something that only an operator may do, and that may be repeated."""

        def once():
            done = self.command("admin", *arguments, "--json")
            if done.returncode != 0:
                raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.strip()}")
            return json.loads(done.stdout)

        return callers.patiently(once, SECONDS_MAX)

    def command(self, *words: str) -> subprocess.CompletedProcess:
        key_id, secret = self.OPERATOR
        told = {"PREPX_URL": self.url, "PREPX_KEY_ID": key_id, "PREPX_SECRET_KEY": secret}
        return subprocess.run(
            [self.prepx, *words], env=os.environ | told, capture_output=True, text=True,
            timeout=SECONDS_MAX,
        )

    def list_instruments(self):
        for symbol in SYMBOLS:
            self.admin(
                "instrument", "add", "--symbol", symbol, "--class", "us_equity", "--tick", "0.01",
                "--lot", "0.001", "--calendar", "always", "--reference-price", "100",
            )

    def newcomer(self) -> callers.Caller:
        """A caller with an account of its own, when that is acknowledged at once."""
        number = self.chance.getrandbits(64)
        given = [word for asset, amount in DEPOSIT.items() for word in ("--deposit", f"{asset}={amount}")]
        # Of one that was not acknowledged nobody knows: the next has another name.
        email = f"{uuid.uuid4()}@example.com"
        done = self.command("admin", "account", "add", "--email", email, *given, "--json")
        if done.returncode != 0:
            raise RuntimeError(f"account add: {done.stderr.strip()}")
        made = json.loads(done.stdout)
        account = made["account_id"]
        goods = {asset: amount for asset, amount in DEPOSIT.items() if asset != "USD"}
        self.history.note("account", account=account, cash=DEPOSIT["USD"], positions=goods)
        api = callers.Api(self.gateways, (made["key_id"], made["secret_key"]))
        return callers.Caller(api, account, SYMBOLS, self.history, number)

    def look(self, load: list[callers.Caller]):
        """Reads everything with orders open, and again when all are cancelled."""
        for caller in load:
            # What was sent before this order, to the same partition, is decided when it is.
            until("an order is acknowledged", caller.place)
        self.read(load, lambda found: True)
        for caller in load:
            callers.patiently(lambda: cancel_all(caller.api), SECONDS_MAX)
        self.read(load, lambda found: not any(order["status"] in OPEN for order in found["orders"]))
        journals = ["--config", str(self.settings)] if self.settings and self.settings.exists() else []
        self.verify("--url", self.url, *journals)

    def verify(self, *place: str):
        """Notes what `prepx verify` finds at a place."""
        done = self.command("verify", *place, "--json")
        self.history.note("verify", code=done.returncode, said=done.stderr.strip())

    def read(self, load: list[callers.Caller], wanted):
        """Waits until nothing moves, then notes what every account shows."""
        found = []

        def is_quiet() -> bool:
            nonlocal found
            before, found = found, [callers.everything(caller.api) for caller in load]
            return before == found and all(map(wanted, found))

        until("nothing moves", is_quiet)
        for caller, shown in zip(load, found):
            self.history.note("read", account=caller.account, **shown)


OPEN = {"new", "partially_filled", "accepted", "pending_new", "pending_cancel", "pending_replace"}


def cancel_all(api: callers.Api):
    status, body = api.call("DELETE", "/v2/orders")
    if status != 207:
        raise OSError(f"DELETE /v2/orders: {status} {body}")


