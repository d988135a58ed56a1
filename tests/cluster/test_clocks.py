"""What a process with a clock of its own is told of the time."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

import clocks

HOUR_SECONDS = 3600
WAIT_SECONDS = 0.05
# Waits by the wall clock, as C programs do, and prints what the wait returned and how long it took.
WAITS = f"""
import ctypes, time
c = ctypes.CDLL(None)
condition, mutex = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)
until = time.time() + {WAIT_SECONDS}
begun = time.monotonic()
deadline = (ctypes.c_long * 2)(int(until), int(until % 1 * 1e9))
c.pthread_mutex_lock(mutex)
print(c.pthread_cond_timedwait(condition, mutex, deadline), time.monotonic() - begun)
"""


class Clocks(unittest.TestCase):
    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.directory = pathlib.Path(held.name)

    def run_ahead(self, seconds: int, program: str) -> str:
        env = clocks.environment(self.directory, "one")
        pathlib.Path(env[clocks.FILE]).write_text(f"{seconds:+}\n")
        command = [sys.executable, "-c", program]
        # A wait that is not turned back to the machine's clock would take the hour.
        done = subprocess.run(
            command, env=os.environ | env, capture_output=True, text=True, check=True, timeout=HOUR_SECONDS / 60
        )
        return done.stdout

    def test_the_wall_clock_is_ahead_or_behind(self):
        for ahead in (HOUR_SECONDS, -HOUR_SECONDS):
            before = time.time()
            told = float(self.run_ahead(ahead, "import time; print(time.time())")) - ahead
            self.assertTrue(before - 1 <= told <= time.time() + 1, told)

    def test_what_only_goes_on_stays(self):
        before = time.monotonic()
        told = float(self.run_ahead(HOUR_SECONDS, "import time; print(time.monotonic())"))
        self.assertTrue(before <= told <= time.monotonic(), told)

    def test_a_wait_by_the_wall_clock_is_as_long_as_it_was_meant(self):
        for ahead in (HOUR_SECONDS, -HOUR_SECONDS):
            result, seconds = self.run_ahead(ahead, WAITS).split()
            self.assertEqual(os.strerror(int(result)), "Connection timed out")
            self.assertGreaterEqual(float(seconds), WAIT_SECONDS - 0.001)


if __name__ == "__main__":
    unittest.main()
