"""`prepx status`, and the path beneath it: how every part of the platform is, for operators."""

import json
import os
import subprocess

import pytest
import requests

from conftest import OPERATOR, PATIENCE_S, binary
from test_trading import eventually

CONSUMERS = {"audit", "market-data", "notification", "portfolio", "webhooks"}


def status(url: str, *arguments: str, key: dict = OPERATOR) -> subprocess.CompletedProcess:
    return subprocess.run(
        [binary(), "status", "--url", url, *arguments],
        capture_output=True, text=True, timeout=30, env={**os.environ, **key},
    )


def shown(server) -> dict:
    done = status(server.url, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_part_is_shown(server, add_trader):
    add_trader("USD=1000")
    found = shown(server)
    assert (found["status"], found["problems"]) == ("ok", [])
    assert all(process["state"] in ("serves", "stands_by") for process in found["processes"])
    assert len({process["version"] for process in found["processes"]}) == 1
    addresses = {process["address"] for process in found["processes"]}
    assert server.url.removeprefix("http://") in addresses
    stages = {partition["name"].split("/")[0] for partition in found["partitions"]}
    assert stages == {"account", "matching"}
    assert all(partition["owner"] in addresses for partition in found["partitions"])
    assert all(partition["epoch"] >= 1 for partition in found["partitions"])
    assert sum(partition["transition"] for partition in found["partitions"]) > 0
    # The books of each shard have a consumer of their own.
    assert {consumer["name"].split("/")[0] for consumer in found["consumers"]} == CONSUMERS
    assert all(consumer["partitions"] > 0 for consumer in found["consumers"])
    servers = found["sql_servers"]
    assert all(server["role"] in ("primary", "replica") for server in servers)
    assert all((server["delay_ms"] is None) == (server["role"] == "primary") for server in servers)


def test_what_is_under_way_comes_to_its_end(server, add_trader, symbol):
    add_trader("USD=1000")

    def under_way():
        found = shown(server)
        lanes = [lane for lane in found["lanes"] if lane["lag_messages"]]
        consumers = [one for one in found["consumers"] if one["lag_records"]]
        return bool(found["lanes"]), lanes + consumers

    eventually(under_way, (True, []))


def test_a_person_reads_tables(server):
    done = status(server.url)
    assert done.returncode == 0, done.stderr
    heads = [table.split()[0] for table in done.stdout.split("\n\n")]
    assert heads == ["service", "partition", "lane", "consumer", "SQL", "dead"]


def test_it_is_for_operators(server, add_trader):
    trader = add_trader()
    done = status(
        server.url, key={"PREPX_KEY_ID": trader.key_id, "PREPX_SECRET_KEY": trader.secret_key}
    )
    assert done.returncode == 1
    assert "operator" in done.stderr
    path = f"{server.url}/api/v1/admin/status"
    keys = {"APCA-API-KEY-ID": trader.key_id, "APCA-API-SECRET-KEY": trader.secret_key}
    assert [requests.get(path, timeout=PATIENCE_S).status_code,
            requests.get(path, headers=keys, timeout=PATIENCE_S).status_code] == [401, 403]


def test_nobody_there_is_not_well():
    done = status("http://127.0.0.1:9")
    assert done.returncode == 1
    assert "--url" in done.stderr
