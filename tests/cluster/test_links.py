"""A link is as good or bad as it was told to be: python3 -m unittest discover tests/cluster."""

import pathlib
import socket
import tempfile
import threading
import time
import unittest

import links
from links import Quality

SECONDS_MAX = 30
# Long enough for what is on its way here, if it were.
SILENCE_SECONDS = 0.3


def echo(server: socket.socket):
    """Says to everybody what they say."""
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=say_again, args=(connection,), daemon=True).start()


def say_again(connection: socket.socket):
    try:
        while heard := connection.recv(1 << 16):
            connection.sendall(heard)
    except OSError:
        pass
    connection.close()


class Link(unittest.TestCase):
    def setUp(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=echo, args=(self.server,), daemon=True).start()
        self.work = tempfile.TemporaryDirectory()
        self.links = links.Links(pathlib.Path(self.work.name))
        self.port = self.links.before("one", self.server.getsockname()[1])
        self.links.start()

    def tearDown(self):
        self.links.stop()
        self.work.cleanup()
        self.server.close()

    def become(self, **quality):
        links.become(self.links.programs[0], ["one"], Quality(**quality))

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), SECONDS_MAX)
        self.addCleanup(connection.close)
        return connection

    def say(self, connection: socket.socket, text: bytes) -> float:
        """Seconds until all of it has come back."""
        begun, heard = time.monotonic(), b""
        threading.Thread(target=connection.sendall, args=(text,), daemon=True).start()
        while len(heard) < len(text):
            more = connection.recv(1 << 16)
            self.assertTrue(more, "it hung up")
            heard += more
        self.assertEqual(heard, text)
        return time.monotonic() - begun

    def test_everything_comes_through_in_order(self):
        self.say(self.connect(), bytes(range(256)) * (1 << 14))

    def test_a_slow_link_is_late_both_ways_and_loses_nothing(self):
        self.become(delay_ms=50)
        connection = self.connect()
        self.assertGreaterEqual(self.say(connection, b"hello"), 0.1)
        self.say(connection, bytes(range(256)) * (1 << 12))

    def test_a_narrow_link_takes_its_time(self):
        self.become(bytes_a_second=1 << 18)
        self.assertGreaterEqual(self.say(self.connect(), bytes(1 << 17)), 0.5)

    def test_what_a_silent_link_has_heard_goes_out_later(self):
        known = self.connect()
        self.say(known, b"hello")
        self.become(is_silent=True)
        for connection in (known, self.connect()):
            connection.sendall(b"anybody there?")
            connection.settimeout(SILENCE_SECONDS)
            with self.assertRaises(TimeoutError):
                connection.recv(1)
            connection.settimeout(SECONDS_MAX)
        self.become()
        self.assertEqual(known.recv(100), b"anybody there?")
        self.assertEqual(connection.recv(100), b"anybody there?")

    def test_a_cut_link_hangs_up_until_it_is_whole(self):
        known = self.connect()
        self.say(known, b"hello")
        self.become(is_cut=True)
        for connection in (known, self.connect()):
            with self.assertRaises((OSError, AssertionError)):
                self.say(connection, b"hello")
        self.become()
        self.say(self.connect(), b"hello")

    def test_who_has_hung_up_is_hung_up_on(self):
        here = self.connect()
        self.say(here, b"hello")
        here.shutdown(socket.SHUT_WR)
        self.assertEqual(here.recv(1), b"")


if __name__ == "__main__":
    unittest.main()
