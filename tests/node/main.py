#!/usr/bin/env python3
"""main.py TOOLS BINARIES [OPTION...]: runs the tests of this folder in namespaces of their own, with a node of Kubernetes in them;
options are pytest's. When the first process in there has ended, nothing of it is left: no process, mount, link or cgroup.
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "images"), str(HERE.parent / "servers")]
import engine

CGROUPS = pathlib.Path("/sys/fs/cgroup")
END_SECONDS_MAX = 20


def main():
    tools, binaries, *options = sys.argv[1:]
    if os.environ.get(engine.INSIDE):
        import pytest

        sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", str(HERE), *options]))
    # Whoever ends us ends what is inside, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    with tempfile.TemporaryDirectory(prefix="prepx-node-") as folder:
        work = pathlib.Path(folder)
        # PostgreSQL runs as a user of its own.
        work.chmod(0o755)
        sys.exit(inside(tools, binaries, work, options))


def inside(tools: str, binaries: str, work: pathlib.Path, options: list[str]) -> int:
    """Runs this program again, apart from the machine."""
    group = work.name
    told = {engine.INSIDE: "1", "PREPX_NODE_WORK": str(work), "PREPX_NODE_TOOLS": tools, "PREPX_NODE_GROUP": group}
    words = [sys.executable, "-W", "ignore", __file__, tools, binaries, *options]
    env = os.environ | told | {"BINARIES_UNDER_TEST": binaries}
    own = [hierarchy / group for hierarchy in hierarchies()]
    for directory in own:
        directory.mkdir()
        inherit(directory)
    try:
        return subprocess.run(["unshare", *engine.NAMESPACES, *words], env=env, check=False).returncode
    finally:
        # The engine makes one where none was asked for, too.
        for directory in {*own, *CGROUPS.glob(f"*/{group}")}:
            remove(directory)


def hierarchies() -> list[pathlib.Path]:
    """Where the system has its cgroups: in one place, or one for each kind."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    kinds = [path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]
    return [path for path in kinds if path.name != "unified"]


def inherit(directory: pathlib.Path):
    """What a set of processors has to be told before anybody is in it."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (directory / name).exists() and (directory.parent / name).exists():
            (directory / name).write_text((directory.parent / name).read_text())


def remove(directory: pathlib.Path):
    """A group and those in it, which are empty as soon as the last process has been buried."""
    deadline = time.monotonic() + END_SECONDS_MAX
    while directory.exists():
        for path, _, _ in os.walk(directory, topdown=False):
            try:
                os.rmdir(path)
            except OSError:
                pass
        if time.monotonic() > deadline:
            print(f"{directory} is left", file=sys.stderr)
            return
        time.sleep(0.05)


if __name__ == "__main__":
    main()
