"""Wall clocks of single processes, which can be set: a library that is loaded before the C library's tells a process
the time, by a file (`wall_clock.c`)."""

import os
import pathlib
import subprocess
import sys

from state import HOME  # noqa: F401

from server import Program  # noqa: E402

SOURCE = pathlib.Path(__file__).with_name("wall_clock.c")
FILE = "CLOCK_AHEAD_FILE"
# How soon a process sees that its clock was set: READ_AGAIN_SECONDS of the library.
SECONDS_MAX = 1


def library(directory: pathlib.Path) -> str:
    """The library, compiled into that directory unless it is there."""
    built = directory / "wall_clock.so"
    if not built.exists():
        compiler = os.environ.get("CC", "cc")
        command = [compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(built), str(SOURCE)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            sys.exit(f"no C compiler {compiler!r}: install one (apt-get install gcc), or name yours by CC")
        if done.returncode:
            sys.exit(f"{SOURCE.name} does not compile:\n{done.stderr}")
    return str(built)


def environment(directory: pathlib.Path, name: str) -> dict[str, str]:
    """What a process with a clock of its own is started with. Time spans go on as they do: only what the wall
    clock shows is set."""
    file = directory / name
    file.write_text("+0\n")
    return {"LD_PRELOAD": library(directory), FILE: str(file)}


def can_be_set(program: Program) -> bool:
    return FILE in program.env


def set_ahead(program: Program, seconds: int):
    """Sets a clock so far ahead of the machine's, or behind it."""
    # Who reads it in the middle of that would see no time at all.
    draft = pathlib.Path(program.env[FILE] + ".new")
    draft.write_text(f"{seconds:+}\n")
    draft.rename(program.env[FILE])
