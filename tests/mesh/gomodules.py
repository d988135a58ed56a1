"""Programs of Go modules, compiled once and kept: each folder beside this file pins one module and what it stands on. Another
text of the folder is another place."""

import hashlib
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "k8s"), str(HERE.parent / "servers")]
import server
import tools

GO_MIN = (1, 26)
# Where a module of what a folder pins has its source.
Source = Callable[[str], pathlib.Path]


@dataclass(frozen=True)
class Module:
    """A folder, and which packages of it become programs."""

    folder: str
    programs: dict[str, str]
    # On two cores, which are told to who waits.
    minutes: int
    ldflags: str = ""
    flags: tuple[str, ...] = ()
    # What besides is put beside the programs, by a Python that has pip.
    more: Callable[[pathlib.Path, Source, pathlib.Path], None] = lambda made, source, python: None


def key(tests: pathlib.Path, *modules: Module) -> str:
    """What tells tools of a folder of tests apart from those of another day: how they are built, and of what."""
    return digest([tests / "build.py", tests / "requirements.txt", *itertools.chain.from_iterable(map(files, modules))])


def files(module: Module) -> list[pathlib.Path]:
    return sorted(path for path in (HERE / module.folder).rglob("*") if path.is_file())


def digest(paths: list[pathlib.Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def programs(module: Module, python: pathlib.Path) -> pathlib.Path:
    """The directory of its programs."""
    return server.kept(f"{module.folder}-{digest(files(module))}", lambda work: compiled(module, work, python))


def compiled(module: Module, work: pathlib.Path, python: pathlib.Path) -> pathlib.Path:
    names = ", ".join(module.programs)
    print(f"{names} are built, once: about {module.minutes} minutes", file=sys.stderr)
    # Istio's main and the rollouts take a newer one than the tools of manifests do.
    tools.GO_MIN = GO_MIN
    go, made, folder = tools.found_go() or tools.wheel_go(work, python), work / "bin", HERE / module.folder
    # Beside what is kept: a build that was interrupted goes on where it was, and modules share what they compile.
    caches = shared()
    env = os.environ | {
        "GOPATH": str(caches),
        "GOCACHE": str(caches / "cache"),
        "GOFLAGS": "-modcacherw -trimpath -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    for name, package in module.programs.items():
        flags = [*module.flags, f"-ldflags=-s -w {module.ldflags}", "-o", made / name]
        subprocess.run([go, "build", *flags, package], env=env, cwd=folder, check=True)

    def source(path: str) -> pathlib.Path:
        asked = [go, "mod", "download", "-json", path] if "@" in path else [go, "list", "-m", "-json", path]
        told = subprocess.run(asked, env=env, cwd=folder, check=True, capture_output=True, text=True).stdout
        return pathlib.Path(json.loads(told)["Dir"])

    module.more(made, source, python)
    return made


def shared() -> pathlib.Path:
    return server.keep() / "go"


def environment(path: pathlib.Path, requirements: pathlib.Path) -> pathlib.Path:
    """A Python with what tests of a folder stand on; its own program."""
    venv.create(path, with_pip=True, symlinks=True)
    python = path / "bin/python"
    tools.pip(python, "install", "-r", requirements)
    return python


def kustomize() -> pathlib.Path:
    """The one by which manifests are checked."""
    command = [sys.executable, HERE.parent / "k8s/tools.py"]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return pathlib.Path(told.strip(), "bin/kustomize")


def forget():
    """What was compiled on the way: several GB that nobody needs when all is built."""
    shutil.rmtree(shared(), ignore_errors=True)
