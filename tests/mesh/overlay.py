"""Where endpoints are on this machine, and nothing else: what is laid over the files of istio/.

In a cluster Kubernetes says which pods a Service has, iptables lead a pod's calls through its Envoy, and Argo Rollouts
writes the hash of a version into the subset. Here a ServiceEntry for each Service of k8s/base lists the pods that its
selector takes, a Sidecar binds the listeners of each pod to its own address, and the hash is `v1` or `v2`.
"""

import copy
from dataclasses import dataclass, field

NAMESPACE = "prepx"
HASH = "rollouts-pod-template-hash"
POD = "test/pod"
# Nobody needs rights for these.
PORTS_OF_THE_EDGE = {443: 8443, 80: 8080}
# Where pods call.
CALLS = {"number": 9000, "name": "calls", "protocol": "HTTP"}


@dataclass
class Pod:
    """A pod of a service, or somebody who only calls."""

    name: str
    account: str
    namespace: str = NAMESPACE
    labels: dict[str, str] = field(default_factory=dict)
    # Of loopback, its own; and of each of its ports, where its process listens.
    address: str = ""
    ports: dict[int, int] = field(default_factory=dict)
    # The address at which it has Services; its process is told that one of them is there.
    outlet: str = ""
    told: str = ""

    def all_labels(self) -> dict[str, str]:
        return self.labels | {POD: self.name}


def laid_over(mesh: list[dict], base: list[dict], pods: list[Pod], edge: str) -> list[dict]:
    """The documents of istio/ with where things are; `base` are those of k8s/base."""
    docs = [moved(copy.deepcopy(doc), edge) for doc in mesh if "istio.io/" in doc["apiVersion"]]
    services = [doc for doc in base if doc["kind"] == "Service"]
    entries = [entry(service, pods) for service in services]
    # The edge is no sidecar.
    return docs + entries + [sidecar(docs, services, pod) for pod in pods if pod.address or pod.outlet]


def moved(doc: dict, edge: str) -> dict:
    if doc["kind"] == "Gateway":
        for server in doc["spec"]["servers"]:
            server["bind"] = edge
            server["port"]["number"] = PORTS_OF_THE_EDGE[server["port"]["number"]]
    if doc["kind"] == "DestinationRule":
        for subset in doc["spec"].get("subsets", []):
            subset["labels"][HASH] = subset["name"]
    return doc


def entry(service: dict, pods: list[Pod]) -> dict:
    """A Service, and the pods that are its own."""
    name, selector = service["metadata"]["name"], service["spec"]["selector"]
    ports = service["spec"]["ports"]
    return document("ServiceEntry", name, NAMESPACE, {
        "hosts": [f"{name}.{NAMESPACE}.svc.cluster.local"],
        "addresses": [pod.outlet for pod in pods if pod.told == name],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [
            {"number": port["port"], "name": port["name"], "protocol": port["appProtocol"].upper()} for port in ports
        ],
        "endpoints": [
            {
                "address": pod.address,
                "serviceAccount": pod.account,
                "labels": pod.all_labels() | {"security.istio.io/tlsMode": "istio"},
            }
            for pod in pods
            if pod.address and selector.items() <= pod.labels.items()
        ],
    })


def sidecar(docs: list[dict], services: list[dict], pod: Pod) -> dict:
    """What the Sidecar of the namespace says, at the pod's addresses."""
    default = next(doc["spec"] for doc in docs if doc["kind"] == "Sidecar" and doc["metadata"]["name"] == "default")
    # Who is in another namespace asks across.
    hosts = {} if pod.namespace == NAMESPACE else {"hosts": [f"{NAMESPACE}/*"]}
    # One address for all Services, so one protocol: in a cluster each has its own.
    at = {"bind": pod.outlet, "captureMode": "NONE", "port": CALLS} if pod.outlet else {"hosts": ["~/*"]}
    spec = default | {
        "workloadSelector": {"labels": {POD: pod.name}},
        "egress": [listener | hosts | at for listener in default["egress"]],
    }
    protocols = {
        port["port"]: port["appProtocol"].upper()
        for service in services
        if service["spec"]["selector"].items() <= pod.labels.items()
        for port in service["spec"]["ports"]
    }
    if pod.ports:
        spec["ingress"] = [
            {
                "port": {"number": port, "name": f"port-{port}", "protocol": protocols.get(port, "HTTP")},
                "bind": pod.address,
                "captureMode": "NONE",
                "defaultEndpoint": f"127.0.0.1:{process}",
            }
            for port, process in pod.ports.items()
        ]
    return document("Sidecar", pod.name, pod.namespace, spec)


def document(kind: str, name: str, namespace: str, spec: dict) -> dict:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}
