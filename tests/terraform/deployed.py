"""That terraform/ makes what k8s/ asks for: labels, buckets, service accounts, secrets, regions, shards, machines."""

import json
import re
import tomllib
from collections.abc import Iterator

from configuration import HOME, ROOT, Module, arguments, plain
from rules import World

# Of the requirements: how many machines there are for all but databases, and how many in a hundred are spot.
MACHINES = (20, 200)
SPOT_PERCENT = 70
SERVERS_A_DATABASE = 3


def text(*places: str) -> str:
    return "\n".join(path.read_text() for place in places for path in sorted(ROOT.glob(place)))


def said(world: World, folder: str) -> Module:
    return world.modules[HOME / folder]


def words(value) -> str:
    return json.dumps(value)


def pools(world: World) -> Iterator[str]:
    """As many machines as the requirements have, of their kinds, with the labels that k8s/ selects by."""
    found = said(world, "modules/region").blocks("variable")["pools"]["default"]
    pools = list(arguments(found).values())
    sums = tuple(sum(int(pool[each]) for pool in pools) for each in ("min", "max"))
    spot = sum(int(pool["max"]) for pool in pools if str(pool["spot"]) in ("True", "true"))
    if sums != MACHINES:
        yield f"there are {sums} machines; the requirements have {MACHINES}"
    if spot * 100 != SPOT_PERCENT * sums[1]:
        yield f"{spot} of {sums[1]} machines are spot; the requirements have {SPOT_PERCENT} %"
    cluster = words(said(world, "modules/cluster").said)
    for label in set(re.findall(r"prepx\.io/(?:capacity|spot)", text("k8s/components/*/*.yaml"))):
        if label not in cluster:
            yield f"k8s/ selects machines by {label}; none has it"


def shards(world: World) -> Iterator[str]:
    """Regions and databases are those of docs/sql-shards.toml, and the home database."""
    layout = tomllib.loads((ROOT / "docs/sql-shards.toml").read_text())["sql_shards"]
    root = said(world, "multi-region").locals()
    home, regions = plain(root["home"]), arguments(root["regions"])
    wanted = {}
    for shard in layout:
        wanted[shard["region"]] = wanted.get(shard["region"], 0) + 1
    wanted[home] = wanted.get(home, 0) + 1
    there = {region: int(of["sql_clusters"]) for region, of in regions.items()}
    if there != wanted:
        yield f"databases by region are {there}; docs/sql-shards.toml and the home database make {wanted}"
    alone = int(arguments(said(world, "region").blocks("module")["region"]["at"])["sql_clusters"])
    if alone != len(layout) + 1:
        yield f"one region has {alone} databases; docs/sql-shards.toml and the home database make {len(layout) + 1}"
    instances = re.search(r"instances: (\d+)", text("k8s/components/sql/shape/cluster.yaml"))[1]
    if int(instances) != SERVERS_A_DATABASE or f"{SERVERS_A_DATABASE} * var.at.sql_clusters" not in words(
        said(world, "modules/region").locals()
    ):
        yield f"a database has {instances} servers in k8s/; the machines for them are counted otherwise"


def buckets(world: World) -> Iterator[str]:
    """Every bucket that production's overlays name is made."""
    named = set(
        re.findall(
            r"s3://([\w-]+)/",
            text("k8s/base/settings.env", "k8s/overlays/*-*-*/*.yaml", "k8s/components/sql/shape/*.yaml"),
        )
    )
    home = plain(said(world, "multi-region").locals()["home"])
    made = {plain(said(world, "modules/home").blocks("variable")["backups_bucket"]["default"])}
    for root in ("region", "multi-region"):
        made.add(plain(said(world, root).blocks("module")["home"]["stages_bucket"]).replace("${local.home}", home))
    if named != made:
        yield f"k8s/ names the buckets {sorted(named)}; {sorted(made)} are made"


def accounts(world: World) -> Iterator[str]:
    """Roles are for service accounts that there are."""
    roles = words(said(world, "modules/region").locals()["roles"])
    names = set(re.findall(r"prepx-[\w-]+\*?", roles))
    kinds = {f"prepx-{path.name}" for path in (ROOT / "k8s/base").iterdir() if path.is_dir()}
    kinds |= set(re.findall(r"kind: ServiceAccount\nmetadata:\n  name: ([\w-]+)", text("k8s/components/*/*.yaml")))
    # CloudNativePG names an account as its cluster.
    kinds |= set(re.findall(r"kind: Cluster\nmetadata: \{name: (prepx-[\w-]+)\}", text("k8s/components/*/*.yaml")))
    for name in sorted(names):
        if not any(kind == name or name.endswith("*") and kind.startswith(name[:-1]) for kind in kinds):
            yield f"a role is for the service account {name}; k8s/ has none"


def secrets(world: World) -> Iterator[str]:
    """Every secret that is read into the cluster has its place."""
    files = text("k8s/components/secrets/secrets.yaml", "k8s/components/monitoring/stack/secrets.yaml")
    read = set(re.findall(r"remoteRef: \{key: ([\w/]+)", files))
    made = set(map(plain, said(world, "modules/secrets").blocks("variable")["names"]["default"]))
    made |= set(map(plain, said(world, "modules/home").blocks("module")["watching_secrets"]["names"]))
    if read != made:
        yield f"k8s/ reads the secrets {sorted(read)}; {sorted(made)} are made"


def versions(world: World) -> Iterator[str]:
    """Kubernetes is the version whose schemas the manifests are put beside."""
    tested = re.search(r'^KUBERNETES = "([\d.]+)"', text("tests/k8s/tools.py"), re.M)[1]
    made = plain(said(world, "modules/region").blocks("variable")["kubernetes_version"]["default"])
    if made != tested:
        yield f"the cluster is of version {made}; manifests are tested for {tested}"


def hosts(world: World) -> Iterator[str]:
    """The mesh answers to the name that clients use, and to those by which each region's health is looked at."""
    answered = set(re.findall(r"hosts: \[(.*)\]", text("istio/base/gateway.yaml")))
    for root in ("region", "multi-region"):
        module = said(world, root)
        zone = plain(module.blocks("variable")["zone"]["default"])
        host = plain(module.blocks("module")["dns"]["host"]).replace("${var.zone}", zone)
        for hosts in answered:
            if not {host, f"*.{host}"} <= {plain(each.strip()) for each in hosts.split(",")}:
                yield f"{root}: clients ask for {host}, Route 53 for *.{host}; istio/base/gateway.yaml answers to {hosts}"


RULES = [pools, shards, buckets, accounts, secrets, versions, hosts]


def problems(world: World) -> list[str]:
    return [f"terraform: {problem}" for rule in RULES for problem in rule(world)]
