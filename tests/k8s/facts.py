"""What manifests must agree with, read from where it is said: settings, methods, metrics, topics, shards."""

import functools
import pathlib
import re
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Of the settings these tables are said in a struct of another crate: their keys are not looked into.
OPEN_TABLES = {"user", "rate_limits", "webhooks", "limits", "calls", "tls", "public_tls"}
BY_INSTRUMENT = {"matching-journal", "instrument-commands", "order-processing", "market-data"}
# Whose partitions are the file's own, whatever the topology.
OF_THE_FILE = {"stage-owners"}
# Of kube-state-metrics, which judges crashes.
OTHERS_METRICS = {"kube_pod_container_status_restarts_total", "kube_pod_info"}


@functools.cache
def settings() -> dict[str, set[str] | None]:
    """The names of all settings; of a table those in it, or None where they are not known here."""
    text = (ROOT / "libs/platform/src/settings.rs").read_text()
    names = fields(text, "Settings")
    tables = {
        "peers": fields((ROOT / "libs/platform/src/peers.rs").read_text(), "Peers"),
        "telemetry": fields((ROOT / "libs/runtime/src/telemetry.rs").read_text(), "Config"),
    }
    return {name: None if name in OPEN_TABLES else tables.get(name, set()) for name in names}


def fields(text: str, struct: str) -> set[str]:
    body = re.search(rf"pub struct {struct} \{{(.*?)\n\}}", text, re.S)
    found = set(re.findall(r"^    pub (\w+):", body[1], re.M)) if body else set()
    if not found:
        raise ValueError(f"struct {struct} is not where it was: tests/k8s/facts.py reads it")
    return found


@functools.cache
def methods() -> dict[str, bool]:
    """Every method of gRPC by its path, and whether it changes nothing."""
    found = {}
    for path in sorted((ROOT / "proto/prepx").rglob("*.proto")):
        text = re.sub(r"//.*", "", path.read_text())
        package = re.search(r"^package ([\w.]+);", text, re.M)
        for service in re.finditer(r"^service (\w+) \{(.*?)^\}", text, re.M | re.S):
            for rpc in re.finditer(r"rpc (\w+)\((.*?)(?=\brpc\b|\Z)", service[2], re.S):
                reads = "NO_SIDE_EFFECTS" in rpc[2] or re.search(r"\bget: *\"", rpc[2])
                found[f"/{package[1]}.{service[1]}/{rpc[1]}"] = bool(reads)
    return found | {"/grpc.health.v1.Health/Watch": True, "/grpc.health.v1.Health/Check": True}


@functools.cache
def public_services() -> set[str]:
    """The services of gRPC that the gateway hands on."""
    text = (ROOT / "services/gateway/src/forward.rs").read_text()
    body = re.search(r"pub const PUBLIC: .*?= \[(.*?)\];", text, re.S)
    return set(re.findall(r'"([\w.]+)"', body[1]))


@functools.cache
def tells_of_itself(service: str) -> bool:
    """Whether a program such as `prepx-user` serves prepx.platform.v1.PartService."""
    main = ROOT / "services" / service.removeprefix("prepx-") / "src/main.rs"
    return bool(re.search(r"\.and\((platform\.part\(|part\))", main.read_text()))


@functools.cache
def metrics() -> set[str]:
    """The names of everything that the programs export."""
    sources = [path for part in ("libs", "services") for path in (ROOT / part).rglob("src/**/*.rs")]
    return {name for path in sources for name in re.findall(r'"(prepx_[a-z0-9_]+)"', path.read_text())}


def is_exported(name: str) -> bool:
    """Whether a series of this name is: of a histogram there are three."""
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    return name in OTHERS_METRICS or name in metrics() or base in metrics()


def topics(account: int, instrument: int, replication: int) -> dict[str, dict]:
    """What `prepx topics plan` declares for so many partitions, as Kafka is told it."""
    declared = tomllib.loads((ROOT / "libs/bus/topics.toml").read_text())
    default, ours, found = declared["defaults"], stage_topics(), {}
    for name, own in declared["topics"].items():
        entry = default | own
        count = entry["partitions"]
        if name in ours and name not in OF_THE_FILE:
            count = instrument if name in BY_INSTRUMENT else account
        hours = entry["retention_hours"] * 3_600_000
        found[name] = {
            "partitions": count,
            "replicas": replication,
            "config": {
                "cleanup.policy": "compact" if entry["keep"] == "newest" else "delete",
                "max.message.bytes": default["record_bytes_max"],
                "min.insync.replicas": -(-replication // 2),
                "retention.ms": hours if entry["keep"] == "hours" else -1,
            },
        }
    return found


def stage_topics() -> set[str]:
    text = (ROOT / "libs/bus/src/topic.rs").read_text()
    return set(re.findall(r'^    \w+ = \d+, "([\w-]+)";', text, re.M))


def shards() -> list[dict]:
    """docs/sql-shards.toml."""
    return tomllib.loads((ROOT / "docs/sql-shards.toml").read_text())["sql_shards"]
