#!/usr/bin/env python3
"""dev.py --build COMMAND --run COMMAND [PATH...]: the loop of development without a cluster. It builds, runs, and when a file under the paths
changes builds again; where that succeeds what runs is ended and started anew, where it fails it goes on. Ctrl-C ends everything.
`make dev` says which commands.
"""

import argparse
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

# How often it looks, and how long nothing may have changed before it builds: an editor writes in several steps.
LOOK_SECONDS = 0.3
WAIT_SECONDS = 0.05
# What is running is given so long to end by itself.
END_SECONDS_MAX = 30
# More files than that are not sources: the paths are wrong.
FILES_MAX = 20_000
SKIPPED = {"target", "node_modules", "__pycache__", ".git", ".venv"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, type=shlex.split)
    parser.add_argument("--run", required=True, type=shlex.split)
    parser.add_argument("paths", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    loop = Loop(args.build, args.run)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, loop.end)
    try:
        loop.go_on(args.paths)
    finally:
        loop.end_all()


class Loop:
    """What is built and what runs."""

    def __init__(self, build: list[str], run: list[str]):
        self.build, self.run = build, run
        self.building: subprocess.Popen | None = None
        self.running: subprocess.Popen | None = None
        self.ending = False

    def end(self, *_):
        """Only noted: a signal may come while a process is being started, and that one has to be known."""
        self.ending = True

    def go_on(self, paths: list[pathlib.Path]):
        """Until it is ended."""
        built_of = None
        while not self.ending:
            seen = files(paths)
            if seen != built_of and seen == settled(paths):
                built_of = seen
                self.turn()
            time.sleep(LOOK_SECONDS)
            self.notice_end()

    def turn(self):
        began = time.monotonic()
        self.building = subprocess.Popen(self.build, start_new_session=True)
        while self.building.poll() is None and not self.ending:
            time.sleep(WAIT_SECONDS)
        if self.ending:
            return
        code, self.building = self.building.returncode, None
        if code:
            say("it does not build; " + ("what runs goes on" if self.running else "a change begins it again"))
            return
        self.running = ended(self.running)
        self.running = subprocess.Popen(self.run, start_new_session=True)
        say(f"built in {time.monotonic() - began:.1f} s, started as {self.running.pid}")

    def notice_end(self):
        if self.running and self.running.poll() is not None:
            say(f"it has ended by itself with {self.running.returncode}; a change begins it again")
            self.running = None

    def end_all(self):
        self.building, self.running = ended(self.building), ended(self.running)


def files(paths: list[pathlib.Path]) -> dict[str, tuple[int, int]]:
    """Of each file when it was written, and its length."""
    found = {}
    for path in paths:
        for folder, names, leaves in os.walk(path):
            names[:] = [name for name in names if name not in SKIPPED]
            found |= stamps(os.path.join(folder, leaf) for leaf in leaves)
        if path.is_file():
            found |= stamps([str(path)])
    if len(found) > FILES_MAX:
        sys.exit(f"more than {FILES_MAX} files under {', '.join(map(str, paths))}: those are not sources")
    return found


def stamps(paths) -> dict[str, tuple[int, int]]:
    found = {}
    for path in paths:
        try:
            stat = os.stat(path)
        except OSError:
            # It went away, which the next look sees.
            continue
        found[path] = (stat.st_mtime_ns, stat.st_size)
    return found


def settled(paths: list[pathlib.Path]) -> dict[str, tuple[int, int]]:
    """The files, a moment later."""
    time.sleep(LOOK_SECONDS)
    return files(paths)


def ended(process: subprocess.Popen | None) -> None:
    """A process and what it has started, ended as an orchestrator would."""
    if process is None:
        return
    for number, seconds in ((signal.SIGTERM, END_SECONDS_MAX), (signal.SIGKILL, None)):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                say(f"it has not ended in {END_SECONDS_MAX} s, and is killed")


def say(what: str):
    print(f"dev: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
