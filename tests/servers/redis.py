#!/usr/bin/env python3
"""A real Redis for tests: tests/servers/redis.py run [--cluster] [--exporter] -- COMMAND...

Starts one server, or a Redis Cluster of three masters with a replica each, on free ports of loopback
and without anything on disk, runs COMMAND with PREPX_TEST_REDIS set to their URL, ends the servers
by their process ids and exits as COMMAND did. With --exporter a Redis exporter tells of the first one at the address in
PREPX_TEST_REDIS_METRICS.

Needs `redis-server` (Debian: apt-get install redis-server), or what REDIS_SERVER names: Valkey does.
"""

import argparse
import os
import pathlib
import shutil
import socket
import sys
import tempfile

import debian
import server

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


class Redis(server.Servers):
    """One Redis, or the nodes of a cluster."""

    def __init__(self, work: pathlib.Path, is_cluster: bool, is_told_of: bool = False):
        super().__init__(work)
        self.is_cluster = is_cluster
        self.exporter_port = server.free_ports(1)[0] if is_told_of else 0
        self.ports = server.free_ports(NODES if is_cluster else 1, above=BUS)

    def start(self):
        """Until every server answers, and those of a cluster know each other."""
        for number, port in enumerate(self.ports, 1):
            home = self.work / f"data-{number}"
            home.mkdir()
            run = [program(), "--port", port, "--bind", self.LISTEN, "--dir", home]
            run += ["--save", "", "--appendonly", "no", "--protected-mode", "no"]
            # Who is told of has a bound, of which it is told how much is taken.
            run += ["--maxmemory", "1gb"] if self.exporter_port else []
            if self.is_cluster:
                run += ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
                run += ["--cluster-announce-port", self.door(f"redis-{number}", port)]
            self.spawn(f"redis-{number}", run, port)
        self.everywhere(lambda port: ask(port, "PING") == "PONG")
        if self.is_cluster:
            self.join()
        if self.exporter_port:
            exporter = debian.program("prometheus-redis-exporter", "/usr/bin/prometheus-redis-exporter")
            flags = ["--redis.addr", f"redis://127.0.0.1:{self.ports[0]}", "--web.listen-address", f"127.0.0.1:{self.exporter_port}"]
            told = self.spawn("exporter", [exporter, *flags], self.exporter_port)
            told.until(told.listens, self.START_SECONDS_MAX)

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
        self.everywhere(lambda port: known in ask(port, "CLUSTER", "INFO"))
        for master, replica in zip(masters, replicas):
            ask(replica, "CLUSTER", "REPLICATE", ask(master, "CLUSTER", "MYID"))
        self.everywhere(lambda port: "cluster_state:ok" in ask(port, "CLUSTER", "INFO"))
        # Every node knows of every replica: a master that dies then has a successor.
        self.everywhere(lambda port: ask(port, "CLUSTER", "NODES").count("slave ") == NODES - MASTERS)
        for master in masters:
            self.everywhere(lambda _: "state=online" in ask(master, "INFO", "replication"))

    def everywhere(self, condition):
        """Waits until a condition holds at every port."""
        for program in self.programs:
            program.until(lambda: condition(program.port), self.START_SECONDS_MAX)

    def url(self) -> str:
        scheme = "redis-cluster" if self.is_cluster else "redis"
        doors = [self.door(f"redis-{number}", port) for number, port in enumerate(self.ports, 1)]
        return f"{scheme}://" + ",".join(f"{self.ADDRESS}:{port}" for port in doors)

    def environment(self) -> dict[str, str]:
        told = {"PREPX_TEST_REDIS_METRICS": f"127.0.0.1:{self.exporter_port}"} if self.exporter_port else {}
        return {"PREPX_TEST_REDIS": self.url(), "PREPX_TEST_REDIS_PIDS": self.pids()} | told


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cluster", action="store_true")
    parser.add_argument("--exporter", action="store_true", help="with a program that tells of it as Prometheus asks")
    args, command = server.arguments(parser)
    with tempfile.TemporaryDirectory(prefix="prepx-redis-") as work:
        server.run(Redis(pathlib.Path(work), args.cluster, args.exporter), command)


if __name__ == "__main__":
    main()
