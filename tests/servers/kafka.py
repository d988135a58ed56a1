#!/usr/bin/env python3
"""A real Apache Kafka for tests: tests/servers/kafka.py run [--nodes N] -- COMMAND...

Starts N nodes (1, or 3 with replication 3 and min.insync.replicas 2) on free ports of loopback
with their data in a temporary directory, runs COMMAND with PREPX_TEST_KAFKA set to their URL and
PREPX_TEST_KAFKA_NODES to N, ends the nodes by their process ids and exits as COMMAND did.

Needs Java 17 or newer, and once Maven with a way to Maven Central: the jars of Kafka are kept in
$PREPX_SERVERS, or ~/.cache/prepx/servers.
"""

import argparse
import base64
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid

VERSION = os.environ.get("KAFKA_VERSION", "4.3.1")
START_SECONDS_MAX = 120
STOP_SECONDS_MAX = 20

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
    kept = os.environ.get("PREPX_SERVERS")
    root = pathlib.Path(kept) if kept else pathlib.Path.home() / ".cache/prepx/servers"
    libs = root / f"kafka-{VERSION}"
    if libs.exists():
        return libs
    for tool in ("java", "mvn"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing: apt-get install openjdk-17-jre-headless maven")
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as work:
        pathlib.Path(work, "pom.xml").write_text(POM.format(version=VERSION))
        fetched = pathlib.Path(work, "libs")
        fetch = ["mvn", "-q", "-B", "-ntp", "dependency:copy-dependencies"]
        fetch += ["-DincludeScope=runtime", f"-DoutputDirectory={fetched}"]
        subprocess.run(fetch, cwd=work, check=True)
        # Only whole directories get the name, whoever fetches at the same time.
        try:
            fetched.rename(libs)
        except OSError:
            if not libs.exists():
                raise
    return libs


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on: all held at once, so that they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in held]
    for server in held:
        server.close()
    return ports


def properties(node: int, clients: list[int], controllers: list[int], data: pathlib.Path) -> str:
    """The configuration of one node, which is broker and controller."""
    nodes = len(clients)
    in_sync = 2 if nodes > 1 else 1
    voters = ",".join(f"{i + 1}@127.0.0.1:{port}" for i, port in enumerate(controllers))
    return f"""process.roles=broker,controller
node.id={node + 1}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{clients[node]},CONTROLLER://127.0.0.1:{controllers[node]}
advertised.listeners=PLAINTEXT://127.0.0.1:{clients[node]}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
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
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=4194304
"""


class Cluster:
    """Nodes that were started here, and are ended here."""

    def __init__(self, nodes: int, work: pathlib.Path):
        self.work, self.processes = work, []
        ports = free_ports(2 * nodes)
        self.clients, controllers = ports[:nodes], ports[nodes:]
        java = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
        java += ["-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        java += ["-Xms64m", "-Xmx256m", "-cp", f"{jars()}/*"]
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        configs = []
        for node in range(nodes):
            config = work / f"node-{node + 1}.properties"
            config.write_text(properties(node, self.clients, controllers, work / f"data-{node + 1}"))
            configs.append(config)
            make = java + ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config)]
            subprocess.run(make, check=True, capture_output=True)
        for config in configs:
            log = open(config.with_suffix(".log"), "wb")
            run = java + ["kafka.Kafka", str(config)]
            # A session of its own: Ctrl-C reaches the command first, and the nodes through us.
            self.processes.append(
                subprocess.Popen(run, stdout=log, stderr=log, start_new_session=True)
            )

    def wait(self):
        """Until every node takes connections."""
        deadline = time.monotonic() + START_SECONDS_MAX
        for port, process in zip(self.clients, self.processes):
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    pass
                if process.poll() is not None or time.monotonic() > deadline:
                    for log in sorted(self.work.glob("*.log")):
                        sys.stderr.write(log.read_text()[-2000:])
                    sys.exit(f"Kafka on port {port} did not start; its log is above")
                time.sleep(0.1)

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
        return "kafka://" + ",".join(f"127.0.0.1:{port}" for port in self.clients)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["run"])
    parser.add_argument("--nodes", type=int, choices=[1, 3], default=1)
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prepx-kafka-") as work:
        cluster = Cluster(args.nodes, pathlib.Path(work))
        try:
            cluster.wait()
            pids = " ".join(str(process.pid) for process in cluster.processes)
            print(f"{cluster.url()} with {args.nodes} node(s), pids {pids}", file=sys.stderr)
            servers = {
                "PREPX_TEST_KAFKA": cluster.url(),
                "PREPX_TEST_KAFKA_NODES": str(args.nodes),
                "PREPX_TEST_KAFKA_PIDS": pids,
            }
            code = subprocess.run(args.command, env={**os.environ, **servers}).returncode
        finally:
            cluster.stop()
    sys.exit(code)


if __name__ == "__main__":
    main()
