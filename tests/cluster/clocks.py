"""Wall clocks of single processes, which can be set: by libfaketime, which tells a process the time by a file."""

import pathlib
import sys

from state import HOME  # noqa: F401

from server import Program  # noqa: E402

LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")
FILE = "FAKETIME_TIMESTAMP_FILE"
# How soon a process sees that its clock was set.
SECONDS_MAX = 1


def libfaketime() -> str | None:
    """Where it is, if it is there."""
    for pattern in LIBRARIES:
        if found := sorted(pathlib.Path("/").glob(pattern.lstrip("/"))):
            return str(found[0])
    return None


def environment(directory: pathlib.Path, name: str) -> dict[str, str]:
    """What a process with a clock of its own is started with. Time spans go on as they do: only what the wall
    clock shows is set."""
    preloaded = libfaketime() or sys.exit("libfaketime is missing: apt-get install libfaketime")
    file = directory / name
    file.write_text("+0\n")
    return {
        "LD_PRELOAD": preloaded,
        FILE: str(file),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_CACHE_DURATION": str(SECONDS_MAX),
    }


def can_be_set(program: Program) -> bool:
    return FILE in program.env


def set_ahead(program: Program, seconds: int):
    """Sets a clock so far ahead of the machine's, or behind it."""
    # Who reads it in the middle of that would see no time at all.
    draft = pathlib.Path(program.env[FILE] + ".new")
    draft.write_text(f"{seconds:+}\n")
    draft.rename(program.env[FILE])
