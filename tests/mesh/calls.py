"""Calls into the mesh, and many of them."""

import http.client
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc

SECONDS_MAX = 60
CALLERS = 16


class Rest(http.client.HTTPSConnection):
    """A client of a public name, which is at another address here."""

    def __init__(self, place: tuple[str, int], name: str, authority: str):
        super().__init__(name, timeout=SECONDS_MAX, context=ssl.create_default_context(cafile=authority))
        self.place = place

    def connect(self):
        # Unlike the parent, this one looks no name up.
        self.sock = self._context.wrap_socket(socket.create_connection(self.place, SECONDS_MAX), server_hostname=self.host)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path: str, **headers: str) -> int:
        self.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = self.getresponse()
        answer.read()
        return answer.status


@dataclass
class Grpc:
    """A client of gRPC that knows no messages: bytes in, bytes out."""

    address: str
    name: str
    # Where TLS is: who vouches for the name.
    authority: str = ""
    channel: grpc.Channel = field(init=False)

    def __post_init__(self):
        # Each has a connection of its own; one that was lost is there again at once.
        options = [
            ("grpc.default_authority", self.name),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 200),
            ("grpc.enable_http_proxy", 0),
        ]
        if not self.authority:
            self.channel = grpc.insecure_channel(self.address, options)
            return
        with open(self.authority, "rb") as file:
            credentials = grpc.ssl_channel_credentials(file.read())
        options.append(("grpc.ssl_target_name_override", self.name))
        self.channel = grpc.secure_channel(self.address, credentials, options)

    def call(self, method: str, message: bytes = b"", seconds_max: float = SECONDS_MAX, **headers: str) -> bytes:
        metadata = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return self.channel.unary_unary(method)(message, timeout=seconds_max, metadata=metadata)

    def status(self, method: str, message: bytes = b"", seconds_max: float = SECONDS_MAX, **headers: str) -> str:
        """What the call ends with, such as `OK`."""
        try:
            self.call(method, message, seconds_max, **headers)
            return "OK"
        except grpc.RpcError as error:
            return error.code().name


def text(number: int, value: str) -> bytes:
    """A field of a message that is a short text."""
    coded = value.encode()
    assert number < 16 and len(coded) < 128
    return bytes([number << 3 | 2, len(coded)]) + coded


def many(count: int, client: Callable[[], Callable[[], object]], callers: int = CALLERS) -> Counter:
    """What so many calls end with, of clients that call one after another, each with its own connection."""
    kept = threading.local()

    def one(_: int) -> object:
        if not hasattr(kept, "call"):
            kept.call = client()
        return kept.call()

    with ThreadPoolExecutor(callers) as threads:
        return Counter(threads.map(one, range(count)))
