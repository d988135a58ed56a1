#!/usr/bin/env python3
"""What an order, a request and a socket take of each part of a cluster: CPU, memory, and bytes that are kept.

    bench/capacity/run

runs it beside a cluster, with the program of bench/load. All is measured against what the parts take while nothing is
asked of them; load and parts share the machine's cores. inputs.toml has what came of it on the day that it names."""

import argparse
import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import selectors
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[1:1] = [str(ROOT / "tests/cluster"), str(ROOT / "tests/servers")]

import postgres  # noqa: E402
import services  # noqa: E402
import state  # noqa: E402
from server import Program, family  # noqa: E402

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SETTLE_SECONDS = 5
CALL_SECONDS_MAX = 30
# How many ask at a time, and place orders at a time; how many sockets one user may have (64) with some to spare.
READERS, CALLERS, USER_SOCKETS = 8, 32, 60
# Best quotes a second, and orders that rest.
QUOTES, RESTING = 25, 2_400
# bench/load sends a second long what it does not count.
WARM_SECONDS = 1
INSTRUMENT = {
    "symbol": "CAPACITY",
    "class": "us_equity",
    "tick_size": "0.01",
    "lot_size": "0.001",
    "calendar": "always",
    "reference_price": "100",
}
READS = [
    "/v2/account",
    "/v2/positions",
    "/v2/orders?status=open",
    "/v2/orders?status=closed",
    f"/v2/stocks/quotes/latest?symbols={INSTRUMENT['symbol']}",
]
# Where sockets are opened, and what is said on them first.
STREAMS = {
    "/stream": [{"action": "listen", "data": {"streams": ["trade_updates"]}}],
    "/v2/iex": [{"action": "subscribe", "quotes": [INSTRUMENT["symbol"]]}],
}
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class Api:
    """One connection under one key."""

    def __init__(self, url: str, key: tuple[str, str]):
        self.connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=CALL_SECONDS_MAX)
        names = ("APCA-API-KEY-ID", "APCA-API-SECRET-KEY", "Content-Type")
        self.headers = dict(zip(names, (*key, "application/json")))

    def call(self, method: str, path: str, body: dict | None = None):
        self.connection.request(method, path, body and json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise OSError(f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text or "null")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--load", type=pathlib.Path, required=True, help="the program of bench/load")
    parser.add_argument("--seconds", type=int, default=15, help="how long each measurement takes [15]")
    parser.add_argument("--orders", type=int, nargs="+", default=[200, 1000], help="orders a second [200 1000]")
    parser.add_argument("--reads", type=int, default=400, help="requests a second of each kind [400]")
    parser.add_argument("--sockets", type=int, default=800, help="sockets [800]")
    asked = parser.parse_args()
    programs, url = state.read()
    operator = Api(url, services.OPERATOR)
    keys = [trader(operator, number) for number in range(-(-asked.sockets // USER_SOCKETS))]
    operator.call("POST", "/api/v1/admin/instruments", INSTRUMENT)
    time.sleep(SETTLE_SECONDS)
    parts = Parts(programs, asked.seconds)
    for path in READS:
        read(parts, url, keys, path, asked)
    for path, hello in STREAMS.items():
        sockets(parts, url, keys, path, hello, asked)
    rest(parts, url, keys, asked)
    for rate in asked.orders:
        orders(parts, url, programs, rate, asked)


def trader(operator: Api, number: int) -> tuple[str, str]:
    made = operator.call("POST", "/api/v1/admin/accounts", {"email": f"capacity-{number}-{time.time()}@example.com"})
    deposit = {"asset": "USD", "amount": "100000000", "idempotency_key": "capacity"}
    operator.call("POST", f"/api/v1/admin/accounts/{made['account_id']}/deposits", deposit)
    return made["key_id"], made["secret_key"]


class Parts:
    """The programs of a cluster, by what they are: `gateway`, `kafka`, `postgres` and so on."""

    def __init__(self, programs: list[Program], seconds: int):
        """Looks first what they take while nothing is asked of them."""
        self.pids, self.idle = {}, {}
        for program in programs:
            kind = re.sub(r"-\d+.*", "", program.name.removeprefix("prepx-"))
            name = "pgbouncer" if "pgbouncer" in program.name else kind
            self.pids.setdefault(name, []).append(program.pid)
        self.idle = dict.fromkeys(self.pids, 0.0)
        self.idle = {name: took / seconds for name, took in self.beyond_idle(lambda: time.sleep(seconds)).items()}
        show("idle: CPU a second", self.idle)
        memory = ", ".join(f"{name} {size >> 20}" for name, size in self.resident_bytes().items())
        print(f"idle: MiB: {memory}", flush=True)

    def cpu_s(self) -> dict[str, float]:
        """What each has had of the CPU since it began, with those that it has started."""
        return {name: sum(map(cpu_s, pids)) for name, pids in self.pids.items()}

    def resident_bytes(self) -> dict[str, int]:
        return {name: sum(map(resident_bytes, pids)) for name, pids in self.pids.items()}

    def beyond_idle(self, what) -> dict[str, float]:
        """The seconds of CPU that each takes for something, beyond what it takes anyway."""
        before, began = self.cpu_s(), time.monotonic()
        what()
        took = time.monotonic() - began
        return {name: after - before[name] - self.idle[name] * took for name, after in self.cpu_s().items()}

    def growth(self, what) -> dict[str, int]:
        """The bytes of memory by which each grows meanwhile."""
        before = self.resident_bytes()
        what()
        time.sleep(SETTLE_SECONDS)
        return {name: after - before[name] for name, after in self.resident_bytes().items()}


def show(what: str, cpu_s: dict[str, float], count: float = 1):
    """Microseconds for each of so many, the greatest first."""
    each = sorted(((spent / count * 1e6, name) for name, spent in cpu_s.items()), reverse=True)
    told = ", ".join(f"{name} {spent:.1f}" for spent, name in each)
    print(f"{what}: {sum(spent for spent, _ in each):.1f} us: {told}", flush=True)


def show_bytes(what: str, grown: dict[str, int], count: int):
    told = ", ".join(f"{name} {size / count:.0f}" for name, size in grown.items() if abs(size / count) >= 1)
    print(f"{what}, bytes: {told}", flush=True)


def cpu_s(pid: int) -> float:
    return sum(map(own_cpu_s, family(pid)))


def own_cpu_s(pid: int) -> float:
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * TICK_S


def resident_bytes(pid: int) -> int:
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def evenly(rate: float, seconds: float, what) -> int:
    """Does something so many times a second, and says how often it did."""
    began, count = time.monotonic(), 0
    while time.monotonic() < began + seconds:
        what(count)
        count += 1
        time.sleep(max(0.0, began + count / rate - time.monotonic()))
    return count


def together(count: int, what) -> list:
    """What comes of something that several do at a time; fails where one of them does."""
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(what, range(count)))


def read(parts: Parts, url: str, keys: list, path: str, asked: argparse.Namespace):
    """So many requests of a kind, evenly."""

    def reader(number: int) -> int:
        api = Api(url, keys[number % len(keys)])
        return evenly(asked.reads / READERS, asked.seconds, lambda _: api.call("GET", path))

    counts = []
    spent = parts.beyond_idle(lambda: counts.extend(together(READERS, reader)))
    show(f"GET {path}, {sum(counts) / asked.seconds:.0f} a second", spent, sum(counts))


def sockets(parts: Parts, url: str, keys: list, path: str, hello: list, asked: argparse.Namespace):
    """So many sockets on which little happens; then quotes, of which all are told."""
    opened = []
    alone = parts.beyond_idle(lambda: quotes(url, keys[0], asked.seconds)) if path != "/stream" else {}

    def open_all():
        opened.extend(connect(url, keys[number % len(keys)], path, hello) for number in range(asked.sockets))

    show_bytes(f"{path}: a socket of {asked.sockets}", parts.growth(open_all), asked.sockets)
    quiet = parts.beyond_idle(lambda: time.sleep(asked.seconds))
    show(f"{path}: a second of a quiet socket", quiet, asked.sockets * asked.seconds)
    if alone:
        heard = Heard(opened)
        both = [lambda: quotes(url, keys[0], asked.seconds), lambda: heard.listen(asked.seconds)]
        spent = parts.beyond_idle(lambda: together(2, lambda number: both[number]()))
        print(f"{heard.messages} messages of {heard.bytes / max(1, heard.messages):.0f} bytes")
        show(f"{path}: a message", {name: took - alone[name] for name, took in spent.items()}, heard.messages)
    for one in opened:
        one.close()


def quotes(url: str, key: tuple[str, str], seconds: float):
    """Orders of which each is the best of its side, and then is canceled."""
    api = Api(url, key)
    evenly(QUOTES, seconds, lambda number: api.call("POST", "/v2/orders", limit_buy(9000 + number)))
    api.call("DELETE", "/v2/orders")


def limit_buy(cents: int) -> dict:
    terms = {"qty": "1", "side": "buy", "type": "limit", "time_in_force": "gtc"}
    return terms | {"symbol": INSTRUMENT["symbol"], "limit_price": f"{cents / 100:.2f}"}


def rest(parts: Parts, url: str, keys: list, asked: argparse.Namespace):
    """Orders that rest take memory of who keeps accounts and books."""

    def place(number: int):
        api = Api(url, keys[number % len(keys)])
        for count in range(RESTING // CALLERS):
            api.call("POST", "/v2/orders", limit_buy(9500 - count % 100))

    show_bytes(f"an order of {RESTING} that rest", parts.growth(lambda: together(CALLERS, place)), RESTING)


class Heard:
    """Counts what comes on many sockets."""

    def __init__(self, opened: list[socket.socket]):
        self.selector, self.messages, self.bytes = selectors.DefaultSelector(), 0, 0
        for one in opened:
            self.selector.register(one, selectors.EVENT_READ)

    def listen(self, seconds: float):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for key, _ in self.selector.select(0.1):
                got = key.fileobj.recv(1 << 16)
                self.messages += got.count(b'"T":"')
                self.bytes += len(got)


def connect(url: str, key: tuple[str, str], path: str, hello: list[dict]) -> socket.socket:
    """A socket that was upgraded and has said what it wants to hear."""
    host, port = url.removeprefix("http://").split(":")
    opened = socket.create_connection((host, int(port)), CALL_SECONDS_MAX)
    opened.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    until(opened, b"\r\n\r\n")
    auth = {"action": "auth", "key": key[0], "secret": key[1]}
    for message in [auth, *hello]:
        opened.sendall(frame(json.dumps(message).encode()))
    until(opened, b"listening" if path == "/stream" else b"subscription")
    return opened


def until(opened: socket.socket, words: bytes):
    got = b""
    while words not in got:
        more = opened.recv(4096)
        if not more:
            raise OSError(f"hung up after {got[:300]}")
        got += more


def frame(payload: bytes) -> bytes:
    """A text frame under the mask 0, as a client sends it."""
    size = len(payload)
    head = bytes([0x81, 0x80 | size]) if size < 126 else bytes([0x81, 0xFE]) + size.to_bytes(2, "big")
    return head + bytes(4) + payload


def orders(parts: Parts, url: str, programs: list, rate: int, asked: argparse.Namespace):
    """So many orders a second over gRPC, of which every second one trades with one before."""
    command = [asked.load, "--url", url, "--seconds", str(asked.seconds), "unary", "--rate", str(rate)]
    before, done = kept(programs), []
    # It ends by asking how far consumers are behind, which a gateway alone does not tell: it may fail then.
    place = lambda: done.append(subprocess.run(command, capture_output=True, text=True, check=False))
    spent = parts.beyond_idle(place)
    count = rate * (asked.seconds + WARM_SECONDS)
    if "acknowledged" not in done[0].stdout:
        raise OSError(f"{asked.load}: {done[0].stderr[:1000]}")
    print(done[0].stdout.strip(), flush=True)
    show(f"an order of {rate} a second", spent, count)
    time.sleep(SETTLE_SECONDS)
    show_bytes("an order, kept", {name: size - before.get(name, 0) for name, size in kept(programs).items()}, count)


def kept(programs: list[Program]) -> dict[str, int]:
    """The bytes that are on the disks: of Kafka by topic, on all nodes together; of PostgreSQL tables and log."""
    found = {}
    for log in state.HOME.glob("kafka/**/*.log"):
        topic = re.fullmatch(r"(?:cluster\.)?(.+)-\d+", log.parent.name)
        if topic and log.stem.isdigit():
            name = f"kafka {topic[1]}"
            found[name] = found.get(name, 0) + log.stat().st_size
    for program in programs:
        if re.fullmatch(r"postgres-\d+-server-1", program.name):
            for what, statement in STATEMENTS.items():
                try:
                    found[f"{program.name} {what}"] = int(float(postgres.ask(program.port, statement, "prepx")))
                except (OSError, RuntimeError) as error:
                    print(f"{program.name}: {error}", file=sys.stderr)
    found["archives"] = sum(file.stat().st_size for file in state.HOME.glob("services/archives/**/*") if file.is_file())
    return found


STATEMENTS = {
    "tables": "SELECT pg_database_size('prepx')",
    "log": "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')",
}

if __name__ == "__main__":
    main()
