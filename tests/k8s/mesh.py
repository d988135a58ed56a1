"""Whether rollouts and the mesh refer to what is there: weights, routes, subsets, identities, methods, metrics."""

import re
from collections.abc import Iterator

import yaml

import facts
from manifests import Manifests, name, namespace, short

PREPX_SA = re.compile(r"cluster\.local/ns/prepx/sa/(.+)")
# Defined in every mesh.
PROVIDERS = {"envoy", "prometheus"}
# Conditions of a retry under which a call may have taken effect.
LOST = {"reset", "unavailable", "5xx", "gateway-error", "cancelled", "deadline-exceeded", "internal", "retriable-4xx"}


def rollouts(m: Manifests) -> Iterator[str]:
    for doc in m.of("Rollout"):
        reference = doc["spec"]["workloadRef"]
        if not m.has(reference["kind"], reference["name"]):
            yield f"{name(doc)} is of {reference['name']}: it is not there"
        strategy = doc["spec"]["strategy"]
        for key in ("activeService", "previewService"):
            service = strategy.get("blueGreen", {}).get(key)
            if service and not m.has("Service", service):
                yield f"{name(doc)} has the {key} {service}: it is not there"
        canary = strategy.get("canary", {})
        if "scaleDownDelaySeconds" in canary and "trafficRouting" not in canary:
            yield f"{name(doc)} has scaleDownDelaySeconds and no trafficRouting: Argo Rollouts refuses that"
        yield from traffic(m, doc, canary.get("trafficRouting", {}).get("istio"))
        before = [step["analysis"] for step in canary.get("steps", []) if "analysis" in step]
        for analysis in (*before, canary.get("analysis"), strategy.get("blueGreen", {}).get("prePromotionAnalysis")):
            yield from judged(m, doc, analysis)
        yield from ends(m, doc, strategy.get("blueGreen", {}).get("prePromotionAnalysis", {}))


def traffic(m: Manifests, doc: dict, istio: dict | None) -> Iterator[str]:
    if not istio:
        return
    service, rule = m.get("VirtualService", istio["virtualService"]["name"]), m.get(
        "DestinationRule", istio["destinationRule"]["name"]
    )
    if not service or not rule:
        yield f"{name(doc)} moves weights of {istio}: it is not there"
        return
    weighed = [route["name"] for route in service["spec"]["http"] if len(route["route"]) > 1]
    if sorted(istio["virtualService"]["routes"]) != sorted(weighed):
        yield f"{name(doc)} moves weights of {istio['virtualService']['routes']}: {name(service)} has {weighed}"
    subsets = [subset["name"] for subset in rule["spec"].get("subsets", [])]
    for key in ("stableSubsetName", "canarySubsetName"):
        if istio["destinationRule"][key] not in subsets:
            yield f"{name(doc)} has the {key} {istio['destinationRule'][key]}: {name(rule)} has {subsets}"


def judged(m: Manifests, doc: dict, analysis: dict | None) -> Iterator[str]:
    if not analysis:
        return
    given = {argument["name"] for argument in analysis.get("args", [])}
    for template in (m.get("AnalysisTemplate", one["templateName"]) for one in analysis["templates"]):
        if not template:
            yield f"{name(doc)} is judged by {analysis['templates']}: one is not there"
            continue
        for argument in template["spec"].get("args", []):
            if "value" not in argument and argument["name"] not in given:
                yield f"{name(doc)} gives {name(template)} no {argument['name']}"
        for series in re.findall(r"\b((?:prepx|kube)_\w+)\{", str(template["spec"]["metrics"])):
            if not facts.is_exported(series):
                yield f"{name(template)} reads {series}: nobody exports it"


def ends(m: Manifests, doc: dict, analysis: dict) -> Iterator[str]:
    """Nothing is promoted before all has been looked at: Argo Rollouts refuses what looks for ever, by the template's own text."""
    for one in analysis.get("templates", []):
        for metric in (m.get("AnalysisTemplate", one["templateName"]) or {"spec": {"metrics": []}})["spec"]["metrics"]:
            if "interval" in metric and not str(metric.get("count", "")).isdigit():
                yield f"{name(doc)} waits for {metric['name']} of {one['templateName']}, which says no count: it never ends"


def routes(m: Manifests) -> Iterator[str]:
    for doc in m.of("VirtualService"):
        for gateway in doc["spec"].get("gateways", []):
            if not m.has("Gateway", gateway):
                yield f"{name(doc)} is of the gateway {gateway}: it is not there"
        if "gateways" not in doc["spec"]:
            yield from (
                f"{name(doc)} is of {host}: there is no such Service"
                for host in doc["spec"]["hosts"]
                if not m.has("Service", short(host))
            )
        for route in doc["spec"]["http"]:
            yield from destinations(m, doc, route)
            yield from retried(doc, route)


def destinations(m: Manifests, doc: dict, route: dict) -> Iterator[str]:
    weights = [one.get("weight", 100) for one in route["route"]]
    if sum(weights) != 100:
        yield f"{name(doc)}, {route['name']}: its weights are {weights}"
    for destination in (one["destination"] for one in route["route"]):
        service, rule = m.get("Service", short(destination["host"])), m.get(
            "DestinationRule", short(destination["host"])
        )
        if not service:
            yield f"{name(doc)}, {route['name']}: there is no Service {destination['host']}"
            continue
        port = destination.get("port", {}).get("number")
        if port and port not in [one["port"] for one in service["spec"]["ports"]]:
            yield f"{name(doc)}, {route['name']}: {destination['host']} has no port {port}"
        subsets = [subset["name"] for subset in (rule or {"spec": {}})["spec"].get("subsets", [])]
        if "subset" in destination and destination["subset"] not in subsets:
            yield f"{name(doc)}, {route['name']}: {destination['host']} has no subset {destination['subset']}"


def retried(doc: dict, route: dict) -> Iterator[str]:
    """What may have taken effect is never sent twice."""
    reads = True
    for match in route.get("match", [{}]):
        uri = match.get("uri", {})
        path = uri.get("prefix", uri.get("exact", ""))
        meant = (
            [read for method, read in facts.methods().items() if method.startswith(path)]
            if path.startswith(("/prepx.", "/grpc."))
            else []
        )
        if path.startswith(("/prepx.", "/grpc.")) and not meant:
            yield f"{name(doc)}, {route['name']}: no method begins with {path}"
        only_asks = set(match.get("method", {}).get("regex", "POST").split("|")) <= {"GET", "HEAD"}
        reads &= only_asks or bool(meant) and all(meant)
    conditions = set(route.get("retries", {}).get("retryOn", "").split(","))
    lost = sorted(conditions & LOST)
    if not reads and lost:
        yield f"{name(doc)}, {route['name']}: retries on {lost} would repeat what changes something"
    if "retries" not in route:
        # Istio retries twice by itself, also on `unavailable`.
        yield f"{name(doc)}, {route['name']} does not say what is retried"


def rules_of_destinations(m: Manifests) -> Iterator[str]:
    for doc in m.of("DestinationRule"):
        if not m.has("Service", short(doc["spec"]["host"])):
            yield f"{name(doc)} is of {doc['spec']['host']}: there is no such Service"
        for subset in doc["spec"].get("subsets", []):
            if not m.labelled(subset["labels"]):
                yield f"{name(doc)}: no pod is of the subset {subset}"


def policies(m: Manifests) -> Iterator[str]:
    """Who may call whom, by identity and method; the network says the same."""
    handed_on = set()
    for doc in m.of("AuthorizationPolicy"):
        who = doc["spec"].get("selector", {}).get("matchLabels", {}).get("app.kubernetes.io/name")
        callers = set()
        for rule in doc["spec"].get("rules", []):
            sources = [
                principal for source in rule.get("from", []) for principal in source["source"].get("principals", [])
            ]
            ours = {found[1] for found in map(PREPX_SA.fullmatch, sources) if found}
            callers |= ours
            yield from (
                f"{name(doc)} lets {account} in: there is no such ServiceAccount"
                for account in ours
                if not m.has("ServiceAccount", account)
            )
            paths = [
                path
                for to in rule.get("to", [])
                for path in to["operation"].get("paths", [])
                if path.startswith(("/prepx.", "/grpc."))
            ]
            for path in paths:
                if not any(
                    method == path or path.endswith("*") and method.startswith(path[:-1]) for method in facts.methods()
                ):
                    yield f"{name(doc)} lets {path} pass: there is no such method"
            if "prepx-gateway" in ours:
                handed_on |= {path.split("/")[1] for path in paths if path.endswith("/*")}
        network = m.get("NetworkPolicy", (who or "").removeprefix("prepx-"))
        if callers and network:
            let_in = {
                value
                for rule in network["spec"]["ingress"]
                for peer in rule["from"]
                for expression in peer.get("podSelector", {}).get("matchExpressions", [])
                for value in expression["values"]
            }
            if let_in != callers:
                yield f"{name(doc)} and {name(network)} differ: {sorted(let_in ^ callers)}"
    if m.of("AuthorizationPolicy") and handed_on != facts.public_services():
        yield f"the gateway hands on other services than it may call: {sorted(handed_on ^ facts.public_services())}"


def providers(m: Manifests) -> Iterator[str]:
    """What telemetry is sent to by name is defined where the control plane is told of it, and is there."""
    told = yaml.safe_load((facts.ROOT / "istio/istiod.yaml").read_text())["meshConfig"]["extensionProviders"]
    defined = {one["name"]: one for one in told}
    for doc in m.of("Telemetry"):
        asked = [one for part in doc["spec"].values() for each in part for one in each.get("providers", [])]
        for provider in (one["name"] for one in asked if one["name"] not in PROVIDERS):
            if provider not in defined:
                yield f"{name(doc)} names the provider {provider}: istio/istiod.yaml defines {sorted(defined)}"
                continue
            place = defined[provider]["opentelemetry"]
            host, space = place["service"].split(".")[:2]
            services = [one for one in m.everything() if one["kind"] == "Service" and one["metadata"]["name"] == host]
            found = [one for one in services if namespace(one) == space]
            if not any(port["port"] == place["port"] for one in found for port in one["spec"]["ports"]):
                yield f"the provider {provider} is at {place['service']}:{place['port']}: there is no such Service"


RULES = [rollouts, routes, rules_of_destinations, policies, providers]
