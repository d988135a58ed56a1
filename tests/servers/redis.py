#!/usr/bin/env python3
"""A real Redis for tests: tests/servers/redis.py run [--cluster] -- COMMAND...

Starts one server, or a Redis Cluster of three masters with a replica each, on free ports of loopback
and without anything on disk, runs COMMAND with PREPX_TEST_REDIS set to their URL, ends the servers
by their process ids and exits as COMMAND did.

Needs `redis-server` (Debian: apt-get install redis-server), or what REDIS_SERVER names: Valkey does.
"""

import argparse
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 10
SLOTS = 16384
MASTERS = 3
NODES = 6
# A node listens for the others on its port and so many more.
BUS = 10000


def program() -> str:
    """The server to run."""
    wanted = os.environ.get("REDIS_SERVER", "redis-server")
    found = shutil.which(wanted)
    if not found:
        sys.exit(f"{wanted} is missing: apt-get install redis-server, or set REDIS_SERVER")
    return found


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, nor on the one of the bus above each."""
    held, ports = [], []
    while len(ports) < count:
        server = socket.create_server(("127.0.0.1", 0))
        held.append(server)
        port = server.getsockname()[1]
        try:
            held.append(socket.create_server(("127.0.0.1", port + BUS)))
            ports.append(port)
        except (OSError, OverflowError):
            pass
    for server in held:
        server.close()
    return ports


def ask(port: int, *words: str) -> str:
    """One command to one server, and the first line of its answer, or the text that it says the length of."""
    command = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    with socket.create_connection(("127.0.0.1", port), 5) as server:
        server.sendall(command.encode())
        with server.makefile("rb") as answer:
            line = answer.readline().decode().strip()
            if line.startswith("-"):
                raise RuntimeError(f"{' '.join(words)}: {line[1:]}")
            return answer.read(int(line[1:])).decode() if line.startswith("$") else line[1:]


class Servers:
    """Servers that were started here, and are ended here."""

    def __init__(self, is_cluster: bool, work: pathlib.Path):
        self.is_cluster, self.work, self.processes = is_cluster, work, []
        self.ports = free_ports(NODES if is_cluster else 1)
        for port in self.ports:
            home = work / str(port)
            home.mkdir()
            run = [program(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(home)]
            run += ["--save", "", "--appendonly", "no"]
            if is_cluster:
                run += ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
            log = open(home / "log", "wb")
            # A session of its own: Ctrl-C reaches the command first, and the servers through us.
            self.processes.append(
                subprocess.Popen(run, stdout=log, stderr=log, start_new_session=True)
            )

    def wait(self):
        """Until every server answers, and those of a cluster know each other."""
        self.until(lambda port: ask(port, "PING") == "PONG")
        if self.is_cluster:
            self.join()

    def join(self):
        """Makes a cluster of the servers: the slots to the masters, a replica to each."""
        masters, replicas = self.ports[:MASTERS], self.ports[MASTERS:]
        for i, port in enumerate(masters):
            first, end = SLOTS * i // MASTERS, SLOTS * (i + 1) // MASTERS
            ask(port, "CLUSTER", "ADDSLOTSRANGE", str(first), str(end - 1))
            ask(port, "CLUSTER", "SET-CONFIG-EPOCH", str(i + 1))
        for port in self.ports[1:]:
            ask(port, "CLUSTER", "MEET", "127.0.0.1", str(self.ports[0]))
        known = f"cluster_known_nodes:{NODES}"
        self.until(lambda port: known in ask(port, "CLUSTER", "INFO"))
        for master, replica in zip(masters, replicas):
            ask(replica, "CLUSTER", "REPLICATE", ask(master, "CLUSTER", "MYID"))
        self.until(lambda port: "cluster_state:ok" in ask(port, "CLUSTER", "INFO"))
        # Every node knows of every replica: a master that dies then has a successor.
        self.until(lambda port: ask(port, "CLUSTER", "NODES").count("slave ") == NODES - MASTERS)
        for master in masters:
            self.until(lambda _: "state=online" in ask(master, "INFO", "replication"))

    def until(self, condition):
        """Waits until a condition holds at every port."""
        deadline = time.monotonic() + START_SECONDS_MAX
        for port, process in zip(self.ports, self.processes):
            while True:
                problem = "not yet"
                try:
                    if condition(port):
                        break
                except (OSError, RuntimeError) as error:
                    problem = error
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.stderr.write((self.work / str(port) / "log").read_text()[-2000:])
                    sys.exit(f"Redis on port {port} did not start: {problem}; its log is above")
                time.sleep(0.05)

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def url(self) -> str:
        scheme = "redis-cluster" if self.is_cluster else "redis"
        return f"{scheme}://" + ",".join(f"127.0.0.1:{port}" for port in self.ports)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["run"])
    parser.add_argument("--cluster", action="store_true")
    # Split here: argparse would look for its own options, and another --, in the command.
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    own, command = sys.argv[1:end], sys.argv[end + 1 :]
    args = parser.parse_args(own)
    if not command:
        parser.error("say what to run, after --")
    with tempfile.TemporaryDirectory(prefix="prepx-redis-") as work:
        servers = Servers(args.cluster, pathlib.Path(work))
        try:
            servers.wait()
            pids = " ".join(str(process.pid) for process in servers.processes)
            print(f"{servers.url()}, pids {pids}", file=sys.stderr)
            known = {"PREPX_TEST_REDIS": servers.url(), "PREPX_TEST_REDIS_PIDS": pids}
            code = subprocess.run(command, env={**os.environ, **known}).returncode
        finally:
            servers.stop()
    sys.exit(code)


if __name__ == "__main__":
    main()
