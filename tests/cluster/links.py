#!/usr/bin/env python3
"""Links that can be bad: a program between the services and the servers, and between the gateway and the
services, which takes connections for others and hands on what it hears, late, slowly or not at all.

tests/cluster/links.py FILE serves the links of a file, {"control": PORT, "links": {NAME: [PORT, TO]}}. To
the port of control goes one line of JSON a connection, {"links": [NAME, ...], and what they shall be like
from now on}; see Quality. What was heard in a bad time goes out in a good one, but for what was cut off.
"""

import asyncio
import collections
import dataclasses
import json
import pathlib
import resource
import socket
import sys
import time
from collections.abc import Iterable

SERVERS = pathlib.Path(__file__).resolve().parents[1] / "servers"
sys.path.insert(0, str(SERVERS))

import server  # noqa: E402

# What is heard and has not gone out, of one direction of a connection.
HELD_BYTES_MAX = 1 << 18


@dataclasses.dataclass
class Quality:
    """What a link is like."""

    # Later than it was heard, in each direction.
    delay_ms: int = 0
    # Of all connections together, in each direction; 0 is without limit.
    bytes_a_second: int = 0
    # Nothing goes out, and nobody is told.
    is_silent: bool = False
    # Connections are broken off, and no new ones taken.
    is_cut: bool = False


class Link:
    """One port that stands for another."""

    def __init__(self, port: int, to: int):
        self.port, self.to = port, to
        self.quality, self.ends = Quality(), set()
        # By the direction, when the last byte that was let in has gone out.
        self.free_at = [0.0, 0.0]

    async def serve(self):
        loop = asyncio.get_running_loop()
        await loop.create_server(lambda: Near(self), "127.0.0.1", self.port)

    def become(self, quality: Quality):
        self.quality = quality
        for end in list(self.ends):
            end.transport.abort() if quality.is_cut else end.hand_on()

    def due(self, direction: int, size: int) -> float:
        """When so many bytes that are heard now may go out."""
        at, quality = time.monotonic(), self.quality
        if quality.bytes_a_second:
            at = max(at, self.free_at[direction]) + size / quality.bytes_a_second
            self.free_at[direction] = at
        return at + quality.delay_ms / 1000


class End(asyncio.Protocol):
    """One end of a connection: what it hears goes out at the other one, in order; None is the end of it."""

    direction = 0

    def __init__(self, link: Link):
        self.link, self.transport, self.other = link, None, None
        self.heard, self.held_bytes, self.timer = collections.deque(), 0, None

    def connection_made(self, transport):
        self.transport = transport
        self.link.ends.add(self)

    def data_received(self, data):
        self.take(data, len(data))

    def connection_lost(self, _error):
        self.link.ends.discard(self)
        self.take(None, 0)

    def take(self, data: bytes | None, size: int):
        self.heard.append((self.link.due(self.direction, size), data))
        self.held_bytes += size
        self.hand_on()
        if self.held_bytes > HELD_BYTES_MAX:
            self.transport.pause_reading()

    def hand_on(self):
        """What is due goes out; for the rest a time is set, or the link becomes better."""
        if self.timer:
            self.timer.cancel()
        if not self.other or not self.other.transport or self.link.quality.is_silent:
            return
        while self.heard and self.heard[0][0] <= time.monotonic():
            self.send(self.heard.popleft()[1])
        if self.heard:
            later = max(self.heard[0][0] - time.monotonic(), 0)
            self.timer = asyncio.get_running_loop().call_later(later, self.hand_on)

    def send(self, data: bytes | None):
        if data is None:
            return self.other.transport.close()
        self.held_bytes -= len(data)
        self.other.transport.write(data)
        if self.held_bytes <= HELD_BYTES_MAX and not self.transport.is_closing():
            self.transport.resume_reading()

    def pause_writing(self):
        if not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self):
        if not self.other.transport.is_closing():
            self.other.transport.resume_reading()


class Near(End):
    """The end of whoever has called."""

    def connection_made(self, transport):
        super().connection_made(transport)
        if self.link.quality.is_cut:
            return transport.abort()
        self.calling = asyncio.get_running_loop().create_task(self.call())

    async def call(self):
        """Connects to whom the link leads; who is not there hangs up."""
        loop = asyncio.get_running_loop()
        try:
            _, self.other = await loop.create_connection(lambda: Far(self), "127.0.0.1", self.link.to)
        except OSError:
            return self.transport.abort()
        self.hand_on()


class Far(End):
    """The end of whom the link leads to."""

    direction = 1

    def __init__(self, near: Near):
        super().__init__(near.link)
        self.other = near


class Links(server.Servers):
    """The links of a cluster, which are asked for before anything has been started."""

    def __init__(self, work: pathlib.Path):
        super().__init__(work)
        self.control = server.free_ports(1)[0]
        self.links = {}

    def before(self, name: str, port: int) -> int:
        """The port that stands for another one, the same whenever it is asked for."""
        if name not in self.links:
            self.links[name] = [server.free_ports(1)[0], port]
        return self.links[name][0]

    def start(self):
        config = self.work / "links.json"
        config.write_text(json.dumps({"control": self.control, "links": self.links}))
        self.spawn("links", [sys.executable, __file__, config], self.control)
        self.until_they_listen()


def names(program: server.Program) -> list[str]:
    """The links that a program serves."""
    return list(json.loads(pathlib.Path(program.command[-1]).read_text())["links"])


def become(program: server.Program, links: Iterable[str], quality: Quality):
    """Has links become better or worse."""
    with socket.create_connection(("127.0.0.1", program.port), 5) as control:
        told = {"links": list(links)} | dataclasses.asdict(quality)
        control.sendall(json.dumps(told).encode() + b"\n")
        with control.makefile() as answer:
            if answer.readline() != "done\n":
                raise RuntimeError(f"{program.name} did not take {told}")


async def main():
    config = json.loads(pathlib.Path(sys.argv[1]).read_text())
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    links = {name: Link(port, to) for name, (port, to) in config["links"].items()}

    async def listen(reader, writer):
        """One line of control."""
        if line := await reader.readline():
            told = json.loads(line)
            for name in told.pop("links"):
                links[name].become(Quality(**told))
            writer.write(b"done\n")
        writer.close()

    for link in links.values():
        await link.serve()
    control = await asyncio.start_server(listen, "127.0.0.1", config["control"])
    await control.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
