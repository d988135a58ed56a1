"""The snapshots of Redis that k8s/components/redis/keep.sh keeps, day after day."""

import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

SCRIPT = pathlib.Path(__file__).parents[2] / "k8s/components/redis/keep.sh"
KEPT = 7
FIRST = datetime(2026, 2, 25, 3, tzinfo=timezone.utc)


class TestSnapshots(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.data = pathlib.Path(directory.name)

    def snapshot(self, day: datetime):
        """What Redis does: a new file in the place of the one before."""
        draft = self.data / "temp-1.rdb"
        draft.write_text(f"of {day:%F}")
        os.utime(draft, (day.timestamp(), day.timestamp()))
        draft.rename(self.data / "dump.rdb")

    def kept(self) -> dict[str, str]:
        return {file.stem: file.read_text() for file in (self.data / "snapshots").glob("*.rdb")}

    def round(self, holds: Callable[[], bool]):
        """The script until something holds; it ends when it is told to."""
        environment = os.environ | {"DATA": str(self.data), "KEPT": str(KEPT)}
        keeper = subprocess.Popen(["sh", SCRIPT], env=environment, start_new_session=True)
        end = time.monotonic() + 60
        while not holds():
            self.assertLess(time.monotonic(), end, self.kept())
            time.sleep(0.01)
        # As a container ends: all of its processes.
        os.killpg(keeper.pid, signal.SIGTERM)
        self.assertEqual(keeper.wait(timeout=60), 0)

    def test_the_last_seven_days_are_kept(self):
        days = [FIRST + timedelta(days=number) for number in range(10)]
        for number, day in enumerate(days):
            self.snapshot(day)
            wanted = {f"{one:%F}": f"of {one:%F}" for one in days[max(0, number + 1 - KEPT):number + 1]}
            self.round(lambda: self.kept() == wanted)

    def test_before_the_first_snapshot_there_is_none(self):
        self.round(lambda: (self.data / "snapshots").is_dir())
        self.assertEqual(self.kept(), {})


if __name__ == "__main__":
    unittest.main()
