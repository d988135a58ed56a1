"""The processes of PrepX behind the mesh: a gateway, and several that answer as `prepx-user`."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent / "cluster"), str(HERE.parent / "servers")]
import server
import clocks

START_SECONDS_MAX = 120
PEERS = ["user", "trading", "risk", "notification", "portfolio", "market_data", "analytics"]
CLUSTER_KEY = "a-key-of-the-processes-of-one-test"
# How far behind the clock of the one is that signs tokens which have ended: they last a quarter of an hour.
BEHIND_SECONDS = 3600


def binaries() -> pathlib.Path:
    """Where the optimised programs are; they are built where they are not."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    place = pathlib.Path(os.environ.get("BINARIES_UNDER_TEST", target / "release"))
    if not all((place / name).exists() for name in ("prepx", "prepx-gateway")):
        build = ["cargo", "build", "--release", "--locked", "-p", "prepx-standalone", "-p", "prepx-gateway", "--bins"]
        subprocess.run(build, cwd=ROOT, check=True)
    return place


class Processes(server.Servers):
    """They have the same users, keys and signing keys, as processes on one database have."""

    def __init__(self, work: pathlib.Path, names: list[str]):
        super().__init__(work)
        self.binaries, self.names = binaries(), names
        ports = iter(server.free_ports(len(names) + 4))
        self.ports = {name: next(ports) for name in names}
        self.gateway_port, self.gateway_probe_port, self.first_port, self.past_port = ports

    def start(self):
        """All but the gateway."""
        self.make_data()
        for name in self.names:
            shutil.copytree(self.work / "data", self.work / name)
            self.start_one(name)
        self.until_they_listen()

    def make_data(self):
        first = self.prepx("data", self.first_port)
        first.until(first.listens, START_SECONDS_MAX)
        self.stop()
        self.programs.clear()

    def start_one(self, name: str) -> server.Program:
        return self.prepx(name, self.ports[name])

    def prepx(self, data: str, port: int, env: dict = {}) -> server.Program:
        command = [self.binaries / "prepx", "start", "--dev", "--simulate", "off"]
        command += ["--listen", f"127.0.0.1:{port}", "--data-dir", self.work / data]
        return self.spawn(f"prepx-{data}", command, port, env=env)

    def in_the_past(self) -> server.Program:
        """One whose clock is behind."""
        directory = self.work / "clocks"
        directory.mkdir()
        env = clocks.environment(directory, "past")
        (directory / "past").write_text(f"-{BEHIND_SECONDS}\n")
        shutil.copytree(self.work / "data", self.work / "past")
        program = self.prepx("past", self.past_port, env)
        program.until(program.listens, START_SECONDS_MAX)
        return program

    def start_gateway(self, user: str) -> server.Program:
        """The gateway, which is told where `prepx-user` is; of the others it asks the first process."""
        elsewhere = f"http://127.0.0.1:{self.ports[self.names[0]]}"
        peers = {f"PREPX_PEERS__{peer.upper()}": elsewhere for peer in PEERS} | {"PREPX_PEERS__USER": user}
        command = [self.binaries / "prepx-gateway", "--dev", "--listen", f"127.0.0.1:{self.gateway_port}"]
        command += ["--probe-listen", f"127.0.0.1:{self.gateway_probe_port}", "--data-dir", self.work / "gateway"]
        return self.spawn("prepx-gateway", command, self.gateway_port, self.gateway_probe_port, peers | {
            "PREPX_CLUSTER_KEY": CLUSTER_KEY,
        })


def calls(metrics: str, method: str) -> int:
    """How many calls of a method a process has answered, by what it tells of itself."""
    found = re.findall(rf'^prepx_calls_total\{{method="{re.escape(method)}"[^}}]*\}} (\d+)', metrics, re.MULTILINE)
    return sum(map(int, found))
