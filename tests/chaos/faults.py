"""What is done to the parts of a cluster, and how they are made well again."""

import pathlib
import random
import signal
import time
from dataclasses import dataclass, field, replace

import clocks
import links
import postgres
import redis
import state
import status
from callers import until
from links import Quality
from server import Program

HEAL_SECONDS_MAX = 120
# Of a program that refuses to start until what it has left behind is gone.
START_AGAIN_SECONDS = 0.5
SIGNALS = {"kill": signal.SIGKILL, "drain": signal.SIGTERM, "pause": signal.SIGSTOP}
# In turn, so that few rounds meet many kinds.
PLAN = (
    ("prepx", "kill"), ("postgres", "promote"), ("prepx", "usurp"), ("prepx", "second"), ("link", "cut"), ("kafka", "kill"),
    ("prepx", "fill"), ("prepx", "drain"), ("redis", "failover"), ("link", "slow"), ("prepx", "pause"), ("postgres", "kill"),
    ("link", "silence"), ("prepx", "jump"), ("prepx", "kill"), ("kafka", "pause"), ("redis", "kill"), ("prepx", "drain"),
    ("link", "narrow"), ("postgres", "pause"), ("prepx", "jump"), ("redis", "pause"), ("kafka", "fill"),
    ("prepx", "pause"), ("postgres", "fill"),
)
# Of one link, and of all links to one kind of server.
OF_ONE = {"cut": Quality(is_cut=True), "silence": Quality(is_silent=True)}
OF_ALL = {"slow": Quality(delay_ms=100), "narrow": Quality(bytes_a_second=64 << 10)}
SERVERS = ("kafka", "postgres", "redis", "memcached")
JUMPS_SECONDS = (3600, 60, -60, -3600)
# Shorter than a session, about as long, and much longer.
LASTS_SECONDS = (0.5, 3.0, 8.0)
WELL = Quality()
# What a second program on the same data says.
REFUSAL = "is in use by"


@dataclass
class Fault:
    """One part is killed, or asked to end, and started again after a while; or paused for that while."""

    part: Program
    way: str
    seconds: float = field(default=0.0, kw_only=True)

    def name(self) -> str:
        return self.part.name

    def strike(self):
        self.part.send(SIGNALS[self.way])

    def heal(self):
        """Starts what has ended, wakes what was paused."""
        if self.way == "pause":
            self.part.send(signal.SIGCONT)
        else:
            self.part.wait_end(HEAL_SECONDS_MAX)
            self.part.start()


@dataclass
class Promotion(Fault):
    """A primary of PostgreSQL is killed and its replica promoted, as an operator would; later it comes back
    and follows."""

    replica: Program

    def strike(self):
        self.part.send(signal.SIGKILL)

    def heal(self):
        self.part.wait_end(HEAL_SECONDS_MAX)
        postgres.promote(self.replica, HEAL_SECONDS_MAX)
        # Alone for as long as it was away, so that there is something to copy.
        time.sleep(self.seconds)
        postgres.follow(self.part, self.replica, HEAL_SECONDS_MAX)


@dataclass
class Failover(Fault):
    """A master of Redis is killed, and comes back when a replica has taken its place."""

    others: list[Program]

    def strike(self):
        self.part.send(signal.SIGKILL)

    def heal(self):
        until("a replica took its place", lambda: sum(map(is_master, self.others)) == redis.MASTERS)
        self.part.start()


@dataclass
class Usurpation(Fault):
    """An owner of partitions is paused until others have them, and then wakes up: two owners at once, of whom
    it is the one that may acknowledge nothing."""

    programs: list[Program]

    def strike(self):
        self.lost = {seat.name for seat in status.seats(self.programs) if seat.owner == self.part.name}
        self.part.send(signal.SIGSTOP)

    def heal(self):
        try:
            until(f"others own what {self.part.name} owned", self.is_over)
        finally:
            self.part.send(signal.SIGCONT)

    def is_over(self) -> bool:
        owners = {seat.name: seat.owner for seat in status.seats(self.programs)}
        return all(owners.get(name) not in (None, self.part.name) for name in self.lost)


@dataclass
class SecondStart(Fault):
    """A program that has engines of its own is paused, so that it seems dead, and started a second time on its data: the
    second is refused, and the first goes on as if nothing had been."""

    def strike(self):
        self.part.send(signal.SIGSTOP)
        elsewhere = [word.replace(f":{self.part.port}", ":0") for word in self.part.command]
        log = pathlib.Path(f"{self.part.log}.second")
        log.unlink(missing_ok=True)
        second = replace(self.part, command=elsewhere, log=str(log))
        second.start()
        try:
            second.wait_end(HEAL_SECONDS_MAX)
        finally:
            second.send(signal.SIGKILL)
        if second.child.returncode != 1 or REFUSAL not in log.read_text():
            raise RuntimeError(f"a second start on the same data ended with {second.child.returncode}; {log} has more")

    def heal(self):
        self.part.send(signal.SIGCONT)


@dataclass
class BadLinks(Fault):
    """Links are cut, silent, slow or narrow for a while; the part is the program that serves them."""

    links: list[str]

    def name(self) -> str:
        one, *more = self.links
        return f"links to {kind_of(one)}" if more else f"link {one}"

    def strike(self):
        links.become(self.part, self.links, (OF_ONE | OF_ALL)[self.way])

    def heal(self):
        links.become(self.part, self.links, WELL)


@dataclass
class FullDisk(Fault):
    """A program can write nothing more; when there is space again it is started, should it have ended."""

    def strike(self):
        self.part.limit_files(0)

    def heal(self):
        self.part.limit_files(None)
        if not self.part.is_running():
            self.part.start()


@dataclass
class WrongClock(Fault):
    """The clock of a service jumps, and jumps back."""

    ahead_seconds: int

    def name(self) -> str:
        return f"{self.part.name} by {self.ahead_seconds:+} s"

    def strike(self):
        clocks.set_ahead(self.part, self.ahead_seconds)

    def heal(self):
        clocks.set_ahead(self.part, 0)


def draw(
    number: int, programs: list[Program], prefix: str, ways: list[str], chance: random.Random, seconds_max: float
) -> Fault:
    """The fault of a round, in one of so many ways or in any, at what has a name that begins so."""
    plan = [
        found
        for kind, way in PLAN
        if (kind.startswith(prefix) or prefix.startswith(kind)) and (not ways or way in ways)
        # Not everything can be done to every platform: a single owner has nobody who takes over.
        if (found := possible(kind, way, programs, prefix))
    ]
    if not plan:
        raise SystemExit(f"nothing here begins with '{prefix}' and can meet {' or '.join(ways) or 'a fault'}")
    fault = chance.choice(plan[number % len(plan)])
    fault.seconds = chance.choice([seconds for seconds in LASTS_SECONDS if seconds <= seconds_max])
    return fault


def possible(kind: str, way: str, programs: list[Program], prefix: str) -> list[Fault]:
    """The faults of a kind and way that can be had here."""
    if kind == "link":
        return bad_links(way, programs, prefix)
    parts = [part for part in programs if part.name.startswith(kind) and part.name.startswith(prefix)]
    match way:
        case "promote":
            replica_of = lambda part: [p for p in programs if is_of_one_shard(p, part) and p is not part]
            return [Promotion(part, way, *replica_of(part)) for part in parts if leads(part)]
        case "failover":
            others = lambda part: [p for p in programs if p.name.startswith("redis") and p is not part]
            return [Failover(part, way, others(part)) for part in parts if is_master(part)]
        case "usurp":
            twins = [part for part in parts if any(service(part) == service(p) for p in programs if p is not part)]
            owners = {seat.owner for seat in status.seats(programs)} if twins else set()
            return [Usurpation(part, way, programs) for part in twins if part.name in owners]
        case "second":
            return [SecondStart(part, way) for part in parts if is_alone(part, programs)]
        case "fill":
            return [FullDisk(part, way) for part in parts if has_disk(part, programs)]
        case "jump":
            settable = [part for part in parts if clocks.can_be_set(part)]
            return [WrongClock(part, way, seconds) for part in settable for seconds in JUMPS_SECONDS]
    return [Fault(part, way) for part in parts if serves(part)]


def bad_links(way: str, programs: list[Program], prefix: str) -> list[Fault]:
    """One link, or all to one kind of server."""
    found = []
    for program in programs:
        if program.name == "links":
            names = [name for name in links.names(program) if f"link-{name}".startswith(prefix)]
            by_kind = [[name for name in names if kind_of(name) == kind] for kind in sorted({*map(kind_of, names)})]
            groups = by_kind if way in OF_ALL else [[name] for name in names]
            found += [BadLinks(program, way, group) for group in groups]
    return found


def kind_of(link: str) -> str:
    return next((server for server in SERVERS if link.startswith(server)), "services")


def is_alone(part: Program, programs: list[Program]) -> bool:
    """Whether a part is the whole platform, which has its data to itself."""
    return part.name == "prepx" and not any(program.name.startswith(SERVERS) for program in programs)


def has_disk(part: Program, programs: list[Program]) -> bool:
    """Whether what must not be lost is in files of this part."""
    if part.name.startswith("prepx"):
        return is_alone(part, programs)
    return serves(part) and not part.name.endswith("pgbouncer")


def serves(part: Program) -> bool:
    """Whether a part is one that is hit: of PostgreSQL what serves writes, of Redis the masters."""
    if part.name.startswith("redis"):
        return is_master(part)
    return not part.name.startswith("postgres") or part.name.endswith("pgbouncer") or leads(part)


def is_master(part: Program) -> bool:
    return status.health(part) == "ok, master"


def leads(part: Program) -> bool:
    return status.health(part).startswith("ok, leads")


def is_of_one_shard(part: Program, other: Program) -> bool:
    shard = lambda program: program.name.rpartition("-server-")[0]
    return bool(shard(part)) and shard(part) == shard(other) and not part.name.endswith("pgbouncer")


def service(part: Program) -> str:
    """What a part is one of."""
    return part.name.rpartition("-")[0] or part.name


def until_well(programs: list[Program], url: str):
    """Waits until every part says that it is well, and starts again what has ended: whoever restarts services in
    production does that too."""
    deadline = time.monotonic() + HEAL_SECONDS_MAX
    while ill := {program.name: told for program in programs if not well(told := status.health(program))}:
        if time.monotonic() > deadline:
            raise RuntimeError(f"not well again within {HEAL_SECONDS_MAX} s: {ill}")
        start_again(programs, url)
        time.sleep(START_AGAIN_SECONDS)
    state.write(programs, url)


def start_again(programs: list[Program], url: str):
    """Starts what has ended of itself, such as after a while without space on its disk."""
    if ended := [program for program in programs if not program.is_running()]:
        for program in ended:
            program.start()
        state.write(programs, url)


def well(told: str) -> bool:
    return told.startswith("ok") and "0 replica(s)" not in told
