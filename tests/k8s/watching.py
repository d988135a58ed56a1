"""Whether what watches the platform can: that Prometheus gets to whatever says that it has metrics, and whoever names a host in a
file finds it there and is let to it; that the parts of collectors fit together; that alerts come to whom they are for."""

import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import yaml

import facts
from manifests import Manifests, containers, name, namespace, pod

sys.path.insert(0, str(facts.ROOT / "tests/servers"))
import debian

PROMETHEUS = ("StatefulSet", "prometheus")
EXEMPLARS = "--enable-feature=exemplar-storage"
EXEMPLARS_TOLD = facts.ROOT / "libs/runtime/src/exemplars.rs"
# Hosts of the cluster's own, as files and settings name them.
HOST = re.compile(r"\b([a-z][a-z0-9-]*)\.(monitoring|prepx)(?::|, type: A, port: )(\d+)")
# Who hears of what.
HEARS = {"critical": {"chat", "pager"}, "warning": {"chat"}}
# What Prometheus and Alertmanager have to refuse.
BAD = {
    "prometheus": ("evaluation_interval", "evaluation_intervall"),
    "alertmanager": ("receiver: chat", "receiver: chatt"),
}


def scraped(m: Manifests) -> Iterator[str]:
    """Annotations lead to a port, and the network lets Prometheus there."""
    prometheus = m.anywhere(*PROMETHEUS)
    for workload in m.all_workloads() if prometheus else ():
        told = pod(workload)["metadata"].get("annotations", {})
        if told.get("prometheus.io/scrape") != "true":
            continue
        port = int(told["prometheus.io/port"])
        if port not in numbers(workload):
            yield f"{name(workload)} says that its metrics are at {port}: it has {sorted(numbers(workload))}"
        if not passes(m, prometheus, workload, port):
            yield f"{name(workload)} has metrics at {port}: the network does not let Prometheus there"


def named(m: Manifests) -> Iterator[str]:
    """Hosts that files and settings name are Services with those ports, and the network lets whoever names them there."""
    for workload in m.all_workloads() if m.beside else ():
        for host, space, port in sorted(hosts(m, workload)):
            service = next((one for one in m.everything() if is_service(one, host, space)), None)
            found = [one for one in service["spec"]["ports"] if one["port"] == port] if service else []
            if not found:
                yield f"{name(workload)} is told of {host}.{space}:{port}: there is no such Service"
                continue
            for target in m.all_workloads():
                wanted = service["spec"]["selector"].items()
                if namespace(target) != space or not wanted <= pod(target)["metadata"]["labels"].items():
                    continue
                ports = {one["name"]: one["containerPort"] for each in containers(target) for one in each.get("ports", [])}
                inside = found[0].get("targetPort", port)
                if not passes(m, workload, target, ports.get(inside, inside)):
                    yield f"{name(workload)} is told of {host}.{space}:{port}: the network does not let it there"


def hosts(m: Manifests, workload: dict) -> set[tuple[str, str, int]]:
    texts = []
    for volume in pod(workload)["spec"].get("volumes", []):
        files = m.anywhere("ConfigMap", volume.get("configMap", {}).get("name"))
        # Rules and dashboards name no hosts, and are long.
        texts += files["data"].values() if files and not files["metadata"]["name"].startswith("prepx-") else []
    for one in containers(workload):
        texts += [entry.get("value", "") for entry in one.get("env", [])]
        # Jobs tell nobody of themselves.
        texts += m.settings().values() if one["name"] == "service" and workload["kind"] == "Deployment" else []
    return {(host, space, int(port)) for text in texts for host, space, port in HOST.findall(text)}


def is_service(doc: dict, host: str, space: str) -> bool:
    return doc["kind"] == "Service" and doc["metadata"]["name"] == host and namespace(doc) == space


def numbers(workload: dict) -> set[int]:
    return {port["containerPort"] for one in containers(workload) for port in one.get("ports", [])}


def passes(m: Manifests, source: dict, target: dict, port: int) -> bool:
    """Whether the network lets the pods of one workload call those of another at a port."""
    return way(m, "egress", source, target, port) and way(m, "ingress", target, source, port)


def way(m: Manifests, direction: str, own: dict, other: dict, port: int) -> bool:
    peers, policies = {"egress": "to", "ingress": "from"}[direction], []
    for policy in m.everything():
        if policy["kind"] == "NetworkPolicy" and namespace(policy) == namespace(own):
            spec = policy["spec"]
            if direction.title() in spec["policyTypes"] and matches(spec["podSelector"], pod(own)["metadata"]["labels"]):
                policies.append(policy)
    rules = [rule for policy in policies for rule in policy["spec"].get(direction, [])]
    return not policies or any(
        port in [one["port"] for one in rule.get("ports", [{"port": port}])]
        and any(is_peer(peer, namespace(own), other) for peer in rule.get(peers, [{"namespaceSelector": {}}]))
        for rule in rules
    )


def is_peer(peer: dict, space: str, other: dict) -> bool:
    if "ipBlock" in peer:
        return False
    spaces = {"kubernetes.io/metadata.name": namespace(other)}
    in_space = matches(peer["namespaceSelector"], spaces) if "namespaceSelector" in peer else namespace(other) == space
    return in_space and matches(peer.get("podSelector", {}), pod(other)["metadata"]["labels"])


def matches(selector: dict, labels: dict) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        (labels.get(one["key"]) in one["values"]) == (one["operator"] == "In") for one in selector.get("matchExpressions", [])
    )


def pipelines(m: Manifests) -> Iterator[str]:
    """The parts of collectors (Jaeger is one) are defined and used, and answer probes and Prometheus where those ask."""
    for doc in m.everything():
        if doc["kind"] != "ConfigMap" or "pipelines:" not in doc["data"].get("config.yaml", ""):
            continue
        told, used = yaml.safe_load(doc["data"]["config.yaml"]), {"extensions": set()}
        used["extensions"] |= set(told["service"]["extensions"])
        for pipeline in told["service"]["pipelines"].values():
            for kind, parts in pipeline.items():
                used.setdefault(kind, set()).update(parts)
        for kind, parts in used.items():
            if parts ^ set(told.get(kind, {})):
                yield f"{name(doc)} defines other {kind} than it uses: {sorted(parts ^ set(told.get(kind, {})))}"
        asked = {int(port) for port in re.findall(r"0\.0\.0\.0:(\d+)", doc["data"]["config.yaml"])}
        asked.add(told["service"]["telemetry"]["metrics"]["readers"][0]["pull"]["exporter"]["prometheus"]["port"])
        for workload in m.all_workloads():
            if doc["metadata"]["name"] in [one.get("configMap", {}).get("name") for one in pod(workload)["spec"].get("volumes", [])]:
                lost = numbers(workload) - asked
                yield from (f"{name(workload)} has the port {port}: {name(doc)} does not listen there" for port in lost)


def shown(m: Manifests) -> Iterator[str]:
    """Grafana reads dashboards where they are mounted, and asks the sources that they name for what those have."""
    grafana = m.anywhere("Deployment", "grafana")
    if not grafana:
        return
    mounts = {mount["mountPath"] for mount in containers(grafana)[0]["volumeMounts"]}
    files = next(doc["data"] for doc in m.everything() if doc["kind"] == "ConfigMap" and "datasources.yml" in doc["data"])
    for provider in yaml.safe_load(files["dashboards.yml"])["providers"]:
        if provider["options"]["path"] not in mounts:
            yield f"Grafana reads dashboards in {provider['options']['path']}: nothing is mounted there"
    sources = yaml.safe_load(files["datasources.yml"])["datasources"]
    uids = {source["uid"] for source in sources}
    for uid in re.findall(r"datasourceUid: ([\w-]+)", files["datasources.yml"]):
        if uid not in uids:
            yield f"Grafana's sources name {uid}: there is none"
    if "exemplarTraceIdDestinations" in files["datasources.yml"] and EXEMPLARS not in containers(m.anywhere(*PROMETHEUS))[0]["args"]:
        yield "Grafana asks for exemplars: Prometheus keeps none"
    for source in sources:
        for link in source.get("jsonData", {}).get("exemplarTraceIdDestinations", ()):
            if f'"{{{{{link["name"]}=' not in EXEMPLARS_TOLD.read_text():
                yield f"Grafana looks for traces by the exemplars' label {link['name']}: the programs have no such"


RULES = [scraped, named, pipelines, shown]


def refused(m: Manifests) -> list[str]:
    """What promtool and amtool say of the files, laid out as they are mounted."""
    return [*checked("prometheus", files_of(m, "prometheus")), *checked("alertmanager", files_of(m, "alertmanager"))]


def lenient(m: Manifests) -> list[str]:
    """The bad files that pass."""
    passed = []
    for program, (right, wrong) in BAD.items():
        spoilt = {path: text.replace(right, wrong, 1) for path, text in files_of(m, program).items()}
        passed += [] if checked(program, spoilt) else [f"tests/k8s: {wrong!r} passes in the file of {program}"]
    return passed


def files_of(m: Manifests, program: str) -> dict[str, str]:
    """By their paths in the pod."""
    workload = m.get("StatefulSet", program)
    volumes = {one["name"]: one.get("configMap", {}).get("name") for one in pod(workload)["spec"]["volumes"]}
    mounts = {one["mountPath"]: volumes.get(one["name"]) for one in containers(workload)[0]["volumeMounts"]}
    maps = {path: m.get("ConfigMap", found)["data"] for path, found in mounts.items() if found}
    return {f"{path}/{file}": text for path, data in maps.items() for file, text in data.items()}


def checked(program: str, files: dict[str, str]) -> list[str]:
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            into = pathlib.Path(root, path.lstrip("/"))
            into.parent.mkdir(parents=True, exist_ok=True)
            # The account's token is there in a pod.
            text = text.replace("/var/run/secrets/kubernetes.io/serviceaccount/token", "/dev/null")
            into.write_text(re.sub(r"(?<=[ \[])/etc/", f"{root}/etc/", text))
        if program == "prometheus":
            tool = debian.program("promtool", "/usr/bin/promtool")
            return said([tool, "check", "config", f"{root}/etc/prometheus/prometheus.yml"])
        tool = debian.program("prometheus-alertmanager", "/usr/bin/amtool")
        config = f"{root}/etc/alertmanager/alertmanager.yml"
        return said([tool, "check-config", config]) or list(routed(tool, config))


def routed(tool: pathlib.Path, config: str) -> Iterator[str]:
    """Every severity of the rules comes to whom it is for."""
    rules = "".join(path.read_text() for path in (facts.ROOT / "observability/rules").glob("*.yml"))
    for severity in sorted(set(re.findall(r"severity: (\w+)", rules))):
        command = [tool, "config", "routes", "test", f"--config.file={config}", f"severity={severity}"]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        hears = set(told.strip().split(","))
        if hears != HEARS.get(severity):
            yield f"what is {severity} comes to {sorted(hears)}, not to {sorted(HEARS.get(severity, []))}"


def said(command: list) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().splitlines() if done.returncode else []
