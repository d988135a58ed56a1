#!/usr/bin/env python3
"""Whether terraform/ holds together, without a provider: tests/terraform/run installs what it takes and calls this."""

import json
import pathlib
import sys
import time

import configuration
import deployed
import faults
import layout
import rules


def main():
    began = time.monotonic()
    schema = json.loads((pathlib.Path(__file__).parent / "schema.json").read_text())
    world = rules.World(configuration.modules(), schema)
    wrong = layout.problems() + rules.problems(world) + deployed.problems(world)
    if not wrong:
        wrong = faults.unseen(schema)
    for line in wrong:
        print(line, file=sys.stderr)
    count = sum(1 for module in world.modules.values() for _ in module.resources())
    told = f"{count} resources of {len(world.modules)} folders"
    seen = f"{len(faults.FAULTS) + len(faults.UNTIDY)} faults seen of which none is there"
    took = f"{time.monotonic() - began:.0f} s"
    print(f"{len(wrong)} problems in {told}: {took}" if wrong else f"{told}, {seen}: {took}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
