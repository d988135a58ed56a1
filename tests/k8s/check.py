#!/usr/bin/env python3
"""Whether the manifests hold: check.py TOOLS. tests/k8s/run installs the tools and calls this."""

import pathlib
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import yaml

import analyses
import delivery
import capacity
import faults
import faults_of_releases  # noted beside the others
import figures
import references
import runbooks
import tiltfile
import watching
from manifests import Manifests

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# What is built: every overlay, and what the mesh is told.
BUILT = ["k8s/overlays/*", "istio/base", "istio/drill"]
# What is applied as it is.
PLAIN = ["k8s/argocd", "k8s/stores"]
# Of that, what deploys the overlay that has everything.
DEPLOYS = "k8s/argocd"
# The overlay that has everything: by it the rules are tried.
WHOLE = "prod"
# The overlay that the Tiltfile deploys.
TILTED = "dev"
# Overlays of what watches, and which: that of the first, staging's and no other; nobody watches development. These have other
# figures than the requirements, who speak of production.
WATCHES = "monitoring-"
WATCHED_BY = {"staging": "monitoring-staging", "dev": None}
# A field that is misspelt, of a kind of Kubernetes, of an operator, and of Strimzi.
MISSPELT = [
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndate: {}\n",
    "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: a}\nspec: {egres: []}\n",
    "apiVersion: kafka.strimzi.io/v1\nkind: KafkaTopic\nmetadata: {name: a}\nspec: {partitions: 1, replicas: 1, a: 1}\n",
]


def main():
    tools, began = pathlib.Path(sys.argv[1]), time.monotonic()
    folders = [path for pattern in BUILT for path in sorted(ROOT.glob(pattern))]
    with ThreadPoolExecutor(2) as both:
        built = dict(zip(folders, both.map(lambda folder: build(tools, folder), folders)))
        plain = {
            path: "\n---\n".join(file.read_text() for file in sorted(path.glob("*.yaml")))
            for path in map(ROOT.joinpath, PLAIN)
        }
        texts = built | plain
        invalid = dict(zip(texts, both.map(lambda text: validate(tools, text), texts.values())))
    wrong = [f"{folder.relative_to(ROOT)}: {line}" for folder, lines in invalid.items() for line in lines]
    overlays = {
        folder.name: Manifests(list(yaml.load_all(text, LOADER)))
        for folder, text in built.items()
        if folder.parent.name == "overlays"
    }
    overlays[WHOLE] = Manifests(overlays[WHOLE].docs + list(yaml.load_all(plain[ROOT / DEPLOYS], LOADER)))
    for overlay, manifests in overlays.items():
        problems = of_overlay(overlay, manifests, overlays)
        wrong += [f"k8s/overlays/{overlay}: {problem}" for problem in problems]
        if overlay == WHOLE and not problems:
            wrong += faults.unseen(manifests) + lenient(tools) + watching.lenient(manifests.beside)
            wrong += delivery.problems(tools, manifests.docs) + delivery.unseen(tools)
            wrong += analyses.problems(manifests) + analyses.unseen(manifests)
        if overlay == TILTED:
            wrong += tiltfile.problems(manifests.docs) + tiltfile.unseen()
    wrong += unused(folders)
    for line in wrong:
        print(line, file=sys.stderr)
    count = sum(text.count("\nkind: ") for text in texts.values())
    took = f"{time.monotonic() - began:.0f} s"
    print(
        f"{count} manifests of {len(texts)} folders, {len(faults.FAULTS)} faults seen of which none is there: {took}"
        if not wrong
        else f"{len(wrong)} problems in {count} manifests: {took}"
    )
    sys.exit(bool(wrong))


def of_overlay(overlay: str, manifests: Manifests, overlays: dict[str, Manifests]) -> list[str]:
    if overlay.startswith(WATCHES):
        return references.problems(manifests) + watching.refused(manifests)
    beside = WATCHED_BY.get(overlay, f"{WATCHES}{WHOLE}")
    manifests.beside = overlays.get(beside)
    problems = references.problems(manifests)
    if overlay not in WATCHED_BY:
        problems += figures.problems(manifests)
    return problems + list(capacity.deployed(manifests)) + list(runbooks.named(manifests)) if overlay == WHOLE else problems


def build(tools: pathlib.Path, folder: pathlib.Path) -> str:
    done = subprocess.run([tools / "bin/kustomize", "build", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"kustomize cannot build {folder.relative_to(ROOT)}: {done.stderr}")
    return done.stdout


def validate(tools: pathlib.Path, text: str) -> list[str]:
    """What kubeconform says of it; nothing is passed over, neither a field nor a kind."""
    places = [
        tools / "schemas/kubernetes/{{.ResourceKind}}{{.KindSuffix}}.json",
        tools / "schemas/operators/{{.ResourceKind}}_{{.Group}}_{{.ResourceAPIVersion}}.json",
        ROOT / "tests/k8s/strimzi/{{.ResourceKind}}_{{.Group}}_{{.ResourceAPIVersion}}.json",
    ]
    flags = [word for place in places for word in ("-schema-location", str(place))]
    done = subprocess.run(
        [tools / "bin/kubeconform", "-strict", "-n", "2", *flags, "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    said = (done.stdout + done.stderr).strip()
    return said.splitlines() if done.returncode else []


def lenient(tools: pathlib.Path) -> list[str]:
    """The misspelt that pass."""
    return [f"tests/k8s: kubeconform lets pass {text!r}" for text in MISSPELT if not validate(tools, text)]


def unused(folders: list[pathlib.Path]) -> list[str]:
    """Components that are in no overlay would never be built."""
    read, open_folders = set(), list(folders)
    while open_folders:
        folder = open_folders.pop()
        if folder in read or not folder.is_dir():
            continue
        read.add(folder)
        said = yaml.load((folder / "kustomization.yaml").read_text(), LOADER)
        open_folders += [(folder / path).resolve() for path in said.get("resources", []) + said.get("components", [])]
    there = {path.parent for path in ROOT.glob("k8s/**/kustomization.yaml")}
    return [f"{path.relative_to(ROOT)} is in no overlay" for path in sorted(there - read)]


if __name__ == "__main__":
    main()
