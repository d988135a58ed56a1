#!/usr/bin/env python3
"""A real Memcached for tests: tests/servers/memcached.py run [--nodes N] -- COMMAND...

Starts one server, or so many, on free ports of loopback, runs COMMAND with PREPX_TEST_MEMCACHED set to where they
are, HOST:PORT each and commas between, ends them by their process ids and exits as COMMAND did.

Takes what MEMCACHED names, the system's, or that of Debian, fetched once beside the system; 1.6 or newer.
"""

import argparse
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile

import debian
import server

VERSION_MIN = (1, 6)
MEMORY_MB = 64


def program() -> str:
    """The server to run."""
    wanted = os.environ.get("MEMCACHED", "memcached")
    found = shutil.which(wanted)
    if found and version(found) >= VERSION_MIN:
        return found
    if "MEMCACHED" in os.environ:
        sys.exit(f"{wanted} is no memcached of version {'.'.join(map(str, VERSION_MIN))} or newer")
    return str(debian.program("memcached", "/usr/bin/memcached"))


def version(found: str) -> tuple[int, ...]:
    told = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
    numbers = re.search(r"memcached (\d+)\.(\d+)", told)
    return tuple(map(int, numbers.groups())) if numbers else (0,)


def stats(port: int) -> dict[str, str]:
    """What a server says of itself."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(b"stats\r\nquit\r\n")
        with connection.makefile("r") as answer:
            lines = [line.split() for line in answer]
    return {name: value for word, name, value in (line[:3] for line in lines if len(line) > 2) if word == "STAT"}


class Memcached(server.Servers):
    """So many servers that know nothing of each other."""

    def __init__(self, work: pathlib.Path, nodes: int):
        super().__init__(work)
        self.ports = server.free_ports(nodes)

    def start(self):
        """Until all serve."""
        found = program()
        for number, port in enumerate(self.ports, 1):
            run = [found, "-l", "127.0.0.1", "-p", port, "-U", "0", "-m", MEMORY_MB, "-t", "1"]
            # It refuses root unless it is told whom to run as.
            run += ["-u", pwd.getpwuid(os.geteuid()).pw_name]
            self.spawn(f"memcached-{number}", run, port)
        self.until_they_listen()

    def url(self) -> str:
        doors = [self.door(f"memcached-{number}", port) for number, port in enumerate(self.ports, 1)]
        return ",".join(f"127.0.0.1:{port}" for port in doors)

    def environment(self) -> dict[str, str]:
        return {"PREPX_TEST_MEMCACHED": self.url()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=1)
    args, command = server.arguments(parser)
    with tempfile.TemporaryDirectory(prefix="prepx-memcached-") as work:
        server.run(Memcached(pathlib.Path(work), args.nodes), command)


if __name__ == "__main__":
    main()
