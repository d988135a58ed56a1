"""How every part of a cluster is, as it says itself."""

import struct

from state import ROOT  # noqa: F401

import kafka  # noqa: E402
import postgres  # noqa: E402
import redis  # noqa: E402
from server import Program  # noqa: E402

from services import get

# As libs/owner writes it: a version, the code of the journal's topic, partition, epoch, address.
TABLE, TABLE_VERSION, TABLE_HEAD = "stage-owners", 1, struct.calcsize("!BHII")
STAGES = {14: "account", 15: "matching"}


def table(programs: list[Program]) -> str:
    """One line a part."""
    rows = [("part", "address", "pid", "health")]
    rows += [
        (program.name, f"127.0.0.1:{program.port}", str(program.pid), health(program))
        for program in programs
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[3]]) for row in rows]
    return "\n".join(lines)


def seats(programs: list[Program]) -> str:
    """Who owns which partition of the stages under which epoch, as the owners have told last."""
    try:
        owners = told_by_owners(programs)
    except (OSError, RuntimeError, StopIteration) as error:
        return f"who owns which partition cannot be told: {error}"
    if not owners:
        return "no owner of a partition has told of itself"
    names = {f"127.0.0.1:{program.port}": program.name for program in programs}
    rows = [("partition", "owner", "epoch")]
    for (stage, partition), (epoch, address) in sorted(owners.items()):
        place = address.removeprefix("http://")
        rows.append((f"{STAGES.get(stage, stage)}/{partition}", names.get(place, place), str(epoch)))
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join("  ".join([row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2]]) for row in rows)


def told_by_owners(programs: list[Program]) -> dict[tuple[int, int], tuple[int, str]]:
    """Of each partition, by the topic of its journal, the newest epoch and the address of its owner."""
    nodes = {program.name: program for program in programs if program.name.startswith("kafka")}
    up = next(node for node in nodes.values() if node.is_running())
    table = next(found for found in kafka.partitions(up.port) if found[0].endswith(TABLE))
    owners = {}
    for record in kafka.records(nodes[f"kafka-{table[2]}"].port, table[0]):
        version, stage, partition, epoch = struct.unpack_from("!BHII", record)
        if version == TABLE_VERSION and epoch >= owners.get((stage, partition), (0,))[0]:
            owners[stage, partition] = (epoch, record[TABLE_HEAD:].decode())
    return owners


def health(program: Program) -> str:
    """What one part says, in a few words; `ok` first where nothing is wrong."""
    if not program.is_running():
        return "ended"
    for prefix, ask in ASKED.items():
        if program.name.startswith(prefix):
            try:
                return ask(program)
            except (OSError, RuntimeError) as error:
                return f"does not answer: {error}"
    return "ok" if program.listens() else "does not answer"


def of_kafka(program: Program) -> str:
    found = kafka.partitions(program.port)
    behind = [1 for *_, leader, replicas, in_sync in found if leader < 0 or len(in_sync) < len(replicas)]
    return f"{len(behind)} of {len(found)} partitions behind" if behind else f"ok, {len(found)} partitions"


def of_postgres(program: Program) -> str:
    if program.name.endswith("pgbouncer"):
        return "ok" if postgres.ask(program.port, "SELECT 1", "prepx") == "1" else "does not answer"
    if postgres.ask(program.port, "SELECT pg_is_in_recovery()") == "t":
        bytes_behind = "pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())"
        return f"ok, follows, {postgres.ask(program.port, f'SELECT {bytes_behind}')} bytes to replay"
    streams = postgres.ask(
        program.port, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
    )
    return f"ok, leads, {streams} replica(s) streaming"


def of_redis(program: Program) -> str:
    role = redis.ask(program.port, "INFO", "replication").split("role:")[1].split()[0]
    state = redis.ask(program.port, "CLUSTER", "INFO").split("cluster_state:")[1].split()[0]
    return f"{state}, {role}"


def of_prepx(program: Program) -> str:
    # One process of all has neither path, but it serves.
    ready = get(program.port, "/readyz")
    return {200: "ok", 404: "ok", 503: "ok, stands by"}.get(ready, f"/readyz answers {ready}")


ASKED = {"kafka": of_kafka, "postgres": of_postgres, "redis": of_redis, "prepx": of_prepx}
