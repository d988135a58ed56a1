#!/usr/bin/env python3
"""Rounds of faults under load against the cluster that runs: tests/chaos/chaos.py [--rounds N].

A round: new accounts place and cancel orders; a part meets a fault and is made well, while more accounts
are made; when every account has had an order acknowledged again and every part is well, all is read, all
orders are cancelled, all is read again and `prepx verify` looks at the books. What happened is a history in
a file, which tests/chaos/check.py judges after each round. A program with engines of its own ends after the
last one, for `prepx verify` to look at what it leaves on the disk. The cluster is left as it is when something
is wrong.

The ways, of services, nodes of Kafka, primaries of PostgreSQL, PgBouncers and masters of Redis:
  kill      SIGKILL, and started again after a while
  drain     SIGTERM, and started again: of services, and nobody may be refused meanwhile
  pause     SIGSTOP, and woken
  promote   a primary of PostgreSQL is killed, its replica promoted; it comes back and follows
  failover  a master of Redis is killed, and comes back when a replica has taken its place
  usurp     an owner of partitions is paused until others own them, and wakes up: needs two of a service
  second    `prepx start` with engines of its own is paused and started a second time on its data, which is refused
  fill      a node of Kafka, a primary or `prepx start` can write nothing more, as with a full disk, until it can
  jump      the wall clock of a service jumps by a minute or an hour, and back: needs --clocks of the cluster
Of links, when the cluster was started with --links:
  cut       connections through one are broken off, and no new ones taken
  silence   one takes everything and hands nothing on
  slow      those to one kind of server hand on 100 ms later, in each direction
  narrow    those to one kind of server hand on 64 KiB a second each

Not there yet: two faults at once.
"""

import argparse
import collections
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[1:1] = [str(ROOT / "tests/cluster"), str(ROOT / "tests/servers")]

import state  # noqa: E402

import callers  # noqa: E402
import faults  # noqa: E402
import loads  # noqa: E402
import status  # noqa: E402
from callers import until  # noqa: E402
from history import History  # noqa: E402

CALLERS = 8
# While there is a fault.
NEWCOMERS_MAX = 6
# Before the fault, by each caller.
ACKNOWLEDGED_MIN = 20
SECONDS_MAX = 120


class Run(loads.Load):
    """The cluster of this project, and what happens to it."""

    def __init__(self, args: argparse.Namespace):
        self.programs, self.url = state.read()
        if not self.url:
            sys.exit("no cluster runs here: `make cluster` starts one")
        doors = [program for program in self.programs if program.name.startswith("prepx-gateway")]
        gateways = [f"127.0.0.1:{door.port}" for door in doors] or [self.url.removeprefix("http://")]
        settings = state.HOME / "services/prepx-risk.toml"
        super().__init__(self.url, gateways, args.prepx, History(args.history), args.seed, settings)

    def round(self, fault: faults.Fault) -> float:
        """One fault under load; for how many seconds an account waited at most."""
        load = [callers.patiently(self.newcomer, SECONDS_MAX) for _ in range(CALLERS)]
        for caller in load:
            caller.start()
        newcomers, over = [], threading.Event()
        joining = threading.Thread(target=self.join, args=(newcomers, over), daemon=True)
        try:
            until("orders are acknowledged", lambda: all(c.count() >= ACKNOWLEDGED_MIN for c in load))
            self.note_owners()
            struck = time.monotonic()
            self.note_fault("fault", fault)
            joining.start()
            fault.strike()
            time.sleep(fault.seconds)
            self.heal(fault)
            healed = time.monotonic()
            until("every account is served again", lambda: self.serves(load, healed))
            faults.until_well(self.programs, self.url)
            self.history.note("healed")
            self.note_owners()
        finally:
            over.set()
            for caller in load:
                caller.stopping.set()
            for caller in load:
                caller.join(SECONDS_MAX)
        joining.join(SECONDS_MAX)
        self.look(load + newcomers)
        return max(caller.longest_wait(struck) for caller in load)

    def serves(self, load: list[callers.Caller], moment: float) -> bool:
        """Whether every account has had an order acknowledged that was placed after a moment; what has ended is started."""
        faults.start_again(self.programs, self.url)
        return all(caller.since(moment) for caller in load)

    def join(self, newcomers: list[callers.Caller], over: threading.Event):
        """Makes accounts until the fault is over: what users and transfers have acknowledged must be there."""
        while not over.is_set() and len(newcomers) < NEWCOMERS_MAX:
            try:
                newcomers.append(self.newcomer())
            except (RuntimeError, subprocess.TimeoutExpired):
                over.wait(callers.PAUSE_SECONDS_AFTER_FAILURE)

    def note_fault(self, kind: str, fault: faults.Fault):
        self.history.note(kind, part=fault.name(), way=fault.way, seconds=fault.seconds)

    def note_owners(self):
        """Who owns which partition, as soon as each has an owner."""
        found = []

        def all_are_owned() -> bool:
            found[:] = status.seats(self.programs)
            return all(seat.owner for seat in found)

        until("every partition is owned", all_are_owned)
        self.history.note("owners", seats=[vars(seat) for seat in found])

    def verify_at_rest(self):
        """A program with engines of its own ends, and what it leaves on the disk is looked at."""
        for part in self.programs:
            if faults.is_alone(part, self.programs):
                part.send(signal.SIGTERM)
                part.wait_end(SECONDS_MAX)
                self.verify("--data-dir", str(state.HOME / "services/data"))

    def heal(self, fault: faults.Fault):
        fault.heal()
        state.write(self.programs, self.url)


def is_right(path: pathlib.Path) -> bool:
    """What the judge says, who is another program and has seen nothing but the history."""
    return subprocess.run([sys.executable, ROOT / "tests/chaos/check.py", path]).returncode == 0


def print_waits(waits: dict[str, list[float]]):
    """By what happened to which kind of part: the longest wait of a round, at the median and at most."""
    print(f"{'way and part':32} rounds  longest wait: median  most", flush=True)
    for hit, seconds in sorted(waits.items()):
        print(f"{hit:32} {len(seconds):6}  {statistics.median(seconds):18.1f} s {max(seconds):5.1f} s")


def main():
    summary, _, epilog = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="draws the faults")
    parser.add_argument(
        "--only", default="", metavar="NAME",
        help="hit only what begins so: prepx, kafka, prepx-risk-1, link, link-redis [everything in turn]",
    )
    parser.add_argument(
        "--way", action="append", default=[], metavar="WAY",
        help="only in this way, which may be given more than once [every way in turn]",
    )
    parser.add_argument(
        "--seconds-max", type=float, choices=faults.LASTS_SECONDS, default=max(faults.LASTS_SECONDS), metavar="SECONDS",
        help="a fault lasts no longer: 0.5, 3 or 8 [8]",
    )
    parser.add_argument(
        "--prepx", default=os.environ.get("BINARY_UNDER_TEST", ROOT / "target/release/prepx"),
        help="the program that operates the platform [target/release/prepx]",
    )
    parser.add_argument(
        "--history", type=pathlib.Path, default=ROOT / "target/chaos/history.jsonl",
        help="[target/chaos/history.jsonl]",
    )
    args = parser.parse_args()
    run = Run(args)
    print(f"seed {args.seed}, history {args.history}", flush=True)
    run.list_instruments()
    waits = collections.defaultdict(list)
    for number in range(args.rounds):
        run.history.round = number + 1
        fault = faults.draw(number, run.programs, args.only, args.way, run.chance, args.seconds_max)
        shown = f"round {number + 1}: {fault.way} {fault.name()} for {fault.seconds} s"
        try:
            waited = run.round(fault)
        except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
            run.history.note("failed", why=str(error))
            waited = float("nan")
        print(f"{shown}; nobody waited longer than {waited:.1f} s for an acknowledgement", flush=True)
        if not is_right(args.history):
            sys.exit(f"round {number + 1} is not right; --seed {args.seed} draws the same faults")
        waits[f"{fault.way} {fault.name().rstrip('-0123456789')}"].append(waited)
    run.verify_at_rest()
    if not is_right(args.history):
        sys.exit("what it has left on the disk is not right")
    print_waits(waits)


if __name__ == "__main__":
    main()
