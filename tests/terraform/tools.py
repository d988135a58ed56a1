#!/usr/bin/env python3
"""Installs what reads terraform/, once, and prints where."""

import hashlib
import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "servers"))
import server

REQUIREMENTS = HERE / "requirements.txt"


def install(work: pathlib.Path) -> pathlib.Path:
    home = work / "venv"
    # It is moved afterwards: its Python finds its place by itself, its scripts would not.
    venv.create(home, with_pip=True, symlinks=True)
    command = [home / "bin/python", "-m", "pip", "-q", "--disable-pip-version-check", "install", "-r", REQUIREMENTS]
    # What this prints is a path and nothing else.
    subprocess.run(command, stdout=sys.stderr, check=True)
    return home


if __name__ == "__main__":
    print(server.kept(f"terraform-{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]}", install))
