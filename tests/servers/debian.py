"""Programs of a newer Debian beside the system's own: packages and all that they stand on, unpacked from
the mirror that the machine uses already. Nothing is installed."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import server

SUITE = "trixie"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# It is started where it was put, with the libraries beside it, by whatever user sees it.
STARTER = """#!/bin/sh
home=$(dirname "$(readlink -f "$0")")/..
exec "$home/lib/{loader}" --library-path "$home/lib" "$home/lib/{name}" "$@"
"""


def program(package: str, path: str, data: str = "") -> pathlib.Path:
    """A program of a package, in `bin` beside the `lib` that it needs, and `data`, a folder of the package that it reads."""
    name = pathlib.Path(path).name
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing: {name} is fetched by it from Debian's {SUITE}")
    if not os.path.exists(KEYRING):
        sys.exit(f"Debian's keys are missing, by which {name} is checked: apt-get install debian-archive-keyring")

    def fetch(work: pathlib.Path) -> pathlib.Path:
        root, made = unpacked(package, work), work / name
        kept_only(root, root / path.lstrip("/"), made)
        if data:
            shutil.copytree(root / data.lstrip("/"), made / "data")
        return made

    return server.kept(f"{SUITE}-{name}", fetch) / "bin" / name


def mirror() -> str:
    """Where this machine's packages come from, where it is a Debian."""
    told = subprocess.run(["apt-cache", "policy"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"^\s*\d+ (https?://\S+) [a-z]+/main .*\n\s*release .*\bo=Debian\b", told, re.MULTILINE)
    return found.group(1) if found else "http://deb.debian.org/debian"


def unpacked(package: str, work: pathlib.Path) -> pathlib.Path:
    """The files of a package and its dependencies."""
    root, apt = work / "root", work / "apt"
    for directory in ("lists/partial", "cache/archives/partial"):
        pathlib.Path(apt, directory).mkdir(parents=True)
    pathlib.Path(apt, "status").touch()
    source = f"deb [signed-by={KEYRING}] {mirror()} {SUITE} main\n"
    pathlib.Path(apt, "sources.list").write_text(source)
    options = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "Debug::NoLocking": 1,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    get = ["apt-get", "-qq", "-y", *(f"-o{name}={value}" for name, value in options.items())]
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run([*get, "update"], **quiet)
    install = ["--no-install-recommends", "--download-only", "install", package]
    subprocess.run([*get, *install], **quiet)
    for archive in pathlib.Path(apt, "cache/archives").glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", archive, root], check=True)
    return root


def kept_only(root: pathlib.Path, binary: pathlib.Path, made: pathlib.Path):
    """The program and the libraries that it loads, out of all that was unpacked."""
    loader = next(root.glob("**/ld-linux*.so.*"))
    libraries = ":".join({str(path.parent) for path in root.glob("**/*.so.*")})
    lists = [loader, "--library-path", libraries, "--list", binary]
    told = subprocess.run(lists, capture_output=True, text=True, check=True).stdout
    for directory in ("bin", "lib"):
        pathlib.Path(made, directory).mkdir(parents=True)
    for library in {str(binary), str(loader), *re.findall(rf"{re.escape(str(root))}\S+", told)}:
        shutil.copy(library, made / "lib")
    starter = made / "bin" / binary.name
    starter.write_text(STARTER.format(loader=loader.name, name=binary.name))
    os.chmod(starter, 0o755)
