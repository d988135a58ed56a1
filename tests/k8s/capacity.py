"""That bench/capacity puts beside its model what production's overlay has."""

import re
import tomllib
from collections.abc import Iterator

import facts
from manifests import Manifests


def deployed(m: Manifests) -> Iterator[str]:
    """`deployed` in bench/capacity/inputs.toml is what the manifests say."""
    told = tomllib.loads((facts.ROOT / "bench/capacity/inputs.toml").read_text())["deployed"]
    said = {name: value for name, value in told.items() if name not in ("users", "pods")}
    for name, value in found(m).items():
        if said.pop(name, None) != value:
            yield f"bench/capacity/inputs.toml has {name} = {told.get(name)}; the manifests have {value}"
    yield from (f"bench/capacity/inputs.toml has {name}, which is not compared" for name in said)
    for service, span in told["pods"].items():
        spec = m.get("HorizontalPodAutoscaler", f"prepx-{service}")["spec"]
        if span != [spec["minReplicas"], spec["maxReplicas"]]:
            yield f"bench/capacity/inputs.toml has {span} pods of {service}; the manifests have others"


def found(m: Manifests) -> dict[str, int]:
    brokers = m.get("KafkaNodePool", "brokers")["spec"]
    redis = m.get("StatefulSet", "prepx-redis")["spec"]
    shards = [doc for doc in m.of("Cluster") if doc["metadata"]["name"] != "prepx-sql-home"]
    memory = redis["template"]["spec"]["containers"][0]["args"][-1]
    return {
        "partitions": int(m.settings()["PREPX_ACCOUNT_PARTITIONS"]),
        "shards": len(shards),
        "kafka": brokers["replicas"],
        "kafka_gib": brokers["replicas"] * gib(brokers["storage"]["volumes"][0]["size"]),
        "sql_gib": sum(gib(doc["spec"]["storage"]["size"]) for doc in shards),
        "sql_cpu": max(int(doc["spec"]["resources"]["requests"]["cpu"]) for doc in m.of("Cluster")),
        "redis": redis["replicas"],
        "redis_gib": round(redis["replicas"] * int(memory.removesuffix("mb")) / 1024),
    }


def gib(size: str) -> int:
    return int(re.fullmatch(r"(\d+)Gi", size)[1])
