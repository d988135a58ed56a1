"""The servers under the platform: three nodes of Kafka, two shards of PostgreSQL, six of Redis, one of
Memcached, all small enough for one machine."""

import concurrent.futures
import os
import pathlib
import tempfile

from state import HOME

import kafka  # noqa: E402
import memcached  # noqa: E402
import postgres  # noqa: E402
import redis  # noqa: E402
from server import Servers  # noqa: E402

from links import Links

NODES = 3
SHARDS = 2
# Of each topic that nobody here reads: a follower's fetch costs its leader what it has partitions.
PARTITIONS_OF_OTHERS = 1
# Connections of PgBouncer to a server: many more than two cores can use at once.
POOL = 20
SMALL = {"shared_buffers": "32MB", "max_connections": 100, "max_wal_size": "256MB"}


def declared(links: Links | None, lasting: bool = False) -> dict[str, Servers]:
    """The servers by the names of their groups, behind links if there are any, and to last if they are; nothing has
    been started."""
    shards = {
        f"postgres-{number}": postgres.Postgres(
            place(f"postgres-{number}"), SMALL, replicas=1, pool=POOL, database="prepx", in_step=True
        )
        for number in range(1, SHARDS + 1)
    }
    logs = {"kafka": kafka.Kafka(place("kafka"), NODES, lasting)}
    caches = {
        "redis": redis.Redis(place("redis"), True),
        "memcached": memcached.Memcached(place("memcached"), 1),
    }
    groups = logs | shards | caches
    if links:
        for group, servers in groups.items():
            servers.door = lambda name, port, group=group: links.before(full_name(group, name), port)
    return groups


def settings(groups: dict[str, Servers], partitions: int) -> dict:
    """Where everything is, as the settings of the platform say it."""
    return {
        "log_url": f"{groups['kafka'].url()}/cluster",
        "log_replication": NODES,
        "log_partitions_of_others": PARTITIONS_OF_OTHERS,
        "sql_url": groups["postgres-1"].url(),
        "sql_shards": sql_shards(groups, partitions),
        "cache_url": f"{groups['redis'].url()}?memcached={groups['memcached'].url()}",
    }


def sql_shards(groups: dict[str, Servers], partitions: int) -> list[dict]:
    """The account partitions shared out among the shards, the first ones in the first."""
    shard_of = lambda partition: partition * SHARDS // partitions
    return [
        {
            "region": f"region-{number}",
            "url": groups[f"postgres-{number}"].url(),
            "partitions": [each for each in range(partitions) if shard_of(each) == number - 1],
        }
        for number in range(1, SHARDS + 1)
    ]


def place(group: str) -> pathlib.Path:
    """Where a group has its data and logs. PostgreSQL runs as a user of its own where we are root: it
    gets a directory that everybody may pass, wherever the project is."""
    work = HOME / group
    if group.startswith("postgres") and os.geteuid() == 0 and not postgres.is_open(HOME):
        work.symlink_to(tempfile.mkdtemp(prefix=f"prepx-{group}-"))
        return work.resolve()
    work.mkdir()
    return work


def start(groups: dict[str, Servers], on_start):
    """Starts all groups side by side; `on_start` hears of each program, by the name of its group and
    its own."""
    for group, servers in groups.items():
        servers.on_start = lambda program, group=group: on_start(named(group, program))
    with concurrent.futures.ThreadPoolExecutor(len(groups)) as pool:
        started = [pool.submit(servers.start) for servers in groups.values()]
        for one in concurrent.futures.as_completed(started):
            one.result()


def named(group: str, program):
    program.name = full_name(group, program.name)
    return program


def full_name(group: str, name: str) -> str:
    return name if name.startswith(group) else f"{group}-{name}"
