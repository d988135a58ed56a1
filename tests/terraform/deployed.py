"""That terraform/ makes what k8s/ asks for: labels, buckets, service accounts, secrets, regions, shards, machines."""

import collections
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
# How often a region is asked, and how soon it has to be left out.
ASKED_SECONDS = 10
LEFT_OUT_SECONDS_MAX = 30
# Service accounts that are installed with what is not in k8s/ (terraform/README.md).
OF_OPERATORS = {"cluster-autoscaler", "aws-load-balancer-controller"}


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
    alone = int(said(world, "region").blocks("variable")["sql_clusters"]["default"])
    if alone != len(layout) + 1:
        yield f"one region has {alone} databases; docs/sql-shards.toml and the home database make {len(layout) + 1}"
    instances = re.search(r"instances: (\d+)", text("k8s/components/sql/shape/cluster.yaml"))[1]
    if int(instances) != SERVERS_A_DATABASE or f"{SERVERS_A_DATABASE} * var.at.sql_clusters" not in words(
        said(world, "modules/region").locals()
    ):
        yield f"a database has {instances} servers in k8s/; the machines for them are counted otherwise"


def buckets(world: World) -> Iterator[str]:
    """Every bucket that production's and staging's overlays name is made, and no other."""
    named = set(
        re.findall(
            r"s3://([\w-]+)/",
            text("k8s/base/settings.env", "k8s/overlays/*/*.yaml", "k8s/components/sql/shape/*.yaml"),
        )
    )
    files = text("k8s/components/monitoring/stack/loki/*.yml", "k8s/overlays/monitoring-*/*.yaml")
    named |= set(re.findall(r"bucket(?:name)?s[:=] ?([\w-]+)", files))
    home = plain(said(world, "multi-region").locals()["home"])
    made = set()
    for root in ("region", "multi-region"):
        names = arguments(said(world, root).blocks("module")["home"]["buckets"]).values()
        made |= {plain(name).replace("${local.home}", home).replace("${var.suffix}", suffix) for name in names for suffix in suffixes(world)}
    if named != made:
        yield f"k8s/ names the buckets {sorted(named)}; {sorted(made)} are made"


def suffixes(world: World) -> set[str]:
    """With which names of production and of staging end."""
    default = plain(said(world, "region").blocks("variable")["suffix"]["default"])
    return {default, *re.findall(r'^suffix += "(.*)"', text("terraform/region/staging.tfvars"), re.M)}


def accounts(world: World) -> Iterator[str]:
    """Roles are for service accounts that there are, and whom k8s/ gives a role by its name, that has one."""
    roles = arguments(said(world, "modules/region").locals()["roles"])
    given = {role: set(map(plain, arguments(of)["accounts"])) for role, of in roles.items()}
    asked = annotated()
    kinds = {f"prepx-{path.name}" for path in (ROOT / "k8s/base").iterdir() if path.is_dir()} | set(asked) | OF_OPERATORS
    kinds |= set(re.findall(r"kind: ServiceAccount\nmetadata:\n  name: ([\w-]+)", text("k8s/components/*/*.yaml")))
    for name in sorted(set().union(*given.values())):
        if not any(matches(name, kind) for kind in kinds):
            yield f"a role is for the service account {name}; k8s/ has none"
    for account, role in sorted(asked.items()):
        if not any(matches(name, account) for name in given.get(role.removeprefix("prepx-"), ())):
            yield f"k8s/ gives {account} the role {role}: it is made for others, or not at all"


def of_regions(world: World) -> Iterator[str]:
    """Each region's overlay names the roles of that region."""
    asked = {role.removeprefix("prepx-") for role in annotated().values()} & {"stages", "secrets", "backups"}
    for region, of in arguments(said(world, "multi-region").locals()["regions"]).items():
        named = set(re.findall(r"role/([\w-]+)", text(f"k8s/overlays/{region}/*.yaml"))) or {f"prepx-{role}" for role in asked}
        made = {f"{plain(of['name'])}-{role}" for role in asked}
        if named != made:
            yield f"k8s/overlays/{region} names the roles {sorted(named)}; {sorted(made)} are made"


def tested(world: World) -> Iterator[str]:
    """The test that takes Terraform expects the roles that are made."""
    roles = set(arguments(said(world, "modules/region").locals()["roles"]))
    expected = re.search(r"role_arns\) == \[(.*?)\]", text("terraform/region/tests/*.hcl"))[1]
    if roles != set(re.findall(r'"([\w-]+)"', expected)):
        yield f"terraform/region/tests expects the roles {expected}; {sorted(roles)} are made"


def matches(name: str, account: str) -> bool:
    return account == name or name.endswith("*") and account.startswith(name[:-1])


def annotated() -> dict[str, str]:
    """By service account the role that it takes on, wherever k8s/ says so: beside its name, and by a patch for several."""
    files = text("k8s/components/*/*.yaml", "k8s/components/*/*/*.yaml", "k8s/components/*/*/*/*.yaml")
    role = r'eks\.amazonaws\.com/role-arn: "arn:aws:iam::\d+:role/([\w-]+)"'
    found = dict(re.findall(rf"kind: ServiceAccount\nmetadata:\n  name: ([\w-]+)\n  annotations: \{{{role}\}}", files))
    for names, taken in re.findall(rf"target: \{{kind: ServiceAccount, name: prepx-\(?([\w|]+)\)?\}}\n.*\n.*{role}", files):
        found |= {f"prepx-{name}": taken for name in names.split("|")}
    # CloudNativePG names an account as its cluster.
    for taken in re.findall(rf"serviceAccountTemplate: .*{role}", files):
        found |= dict.fromkeys(re.findall(r"kind: Cluster\nmetadata: \{name: (prepx-[\w-]+)\}", files), taken)
    return found


def secrets(world: World) -> Iterator[str]:
    """Every secret that is read into the cluster has its place."""
    files = text("k8s/components/secrets/secrets.yaml", "k8s/components/kafka-elsewhere/ca.yaml", "k8s/components/monitoring/stack/secrets.yaml")
    read = set(re.findall(r"remoteRef: \{key: ([\w/]+)", files))
    read |= set(re.findall(r"remoteRef/key, value: ([\w/-]+)", text("k8s/overlays/*/*.yaml")))
    made = set(map(plain, said(world, "modules/secrets").blocks("variable")["names"]["default"]))
    alerts = plain(said(world, "region").blocks("module")["home"]["alerts_secret"])
    for name in map(plain, said(world, "modules/home").blocks("module")["watching_secrets"]["names"]):
        made |= {name.replace("${var.alerts_secret}", alerts).replace("${var.suffix}", suffix) for suffix in suffixes(world)}
    if read != made:
        yield f"k8s/ reads the secrets {sorted(read)}; {sorted(made)} are made"


def failing_over(world: World) -> Iterator[str]:
    """A region that is gone is asked every 10 s, and left out in less than 30 s."""
    check = next(said for _, type_, _, said in said(world, "modules/dns").resources() if type_ == "aws_route53_health_check")
    interval, failures = int(check["request_interval"]), int(check["failure_threshold"])
    if interval != ASKED_SECONDS or interval * (failures + 1) > LEFT_OUT_SECONDS_MAX:
        yield f"regions are asked every {interval} s and left out after {failures} failures; the requirements have 10 s, and 30 s in all"


def versions(world: World) -> Iterator[str]:
    """Kubernetes is the version whose schemas the manifests are put beside."""
    tested = re.search(r'^KUBERNETES = "([\d.]+)"', text("tests/k8s/tools.py"), re.M)[1]
    made = plain(said(world, "modules/region").blocks("variable")["kubernetes_version"]["default"])
    if made != tested:
        yield f"the cluster is of version {made}; manifests are tested for {tested}"


def hosts(world: World) -> Iterator[str]:
    """The mesh answers to the name that clients use, and to those by which each region's health is looked at."""
    answered = collections.defaultdict(set)
    # Servers of a gateway share the names at a port among them; the routes have all.
    for port, names in re.findall(r"(?:port: {number: (\d+),.*\n +)?hosts: \[(.*)\]", text("istio/base/gateway.yaml")):
        answered[port] |= {plain(name.strip()) for name in names.split(",")}
    for root in ("region", "multi-region"):
        module = said(world, root)
        zone = plain(module.blocks("variable")["zone"]["default"])
        host = plain(module.blocks("module")["dns"]["host"]).replace("${var.zone}", zone)
        for port, names in answered.items():
            if not {host, f"*.{host}"} <= names:
                where = f"at port {port}" if port else "by its routes"
                yield f"{root}: clients ask for {host}, Route 53 for *.{host}; istio/base/gateway.yaml answers to {names} {where}"


RULES = [pools, shards, buckets, accounts, of_regions, tested, secrets, failing_over, versions, hosts]


def problems(world: World) -> list[str]:
    return [f"terraform: {problem}" for rule in RULES for problem in rule(world)]
