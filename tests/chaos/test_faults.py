"""What can be done to a single program, and that a second start on its data which is not refused is found."""

import pathlib
import random
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[1:1] = [str(ROOT / "tests/cluster"), str(ROOT / "tests/servers")]

import faults  # noqa: E402
from server import Program  # noqa: E402

FIRST = "import signal; signal.pause()"


class Faults(unittest.TestCase):
    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.log = str(pathlib.Path(held.name) / "prepx.log")

    def program(self, does: str) -> Program:
        return Program("prepx", [sys.executable, "-c", does, "--listen", "127.0.0.1:1234"], 1234, self.log)

    def start_a_second(self, does: str):
        """What a pause of the first and a start of one that does this come to."""
        first = self.program(FIRST)
        first.start()
        try:
            first.command = self.program(does).command
            fault = faults.SecondStart(first, "second")
            fault.strike()
            fault.heal()
            self.assertTrue(first.is_running())
        finally:
            first.child.kill()
            first.child.wait()

    def test_a_second_start_is_refused(self):
        self.start_a_second('import sys; assert sys.argv[2].endswith(":0"); sys.exit("it is in use by process 1")')

    def test_a_second_start_that_ends_otherwise_is_found(self):
        for does in ("pass", "import sys; sys.exit('no such option')", "import os; os.kill(os.getpid(), 9)"):
            with self.assertRaisesRegex(RuntimeError, "a second start on the same data ended with"):
                self.start_a_second(does)

    def test_the_first_rounds_of_a_single_program_are_all_different(self):
        programs = [self.program(FIRST)]
        kinds = [faults.draw(number, programs, "", [], random.Random(1), 8.0).way for number in range(5)]
        self.assertEqual(kinds, ["kill", "second", "fill", "drain", "pause"])

    def test_what_needs_a_second_owner_is_refused(self):
        with self.assertRaisesRegex(SystemExit, "can meet usurp"):
            faults.draw(0, [self.program(FIRST)], "", ["usurp"], random.Random(1), 8.0)


if __name__ == "__main__":
    unittest.main()
