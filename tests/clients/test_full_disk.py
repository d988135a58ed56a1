"""A disk that becomes full: whoever was acknowledged is there afterwards, whoever was not is told why, and with space
again the platform goes on."""

import http.client
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import PATIENCE_S, Server, on_kafka, trader, verify
from test_crash import Api, check

pytestmark = pytest.mark.skipif(on_kafka(), reason="the event log is on other disks")

SIZE = "160m"
# With simulated traders segments are small, so that the log soon needs a new one.
SETTINGS = "[simulation]\ndisk_bytes_max = 67108864\n"
MOUNT = f'mount -t tmpfs -o size={SIZE} none "$1" && echo mounted && exec sleep infinity'
BLOCK = bytes(1 << 16)


@dataclass
class Disk:
    """A small disk that only whoever runs within its namespaces sees."""

    place: Path
    within: tuple
    # The same place, as everybody sees it.
    outside: Path


@pytest.fixture
def disk(tmp_path):
    """It is gone with the process that has mounted it."""
    place = tmp_path / "disk"
    place.mkdir()
    if not shutil.which("unshare"):
        pytest.skip("there is no unshare to mount a disk with")
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh", place]
    keeper = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if keeper.stdout.readline() != "mounted\n":
            pytest.skip("no disk may be mounted here")
        within = ("nsenter", "--target", str(keeper.pid), "--user", "--preserve-credentials", "--mount")
        yield Disk(place, within, Path(f"/proc/{keeper.pid}/root{place}"))
    finally:
        keeper.kill()
        keeper.wait()


def fill(disk: Disk) -> Path:
    """The file that takes all space."""
    filler = disk.outside / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while file.write(BLOCK):
                pass
        except OSError:
            return filler


def order() -> dict:
    return {
        "symbol": "FULL", "qty": "0.001", "side": "buy", "type": "limit", "time_in_force": "gtc",
        "limit_price": "1", "client_order_id": str(uuid.uuid4()),
    }


def until_refused(api: Api) -> tuple[dict, dict | None]:
    """Places orders; the ids of those that were acknowledged, and what the first other one was told."""
    acknowledged = {}
    while True:
        placed = order()
        try:
            status, answer = api.call("POST", "/v2/orders", placed)
        except (OSError, http.client.HTTPException):
            return acknowledged, None
        if status != 200:
            return acknowledged, answer | {"status": status}
        acknowledged[placed["client_order_id"]] = answer["id"]


def said(tmp_path: Path) -> str:
    return (tmp_path / "stderr.log").read_text()


def test_a_full_disk_is_told_and_loses_nothing(disk, tmp_path):
    server = Server(disk.place, disk.within).start(simulate="on", settings=SETTINGS)
    server.admin(
        "instrument", "add", "--symbol", "FULL", "--class", "us_equity", "--tick", "0.01",
        "--lot", "0.001", "--calendar", "always", "--reference-price", "1",
    )
    account = trader(server, "USD=100000")
    filler = fill(disk)

    acknowledged, refused = until_refused(Api(server.url, account))
    assert refused is None or (refused["status"] == 503 and "No space left" in refused["message"])
    assert server.process.wait(timeout=60) == 1
    assert "the event log has failed" in said(tmp_path) and "No space left on device" in said(tmp_path)
    assert acknowledged, "the disk was full before anything was acknowledged"

    with pytest.raises(AssertionError, match="instead of the ready line"):
        server.start()
    assert server.process.wait(timeout=PATIENCE_S) == 1
    assert "cannot open the event log: No space left on device" in said(tmp_path)

    filler.unlink()
    server.start(simulate="off")
    api = Api(server.url, account)
    check(api, acknowledged)
    assert api.call("POST", "/v2/orders", order())[0] == 200
    checked = verify("--url", server.url, "--json")
    assert checked.returncode == 0, checked.stderr
    assert server.stop() == 0
