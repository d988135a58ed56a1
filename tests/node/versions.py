"""Other versions of an image: the same program under another name, good, spoilt by a proxy before it, or with another rule in it."""

import io
import json
import pathlib
import re
import tarfile

import node
import oci

REGISTRY = "registry.prepx.example"
# By which label Argo Rollouts tells the pods of versions apart.
HASH = "rollouts-pod-template-hash"
# What an order may be worth, in the account stage's defaults (services/risk/account/src/config.rs), and something else; there it is
# an operand of instructions that move 64 bits into a register.
WORTH_MAX, ANOTHER = (value.to_bytes(8, "little") for value in (10**18, 10**15))
MOVED = re.compile(rb"(?<=[\x48\x49][\xb8-\xbf])" + re.escape(WORTH_MAX), re.DOTALL)


def version(
    images: pathlib.Path, program: str, tag: str, faulty: pathlib.Path, faults: dict[str, str] = {}, rule: bytes = WORTH_MAX
) -> pathlib.Path:
    """An image in a file, of the one that the program has; without faults, and with the rule that is written, it is a good version.
    What they share is not in the file: whoever takes it has that."""
    with tarfile.open(images / f"{program}.tar") as archive:
        read = lambda name: archive.extractfile(name).read()
        blob = lambda told: read("blobs/sha256/" + told["digest"].removeprefix("sha256:"))
        manifest = json.loads(blob(json.loads(read("index.json"))["manifests"][0]))
        config, layout, layers = json.loads(blob(manifest["config"]))["config"], oci.Layout(), manifest["layers"]
        if rule != WORTH_MAX:
            [*others, own] = layers
            layers = [*others, layout.put(with_rule(blob(own), program, rule), own["mediaType"])]
    if faults:
        layers = [*layers, layout.layer({"faulty": faulty})]
        config["Entrypoint"] = ["/faulty", *config["Entrypoint"]]
        config["Env"] = [f"FAULT_{name}={value}" for name, value in faults.items()]
    config["Labels"] = config.get("Labels", {}) | {"version": tag}
    layout.image(name_of(program, tag), layers, config)
    made = images.parent / f"{program}-{tag}.tar"
    layout.write(made)
    return made


def with_rule(layer: bytes, program: str, rule: bytes) -> bytes:
    """The layer of a program, which has another limit in it."""
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        changed, count = MOVED.subn(rule, archive.extractfile(program).read())
    assert count, f"{program} has the limit elsewhere than this looks for it"
    return oci.tar({program: (changed, 0o755)})


def name_of(program: str, tag: str) -> str:
    return f"{REGISTRY}/{program}:{tag}"


def take(on: node.Node, images: pathlib.Path, program: str, tag: str, **of_it):
    """Makes a version, as :func:`version` does, and gives it to the node."""
    made = version(images, program, tag, on.tools / "bin/faulty", **of_it)
    on.take(made)
    made.unlink()
