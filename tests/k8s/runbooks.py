"""Whether the commands of runbooks name what is in a cluster: pods, services, rollouts, databases, labels. None of them is run."""

import re
import shlex
from collections.abc import Iterator

import facts
from manifests import Manifests

BLOCK = re.compile(r"```sh cluster\n(.*?)```", re.S)
# Labels that operators put on pods, and the kind that each names.
OPERATORS = {"strimzi.io/cluster": "Kafka", "strimzi.io/pool-name": "KafkaNodePool", "cnpg.io/cluster": "Cluster"}
# Whose pods are called as they are, with a number.
NUMBERED = ("StatefulSet", "Cluster")
# After these comes the name of something.
NAMES = {"logs", "exec", "abort", "psql", "promote", "status"}
# Whose value is no name of what is looked for here.
FLAGS = {"-n", "-c", "-o"}
# What is in another namespace, by gateways and not by these files.
OUTSIDE = {"prepx-public"}


def named(m: Manifests) -> Iterator[str]:
    for path in sorted((facts.ROOT / "docs/runbooks").glob("*.md")):
        for line in "\n".join(BLOCK.findall(path.read_text())).splitlines():
            yield from (f"{path.name}: {line}: {problem}" for problem in of_line(m, line))


def of_line(m: Manifests, line: str) -> Iterator[str]:
    names = {doc["metadata"]["name"] for doc in m.docs} | OUTSIDE
    numbered = {doc["metadata"]["name"] for doc in m.of(*NUMBERED)}
    # What is asked for inside is looked at as what stands outside.
    words = shlex.split(line.replace('"$(', "; ").replace(')"', " "))
    words = [word for before, word in zip(["", *words], words) if before not in FLAGS and word not in FLAGS]
    for before, word in zip(words, words[1:]):
        name = word.rpartition("/")[2]
        if before == "-l":
            yield from selects(m, word)
        elif re.fullmatch(r"prepx(-[a-z0-9]+)*", name) or before in NAMES and not word.startswith(("-", ";")):
            if name not in names and re.sub(r"-\d+$", "", name) not in numbered:
                yield f"there is no {word}"


def selects(m: Manifests, selector: str) -> Iterator[str]:
    key, _, value = selector.partition("=")
    found = m.has(OPERATORS[key], value) if key in OPERATORS else m.labelled({key: value})
    if not found:
        yield f"no pod has {selector}"


RULES = [named]
