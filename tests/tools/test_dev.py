"""What tools/dev.py does with programs that come and go, in seconds: a copy is the build, a shell the program."""

import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

DEV = pathlib.Path(__file__).resolve().parents[2] / "tools/dev.py"
SECONDS_MAX = 120
# Says what it is made of and who it is, and goes on until it is told to end; a child of it must end too.
PROGRAM = 'sleep 1000 & trap "kill $!; echo ended $$ >> {said}; exit 0" TERM; echo "$(cat {built}) $$" >> {said}; wait'


class Dev(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        work = pathlib.Path(folder.name)
        self.source, self.built, self.said = work / "src/program", work / "built", work / "said"
        self.source.parent.mkdir()
        self.said.touch()
        self.write("first")
        # What says BROKEN does not compile.
        build = f"sh -c '! grep -q BROKEN {self.source} && cp {self.source} {self.built}'"
        run = f"sh -c '{PROGRAM.format(built=self.built, said=self.said)}'"
        words = [sys.executable, DEV, "--build", build, "--run", run, self.source.parent]
        self.dev = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.finish)

    def finish(self):
        if self.dev.poll() is None:
            self.dev.terminate()
        self.dev.wait(SECONDS_MAX)
        self.dev.stderr.close()

    def write(self, text: str):
        # As editors do: whole, under another name first.
        beside = self.source.parent.parent / "beside"
        beside.write_text(text + "\n")
        beside.replace(self.source)

    def lines(self) -> list[str]:
        return self.said.read_text().splitlines()

    def until(self, condition):
        deadline = time.monotonic() + SECONDS_MAX
        while not condition():
            self.assertLess(time.monotonic(), deadline, self.lines())
            self.assertIsNone(self.dev.poll())
            time.sleep(0.02)

    def runs(self, text: str) -> bool:
        """Whether the last that was started is made of that."""
        return bool(self.lines()) and self.lines()[-1].startswith(f"{text} ")

    def test_a_change_is_built_and_takes_the_place_of_what_ran(self):
        self.until(lambda: self.runs("first"))
        first = self.lines()[0].split()[1]
        self.write("second, and longer")
        self.until(lambda: self.runs("second, and longer"))
        self.assertEqual(self.lines()[1], f"ended {first}")

    def test_what_does_not_build_leaves_what_runs(self):
        self.until(lambda: self.runs("first"))
        self.write("BROKEN")
        self.assertIn("started as", self.dev.stderr.readline())
        self.assertIn("does not build; what runs goes on", self.dev.stderr.readline())
        self.assertEqual(len(self.lines()), 1)
        self.write("mended by now")
        self.until(lambda: self.runs("mended by now"))

    def test_interrupted_it_ends_what_it_started(self):
        self.ends_by(signal.SIGINT)

    def test_told_to_end_it_ends_what_it_started(self):
        self.ends_by(signal.SIGTERM)

    def ends_by(self, number: signal.Signals):
        self.until(lambda: self.runs("first"))
        pid = int(self.lines()[0].split()[1])
        self.assertEqual(len(group(pid)), 2)
        self.dev.send_signal(number)
        self.assertEqual(self.dev.wait(SECONDS_MAX), 0)
        self.assertEqual(self.lines()[-1], f"ended {pid}")
        deadline = time.monotonic() + SECONDS_MAX
        while group(pid):
            self.assertLess(time.monotonic(), deadline)


def group(number: int) -> list[int]:
    """The processes of a group that have not ended."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        found += [int(path.parent.name)] if int(of) == number and state not in "ZX" else []
    return found


if __name__ == "__main__":
    unittest.main()
