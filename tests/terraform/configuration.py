"""What terraform/ says, read by its own grammar."""

import dataclasses
import functools
import json
import pathlib
import re
from collections.abc import Iterator

import hcl2

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOME = ROOT / "terraform"
# What is said of every resource, whatever it is.
META = {"for_each", "count", "provider", "depends_on", "lifecycle"}
OF_A_MODULE = {"source", "providers", "for_each", "count", "depends_on"}
# Beginnings of references: of variables, locals, modules and data, and of resources, which are all of one provider.
REFERENCE = re.compile(r"(?<![\w.])(var|local|module|data|aws_\w+)((?:\.[\w-]+|\[[^\[\]]*\])+)")


@dataclasses.dataclass
class Module:
    """One folder."""

    path: pathlib.Path
    said: dict

    def name(self) -> str:
        return str(self.path.relative_to(HOME))

    def is_root(self) -> bool:
        return self.path.parent == HOME

    def blocks(self, kind: str) -> dict[str, dict]:
        """Those with one label: `variable`, `output`, `module`, `provider`."""
        return {plain(name): body for block in self.said.get(kind, []) for name, body in block.items()}

    def locals(self) -> dict:
        return {name: value for block in self.said.get("locals", []) for name, value in arguments(block).items()}

    def resources(self) -> Iterator[tuple[str, str, str, dict]]:
        """`resource` or `data`, the type, the name, and what is said."""
        for kind in ("resource", "data"):
            for block in self.said.get(kind, []):
                for type_, named in block.items():
                    for name, body in named.items():
                        yield kind, plain(type_), plain(name), body

    def references(self) -> set[tuple[str, tuple[str, ...]]]:
        """What expressions refer to: `("var", ("cidr",))`, `("aws_vpc", ("this", "id"))`. An index is left out."""
        text = json.dumps(self.said).replace('\\"', '"').replace('\\"', '"')
        found = ((head, re.sub(r"\[[^\[\]]*\]", "", rest).split(".")[1:]) for head, rest in REFERENCE.findall(text))
        return {(head, tuple(rest)) for head, rest in found}


@dataclasses.dataclass
class Edit:
    """One place of one file that says something else."""

    file: str
    old: str
    new: str

    def of(self, path: pathlib.Path, text: str) -> str:
        if path != HOME / self.file:
            return text
        if self.old not in text:
            raise ValueError(f"terraform/{self.file} does not say {self.old!r} any more")
        return text.replace(self.old, self.new, 1)


def modules(edit: Edit | None = None) -> list[Module]:
    """Every folder that has something to say, as it is or with an edit."""
    folders = sorted({path.parent for path in files()})
    return [read(folder, edit) for folder in folders]


def files() -> list[pathlib.Path]:
    return [path for path in sorted(HOME.rglob("*.tf")) if ".terraform" not in path.parts]


def read(folder: pathlib.Path, edit: Edit | None) -> Module:
    said = {}
    for path in sorted(folder.glob("*.tf")):
        text = edit.of(path, path.read_text()) if edit else path.read_text()
        for kind, blocks in parsed(text).items():
            said.setdefault(kind, []).extend(blocks)
    return Module(folder, said)


@functools.cache
def parsed(text: str) -> dict:
    said = hcl2.loads(text, serialization_options=hcl2.SerializationOptions(with_comments=False))
    return {kind: blocks for kind, blocks in said.items() if not kind.startswith("__")}


def plain(name: str) -> str:
    return name.strip('"')


def arguments(body: dict) -> dict:
    """What is said in a block, without what the reader has added."""
    return {name: value for name, value in body.items() if not name.startswith("__")}
