"""A PrepX of its own for the tests, or the one at PREPX_URL, such as that of `make cluster`; accounts and instruments through
`prepx admin`, as an operator makes them."""

import itertools
import json
import os
import signal
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from alpaca.trading.client import TradingClient

ROOT = Path(__file__).resolve().parents[2]
# How long a test waits for what must come before it gives up. A wait ends with its condition: this is only how late a
# failure is told, and generous, since machines that run tests are slow at times.
PATIENCE_S = 60
OPERATOR = {"PREPX_KEY_ID": "operator", "PREPX_SECRET_KEY": "operator-secret"}


def binary() -> Path:
    """The program as cargo has built it for the tests, or for a platform that runs."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    profile = "release" if "PREPX_URL" in os.environ else "debug"
    return Path(os.environ.get("BINARY_UNDER_TEST", target / profile / "prepx"))


def on_kafka() -> bool:
    """Whether the servers of the tests have their event log on Kafka: `tests/servers/kafka.py run`."""
    return "PREPX_TEST_KAFKA" in os.environ


def sql_environment() -> dict:
    """Names a new database of the PostgreSQL for tests, when tests/servers/postgres.py has started
    one; its schemas are in the data directory otherwise."""
    server = os.environ.get("PREPX_TEST_POSTGRES")
    if not server:
        return {}
    name = f"test_{uuid.uuid4().hex[:16]}"
    place, _, options = server.partition("?")
    make = f"CREATE DATABASE {name} TEMPLATE template0"
    subprocess.run(["psql", "-q", place, "-c", make], check=True)
    url = f"{place.rsplit('/', 1)[0]}/{name}"
    return {"PREPX_SQL_URL": f"{url}?{options}" if options else url}


# For tests that change rows behind the platform's back, in the files where they are.
only_in_files = pytest.mark.skipif(
    "PREPX_TEST_POSTGRES" in os.environ, reason="the schemas are in no files"
)


class Server:
    """`prepx start --dev` on a free port and a data directory that outlives a crash; with
    PREPX_TEST_KAFKA on topics of its own there, with PREPX_TEST_POSTGRES in a database of its own, with
    PREPX_TEST_REDIS with keys of its own."""

    # Of each data directory, where its schemas are.
    sql = {}

    def __init__(self, data_dir: Path, within: tuple = ()):
        """`within` is a command that runs it somewhere else, such as where other disks are."""
        self.data_dir, self.within = data_dir, within
        self.prefix = f"clients-{uuid.uuid4().hex}"
        if data_dir not in Server.sql:
            Server.sql[data_dir] = sql_environment()
        self.process = None
        self.url = None

    def start(self, simulate: str = "off", settings: str = "") -> "Server":
        if "PREPX_URL" in os.environ:
            pytest.skip("it needs a process of its own, and PREPX_URL names one that runs")
        command = [
            *self.within, binary(), "start", "--dev", "--simulate", simulate,
            "--listen", "127.0.0.1:0", "--data-dir", self.data_dir,
        ]
        if settings:
            file = self.data_dir.parent / "settings.toml"
            file.write_text(settings)
            command += ["--config", file]
        log = open(self.data_dir.parent / "stderr.log", "ab")
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=self.environment()
        )
        line = self.process.stdout.readline()
        assert line.startswith("ready http://"), f"instead of the ready line: {line!r}"
        self.url = line.split()[1]
        return self

    def environment(self) -> dict:
        # The program refuses PREPX_* variables that it does not know.
        variables = os.environ.items()
        plain = {name: value for name, value in variables if not name.startswith("PREPX_TEST_")}
        plain |= Server.sql[self.data_dir]
        if cache := os.environ.get("PREPX_TEST_REDIS"):
            plain["PREPX_CACHE_URL"] = f"{cache}/{self.prefix}"
        if not on_kafka():
            return plain
        url = f"{os.environ['PREPX_TEST_KAFKA']}/{self.prefix}"
        nodes = os.environ["PREPX_TEST_KAFKA_NODES"]
        return {**plain, "PREPX_LOG_URL": url, "PREPX_LOG_REPLICATION": nodes}

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=PATIENCE_S)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE_S)

    def admin(self, *arguments: str) -> dict:
        environment = {**os.environ, **OPERATOR, "PREPX_URL": self.url}
        done = subprocess.run(
            [binary(), "admin", *arguments, "--json"],
            env=environment, capture_output=True, text=True, timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


class Remote(Server):
    """A server that runs already: neither started nor ended here."""

    def __init__(self, url: str):
        self.data_dir, self.within, self.process, self.url = Path("."), (), None, url


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    if url := os.environ.get("PREPX_URL"):
        yield Remote(url)
        return
    own = Server(tmp_path_factory.mktemp("prepx") / "data").start()
    yield own
    assert own.stop() == 0


def verify(*arguments):
    places = map(Path, arguments)
    sql = next((Server.sql[place] for place in places if place in Server.sql), {})
    return subprocess.run(
        [binary(), "verify", *arguments], capture_output=True, text=True, timeout=60,
        env={**os.environ, **OPERATOR, **sql},
    )


@dataclass
class Trader:
    """An account with an unmodified alpaca-py client."""

    account_id: str
    key_id: str
    secret_key: str
    client: TradingClient


def trader(server: Server, *deposits: str) -> Trader:
    arguments = ["account", "add", "--email", f"{uuid.uuid4()}@example.com"]
    for deposit in deposits:
        arguments += ["--deposit", deposit]
    made = server.admin(*arguments)
    client = TradingClient(made["key_id"], made["secret_key"], url_override=server.url)
    return Trader(made["account_id"], made["key_id"], made["secret_key"], client)


@pytest.fixture
def add_trader(server):
    return lambda *deposits: trader(server, *deposits)


def keys(trader) -> dict:
    """The headers that sign a request."""
    return {"APCA-API-KEY-ID": trader.key_id, "APCA-API-SECRET-KEY": trader.secret_key}


@pytest.fixture
def call(server):
    """A request without a client library: the status and the JSON of its answer."""
    def call(trader, method, path, body=None, **query):
        answer = requests.request(
            method, server.url + path, headers=keys(trader), params=query, json=body, timeout=PATIENCE_S
        )
        return answer.status_code, answer.json()

    return call


_numbers = itertools.count(1)


@pytest.fixture
def symbol(server) -> str:
    """A fresh instrument, so that tests do not meet each other's orders: reference price 100."""
    name = f"T{os.getpid()}X{next(_numbers)}"
    server.admin(
        "instrument", "add", "--symbol", name, "--class", "us_equity", "--tick", "0.01",
        "--lot", "0.001", "--calendar", "always", "--reference-price", "100",
    )
    return name
