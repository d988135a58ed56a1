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
    """An image in a file, of the one that the program has; without faults, and with the rule that is written, it is a good version."""
    with tarfile.open(images / f"{program}.tar") as archive:
        files = {entry.name: archive.extractfile(entry).read() for entry in archive if entry.isfile()}
    blob = lambda told: files["blobs/sha256/" + told["digest"].removeprefix("sha256:")]
    manifest = json.loads(blob(json.loads(files["index.json"])["manifests"][0]))
    config, layout = json.loads(blob(manifest["config"]))["config"], oci.Layout()
    layers = [layout.put(blob(layer), layer["mediaType"]) for layer in manifest["layers"]]
    if rule != WORTH_MAX:
        [*_, own] = manifest["layers"]
        layers[-1] = layout.put(with_rule(blob(own), program, rule), own["mediaType"])
    if faults:
        layers.append(layout.layer({"faulty": faulty}))
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
