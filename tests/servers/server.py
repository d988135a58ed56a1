"""What every server for tests needs: where fetched programs are kept, ports that nobody listens on, a
start that waits and shows the log when nothing comes of it, an end of exactly what was started."""

import argparse
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

LOG_TAIL_BYTES = 2000
# Ports of outgoing connections are taken from here on, unless the system says otherwise.
EPHEMERAL_PORTS = 32768
PORTS_FIRST = 10240
# Whoever was given one need not listen on it yet.
PORTS_GIVEN = set()


def need(packages: str, *tools: str):
    """Says what to install when a program is not there."""
    for tool in tools:
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing: apt-get install {packages}")


def keep() -> pathlib.Path:
    """Where fetched and built programs are kept."""
    told = os.environ.get("PREPX_SERVERS")
    return pathlib.Path(told) if told else pathlib.Path.home() / ".cache/prepx/servers"


def kept(name: str, fetch: Callable[[pathlib.Path], pathlib.Path]) -> pathlib.Path:
    """The directory of that name among what is kept; the first time `fetch` makes one, where it is told."""
    root = keep()
    home = root / name
    if home.exists():
        return home
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as work:
        made = fetch(pathlib.Path(work))
        # Only whole directories get the name, whoever fetches at the same time.
        try:
            made.rename(home)
        except OSError:
            if not home.exists():
                raise
    return home


def maven(work: pathlib.Path, *goal: str):
    """One goal of Maven's plugin for dependencies, in a directory."""
    need("maven", "mvn")
    subprocess.run(["mvn", "-q", "-B", "-ntp", *goal], cwd=work, check=True)


def free_ports(count: int, above: int = 0) -> list[int]:
    """Ports that nobody listens on, nor on those so many above each: all held at once, so that they
    differ. No outgoing connection takes one of them while its server is not up."""
    try:
        end = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        end = EPHEMERAL_PORTS
    candidates = range(PORTS_FIRST, max(end, PORTS_FIRST + 2 * above) - above)
    held, ports = [], []
    for port in random.sample(candidates, len(candidates)):
        if port in PORTS_GIVEN:
            continue
        if len(ports) == count:
            break
        try:
            for offset in {0, above}:
                held.append(socket.create_server(("127.0.0.1", port + offset)))
            ports.append(port)
        except OSError:
            pass
    for server in held:
        server.close()
    if len(ports) < count:
        sys.exit(f"{count} free ports are needed from {candidates.start} to {candidates.stop}; {len(ports)} are")
    PORTS_GIVEN.update(ports)
    return ports


def born(pid: int) -> str | None:
    """When a process began, in the system's own unit; None when it has ended. With it, a number that
    another process has been given since is not taken for the one that was started."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name before it may hold spaces and brackets.
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else fields[18]


def family(pid: int) -> Iterator[int]:
    """A process, and then those that it has started by then; they may have ended meanwhile."""
    yield pid
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from family(int(child))


@dataclass
class Program:
    """A program as it is started, and started again."""

    name: str
    command: list[str]
    port: int
    log: str
    # The user, group and directory, where they are not ours.
    run_as: dict = field(default_factory=dict)
    # Where it says how it is, when it does not say so where it serves.
    probe_port: int = 0
    # Variables that only it has.
    env: dict = field(default_factory=dict)
    pid: int = 0
    born: str | None = None
    # Where this process is the one that started it.
    child: subprocess.Popen | None = None

    def start(self):
        """Starts it, without waiting for anything."""
        # What the tests are told is not meant for it.
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PREPX_")}
        with open(self.log, "ab") as log:
            # A session of its own: Ctrl-C reaches the command first, and the servers through us. The signals that Python
            # ignores it ignores too: whoever writes behind a limit of files is told so, as with a full disk, and lives on.
            self.child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=ours | self.env, start_new_session=True, restore_signals=False,
                **self.run_as,
            )
        self.pid, self.born = self.child.pid, born(self.child.pid)

    def is_running(self) -> bool:
        """Whether the process that was started is there."""
        if self.child:
            return self.child.poll() is None
        return self.born is not None and born(self.pid) == self.born

    def listens(self) -> bool:
        """Whether it takes connections."""
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def until(self, condition: Callable[[], bool], seconds_max: float):
        """Waits until a condition holds; shows the end of the log when it does not come."""
        deadline = time.monotonic() + seconds_max
        while True:
            problem = "not yet"
            try:
                if condition():
                    return
            except (OSError, RuntimeError) as error:
                problem = error
            if not self.is_running() or time.monotonic() > deadline:
                sys.stderr.write(pathlib.Path(self.log).read_text(errors="replace")[-LOG_TAIL_BYTES:])
                sys.exit(f"{self.name} on port {self.port} did not start: {problem}; its log is above")
            time.sleep(0.05)

    def send(self, number: int):
        """A signal to the process that was started, and to no other."""
        if self.is_running():
            os.kill(self.pid, number)

    def limit_files(self, bytes_max: int | None):
        """It and what it has started can write nothing behind so many bytes of a file, as if the disk were
        full; None takes the limit away. What is started later inherits it."""
        # The user whose they are may do that; our own need not.
        need("util-linux", "prlimit")
        most = "unlimited" if bytes_max is None else bytes_max
        for pid in family(self.pid) if self.is_running() else ():
            limit = ["prlimit", f"--pid={pid}", f"--fsize={most}:"]
            done = subprocess.run(limit, capture_output=True, text=True, **self.run_as)
            if done.returncode != 0 and born(pid):
                raise RuntimeError(f"{self.name}: {done.stderr.strip()}")

    def wait_end(self, seconds_max: float):
        """Waits until it has ended, and ends it when it takes longer."""
        deadline = time.monotonic() + seconds_max
        while self.is_running():
            if time.monotonic() > deadline:
                self.send(signal.SIGKILL)
            time.sleep(0.02)


class Servers:
    """Programs that were started here, and are ended here."""

    START_SECONDS_MAX = 60
    STOP_SECONDS_MAX = 20
    END = signal.SIGTERM
    # Where clients find them, and where they listen for that: elsewhere than on loopback in a network of our own alone.
    ADDRESS = LISTEN = "127.0.0.1"

    def __init__(self, work: pathlib.Path):
        self.work, self.programs, self.run_as = work, [], {}
        # Hears of each program as soon as it has been started.
        self.on_start: Callable[[Program], None] = lambda program: None
        # Where clients are told that a port of a program is.
        self.door: Callable[[str, int], int] = lambda name, port: port

    def start(self):
        """Starts them, and waits until all serve."""
        raise NotImplementedError

    def url(self) -> str:
        """Where they are, as a setting of PrepX says it."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """What tests are told of them."""
        raise NotImplementedError

    def spawn(self, name: str, command: list[str], port: int, probe_port: int = 0, env: dict = {}) -> Program:
        """Starts one more program, its log beside its data."""
        command = [str(word) for word in command]
        log = str(self.work / f"{name}.log")
        program = Program(name, command, port, log, run_as=self.run_as, probe_port=probe_port, env=env)
        self.programs.append(program)
        program.start()
        self.on_start(program)
        return program

    def until_they_listen(self):
        for program in self.programs:
            program.until(program.listens, self.START_SECONDS_MAX)

    def pids(self) -> str:
        return " ".join(str(program.pid) for program in self.programs)

    def stop(self):
        for program in reversed(self.programs):
            program.send(self.END)
        for program in reversed(self.programs):
            program.wait_end(self.STOP_SECONDS_MAX)


def arguments(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, list[str]]:
    """The options, and the command after `--`."""
    parser.add_argument("action", choices=["run"])
    # Split here: argparse would look for its own options, and another --, in the command.
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args, command = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1 :]
    if not command:
        parser.error("say what to run, after --")
    return args, command


def run(servers: Servers, command: list[str]):
    """Runs a command beside servers, and exits as it did."""
    try:
        servers.start()
        print(f"{servers.url()}, pids {servers.pids()}", file=sys.stderr)
        code = subprocess.run(command, env={**os.environ, **servers.environment()}).returncode
    finally:
        servers.stop()
    sys.exit(code)
