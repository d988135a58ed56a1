"""What is done to the parts of a cluster, and how they are made well again."""

import random
import signal
import time
from dataclasses import dataclass

import state
import status
from server import Program

HEAL_SECONDS_MAX = 120
# Of a program that refuses to start until what it has left behind is gone.
START_AGAIN_SECONDS = 0.5
SIGNALS = {"kill": signal.SIGKILL, "drain": signal.SIGTERM, "pause": signal.SIGSTOP}
# In turn, so that few rounds meet many kinds.
PLAN = (
    ("prepx", "kill"), ("prepx", "drain"), ("kafka", "kill"), ("prepx", "pause"), ("postgres", "kill"),
    ("prepx", "kill"), ("redis", "kill"), ("prepx", "drain"), ("kafka", "pause"), ("prepx", "pause"),
    ("postgres", "pause"), ("redis", "pause"),
)


@dataclass
class Fault:
    """One part is killed, or asked to end, and started again after a while; or paused for that while."""

    part: Program
    way: str
    seconds: float

    def strike(self):
        self.part.send(SIGNALS[self.way])

    def heal(self):
        """Starts what has ended, wakes what was paused."""
        if self.way == "pause":
            self.part.send(signal.SIGCONT)
        else:
            self.part.wait_end(HEAL_SECONDS_MAX)
            self.part.start()


def draw(number: int, programs: list[Program], prefix: str, chance: random.Random) -> Fault:
    """The fault of a round, at a part whose name begins so."""
    plan = [(kind, way) for kind, way in PLAN if kind.startswith(prefix) or prefix.startswith(kind)]
    kind, way = plan[number % len(plan)]
    part = chance.choice([p for p in programs if fits(p, kind) and p.name.startswith(prefix)])
    # Shorter than a session, about as long, and much longer.
    return Fault(part, way, chance.choice((0.5, 3.0, 8.0)))


def fits(program: Program, kind: str) -> bool:
    """Whether a part is one that rounds of this kind hit: of PostgreSQL what serves writes, of Redis the
    masters."""
    if not program.name.startswith(kind):
        return False
    if kind == "redis":
        return status.health(program) == "ok, master"
    return kind != "postgres" or "replica" not in program.name


def until_well(programs: list[Program], url: str):
    """Waits until every part says that it is well, and starts again what has ended of itself: whoever
    restarts services in production does that too."""
    deadline = time.monotonic() + HEAL_SECONDS_MAX
    while ill := {program.name: told for program in programs if not well(told := status.health(program))}:
        if time.monotonic() > deadline:
            raise RuntimeError(f"not well again within {HEAL_SECONDS_MAX} s: {ill}")
        for program in programs:
            if not program.is_running():
                program.start()
        state.write(programs, url)
        time.sleep(START_AGAIN_SECONDS)
    state.write(programs, url)


def well(told: str) -> bool:
    return told.startswith("ok") and "0 replica(s)" not in told
