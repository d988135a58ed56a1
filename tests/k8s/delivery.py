"""Whether what builds and ships the programs agrees with them: the Dockerfile, beside the manifests that name its images."""

import pathlib
import subprocess
import sys
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "images"))
import dockerfile

# What begins the names of images of our own, in manifests.
OURS = "registry.prepx.example/"
NOBODY = "65532:65532"
# Dockerfiles that a linter has to refuse: without a tag, and with a command by a shell.
BAD_DOCKERFILES = ["FROM debian\n", "FROM debian:12\nCMD sleep 1\n"]


def problems(tools: pathlib.Path, docs: list[dict]) -> list[str]:
    """What is wrong, beside the objects of the overlay that has everything."""
    return [*hadolint(tools, ROOT / "Dockerfile"), *of_images(named_images(docs))]


def unseen(tools: pathlib.Path) -> list[str]:
    """What is wrong and passes."""
    with tempfile.NamedTemporaryFile("w", suffix=".Dockerfile") as file:
        passed = []
        for text in BAD_DOCKERFILES:
            pathlib.Path(file.name).write_text(text)
            passed += [] if hadolint(tools, pathlib.Path(file.name)) else [f"hadolint lets pass {text!r}"]
    return passed


def hadolint(tools: pathlib.Path, path: pathlib.Path) -> list[str]:
    done = subprocess.run([tools / "venv/bin/hadolint", path], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).splitlines() if done.returncode else []


def named_images(value) -> set[str]:
    """The images of our own that manifests name, wherever in them."""
    if isinstance(value, dict):
        own = {value["image"]} if str(value.get("image", "")).startswith(OURS) else set()
        return own.union(*map(named_images, value.values()))
    return set().union(*map(named_images, value)) if isinstance(value, list) else set()


def of_images(named: set[str]) -> list[str]:
    found, workspace = dockerfile.images(), tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]
    wrong = []
    expected = {f"{OURS}{name}:{workspace['version']}" for name in found}
    if named != expected:
        wrong.append(f"k8s/ names {sorted(named - expected)} that the Dockerfile does not make, not {sorted(expected - named)}")
    for name, image in found.items():
        own = (name, f"/{name}")
        if image.user != NOBODY or image.entrypoint != (own[1],) or image.copies != (("common/", "/"), own):
            wrong.append(f"Dockerfile: {name} is not the common files and /{name}, started as {NOBODY}")
        label = "org.opencontainers.image."
        if image.labels.get(f"{label}title") != name or image.labels.get(f"{label}version") != workspace["version"]:
            wrong.append(f"Dockerfile: the labels of {name} are not its name and the version of Cargo.toml")
        if name != "prepx" and image.ports != ("9000", "9090"):
            wrong.append(f"Dockerfile: {name} has other ports than k8s/base/workload")
    if f"FROM rust:{workspace['rust-version']}-" not in (ROOT / "Dockerfile").read_text():
        wrong.append(f"Dockerfile: programs are not built by the Rust {workspace['rust-version']} of Cargo.toml")
    return wrong
