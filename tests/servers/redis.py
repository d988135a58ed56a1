#!/usr/bin/env python3
"""A real Redis for tests: tests/servers/redis.py run [--cluster] [--tls] [--exporter] -- COMMAND...

Starts one server, or a Redis Cluster of three masters with a replica each, on free ports of loopback
and without anything on disk, runs COMMAND with PREPX_TEST_REDIS set to their URL, ends the servers
by their process ids and exits as COMMAND did. With --tls they speak nothing but TLS, demand a certificate of
their clients and a password, and the URL says it all. With --exporter a Redis exporter serves metrics of the first
one at the address in PREPX_TEST_REDIS_METRICS.

Needs `redis-server` (Debian: apt-get install redis-server), or what REDIS_SERVER names. With `valkey-server` and none on the
system it is that of a newer Debian.
"""

import argparse
import os
import pathlib
import shutil
import socket
import ssl
import sys
import tempfile
import urllib.parse

import authority
import debian
import server

SLOTS = 16384
MASTERS = 3
NODES = 6
# A node listens for the others on its port and so many more.
BUS = 10000
PASSWORD = "a/secret"


def program() -> str:
    """The server to run."""
    wanted = os.environ.get("REDIS_SERVER") or "redis-server"
    found = shutil.which(wanted)
    if not found and wanted == "valkey-server":
        return str(debian.program("valkey-server", "/usr/bin/valkey-server"))
    if not found:
        sys.exit(f"{wanted} is missing: apt-get install redis-server, or set REDIS_SERVER")
    return found


def ask(port: int, *words: str, tls: ssl.SSLContext | None = None) -> str:
    """One command to one server, and the first line of its answer, or the text that it says the length of."""
    with socket.create_connection(("127.0.0.1", port), 5) as plain:
        if not tls:
            return told(plain, words)
        with tls.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
            told(secured, ("AUTH", PASSWORD))
            return told(secured, words)


def told(server: socket.socket, words: tuple[str, ...]) -> str:
    command = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    server.sendall(command.encode())
    with server.makefile("rb") as answer:
        line = answer.readline().decode().strip()
        if line.startswith("-"):
            raise RuntimeError(f"{words[0]}: {line[1:]}")
        return answer.read(int(line[1:])).decode() if line.startswith("$") else line[1:]


class Redis(server.Servers):
    """One Redis, or the nodes of a cluster."""

    def __init__(self, work: pathlib.Path, is_cluster: bool, tls: bool = False, exporter: bool = False):
        super().__init__(work)
        self.is_cluster = is_cluster
        self.exporter_port = server.free_ports(1)[0] if exporter else 0
        self.client: ssl.SSLContext | None = None
        self.authority = authority.Authority(work / "certificates") if tls else None
        self.ports = server.free_ports(NODES if is_cluster else 1, above=BUS)

    def start(self):
        """Until every server answers, and those of a cluster know each other."""
        tls = self.tls() if self.authority else []
        for number, port in enumerate(self.ports, 1):
            home = self.work / f"data-{number}"
            home.mkdir()
            ports = ["--port", 0, "--tls-port", port] if tls else ["--port", port]
            run = [program(), *ports, *tls, "--bind", self.LISTEN, "--dir", home]
            run += ["--save", "", "--appendonly", "no", "--protected-mode", "no"]
            # Who is told of has a bound, of which it is told how much is taken.
            run += ["--maxmemory", "1gb"] if self.exporter_port else []
            if self.is_cluster:
                run += ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
                run += ["--cluster-announce-tls-port" if tls else "--cluster-announce-port", self.door(f"redis-{number}", port)]
            self.spawn(f"redis-{number}", run, port)
        self.everywhere(lambda port: self.ask(port, "PING") == "PONG")
        if self.is_cluster:
            self.join()
        if self.exporter_port:
            exporter = debian.program("prometheus-redis-exporter", "/usr/bin/prometheus-redis-exporter")
            flags = ["--redis.addr", f"redis://127.0.0.1:{self.ports[0]}", "--web.listen-address", f"127.0.0.1:{self.exporter_port}"]
            told = self.spawn("exporter", [exporter, *flags], self.exporter_port)
            told.until(told.listens, self.START_SECONDS_MAX)

    def tls(self) -> list:
        """What has them speak TLS to everybody, each other too."""
        certificate, key = self.authority.server()
        self.client = ssl.create_default_context(cafile=str(self.authority.path("ca.pem")))
        self.client.load_cert_chain(certificate, key)
        files = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", self.authority.path("ca.pem")]
        files += ["--requirepass", PASSWORD, "--masterauth", PASSWORD, "--tls-replication", "yes"]
        return files + (["--tls-cluster", "yes"] if self.is_cluster else [])

    def ask(self, port: int, *words: str) -> str:
        return ask(port, *words, tls=self.client)

    def join(self):
        """Makes a cluster of the servers: the slots to the masters, a replica to each."""
        masters, replicas = self.ports[:MASTERS], self.ports[MASTERS:]
        for i, port in enumerate(masters):
            first, end = SLOTS * i // MASTERS, SLOTS * (i + 1) // MASTERS
            self.ask(port, "CLUSTER", "ADDSLOTSRANGE", str(first), str(end - 1))
            self.ask(port, "CLUSTER", "SET-CONFIG-EPOCH", str(i + 1))
        for port in self.ports[1:]:
            self.ask(port, "CLUSTER", "MEET", "127.0.0.1", str(self.ports[0]))
        known = f"cluster_known_nodes:{NODES}"
        self.everywhere(lambda port: known in self.ask(port, "CLUSTER", "INFO"))
        for master, replica in zip(masters, replicas):
            self.ask(replica, "CLUSTER", "REPLICATE", self.ask(master, "CLUSTER", "MYID"))
        self.everywhere(lambda port: "cluster_state:ok" in self.ask(port, "CLUSTER", "INFO"))
        # Every node knows of every replica: a master that dies then has a successor.
        self.everywhere(lambda port: self.ask(port, "CLUSTER", "NODES").count("slave ") == NODES - MASTERS)
        for master in masters:
            self.everywhere(lambda _: "state=online" in self.ask(master, "INFO", "replication"))

    def everywhere(self, condition):
        """Waits until a condition holds at every port."""
        for program in self.programs:
            program.until(lambda: condition(program.port), self.START_SECONDS_MAX)

    def url(self) -> str:
        scheme, login, query = "redis", "", ""
        if self.client:
            scheme, login, query = "rediss", f"default:{urllib.parse.quote(PASSWORD, safe='')}@", self.query()
        scheme += "-cluster" if self.is_cluster else ""
        doors = [self.door(f"redis-{number}", port) for number, port in enumerate(self.ports, 1)]
        return f"{scheme}://{login}" + ",".join(f"{self.ADDRESS}:{port}" for port in doors) + query

    def query(self) -> str:
        files = {"sslrootcert": "ca.pem", "sslcert": "server.pem", "sslkey": "server.key"}
        return "?" + "&".join(f"{name}={self.authority.path(file)}" for name, file in files.items())

    def environment(self) -> dict[str, str]:
        told = {"PREPX_TEST_REDIS_METRICS": f"127.0.0.1:{self.exporter_port}"} if self.exporter_port else {}
        return {"PREPX_TEST_REDIS": self.url(), "PREPX_TEST_REDIS_PIDS": self.pids()} | told


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cluster", action="store_true")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--exporter", action="store_true", help="with a Prometheus exporter beside the first server; not with --tls")
    args, command = server.arguments(parser)
    if args.tls and args.exporter:
        parser.error("the exporter does not speak TLS: give --tls or --exporter")
    with tempfile.TemporaryDirectory(prefix="prepx-redis-") as work:
        server.run(Redis(pathlib.Path(work), args.cluster, args.tls, args.exporter), command)


if __name__ == "__main__":
    main()
