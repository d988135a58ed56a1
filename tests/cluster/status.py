"""How every part of a cluster is, as it says itself."""

import dataclasses
import json

from state import ROOT  # noqa: F401

import kafka  # noqa: E402
import memcached  # noqa: E402
import postgres  # noqa: E402
import redis  # noqa: E402
from server import Program  # noqa: E402

from services import OPERATOR, ask, probe


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


@dataclasses.dataclass
class Seat:
    """A partition of a stage, and who owns it under which epoch; both None while nobody does."""

    name: str
    owner: str | None
    epoch: int | None


def seats(programs: list[Program]) -> list[Seat]:
    """Who owns which partition of the stages, by the name of the part, as the first gateway tells that does."""
    problem = "there is no gateway"
    for gateway in programs:
        if not (gateway.name == "prepx" or gateway.name.startswith("prepx-gateway")):
            continue
        try:
            status, body = ask(gateway.port, "/api/v1/admin/status", OPERATOR)
        except OSError as error:
            problem = error
            continue
        if status == 200:
            names = {f"127.0.0.1:{program.port}": program.name for program in programs}
            told = json.loads(body)["partitions"]
            return [
                Seat(found["name"], names.get(found["owner"], found["owner"]), found["epoch"]) for found in told
            ]
        problem = f"{gateway.name} answers {status}"
    raise OSError(f"who owns which partition cannot be told: {problem}")


def table_of_seats(programs: list[Program]) -> str:
    """One line a partition."""
    try:
        found = seats(programs)
    except OSError as error:
        return str(error)
    rows = [("partition", "owner", "epoch")]
    rows += [(seat.name, seat.owner or "nobody", str(seat.epoch or "")) for seat in found]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join("  ".join([row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2]]) for row in rows)


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


def of_memcached(program: Program) -> str:
    told = memcached.stats(program.port)
    return f"ok, {told['curr_items']} values, {told['evictions']} evicted"


def of_prepx(program: Program) -> str:
    # One process of all has neither path, but it serves.
    ready = probe(program, "/readyz")
    return {200: "ok", 404: "ok", 503: "ok, stands by"}.get(ready, f"/readyz answers {ready}")


ASKED = {
    "kafka": of_kafka, "postgres": of_postgres, "redis": of_redis, "memcached": of_memcached, "prepx": of_prepx,
}
