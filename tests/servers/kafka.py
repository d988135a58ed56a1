#!/usr/bin/env python3
"""A real Apache Kafka for tests: tests/servers/kafka.py run [--nodes N] [--tls] [--metrics RULES] -- COMMAND...

Starts N nodes (1, or 3 with replication 3 and min.insync.replicas 2) on free ports of loopback
with their data in a temporary directory, runs COMMAND with PREPX_TEST_KAFKA set to their URL and
PREPX_TEST_KAFKA_NODES to N, ends the nodes by their process ids and exits as COMMAND did. With --tls clients
speak TLS and show a password, which the URL says. With --metrics each
node tells of itself by the JMX exporter with these rules, at the addresses in PREPX_TEST_KAFKA_METRICS.

Needs Java 17 or newer, and once Maven with a way to Maven Central: the jars of Kafka are kept in
$PREPX_SERVERS, or ~/.cache/prepx/servers.
"""

import argparse
import base64
import os
import pathlib
import socket
import struct
import subprocess
import tempfile
import urllib.parse
import uuid
from dataclasses import dataclass

import authority
import server

USER, PASSWORD = "prepx", "a/secret"
VERSION = os.environ.get("KAFKA_VERSION", "4.3.1")
EXPORTER_VERSION = "1.0.1"

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>test</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{version}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""


def jars() -> pathlib.Path:
    """The directory of Kafka's jars, fetched the first time."""
    server.need("openjdk-17-jre-headless", "java")

    def fetch(work: pathlib.Path) -> pathlib.Path:
        pathlib.Path(work, "pom.xml").write_text(POM.format(version=VERSION))
        into = pathlib.Path(work, "libs")
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime"]
        server.maven(work, *goal, f"-DoutputDirectory={into}")
        return into

    return server.kept(f"kafka-{VERSION}", fetch)


def exporter() -> pathlib.Path:
    """The agent by which a JVM tells of itself as Prometheus asks, fetched the first time."""
    name = "jmx_prometheus_javaagent"

    def fetch(work: pathlib.Path) -> pathlib.Path:
        into = pathlib.Path(work, "libs")
        artifact = f"io.prometheus.jmx:{name}:{EXPORTER_VERSION}"
        server.maven(work, "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={into}")
        return into

    return server.kept(f"jmx-exporter-{EXPORTER_VERSION}", fetch) / f"{name}-{EXPORTER_VERSION}.jar"


def properties(node: int, ports: "Ports", data: pathlib.Path, kafka: type[server.Servers]) -> str:
    """The configuration of one node, which is broker and controller."""
    nodes = len(ports.controllers)
    in_sync = 2 if nodes > 1 else 1
    voters = ",".join(f"{i + 1}@127.0.0.1:{port}" for i, port in enumerate(ports.controllers))
    return f"""process.roles=broker,controller
node.id={node + 1}
controller.quorum.voters={voters}
listeners=CLIENT://{kafka.LISTEN}:{ports.clients[node]},BROKER://127.0.0.1:{ports.brokers[node]},CONTROLLER://127.0.0.1:{ports.controllers[node]}
advertised.listeners=CLIENT://{kafka.ADDRESS}:{ports.doors[node]},BROKER://127.0.0.1:{ports.brokers[node]}
controller.listener.names=CONTROLLER
inter.broker.listener.name=BROKER
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor={nodes}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={nodes}
offsets.topic.num.partitions=5
transaction.state.log.replication.factor={nodes}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=3
share.coordinator.state.topic.replication.factor={nodes}
share.coordinator.state.topic.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=3
group.initial.rebalance.delay.ms=0
# Whoever went silent is given up soon: owners of partitions after some 3 s, brokers, and whoever has
# left a transaction open.
group.min.session.timeout.ms=1000
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=4194304
"""


PROTOCOLS = "listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENT:"
PLAIN = PROTOCOLS + "PLAINTEXT\n"
SECURED = PROTOCOLS + """SASL_SSL
listener.name.client.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.client.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.client.ssl.keystore.type=PEM
listener.name.client.ssl.keystore.location={identity}
"""


@dataclass
class Ports:
    """Of each node where it serves clients, other brokers and other controllers, and where clients are told
    that it is."""

    clients: list[int]
    brokers: list[int]
    controllers: list[int]
    doors: list[int]


# What nodes are asked here, by the number and the version of Kafka's protocol.
METADATA = (3, 1)


class Fields:
    """What a node has answered, field by field."""

    def __init__(self, body: bytes):
        self.body, self.at = body, 0

    def take(self, form: str) -> int:
        value = struct.unpack_from("!" + form, self.body, self.at)[0]
        self.at += struct.calcsize("!" + form)
        return value

    def bytes(self, size: int) -> bytes:
        self.at += max(size, 0)
        return self.body[self.at - max(size, 0) : self.at]

    def text(self) -> str:
        return self.bytes(self.take("h")).decode()

    def list(self, one) -> list:
        return [one() for _ in range(self.take("i"))]


def ask(port: int, what: tuple[int, int], body: bytes) -> Fields:
    """One question to one node."""
    client = b"tests"
    asked = struct.pack("!hhih", *what, 1, len(client)) + client + body
    with socket.create_connection(("127.0.0.1", port), 5) as node:
        node.sendall(struct.pack("!i", len(asked)) + asked)
        with node.makefile("rb") as answer:
            size = answer.read(4)
            if len(size) < 4:
                raise RuntimeError(f"the node on port {port} hung up")
            fields = Fields(answer.read(struct.unpack("!i", size)[0]))
    fields.take("i")  # Which question it answers.
    return fields


def partitions(port: int) -> list[tuple[str, int, int, list[int], list[int]]]:
    """Of each partition its topic, number, leader, replicas and those that are in sync, as one node
    knows them."""
    told = ask(port, METADATA, struct.pack("!i", -1))  # Of all topics.
    number = lambda: told.take("i")
    told.list(lambda: (number(), told.text(), number(), told.text()))
    number()  # Which node is the controller.

    def partition():
        told.take("h")
        return number(), number(), told.list(number), told.list(number)

    def topic():
        told.take("h")
        name, _ = told.text(), told.take("b")
        return [(name, *found) for found in told.list(partition)]

    return sum(told.list(topic), [])


class Kafka(server.Servers):
    """Nodes of one Kafka."""

    START_SECONDS_MAX = 120

    def __init__(
        self, work: pathlib.Path, nodes: int, lasting: bool = False, metrics: pathlib.Path | None = None, tls: bool = False
    ):
        """Nodes of a Kafka that lasts have both of Java's compilers, which take minutes of a core and halve what a
        request costs after that; for a test that ends within them the first compiler alone is faster. They have a
        heap, too, whose young part holds what waits for replicas until it is garbage: in a small one that became old, and a
        full collection stopped a node for a tenth of a second every twenty."""
        super().__init__(work)
        self.metrics, self.metrics_ports = metrics, server.free_ports(nodes) if metrics else []
        self.authority = authority.Authority(work / "certificates") if tls else None
        self.machine = ["-Xms384m", "-Xmx384m", "-Xmn256m"]
        if not lasting:
            self.machine = ["-Xms64m", "-Xmx256m", "-XX:TieredStopAtLevel=1"]
        ports = server.free_ports(3 * nodes)
        self.ports = Ports(*(ports[at : at + nodes] for at in range(0, 3 * nodes, nodes)), [])

    def start(self):
        java = ["java", "-XX:+UseSerialGC", *self.machine, "-Xshare:auto"]
        java += ["-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        java += ["-cp", f"{jars()}/*"]
        # Not one that begins with a dash, which the tool would take for an option.
        cluster = "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        self.ports.doors = self.doors()
        configs = [self.format(node, java, cluster) for node in range(len(self.ports.clients))]
        for node, (config, port) in enumerate(zip(configs, self.ports.clients)):
            self.spawn(config.stem, java + self.agent(node) + ["kafka.Kafka", config], port)
        self.until_they_listen()

    def agent(self, node: int) -> list[str]:
        if not self.metrics:
            return []
        return [f"-javaagent:{exporter()}=127.0.0.1:{self.metrics_ports[node]}:{self.metrics.resolve()}"]

    def format(self, node: int, java: list[str], cluster: str) -> pathlib.Path:
        """Prepares the data of one node, and says where its configuration is."""
        config, data = self.work / f"kafka-{node + 1}.properties", self.work / f"data-{node + 1}"
        config.write_text(properties(node, self.ports, data, type(self)) + self.secured())
        make = java + ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", config]
        if self.authority:
            make += ["--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"]
        subprocess.run(make, check=True, capture_output=True)
        return config

    def secured(self) -> str:
        """How clients are spoken to, where it is not in plain text."""
        if not self.authority:
            return PLAIN
        identity = self.authority.path("identity.pem")
        if not identity.exists():
            identity.write_text("".join(path.read_text() for path in reversed(self.authority.server())))
        return SECURED.format(identity=identity)

    def doors(self) -> list[int]:
        return [self.door(f"kafka-{node}", port) for node, port in enumerate(self.ports.clients, 1)]

    def url(self) -> str:
        brokers = ",".join(f"{self.ADDRESS}:{port}" for port in self.doors())
        if not self.authority:
            return f"kafka://{brokers}"
        password = urllib.parse.quote(PASSWORD, safe="")
        return f"kafka+ssl://{USER}:{password}@{brokers}?sslrootcert={self.authority.path('ca.pem')}"

    def environment(self) -> dict[str, str]:
        return {
            "PREPX_TEST_KAFKA": self.url(),
            "PREPX_TEST_KAFKA_NODES": str(len(self.ports.clients)),
            "PREPX_TEST_KAFKA_PIDS": self.pids(),
            "PREPX_TEST_KAFKA_METRICS": " ".join(f"127.0.0.1:{port}" for port in self.metrics_ports),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, choices=[1, 3], default=1)
    parser.add_argument("--lasting", action="store_true", help="with both of Java's compilers: faster after minutes")
    parser.add_argument("--metrics", type=pathlib.Path, help="rules by which each node tells of itself")
    parser.add_argument("--tls", action="store_true")
    args, command = server.arguments(parser)
    with tempfile.TemporaryDirectory(prefix="prepx-kafka-") as work:
        server.run(Kafka(pathlib.Path(work), args.nodes, args.lasting, args.metrics, args.tls), command)


if __name__ == "__main__":
    main()
