#!/usr/bin/env python3
"""Takes from what a provider says of itself what terraform/ uses of it, so that the check needs no provider, in
terraform/multi-region after `terraform init`, with the Python that tests/terraform/tools.py prints:

    terraform providers schema -json | PYTHON ../../tests/terraform/schema.py > ../../tests/terraform/schema.json

Of each kind its arguments, each `required`, `optional` or `computed` (told and never set), and its blocks."""

import json
import sys

import configuration

PROVIDER = "registry.terraform.io/hashicorp/aws"


def main():
    told = json.load(sys.stdin)["provider_schemas"][PROVIDER]
    kinds = {"resource": told["resource_schemas"], "data": told["data_source_schemas"]}
    used = {(kind, type_) for module in configuration.modules() for kind, type_, _, _ in module.resources()}
    found = {f"{kind} {type_}": block(kinds[kind][type_]["block"]) for kind, type_ in sorted(used)}
    json.dump(found, sys.stdout, indent=None, separators=(",", ":"), sort_keys=True)
    print()


def block(told: dict) -> dict:
    """The arguments and the blocks of a block, in short."""
    how = lambda one: "required" if one.get("required") else "optional" if one.get("optional") else "computed"
    return {
        "arguments": {name: how(one) for name, one in told.get("attributes", {}).items()},
        "blocks": {
            name: block(one["block"]) | {"least": one.get("min_items", 0)}
            for name, one in told.get("block_types", {}).items()
        },
    }


if __name__ == "__main__":
    main()
