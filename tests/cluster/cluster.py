#!/usr/bin/env python3
"""The whole platform on this machine: tests/cluster/cluster.py up|status|down|run.

`up` starts three nodes of Kafka, two shards of PostgreSQL (a primary, a replica that streams from it, a
PgBouncer before each), six nodes of Redis, a Memcached and so many processes of each service, on free ports of
loopback, with all that they write in .cluster. It writes the gateway's URL to .cluster/url and prints
`ready URL`, how every part is, and the keys. `down` ends exactly what was started, and removes it. `run --
COMMAND...` starts everything, runs a command with PREPX_URL set, ends everything, and exits as the command did.
With `--embedded` the platform is one process, `prepx start`, without any server.

Books and transfers are in both shards, by account partition; the other schemas are in the first.

Needs what tests/servers/*.py need: apt-get install openjdk-17-jre-headless maven postgresql redis-server
libfaketime (that one for --clocks); with --embedded nothing but Python.
"""

import argparse
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

import state
from state import HOME, ROOT

import clocks
import engines
import services
import status
from links import Links

# The longest that something is left to end by itself, before it is killed.
END_SECONDS_MAX = 30
BURY_SECONDS = 0.2


def up(args: argparse.Namespace) -> list[state.Program]:
    with state.turn():
        refuse_a_second()
        clear()
        programs, url = [], ""
        noting = threading.Lock()

        def note(program):
            with noting:
                programs.append(program)
                state.write(programs)

        try:
            url = start(args, note)
        except BaseException:
            if programs:
                print(f"what was started is ended; the logs are in {HOME}", file=sys.stderr)
            end(programs)
            raise
        programs.sort(key=lambda program: program.name)
        state.write(programs, url)
        state.URL.write_text(url + "\n")
    print(f"ready {url}\n\n{overview(programs)}\n\n{keys()}", flush=True)
    return programs


def run(args: argparse.Namespace):
    """A cluster for as long as a command takes; what it has left stays when the command fails."""
    started = up(args)
    _, url = state.read()
    binaries = {"PREPX_URL": url, "BINARY_UNDER_TEST": str(args.binaries / "prepx")}
    try:
        code = beside(started, subprocess.Popen(args.command, env=os.environ | binaries))
    finally:
        with state.turn():
            end(state.read()[0])
    if code == 0:
        clear()
    sys.exit(code)


def beside(programs: list[state.Program], command: subprocess.Popen) -> int:
    """How a command ends."""
    try:
        while command.poll() is None:
            # Nobody else can bury a part that was killed, and until then PostgreSQL takes it for running.
            for program in programs:
                program.is_running()
            time.sleep(BURY_SECONDS)
        return command.returncode
    finally:
        command.kill()


def start(args: argparse.Namespace, note) -> str:
    """Starts everything; says where the gateway serves."""
    kind = services.OneProcess if args.one_process or args.embedded else services.Services
    missing = [binary for binary in kind.wanted(args.binaries) if not binary.exists()]
    if missing:
        sys.exit(f"{missing[0]} is not there: `make cluster` builds it")
    links = Links(HOME) if args.links else None
    groups = {} if args.embedded else engines.declared(links, args.lasting)
    work = HOME / "services"
    work.mkdir()
    urls = engines.settings(groups, args.partitions) if groups else {}
    own_clocks = args.clocks == "needed" or (args.clocks == "found" and clocks.libfaketime() is not None)
    platform = kind(
        work, args.binaries, args.replicas, args.partitions, urls, args.tls, own_clocks, args.archive_url
    )
    platform.on_start = note
    if links:
        platform.door, links.on_start = links.before, note
        platform.name_doors()
        links.start()
    if groups:
        engines.start(groups, note)
    platform.start()
    return platform.url()


def refuse_a_second():
    programs, url = state.read()
    running = [program.name for program in programs if program.is_running()]
    if running:
        sys.exit(
            f"a cluster runs here already, {len(running)} of its {len(programs)} parts"
            f"{f' with the gateway at {url}' if url else ''}: `make cluster-down` ends it"
        )


def overview(programs: list[state.Program]) -> str:
    return f"{status.table(programs)}\n\n{status.table_of_seats(programs)}"


def keys() -> str:
    (operator, operator_secret), (trader, trader_secret) = services.OPERATOR, services.TRADER
    return f"operator  {operator} / {operator_secret}\ntrader    {trader} / {trader_secret}"


def down(_: argparse.Namespace):
    with state.turn():
        programs, _url = state.read()
        end(programs)
        clear()
    print(f"{len(programs)} parts have ended" if programs else f"nothing was started in {HOME}")


def end(programs: list[state.Program]):
    """Ends what was started: the services first, because they finish what is under way."""
    ours = [program for program in programs if program.name.startswith("prepx")]
    for group in (ours, [program for program in programs if program not in ours]):
        for program in group:
            # One that was paused hears nothing.
            program.send(signal.SIGCONT)
            program.send(ending(program))
        for program in group:
            program.wait_end(END_SECONDS_MAX)


def ending(program: state.Program) -> int:
    """The signal that a program takes for its end."""
    return signal.SIGQUIT if program.name.startswith("postgres") else signal.SIGTERM


def clear():
    """Removes what an ended cluster has left."""
    for path in HOME.iterdir():
        if path.is_symlink():
            shutil.rmtree(path.resolve())
        if path == state.LOCK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def show(_: argparse.Namespace):
    programs, url = state.read()
    if not programs:
        sys.exit(f"nothing was started in {HOME}: `make cluster` starts it")
    print(f"{url}\n\n{overview(programs)}")


def main():
    summary, _, epilog = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(required=True, metavar="up|status|down|run")
    for name, does, told in (("up", up, "start everything"), ("run", run, "run a command beside it")):
        starting = actions.add_parser(name, help=told)
        starting.set_defaults(run=does, command=[])
        starting.add_argument(
            "--binaries", type=pathlib.Path, default=ROOT / "target/release", metavar="DIR",
            help="where the programs of the services are [target/release]",
        )
        starting.add_argument("--replicas", type=int, default=2, help="processes of each service [2]")
        starting.add_argument(
            "--partitions", type=int, default=services.PARTITIONS, metavar="N",
            help=f"partitions of each of the two stages [{services.PARTITIONS}]",
        )
        starting.add_argument(
            "--links", action="store_true",
            help="links that chaos makes bad, before all servers and between the gateway and the services; "
            "before `prepx start` where that is all",
        )
        starting.add_argument(
            "--clocks", nargs="?", const="needed", default="", choices=("needed", "found"),
            help="clocks of their own for the services, which chaos sets; `found`: where libfaketime is there [needed]",
        )
        starting.add_argument(
            "--archive-url", default="", metavar="URL",
            help="where the journals of the stages are archived [a directory in .cluster]",
        )
        starting.add_argument(
            "--lasting", action="store_true",
            help="Kafka's nodes with both of Java's compilers: slower for their first minutes, then twice as fast",
        )
        shapes = starting.add_mutually_exclusive_group()
        shapes.add_argument("--one-process", action="store_true", help="`prepx start` for all services")
        shapes.add_argument(
            "--embedded", action="store_true", help="`prepx start` with the engines that it has in it, and no server"
        )
        starting.add_argument(
            "--tls", action="store_true",
            help="mutual TLS among the services, with certificates of a CA made for this cluster",
        )
    actions.add_parser("status", help="show how every part is").set_defaults(run=show)
    actions.add_parser("down", help="end everything").set_defaults(run=down)
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args = parser.parse_args(sys.argv[1:end])
    args.command = sys.argv[end + 1 :]
    if "binaries" in args:
        args.binaries = args.binaries.resolve()
    if "tls" in args and args.tls and (args.one_process or args.embedded):
        parser.error("one process has nobody to show a certificate to: without --tls")
    if bool(args.command) != (args.run is run):
        parser.error("say what to run after --, and only with run")
    # A caller that ends us has us end what was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended while starting"))
    args.run(args)


if __name__ == "__main__":
    main()
