"""What operators ask of what was recorded: deciding it again, and going on without a message."""

import json
import subprocess

from alpaca.trading.enums import OrderSide, OrderStatus

from conftest import Server, binary, on_kafka, trader
from test_trading import eventually, limit, status_of


def prepx(server: Server, *arguments):
    place = ["--data-dir", server.data_dir]
    return subprocess.run(
        [binary(), *arguments, *place],
        env=server.environment(), capture_output=True, text=True, timeout=120,
    )


def traded(server: Server):
    """Some orders, of which two meet."""
    server.admin(
        "instrument", "add", "--symbol", "AGAIN", "--class", "us_equity", "--tick", "0.01",
        "--lot", "1", "--calendar", "always", "--reference-price", "100",
    )
    buyer, seller = trader(server, "USD=10000"), trader(server, "AGAIN=10")
    seller.client.submit_order(limit("AGAIN", OrderSide.SELL, 4, 100))
    bid = buyer.client.submit_order(limit("AGAIN", OrderSide.BUY, 2, 100))
    buyer.client.submit_order(limit("AGAIN", OrderSide.BUY, 1, 99))
    eventually(status_of(buyer, bid), OrderStatus.FILLED)


def test_what_was_recorded_is_decided_again_and_the_same(tmp_path):
    server = Server(tmp_path / "data").start()
    traded(server)
    if not on_kafka():
        used = prepx(server, "shadow")
        assert used.returncode == 1 and "in use by prepx start" in used.stderr
        assert server.stop() == 0
    done = prepx(server, "shadow", "--json", "--with", str(binary()))
    assert done.returncode == 0, done.stderr
    totals = json.loads(done.stdout)
    assert totals.pop("transitions") > 10 and totals.pop("events") > 10
    assert totals == {"ok": True, "partitions": 8, "folded": 0, "differences": 0}
    # A program that ends well has decided nothing by that.
    other = prepx(server, "shadow", "--with", "/bin/true")
    assert other.returncode == 1 and "is it a prepx?" in other.stderr, other.stderr
    turned = prepx(server, "shadow", "--partition", "account/0", "--from", "5", "--to", "3")
    assert turned.returncode == 1 and "--from 5" in turned.stderr, turned.stderr
    if on_kafka():
        assert server.stop() == 0


def test_nobody_skips_a_message_of_a_platform_that_runs(tmp_path):
    server = Server(tmp_path / "data").start()
    skip = [
        "stage", "skip", "--partition", "matching/0", "--input", "account-journal/0#1", "--reason", "a test",
    ]
    refused = prepx(server, *skip)
    assert refused.returncode == 1 and "in use by prepx start" in refused.stderr, refused.stderr
    traded(server)
    assert server.stop() == 0
    refused = prepx(server, *skip)
    assert refused.returncode == 1 and "has yet to take" in refused.stderr, refused.stderr
    server.start()
    assert server.stop() == 0
