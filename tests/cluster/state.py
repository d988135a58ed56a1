"""What `make cluster` has started, written down in `.cluster`: so that another process can show it, end
exactly that, and start a part of it again."""

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/servers"))

from server import Program  # noqa: E402

HOME = pathlib.Path(os.environ.get("PREPX_CLUSTER", ROOT / ".cluster")).absolute()
FILE = HOME / "state.json"
URL = HOME / "url"
LOCK = HOME / "lock"


@contextlib.contextmanager
def turn():
    """Only one at a time starts or ends the cluster of a directory."""
    HOME.mkdir(parents=True, exist_ok=True)
    with open(LOCK, "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit(f"another process starts or ends the cluster of {HOME} at this moment")
        yield


def write(programs: list[Program], url: str = ""):
    """Notes what was started, and the gateway's URL once it is known. Only its owner may read it."""
    names = [field.name for field in dataclasses.fields(Program) if field.name != "child"]
    kept = [{name: getattr(program, name) for name in names} for program in programs]
    draft = FILE.with_suffix(".new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"url": url, "programs": kept}, file, indent=1)
    draft.rename(FILE)


def read() -> tuple[list[Program], str]:
    """The programs and the URL; nothing of either where nothing was started."""
    try:
        kept = json.loads(FILE.read_text())
    except FileNotFoundError:
        return [], ""
    return [Program(**program) for program in kept["programs"]], kept["url"]
