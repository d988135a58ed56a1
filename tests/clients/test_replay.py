"""A recorded market of our own, lived through; and a market of simulated traders."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request

from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import LimitOrderRequest
from conftest import OPERATOR, PATIENCE_S, ROOT, Server, binary, trader

DATA = ROOT / "tests" / "data"


def replay(server, symbol, *more, messages=DATA / "lobster-small-message.csv"):
    command = [
        binary(), "replay", "lobster", "--url", server.url, "--symbol", symbol, "--json",
        "--messages", messages, *more,
    ]
    done = subprocess.run(
        command, env={**os.environ, **OPERATOR}, capture_output=True, text=True, timeout=120
    )
    assert done.stdout, done.stderr
    return done, json.loads(done.stdout)


def fresh_symbol():
    return f"R{time.monotonic_ns() % 10**10}"


def test_the_engine_lives_through_a_recorded_market(server):
    done, summary = replay(server, fresh_symbol(), "--book", DATA / "lobster-small-orderbook.csv")
    assert done.returncode == 0, done.stderr
    assert summary["agrees"] and summary["first_difference"] is None
    assert summary["messages"]["added"] == 6
    assert summary["messages"]["executions_unknown"] == 1
    assert summary["executions"] == {
        "recorded": 6, "reproducible": 5, "reproduced": 5, "different": 0,
    }
    # 16 steps of two sides; the row alone tells of four. A state may go unseen, where its quote was not told
    # or another one of the same millisecond was kept, but none may be wrong.
    book = summary["book"]
    assert (book["derived"], book["not_derivable"], book["unexplained"]) == (28, 4, 0)
    assert book["agreed"] + book["unseen"] == 28 and book["agreed"] > 0
    assert summary["orders"]["refused"] == {}


def test_a_recorded_market_is_lived_through_again(server):
    symbol = fresh_symbol()
    for _ in range(2):
        done, _ = replay(server, symbol, "--book", DATA / "lobster-small-orderbook.csv")
        assert done.returncode == 0, done.stderr


def test_a_pair_is_not_taken_for_a_share(server):
    pair = f"{fresh_symbol()}/USD"
    server.admin(
        "instrument", "add", "--symbol", pair, "--class", "crypto", "--tick", "0.01", "--lot", "1",
    )
    command = [
        binary(), "replay", "lobster", "--url", server.url, "--symbol", pair,
        "--messages", DATA / "lobster-small-message.csv",
    ]
    done = subprocess.run(
        command, env={**os.environ, **OPERATOR}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1 and "give another --symbol" in done.stderr, done.stderr


def test_an_engine_that_differs_is_found(server, tmp_path):
    # Another order of better price than any recorded one stands in the book already.
    symbol = fresh_symbol()
    server.admin(
        "instrument", "add", "--symbol", symbol, "--class", "us_equity", "--tick", "0.01",
        "--lot", "1", "--calendar", "always", "--reference-price", "100",
    )
    other = trader(server, "USD=10000")
    other.client.submit_order(
        LimitOrderRequest(
            symbol=symbol, side=OrderSide.BUY, qty=10, limit_price=101, time_in_force=TimeInForce.GTC
        )
    )
    recording = tmp_path / "recording.csv"
    recording.write_text("34200.1,1,1,10,1000000,1\n34200.3,4,1,10,1000000,1\n")
    done, summary = replay(server, symbol, messages=recording)
    assert done.returncode == 1 and not summary["agrees"]
    assert summary["first_difference"] == "message 2: order 1 was not hit by 10 at 100"
    assert summary["executions"]["different"] == 1


def test_simulated_traders_keep_a_market_alive(tmp_path):
    server = Server(tmp_path / "data")
    server.start(simulate="on")
    try:
        assert trades_within(server, 60), "no simulated trade within a minute"
    finally:
        assert server.stop() == 0
    # A second start finds its traders and instruments again.
    server.start(simulate="on")
    try:
        before = trade_of(server)
        assert trades_within(server, 60, other_than=before)
    finally:
        assert server.stop() == 0


def trade_of(server):
    url = f"{server.url}/v1beta3/crypto/us/latest/trades?symbols=BTC/USD"
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return json.load(answer)["trades"].get("BTC/USD")
    except urllib.error.HTTPError as error:
        # The simulation begins after the server is ready: the pair is not listed at first.
        assert error.code == 422
        return None


def trades_within(server, seconds, other_than=None):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        trade = trade_of(server)
        if trade is not None and trade != other_than:
            return trade
        time.sleep(0.1)
    return None
