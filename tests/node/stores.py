"""Kafka, PostgreSQL behind PgBouncer, Redis and a bucket beside the node, as tests have them, and the name by which pods find them."""

import pathlib
from concurrent.futures import ThreadPoolExecutor

import node

import kafka
import postgres
import redis
import s3
import server

SMALL = {"shared_buffers": "32MB", "max_connections": 100, "max_wal_size": "256MB"}
POOL = 40
NAMESPACE = "prepx"


class Stores:
    """One of each."""

    def __init__(self, work: pathlib.Path):
        server.Servers.ADDRESS, server.Servers.LISTEN = node.ADDRESS, "0.0.0.0"
        for name in ("kafka", "postgres", "redis", "s3"):
            (work / name).mkdir(parents=True)
        self.kafka = kafka.Kafka(work / "kafka", 1)
        self.postgres = postgres.Postgres(work / "postgres", SMALL, pool=POOL, database="prepx")
        self.redis = redis.Redis(work / "redis", False)
        self.s3 = s3.S3(work / "s3")
        self.all = (self.kafka, self.postgres, self.redis, self.s3)

    def start(self):
        with ThreadPoolExecutor() as together:
            list(together.map(lambda servers: servers.start(), self.all))

    def stop(self):
        for servers in self.all:
            servers.stop()

    def documents(self) -> list[dict]:
        """A Service whose endpoint is the node itself."""
        places = {9092: self.kafka.ports.clients[0], 5432: self.postgres.bouncers[0], 6379: self.redis.ports[0], 5000: self.s3.port}
        return node.service_of_it("stores", NAMESPACE, *places, places=places)
