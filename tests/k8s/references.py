"""Whether what is said in one place is there in another: ports by name, selectors, accounts, secrets, settings,
hosts, metrics, topics, shards. Each rule is a function that yields what is wrong in words.
"""

import itertools
import re
import tomllib
from collections.abc import Iterator

import facts
import mesh
import releases
import watching
from manifests import Manifests, containers, name, pod, short

# What operators make, by a label that they put on: not in these files, and yet there.
OPERATORS_LABELS = {"strimzi.io/cluster", "prepx.io/store"}
PART = "prepx.platform.v1.PartService"
# With which a port's name says what it speaks, as Istio reads names.
PROTOCOLS = {"grpc", "http", "http2", "https", "redis", "tcp", "tls", "udp"}


def problems(manifests: Manifests) -> list[str]:
    found = itertools.chain.from_iterable(rule(manifests) for rule in RULES)
    return sorted(set(found))


def selectors(m: Manifests) -> Iterator[str]:
    for doc in m.of(
        "Service",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "PeerAuthentication",
        "RequestAuthentication",
        "AuthorizationPolicy",
        "Sidecar",
    ):
        for labels in selected(doc):
            if labels and not OPERATORS_LABELS & labels.keys() and not m.labelled(labels):
                yield f"{name(doc)} selects {labels}: no pod has that"


def selected(doc: dict) -> Iterator[dict]:
    spec = doc["spec"]
    if doc["kind"] == "NetworkPolicy":
        peers = [
            peer
            for way in ("ingress", "egress")
            for rule in spec.get(way, [])
            for peer in rule.get("from", []) + rule.get("to", [])
            if "namespaceSelector" not in peer
        ]
        for one in [spec["podSelector"], *(peer["podSelector"] for peer in peers if "podSelector" in peer)]:
            yield one.get("matchLabels", {})
            for expression in one.get("matchExpressions", []):
                yield from ({expression["key"]: value} for value in expression["values"])
        return
    selector = spec.get("workloadSelector", spec.get("selector")) or {}
    yield selector.get("matchLabels", selector.get("labels", selector))


def ports(m: Manifests) -> Iterator[str]:
    for service in m.of("Service"):
        for workload in m.labelled(service["spec"].get("selector", {})):
            named = {port["name"] for one in containers(workload) for port in one.get("ports", [])}
            numbers = {port["containerPort"] for one in containers(workload) for port in one.get("ports", [])}
            for port in service["spec"]["ports"]:
                target = port.get("targetPort", port["port"])
                if target not in named | numbers:
                    yield f"{name(service)} leads to port {target}: {name(workload)} has {sorted(named)}"


def accounts_and_secrets(m: Manifests) -> Iterator[str]:
    secrets = {
        doc["metadata"]["name"]: set(doc.get("data", {})) | set(doc.get("stringData", {})) for doc in m.of("Secret")
    }
    for doc in m.of("ExternalSecret"):
        target = doc["spec"].get("target", {}).get("name", doc["metadata"]["name"])
        secrets[target] = {entry["secretKey"] for entry in doc["spec"]["data"]}
    # Strimzi makes it.
    secrets |= {f"{doc['metadata']['name']}-cluster-ca-cert": {"ca.crt"} for doc in m.of("Kafka")}
    for workload in m.workloads:
        spec = pod(workload)["spec"]
        account = spec.get("serviceAccountName")
        if account and not m.has("ServiceAccount", account):
            yield f"{name(workload)} runs as {account}: there is no such ServiceAccount"
        for entry in (entry for one in containers(workload) for entry in one.get("env", [])):
            wanted = entry.get("valueFrom", {}).get("secretKeyRef")
            if wanted and wanted["key"] not in secrets.get(wanted["name"], ()):
                yield f"{name(workload)} takes {wanted['key']} of the Secret {wanted['name']}: it is not there"
        for source in (source for one in containers(workload) for source in one.get("envFrom", [])):
            wanted = source["configMapRef"]["name"]
            if not m.has("ConfigMap", wanted):
                yield f"{name(workload)} takes the ConfigMap {wanted}: it is not there"
        for volume in spec.get("volumes", []):
            secret = volume.get("secret", {})
            wanted = secret.get("secretName")
            if wanted and wanted not in secrets and not secret.get("optional"):
                yield f"{name(workload)} mounts the Secret {wanted}: it is not there"
            for item in secret.get("items", []):
                if wanted in secrets and item["key"] not in secrets[wanted]:
                    yield f"{name(workload)} mounts {item['key']} of the Secret {wanted}: it is not there"
            wanted = volume.get("configMap", {}).get("name")
            if wanted and not m.has("ConfigMap", wanted):
                yield f"{name(workload)} mounts the ConfigMap {wanted}: it is not there"


def exporters(m: Manifests) -> Iterator[str]:
    """What a broker tells is in a map that it is told of."""
    for doc in m.of("Kafka"):
        wanted = doc["spec"]["kafka"]["metricsConfig"]["valueFrom"]["configMapKeyRef"]
        if wanted["key"] not in (m.get("ConfigMap", wanted["name"]) or {"data": ()})["data"]:
            yield f"{name(doc)} tells metrics by {wanted['name']}, {wanted['key']}: it is not there"


def protocols(m: Manifests) -> Iterator[str]:
    """Of what the mesh takes for plain TCP it knows no path, no method and no code."""
    for service in m.of("Service"):
        for port in service["spec"]["ports"]:
            if "appProtocol" not in port and port.get("name", "").partition("-")[0] not in PROTOCOLS:
                yield f"{name(service)} does not say what its port {port['port']} speaks"


def flags(m: Manifests) -> Iterator[str]:
    """Redis takes flags and values in turn; a patch by number may have met the wrong one."""
    for doc in m.of("StatefulSet"):
        for one in (one for one in containers(doc) if one.get("command", [""])[0] == "redis-server"):
            words = one["command"][1:] + one["args"]
            said = dict(zip(words[::2], words[1::2]))
            if len(words) % 2 or not all(flag.startswith("--") for flag in said) or any(value.startswith("--") for value in said.values()):
                yield f"{name(doc)} starts Redis by {' '.join(words)}: those are no flags with a value each"
                continue
            most, given = said["--maxmemory"].removesuffix("mb"), one["resources"]["limits"]["memory"]
            if not most.isdigit() or int(most) >= mib(given):
                yield f"{name(doc)} lets Redis have {said['--maxmemory']} of {given}"


def mib(size: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", size).groups()
    return int(number) * {"Mi": 1, "Gi": 1024}[unit]


def settings(m: Manifests) -> Iterator[str]:
    """Unknown variables end a program at its start."""
    known = facts.settings()
    for workload in m.workloads:
        if "service" not in (one["name"] for one in containers(workload)):
            continue
        if pod(workload)["spec"].get("enableServiceLinks") is not False:
            yield f"{name(workload)} has enableServiceLinks: its variables would be taken for settings"
        for variable in [*m.settings(), *(entry["name"] for one in containers(workload) for entry in one["env"])]:
            if not variable.startswith("PREPX_"):
                continue
            key, _, inner = variable.removeprefix("PREPX_").lower().partition("__")
            if key not in known or inner and known[key] is not None and inner not in known[key]:
                yield f"{name(workload)} is told {variable}: there is no such setting"


def hosts(m: Manifests) -> Iterator[str]:
    """Of settings. Development has its stores elsewhere."""
    here = {doc["metadata"]["name"] for doc in m.of("Service", "Pooler")} | {
        f"{doc['metadata']['name']}-kafka-bootstrap" for doc in m.of("Kafka")
    }
    told = dict(m.settings())
    for workload in m.of("Deployment"):
        told |= {entry["name"]: entry.get("value", "") for entry in containers(workload)[0].get("env", [])}
    if "stores" in told.get("PREPX_LOG_URL", ""):
        here.add("stores")
    shared = home(m)
    for variable, value in told.items():
        if not variable.startswith("PREPX_"):
            continue
        for host, port in re.findall(r"(?:@|//|,|=)([a-z][a-z0-9.-]*):(\d+)", value):
            if host.endswith(".monitoring"):
                # watching.named looks for it.
                continue
            if short(host) not in here | shared:
                yield f"{variable} names {host}: there is none"
            service = m.get("Service", short(host))
            if service and int(port) not in [one["port"] for one in service["spec"]["ports"]]:
                yield f"{variable} names port {port} of {host}: it has others"


def brokers(m: Manifests) -> Iterator[str]:
    """Where the URL asks them by TLS, they speak it there, and whoever asks has the CA that it names."""
    told = re.match(r"(\S+)://[^/]*:(\d+)/[^?]*(.*)", m.settings().get("PREPX_LOG_URL", ""))
    if not told:
        return
    scheme, port, query = told.groups()
    is_tls = scheme == "kafka+ssl"
    for doc in m.of("Kafka"):
        listeners = {one["port"]: one["tls"] for one in doc["spec"]["kafka"]["listeners"]}
        if listeners.get(int(port)) is not is_tls:
            yield f"PREPX_LOG_URL asks port {port} by {scheme}: {name(doc)} listens at {listeners}, true by TLS"
        for policy in m.of("NetworkPolicy"):
            for rule in policy["spec"].get("egress", []):
                selected = [peer.get("podSelector", {}).get("matchLabels", {}) for peer in rule.get("to", [])]
                open_ports = [one["port"] for one in rule.get("ports", [])]
                if {"strimzi.io/cluster": doc["metadata"]["name"]} in selected and open_ports and int(port) not in open_ports:
                    yield f"PREPX_LOG_URL asks port {port}: {name(policy)} lets nobody through to it"
    if not is_tls:
        return
    directory = query.removeprefix("?sslrootcert=").rpartition("/")[0]
    for workload in m.labelled({"prepx.io/uses-kafka": "true"}):
        secrets = {one["name"]: one["secret"]["secretName"] for one in pod(workload)["spec"].get("volumes", []) if "secret" in one}
        mounts = {one["mountPath"]: one["name"] for one in containers(workload)[0].get("volumeMounts", [])}
        if secrets.get(mounts.get(directory)) != "prepx-cluster-ca-cert":
            yield f"{name(workload)} has not the CA that PREPX_LOG_URL names"
    if not m.of("Kafka") and not m.has("ExternalSecret", "prepx-cluster-ca-cert"):
        yield "PREPX_LOG_URL names a CA: there is no Secret that has it"


def home(m: Manifests) -> set[str]:
    """What a region has elsewhere: shards of the others, and outside of the home region what is only there."""
    regions = {doc["metadata"].get("labels", {}).get("prepx.io/region") for doc in m.of("Deployment")} - {None}
    if not regions:
        return set()
    urls = " ".join(shard["url"] for shard in facts.shards())
    shared = set(re.findall(r"[@,]([a-z0-9-]+):", urls))
    if not m.of("Kafka"):
        shared |= {"prepx-kafka-bootstrap", "prepx-sql-home-pool", "prepx-sql-home-pool-ro"}
    return shared


def scaling(m: Manifests) -> Iterator[str]:
    rules = "".join(
        doc["data"].get("config.yaml", "") for doc in m.of("ConfigMap") if "adapter" in doc["metadata"]["name"]
    )
    offered = set(re.findall(r"as: (\w+)", rules))
    for series in re.findall(r"seriesQuery: '(\w+)", rules):
        if not facts.is_exported(series):
            yield f"the adapter reads {series}: no program exports it"
    for doc in m.of("HorizontalPodAutoscaler", "VerticalPodAutoscaler"):
        target = doc["spec"].get("scaleTargetRef") or doc["spec"]["targetRef"]
        if not m.has(target["kind"], target["name"]):
            yield f"{name(doc)} scales {target['kind']} {target['name']}: it is not there"
        for metric in doc["spec"].get("metrics", []):
            wanted = metric.get("pods", {}).get("metric", {}).get("name")
            if wanted and offered and wanted not in offered:
                yield f"{name(doc)} asks for {wanted}: the adapter offers {sorted(offered)}"


def probes(m: Manifests) -> Iterator[str]:
    services = {path.split("/")[1] for path in facts.methods()}
    probe_port = int(m.settings().get("PREPX_PROBE_LISTEN", ":0").rpartition(":")[2])
    drain_s = int(m.settings().get("PREPX_DRAIN_TIMEOUT_MS", "10000")) / 1000
    for workload in m.of("Deployment"):
        for one in (one for one in containers(workload) if one["name"] == "service"):
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                asked = one.get(probe, {}).get("grpc")
                if not asked:
                    yield f"{name(workload)} has no {probe} over gRPC"
                    continue
                if asked["port"] != probe_port:
                    yield f"{name(workload)}: its {probe} asks port {asked['port']}, probe_listen is {probe_port}"
                if asked.get("service") == PART and not facts.tells_of_itself(workload["metadata"]["name"]):
                    yield f"{name(workload)}: its {probe} asks for {PART}: the program does not serve that"
                if asked.get("service", next(iter(services))) not in services:
                    yield f"{name(workload)}: its {probe} asks for {asked['service']}: no proto has it"
            before = one.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            grace = pod(workload)["spec"].get("terminationGracePeriodSeconds", 30)
            if not before or before + drain_s >= grace:
                taken = f"preStop takes {before} s of them and the drain {drain_s:g} s"
                yield f"{name(workload)} has {grace} s to end: {taken}"


def topics(m: Manifests) -> Iterator[str]:
    if not m.of("KafkaTopic"):
        return
    told = m.settings()
    prefix = told["PREPX_LOG_URL"].partition("?")[0].rpartition("/")[2]
    number = lambda key: int(told[f"PREPX_{key}"])
    declared = facts.topics(number("ACCOUNT_PARTITIONS"), number("MATCHING_PARTITIONS"), number("LOG_REPLICATION"))
    here = {doc["metadata"]["name"].removeprefix(f"{prefix}."): doc["spec"] for doc in m.of("KafkaTopic")}
    yield from (f"the topic {topic} is declared, and not here" for topic in declared.keys() - here.keys())
    yield from (f"the topic {topic} is here, and not declared" for topic in here.keys() - declared.keys())
    for topic in declared.keys() & here.keys():
        if here[topic] != declared[topic]:
            yield f"the topic {topic} is {here[topic]}, declared is {declared[topic]}"


def shards(m: Manifests) -> Iterator[str]:
    """The one service whose rows go by account is told the layout, and the Job that makes its tables."""
    told = {}
    for workload in m.workloads:
        for entry in (entry for one in containers(workload) for entry in one.get("env", [])):
            if entry["name"] == "PREPX_SQL_SHARDS":
                told[workload["metadata"]["name"]] = entry["value"].replace("$(SQL_PASSWORD)", "secret")
    if not told:
        return
    if "prepx-portfolio" not in told or m.has("Job", "prepx-schemas") and "prepx-schemas" not in told:
        yield f"the layout of the shards is told to {sorted(told)} only"
    for workload, layout in told.items():
        if tomllib.loads(f"value = {layout}")["value"] != facts.shards():
            yield f"what {workload} is told and docs/sql-shards.toml differ"
    for doc in m.of("Pooler"):
        if not m.has("Cluster", doc["spec"]["cluster"]["name"]):
            yield f"{name(doc)} is of {doc['spec']['cluster']['name']}: there is no such Cluster"


RULES = [
    selectors,
    ports,
    protocols,
    accounts_and_secrets,
    exporters,
    flags,
    settings,
    hosts,
    brokers,
    scaling,
    probes,
    topics,
    shards,
    *mesh.RULES,
    *releases.RULES,
    *watching.RULES,
]
