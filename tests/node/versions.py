"""Other versions of a service's image: the same program under another name, good or spoilt by a proxy before it."""

import json
import pathlib
import tarfile

import node
import oci

REGISTRY = "registry.prepx.example"


def version(images: pathlib.Path, program: str, tag: str, faulty: pathlib.Path, faults: dict[str, str] = {}) -> pathlib.Path:
    """An image in a file, of the one that the program has; without faults it is a good version."""
    with tarfile.open(images / f"{program}.tar") as archive:
        files = {entry.name: archive.extractfile(entry).read() for entry in archive if entry.isfile()}
    blob = lambda told: files["blobs/sha256/" + told["digest"].removeprefix("sha256:")]
    manifest = json.loads(blob(json.loads(files["index.json"])["manifests"][0]))
    config, layout = json.loads(blob(manifest["config"]))["config"], oci.Layout()
    layers = [layout.put(blob(layer), layer["mediaType"]) for layer in manifest["layers"]]
    if faults:
        layers.append(layout.layer({"faulty": faulty}))
        config["Entrypoint"] = ["/faulty", *config["Entrypoint"]]
        config["Env"] = [f"FAULT_{name}={value}" for name, value in faults.items()]
    config["Labels"] = config.get("Labels", {}) | {"version": tag}
    layout.image(name_of(program, tag), layers, config)
    made = images.parent / f"{program}-{tag}.tar"
    layout.write(made)
    return made


def name_of(program: str, tag: str) -> str:
    return f"{REGISTRY}/{program}:{tag}"


def take(on: node.Node, images: pathlib.Path, program: str, tag: str, faults: dict[str, str] = {}):
    """Makes a version, and gives it to the node."""
    made = version(images, program, tag, on.tools / "bin/faulty", faults)
    on.take(made)
    made.unlink()
