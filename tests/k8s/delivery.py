"""Whether what builds and ships the programs agrees with them: the Dockerfile, beside the manifests that name its images, and
the workflows, beside the Makefile; and what linters say of shell and YAML wherever they are."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "images"))
import dockerfile

# What begins the names of images of our own, in manifests.
OURS = "registry.prepx.example/"
NOBODY = "65532:65532"
# Dockerfiles that a linter has to refuse: without a tag, and with a command by a shell.
BAD_DOCKERFILES = ["FROM debian\n", "FROM debian:12\nCMD sleep 1\n"]
# An action by the commit that it is, with the version for who reads it; workflows of our own have neither.
PINNED = re.compile(r"uses: (\./\S+|[\w./-]+@[0-9a-f]{40} # v[\d.]+)$")
# A workflow that a linter has to refuse: a field that is misspelt, and an output that is nobody's.
BAD_WORKFLOWS = [
    "on: push\njobs: {a: {run-on: ubuntu-24.04, steps: [{run: make}]}}\n",
    "on: push\njobs: {a: {runs-on: ubuntu-24.04, steps: [{run: 'echo ${{ needs.b.outputs.c }}'}]}}\n",
]
# Where scripts and YAML are, and what is not ours there.
FOLDERS = [".ci", ".github", "bench", "images", "istio", "k8s", "observability", "tests", "tools"]
SKIPPED = {"target", "node_modules", "__pycache__", ".venv"}
SHEBANG = re.compile(rb"#!\S*(/|/env )(ba)?sh\n")
# What linters of shell and YAML have to refuse: a word that falls apart, and a key that is there twice.
BAD_SHELL = ["#!/bin/sh\nrm $1\n"]
BAD_YAML = ["a: 1\na: 2\n"]


def problems(tools: pathlib.Path, docs: list[dict]) -> list[str]:
    """What is wrong, beside the objects of the overlay that has everything."""
    flows = sorted((ROOT / ".github/workflows").glob("*.yml"))
    wrong = [line for flow in flows for line in [*actionlint(tools, flow), *of_workflow(flow)]]
    files = list(ours())
    wrong += shellcheck(tools, *(path for path in files if SHEBANG.match(path.open("rb").readline())))
    wrong += yamllint(tools, *(path for path in files if path.suffix in (".yml", ".yaml")))
    return [*hadolint(tools, ROOT / "Dockerfile"), *of_images(named_images(docs)), *wrong]


def ours() -> Iterator[pathlib.Path]:
    for folder in FOLDERS:
        for home, inner, names in os.walk(ROOT / folder):
            inner[:] = sorted(set(inner) - SKIPPED)
            yield from (pathlib.Path(home, name) for name in sorted(names))


def unseen(tools: pathlib.Path) -> list[str]:
    """What is wrong and passes."""
    passed = []
    lints = {hadolint: BAD_DOCKERFILES, actionlint: BAD_WORKFLOWS, shellcheck: BAD_SHELL, yamllint: BAD_YAML}
    for lint, texts in lints.items():
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "bad.yml")
            for text in texts:
                path.write_text(text)
                passed += [] if lint(tools, path) else [f"{lint.__name__} lets pass {text!r}"]
    return passed


def actionlint(tools: pathlib.Path, path: pathlib.Path) -> list[str]:
    # Alike on every machine, whichever linters it has beside.
    words = [tools / "bin/actionlint", "-oneline", "-shellcheck=", "-pyflakes=", path]
    return said(words)


def of_workflow(path: pathlib.Path) -> list[str]:
    text, targets = path.read_text(), set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    name, jobs = path.relative_to(ROOT), yaml.safe_load(text)["jobs"]
    suites = {one["suite"] for job in jobs.values() for one in job.get("strategy", {}).get("matrix", {}).get("include", [])}
    called = set(re.findall(r"(?:run:|images/reproducibly) make ([\w-]+)|^\s+make ([\w-]+)", text, re.M))
    wrong = [f"{name}: {line.strip()} is not pinned" for line in text.splitlines() if "uses:" in line and not PINNED.search(line)]
    programs = set(re.findall(r"run: (?:sudo )?((?:tests|tools|images)/\S+)", text))
    wrong += [f"{name}: there is no {program}" for program in programs if not (ROOT / program).is_file()]
    wrong += [f"{name}: the Makefile has no {target}" for target in {"".join(pair) for pair in called} | suites if target not in targets]
    versions = set(re.findall(r"toolchain install (\S+)", text)) - {workspace()["rust-version"]}
    wrong += [f"{name}: Rust {version} is not that of Cargo.toml" for version in versions]
    wrong += [f"{name}: {job} may go on for ever" for job, it in jobs.items() if "uses" not in it and "timeout-minutes" not in it]
    return wrong


def hadolint(tools: pathlib.Path, path: pathlib.Path) -> list[str]:
    return said([tools / "venv/bin/hadolint", path])


def shellcheck(tools: pathlib.Path, *paths: pathlib.Path) -> list[str]:
    return said([tools / "venv/bin/shellcheck", "--format=gcc", *paths])


def yamllint(tools: pathlib.Path, *paths: pathlib.Path) -> list[str]:
    # A script of the environment knows only where that was made.
    words = [tools / "venv/bin/python", "-m", "yamllint", "--strict", "--format=parsable", f"--config-file={ROOT}/tests/k8s/yamllint.yml"]
    return said([*words, *paths])


def said(words: list) -> list[str]:
    """By a linter that found something."""
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).splitlines() if done.returncode else []


def named_images(value) -> set[str]:
    """The images of our own that manifests name, wherever in them."""
    if isinstance(value, dict):
        own = {value["image"]} if str(value.get("image", "")).startswith(OURS) else set()
        return own.union(*map(named_images, value.values()))
    return set().union(*map(named_images, value)) if isinstance(value, list) else set()


def workspace() -> dict:
    """What all programs have in common."""
    return tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]


def of_images(named: set[str]) -> list[str]:
    found, package = dockerfile.images(), workspace()
    wrong = []
    expected = {f"{OURS}{name}:{package['version']}" for name in found}
    if named != expected:
        wrong.append(f"k8s/ names {sorted(named - expected)} that the Dockerfile does not make, not {sorted(expected - named)}")
    for name, image in found.items():
        own = (name, f"/{name}")
        if image.user != NOBODY or image.entrypoint != (own[1],) or image.copies != (("common/", "/"), own):
            wrong.append(f"Dockerfile: {name} is not the common files and /{name}, started as {NOBODY}")
        label = "org.opencontainers.image."
        if image.labels.get(f"{label}title") != name or image.labels.get(f"{label}version") != package["version"]:
            wrong.append(f"Dockerfile: the labels of {name} are not its name and the version of Cargo.toml")
        if name != "prepx" and image.ports != ("9000", "9090"):
            wrong.append(f"Dockerfile: {name} has other ports than k8s/base/workload")
    if f"FROM rust:{package['rust-version']}-" not in (ROOT / "Dockerfile").read_text():
        wrong.append(f"Dockerfile: programs are not built by the Rust {package['rust-version']} of Cargo.toml")
    return wrong
