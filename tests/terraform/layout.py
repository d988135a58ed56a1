"""How the files are laid out: what `terraform fmt` would change that is seen without it."""

import itertools
import pathlib
import re
from collections.abc import Iterator

from configuration import HOME, files

ARGUMENT = re.compile(r'^( *)("[^"]+"|[\w./-]+)( *) = (.*)$')


def problems() -> list[str]:
    paths = [*files(), *sorted(HOME.rglob("*.hcl"))]
    return [
        f"{path.relative_to(HOME.parent)}:{line}"
        for path in paths
        if ".terraform" not in path.parts
        for line in of(path)
    ]


def of(path: pathlib.Path) -> Iterator[str]:
    yield from of_text(path.read_text())


def of_text(text: str) -> Iterator[str]:
    lines = text.split("\n")
    if lines[-1] or len(lines) > 1 and not lines[-2]:
        yield f"{len(lines)}: a file ends with one newline"
    depth = 0
    for number, line in enumerate(lines, 1):
        bare = re.sub(r'"(\\.|[^"\\])*"', '""', line).partition("#")[0]
        closing = len(re.match(r"[\s)\]}]*", bare)[0].replace(" ", ""))
        # Several brackets that close together count as one step, as they did when they opened.
        here = depth - (1 if closing else 0)
        if line != line.rstrip() or "\t" in line:
            yield f"{number}: space at the end, or a tab"
        elif line and len(line) - len(line.lstrip()) != 2 * here:
            yield f"{number}: indented by {len(line) - len(line.lstrip())}, not by {2 * here}"
        balance = sum(map(bare.count, "([{")) - sum(map(bare.count, ")]}"))
        depth += (balance > 0) - (balance < 0)
    yield from unaligned(lines)


def unaligned(lines: list[str]) -> Iterator[str]:
    """Arguments of one line each that follow each other have their signs below each other."""
    found = [(number, ARGUMENT.match(line)) for number, line in enumerate(lines, 1)]
    single = lambda one: bool(one[1]) and not one[1][4].rstrip().endswith(("{", "[", "("))
    for is_single, group in itertools.groupby(found, single):
        if not is_single:
            continue
        for _, same in itertools.groupby(group, lambda one: one[1][1]):
            same = list(same)
            widest = max(len(match[2]) for _, match in same)
            for number, match in same:
                if len(match[2] + match[3]) != widest:
                    yield f"{number}: `=` is not below the one above"
