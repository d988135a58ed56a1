"""That production and its regions have the figures of the requirements: replicas, sizes, steps, thresholds, how long things are kept.
Each is said here once more, as the requirements say it, so that a change of one is a decision and no slip."""

import re
from collections.abc import Iterator

import yaml

from manifests import Manifests, containers, name

# Of each service: pods at least and at most, CPU and GiB of one, and the requests a second of all at least (one-million, 5).
# Invoices and payments are portfolio's, search is market-data's; trading and risk have what is said of every service (1).
SERVICES = {
    "gateway": (20, 100, 2, 4, 10_000),
    "user": (25, 70, 1, 2, 12_000),
    "portfolio": (30, 80, 2, 4, 8_000),
    "market-data": (15, 50, 2, 8, 6_000),
    "analytics": (20, 60, 4, 8, 5_000),
    "notification": (10, 40, 1, 2, 15_000),
    "trading": (10, 100, 2, 4, None),
    "risk": (10, 100, 2, 4, None),
}
# The gateways of a region in a world of ten million (enterprise-scale, 1).
GATEWAYS_OF_A_REGION = (10, 1000)
CPU_PERCENT, MEMORY_PERCENT = 70, 80
# Up when it has been needed for 5 minutes, down when for 15 (one-million, 13).
UP_SECONDS, DOWN_SECONDS = 300, 900
# Weights and how long they stay (enterprise-scale, 9; one-million, 10).
TRADING_STEPS = [(10, "10m"), (20, "10m"), (50, "10m"), (100, None)]
USUAL_STEPS = [(5, "10m"), (25, "30m"), (50, "1h"), (100, None)]
# When a version is given up: faults, seconds at p99, crashes (one-million, 10).
THRESHOLDS = {"error-rate": "0.01", "p99": "1", "crash-rate": "0.001"}
# PostgreSQL (enterprise-scale, 2) and PgBouncer (one-million, 2).
SQL = {"shared_buffers": "16GB", "effective_cache_size": "48GB", "work_mem": "256MB", "maintenance_work_mem": "2GB", "max_connections": "2000"}
SQL_RESOURCES = {"requests": {"cpu": "16", "memory": "32Gi"}, "limits": {"cpu": "32", "memory": "64Gi"}}
POOL = {"max_client_conn": 10_000, "default_pool_size": 25, "min_pool_size": 10, "reserve_pool_size": 5, "server_lifetime": 3600, "server_idle_timeout": 600}
BACKUP_DAYS, SHARDS_OF_A_REGION = 35, 4
# Kafka (one-million, 6).
BROKERS, COPIES, LOG_HOURS, PARTITIONS = 9, 3, 168, 100
# Redis (one-million, 3; enterprise-scale, 3): shards, replicas of each, GiB together.
REDIS_SHARDS, REDIS_REPLICAS, REDIS_GIB, REDIS_POLICY = 5, 5, 200, "allkeys-lru"
# Snapshots of it, one a day (one-million, 11).
REDIS_SNAPSHOTS = 7
# What is spoken at the public name (one-million, 8).
PUBLIC, TLS = "api.prepx.com", "TLSV1_3"
# How long what is seen is kept (one-million, 7; enterprise-scale, 6), and how much of it.
SAMPLED_PERCENT, TRACE_HOURS, LOG_LINE_HOURS = 1, 7 * 24, 365 * 24
PROMETHEUS = {"scrape_interval": "5s", "evaluation_interval": "10s"}
METRIC_DAYS = 90
# When somebody is told, for how long it has to be so, and whom (one-million, 7; targets of latency: the stricter of all).
ALERTS = {
    "HighErrorRate": ({0.01}, "5m", "critical"),
    "HighLatency": ({0.5}, "5m", "warning"),
    "LowCacheHitRate": ({0.8}, "10m", "warning"),
    "DatabaseConnectionExhaustion": ({0.9}, "2m", "critical"),
    "LatencyTargetMissed": ({0.05, 0.1, 0.5}, "15m", "warning"),
    "DatabaseSlow": ({0.05}, "10m", "warning"),
    "ReplicaBehind": ({1}, "2m", "warning"),
    "CacheEvictions": ({1000}, "10m", "warning"),
    "CacheMemoryHigh": ({0.8}, "10m", "warning"),
    "PodCpuHigh": ({0.7}, "10m", "warning"),
    "PodMemoryHigh": ({0.8}, "10m", "warning"),
    "NodeCpuHigh": ({0.75}, "10m", "warning"),
}
# Of whom there is enough to judge by: no figures of the requirements.
IGNORED = {"LowCacheHitRate": {1.0}, "CacheMemoryHigh": {0.0}}
# What may fail of all requests, and take longer than 100 ms: 99.99 %, p95.
BUDGETS = {"AvailabilityBudgetBurns": 0.0001, "LatencyBudgetBurns": 0.05}
# So many times as fast as they last, by the longer and the shorter window.
BURNS = {("1h", "5m"): 14.4, ("6h", "30m"): 6, ("1d", "2h"): 3, ("3d", "6h"): 1}


def replicas(m: Manifests) -> Iterator[str]:
    for service, (least, most, cpu, gib, rate) in SERVICES.items():
        spec = m.get("HorizontalPodAutoscaler", f"prepx-{service}")["spec"]
        span = GATEWAYS_OF_A_REGION if service == "gateway" and region(m) else (least, most)
        yield from other(f"pods of {service}", (spec["minReplicas"], spec["maxReplicas"]), span)
        targets = {one["resource"]["name"]: one["resource"]["target"]["averageUtilization"] for one in spec["metrics"] if "resource" in one}
        yield from other(f"targets of {service}", targets, {"cpu": CPU_PERCENT, "memory": MEMORY_PERCENT})
        each = {one["pods"]["metric"]["name"]: one["pods"]["target"]["averageValue"] for one in spec["metrics"] if "pods" in one}
        if rate:
            yield from other(f"requests a second of a pod of {service}", each["prepx_calls_per_second"], str(rate // least))
        waits = [spec["behavior"][way]["stabilizationWindowSeconds"] for way in ("scaleUp", "scaleDown")]
        yield from other(f"how long {service} waits before it is scaled", waits, [UP_SECONDS, DOWN_SECONDS])
        requests = containers(m.get("Deployment", f"prepx-{service}"))[0]["resources"]["requests"]
        yield from other(f"what a pod of {service} asks for", requests, {"cpu": str(cpu), "memory": f"{gib}Gi"})


def rollouts(m: Manifests) -> Iterator[str]:
    gateway = m.get("Rollout", "prepx-gateway")["spec"]["strategy"]["blueGreen"]
    told = gateway["autoPromotionEnabled"], gateway["scaleDownDelaySeconds"], "prePromotionAnalysis" in gateway
    yield from other("blue-green of the gateway", told, (False, 30, True))
    for service in set(SERVICES) - {"gateway"}:
        canary = m.get("Rollout", f"prepx-{service}")["spec"]["strategy"]["canary"]
        steps = [step for step in canary["steps"] if "analysis" not in step]
        waits = [step["pause"]["duration"] for step in steps if "pause" in step]
        found = list(zip([step["setWeight"] for step in steps if "setWeight" in step], [*waits, None]))
        yield from other(f"steps of {service}", found, TRADING_STEPS if service == "trading" else USUAL_STEPS)
        judged = {one["templateName"] for one in canary["analysis"]["templates"]}
        yield from other(f"what {service} is judged by", judged, {"prepx-calls", "prepx-crashes"})
        owner = m.has("Service", f"prepx-{service}-pods")
        shadowed = canary["steps"][0].get("analysis", {}).get("templates") == [{"templateName": "prepx-shadow"}]
        yield from other(f"whether {service} is shadowed before its first share", shadowed, owner)
    for template in m.of("AnalysisTemplate"):
        for metric in template["spec"]["metrics"]:
            bound = metric.get("successCondition", "").rpartition("<= ")[2]
            yield from other(f"{metric['name']} of {name(template)}", bound, THRESHOLDS.get(metric["name"], bound))


def routed(m: Manifests) -> Iterator[str]:
    """80 of a hundred to the first version, 20 to the second."""
    for doc in m.of("VirtualService"):
        for route in (route for route in doc["spec"]["http"] if len(route["route"]) > 1):
            weights = {one["destination"]["subset"]: one["weight"] for one in route["route"]}
            yield from other(f"weights of {name(doc)}, {route['name']}", weights, {"v1": 80, "v2": 20})


def sql(m: Manifests) -> Iterator[str]:
    for doc in m.of("Cluster"):
        spec = doc["spec"]
        told = {key: value for key, value in spec["postgresql"]["parameters"].items() if key in SQL}
        yield from other(f"parameters of {name(doc)}", told, SQL)
        yield from other(f"resources of {name(doc)}", spec["resources"], SQL_RESOURCES)
        yield from other(f"backups of {name(doc)}", spec["backup"]["retentionPolicy"], f"{BACKUP_DAYS}d")
        if not any(one["spec"]["cluster"]["name"] == doc["metadata"]["name"] for one in m.of("ScheduledBackup")):
            yield f"there is no daily backup of {name(doc)}"
    for doc in m.of("Pooler"):
        bouncer = doc["spec"]["pgbouncer"]
        found = {key: int(bouncer["parameters"][key]) for key in POOL}
        yield from other(f"pool of {name(doc)}", (bouncer["poolMode"], found), ("transaction", POOL))
    shards = [doc["metadata"]["name"].rpartition("-")[0] for doc in m.of("Cluster") if doc["metadata"]["name"] != "prepx-sql-home"]
    counts = {shards.count(one) for one in shards}
    yield from other("shards of a region", (counts, len(set(shards))), ({SHARDS_OF_A_REGION}, 1 if region(m) else 4))


def log(m: Manifests) -> Iterator[str]:
    for doc in m.of("Kafka"):
        told = {key: int(doc["spec"]["kafka"]["config"][key]) for key in ("default.replication.factor", "log.retention.hours", "num.partitions")}
        wanted = {"default.replication.factor": COPIES, "log.retention.hours": LOG_HOURS, "num.partitions": PARTITIONS}
        yield from other(f"settings of {name(doc)}", told, wanted)
        yield from other("brokers", m.get("KafkaNodePool", "brokers")["spec"]["replicas"], BROKERS)


def cache(m: Manifests) -> Iterator[str]:
    redis = m.get("StatefulSet", "prepx-redis")["spec"]
    words = containers({"spec": redis})[0]["command"] + containers({"spec": redis})[0]["args"]
    after = lambda flag: words[words.index(flag) + 1]
    gib = round(redis["replicas"] * int(after("--maxmemory").removesuffix("mb")) / 1024)
    replicas_each = {entry["name"]: int(entry["value"]) for entry in containers(m.get("Job", "prepx-redis-cluster"))[0]["env"]}
    found = redis["replicas"], replicas_each["NODES"], replicas_each["REPLICAS"], gib
    nodes = REDIS_SHARDS * (1 + REDIS_REPLICAS)
    yield from other("Redis: nodes, nodes of its cluster, replicas, GiB", found, (nodes, nodes, REDIS_REPLICAS, REDIS_GIB))
    told = after("--maxmemory-policy"), after("--appendonly"), after("--save")
    yield from other("Redis: what it lets go of, and what it keeps", told, (REDIS_POLICY, "yes", "86400 1"))


    keeper = next(one for one in containers({"spec": redis}) if one["name"] == "snapshots")
    kept = {entry["name"]: entry.get("value") for entry in keeper["env"]}["KEPT"]
    yield from other("Redis: snapshots, one a day", kept, str(REDIS_SNAPSHOTS))
    # Those, one that is being written, and the append-only file, which is rewritten when it has doubled.
    disk = int(redis["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"].removesuffix("Gi"))
    full = (REDIS_SNAPSHOTS + 1 + 3) * int(after("--maxmemory").removesuffix("mb")) / 1024
    if disk < full:
        yield f"Redis has {disk} GiB of disk: snapshots and the append-only file may take {full:.0f}"


def edge(m: Manifests) -> Iterator[str]:
    servers = [server for doc in m.of("Gateway") for server in doc["spec"]["servers"] if PUBLIC in server["hosts"]]
    spoken = {server["tls"].get("minProtocolVersion") for server in servers if server["port"]["protocol"] == "HTTPS"}
    yield from other(f"the oldest TLS at {PUBLIC}", spoken, {TLS})


def seen(m: Manifests) -> Iterator[str]:
    for doc in m.of("Telemetry"):
        yield from other("traces in a hundred", doc["spec"]["tracing"][0]["randomSamplingPercentage"], SAMPLED_PERCENT)
    files = {doc["metadata"]["name"].rpartition("-")[0]: doc["data"] for doc in m.beside.of("ConfigMap")}
    config = lambda owner, file: yaml.safe_load(files[owner][file])
    told = config("prometheus", "prometheus.yml")["global"]
    yield from other("Prometheus", told, PROMETHEUS)
    words = containers(m.beside.get("StatefulSet", "prometheus"))[0]["args"]
    kept = next(word.rpartition("=")[2] for word in words if "retention.time" in word)
    yield from other("metrics are kept for", kept, f"{METRIC_DAYS}d")
    disk = config("jaeger", "config.yaml")["extensions"]["jaeger_storage"]["backends"]["disk"]["badger"]
    yield from other("traces are kept for", disk["ttl"]["spans"], f"{TRACE_HOURS}h")
    yield from other("lines are kept for", config("loki", "config.yaml")["limits_config"]["retention_period"], f"{LOG_LINE_HOURS}h")


def alerts(m: Manifests) -> Iterator[str]:
    files = m.beside.generated("prepx-rules")["data"]
    rules = [rule for text in files.values() for group in yaml.safe_load(text)["groups"] for rule in group["rules"] if "alert" in rule]
    for rule in (rule for rule in rules if rule["alert"] in ALERTS):
        bounds = {float(bound) for bound in re.findall(r"[<>] ([\d.]+)", rule["expr"])} - IGNORED.get(rule["alert"], set())
        told = bounds, rule["for"], rule["labels"]["severity"]
        yield from other(f"alert {rule['alert']}", told, ALERTS[rule["alert"]])
    for name, allowed in BUDGETS.items():
        burns = {}
        for rule in (rule for rule in rules if rule["alert"] == name):
            found = re.findall(r"ratio_rate(\w+) > ([\d.]+) \* ([\d.]+)", rule["expr"])
            (long, fast, budget), (short, *same) = found
            burns[long, short] = float(fast) if [fast, budget] == same and float(budget) == allowed else found
        yield from other(f"alerts {name}", burns, BURNS)
    missing = set(ALERTS) - {rule["alert"] for rule in rules}
    yield from (f"there is no alert {alert}" for alert in sorted(missing))


def region(m: Manifests) -> bool:
    """Whether it is one of several."""
    return any("prepx.io/region" in doc["metadata"].get("labels", {}) for doc in m.of("Deployment"))


def other(what: str, found, wanted) -> Iterator[str]:
    if found != wanted:
        yield f"{what}: {found}; the requirements have {wanted}"


RULES = [replicas, rollouts, routed, sql, log, cache, edge, seen, alerts]


def problems(m: Manifests) -> list[str]:
    return [problem for rule in RULES for problem in rule(m)]
