#!/usr/bin/env python3
"""Schemas as kubeconform reads them: schemas.py INTO CRD.yaml..., or schemas.py INTO --kubernetes DIRECTORY.

Of a definition of kinds each version is a file; what it does not name is refused. Of Kubernetes' own schemas
each file is made whole, so that none has to be looked for elsewhere.
"""

import json
import pathlib
import re
import sys

LOCAL = "#/definitions/"


def main():
    into, *rest = sys.argv[1:]
    into = pathlib.Path(into)
    into.mkdir(parents=True, exist_ok=True)
    written = kubernetes(into, pathlib.Path(rest[1])) if rest[0] == "--kubernetes" else operators(into, rest)
    if not written:
        sys.exit(f"no schemas were found in {rest}")


def operators(into: pathlib.Path, paths: list[str]) -> int:
    import yaml

    load = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    count = 0
    for path in paths:
        for found in yaml.load_all(pathlib.Path(path).read_text(), load):
            if not found or found.get("kind") != "CustomResourceDefinition":
                continue
            kind, group = found["spec"]["names"]["kind"].lower(), found["spec"]["group"]
            for version in found["spec"]["versions"]:
                schema = version["schema"]["openAPIV3Schema"]
                strict(schema)
                own = schema.setdefault("properties", {})
                own |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
                (into / f"{kind}_{group}_{version['name']}.json").write_text(json.dumps(schema))
                count += 1
    return count


def strict(schema):
    """Refuses what is not named, where something is; and says in JSON Schema what Kubernetes says in its own way."""
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        strict(inner)
    if not isinstance(schema, dict):
        return
    if schema.pop("x-kubernetes-int-or-string", None) is True:
        for said in ("anyOf", "oneOf", "type"):
            schema.pop(said, None)
        schema["type"] = ["integer", "string"]
    open_ended = "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields")
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict) and not open_ended:
        schema["additionalProperties"] = False
    if schema.get("nullable") is True and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]


def kubernetes(into: pathlib.Path, source: pathlib.Path) -> int:
    definitions = json.loads((source / "_definitions.json").read_text())["$defs"]
    localised(definitions)
    count = 0
    for path in source.glob("*-v*.json"):
        schema = json.loads(path.read_text())
        if not schema.get("x-kubernetes-group-version-kind"):
            continue
        localised(schema)
        needed, open_texts = {}, [json.dumps(schema)]
        while open_texts:
            for name in re.findall(rf'"{LOCAL}([^"]+)"', open_texts.pop()):
                if name not in needed:
                    needed[name] = definitions[name]
                    open_texts.append(json.dumps(definitions[name]))
        (into / path.name).write_text(json.dumps(schema | {"definitions": needed}))
        count += 1
    return count


def localised(schema):
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            schema["$ref"] = LOCAL + schema["$ref"].split("#/$defs/")[1]
        for inner in schema.values():
            localised(inner)
    elif isinstance(schema, list):
        for inner in schema:
            localised(inner)


if __name__ == "__main__":
    main()
