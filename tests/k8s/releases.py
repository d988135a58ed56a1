"""Whether a release comes and goes back in order, and whether every version has room for what it is sent meanwhile."""

import re
from collections.abc import Iterator

from manifests import Manifests, containers, name, pod

WAVE = "argocd.argoproj.io/sync-wave"
GATEWAY = "prepx-gateway"
# A name that follows from what is in it.
HASHED = re.compile(r".*-[a-z0-9]{10}")
# What Argo Rollouts and autoscalers write into what is in Git, by kind.
MOVED = {
    "VirtualService": ".spec.http[].route[].weight",
    "DestinationRule": ".spec.subsets[].labels",
    "Service": '.spec.selector["rollouts-pod-template-hash"]',
    "Deployment": "/spec/replicas",
    "Rollout": "/spec/replicas",
}
# By each of these Argo Rollouts has sent more to a version than its pods could take: it makes the version before smaller, sends
# calls before all pods are there, or (rollbackWindow, argo-rollouts#3941) all of them to the first pod.
ROOMLESS_CANARY = {"dynamicStableScale", "replicaProgressThreshold"}
ROOMLESS = {"rollbackWindow"}


def order(m: Manifests) -> Iterator[str]:
    """What is replaced has a turn: whoever only reads the log before its owners, who is called before who calls, the gateway last."""
    waves = {doc["metadata"]["name"]: wave(doc) for doc in m.of("Rollout")}
    for service, turn in waves.items():
        template = m.get("Deployment", service)
        if turn is None or template and wave(template) != turn:
            yield f"Rollout {service} and its Deployment have no turn, or two: {WAVE}"
            return
    owners = {service for service in waves if m.has("Service", f"{service}-pods")}
    readers = {service for service in waves if "prepx.io/uses-kafka" in labels(m, service)} - owners
    before = {(first, then) for first in readers for then in owners}
    before |= {(service, GATEWAY) for service in waves if service != GATEWAY}
    called = {service: callers(m, service) for service in waves}
    before |= {(one, other) for one in owners for other in called[one] & owners if one not in called[other]}
    for doc in m.of("HorizontalPodAutoscaler", "VerticalPodAutoscaler") if waves else ():
        if (wave(doc) or 0) <= max(waves.values()):
            yield f"{name(doc)} comes before what it scales, which Argo CD takes for broken, and ends the release"
    for first, then in sorted(before):
        if waves[first] >= waves[then]:
            yield f"{first} has to come before {then}: their turns are {waves[first]} and {waves[then]}"


def wave(doc: dict) -> int | None:
    told = doc["metadata"].get("annotations", {}).get(WAVE)
    return None if told is None else int(told)


def labels(m: Manifests, service: str) -> dict:
    return pod(m.get("Deployment", service) or {"spec": {"template": {"metadata": {}}}})["metadata"].get("labels", {})


def callers(m: Manifests, service: str) -> set[str]:
    """By the network's own list."""
    policy = m.get("NetworkPolicy", service.removeprefix("prepx-")) or {"spec": {"ingress": []}}
    peers = [peer for rule in policy["spec"]["ingress"] for peer in rule["from"]]
    named = [one for peer in peers for one in peer.get("podSelector", {}).get("matchExpressions", [])]
    return {value for one in named for value in one["values"]} - {service}


def room(m: Manifests) -> Iterator[str]:
    """A version gets calls when its pods are there, and the one before keeps its own until nobody can come back to it."""
    for doc in m.of("Rollout"):
        spec, canary = doc["spec"], doc["spec"]["strategy"].get("canary", {})
        told = {key for key in ROOMLESS if key in spec} | {key for key in ROOMLESS_CANARY if canary.get(key)}
        told |= {"setCanaryScale" for step in canary.get("steps", []) if "setCanaryScale" in step}
        told |= {"previewReplicaCount"} & spec["strategy"].get("blueGreen", {}).keys()
        yield from (f"{name(doc)} has {key}: a version may be sent more than it has pods for" for key in sorted(told))
        if canary and "trafficRouting" not in canary and (canary.get("maxUnavailable") != 0 or not canary.get("maxSurge")):
            yield f"{name(doc)} takes pods away before there are others: maxUnavailable is {canary.get('maxUnavailable')}"
        weights = [step["setWeight"] for step in canary.get("steps", []) if "setWeight" in step]
        if weights != sorted(weights) or canary and weights[-1:] != [100]:
            yield f"{name(doc)} has the weights {weights}: they rise to 100"


def kept(m: Manifests) -> Iterator[str]:
    """Pods of the version before can be made anew: the settings that they name are not taken away with it."""
    for doc in m.of("Rollout"):
        workload = m.get("Deployment", doc["spec"]["workloadRef"]["name"])
        sources = [source for one in containers(workload) for source in one.get("envFrom", [])] if workload else []
        for settings in (source["configMapRef"]["name"] for source in sources):
            told = (m.get("ConfigMap", settings) or {"metadata": {}})["metadata"].get("annotations", {})
            if HASHED.fullmatch(settings) and "Prune=false" not in told.get("argocd.argoproj.io/sync-options", ""):
                yield f"{settings} is taken away by Argo CD while {name(doc)} may still go back to it"


def ignored(m: Manifests) -> Iterator[str]:
    """What rollouts move is no difference to Git."""
    for doc in m.of("Application"):
        if not doc["spec"]["source"]["path"].startswith("k8s/overlays/monitoring"):
            entries = doc["spec"].get("ignoreDifferences", [])
            told = {one["kind"]: one.get("jqPathExpressions", []) + one.get("jsonPointers", []) for one in entries}
            yield from (f"{name(doc)} puts {kind} {path} back" for kind, path in MOVED.items() if path not in told.get(kind, []))
            if "RespectIgnoreDifferences=true" not in doc["spec"]["syncPolicy"]["syncOptions"]:
                yield f"{name(doc)} ignores differences only to show them: RespectIgnoreDifferences=true is missing"


RULES = [order, room, kept, ignored]
