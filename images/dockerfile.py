"""What the Dockerfile says of the images themselves: its stages that begin from nothing. Docker builds them; so does
images/build where there is no Docker, from the same lines."""

import json
import pathlib
import re
from dataclasses import dataclass, field, replace

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCKERFILE = ROOT / "Dockerfile"
# The stage that leaves what images are made of, and where.
COLLECTED = ("build", "/image/")


@dataclass(frozen=True)
class Image:
    """One image as a stage describes it, with what it has from the stages that it stands on."""

    # Layers in their order: what of the collected files is copied, and to where.
    copies: tuple[tuple[str, str], ...] = ()
    user: str = ""
    entrypoint: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)


def images() -> dict[str, Image]:
    """The images by their stages' names: those that start a program."""
    stages, current = {"scratch": Image()}, None
    for words, rest in instructions(DOCKERFILE.read_text()):
        if words == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", rest).groups()
            current = name if base in stages else None
            if current:
                stages[name] = stages[base]
        elif current:
            stages[current] = with_instruction(stages[current], words, rest)
    return {name: image for name, image in stages.items() if image.entrypoint}


def instructions(text: str):
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^\s*#.*\n", "", text, flags=re.M))
    for line in filter(str.strip, joined.splitlines()):
        word, _, rest = line.strip().partition(" ")
        yield word, rest.strip()


def with_instruction(image: Image, word: str, rest: str) -> Image:
    match word:
        case "COPY":
            stage, source, target = re.fullmatch(r"--from=(\S+) (\S+) (\S+)", rest).groups()
            if stage != COLLECTED[0] or not source.startswith(COLLECTED[1]):
                raise ValueError(f"COPY {rest}: images take what is in {COLLECTED[1]} of the stage {COLLECTED[0]}")
            return replace(image, copies=(*image.copies, (source.removeprefix(COLLECTED[1]), target)))
        case "USER":
            return replace(image, user=rest)
        case "ENTRYPOINT":
            return replace(image, entrypoint=tuple(json.loads(rest)))
        case "EXPOSE":
            return replace(image, ports=(*image.ports, *rest.split()))
        case "LABEL":
            return replace(image, labels=image.labels | dict(re.findall(r'(\S+?)="([^"]*)"', rest)))
        case _:
            raise ValueError(f"{word} {rest}: images/dockerfile.py does not know it, so images/build would leave it out")
