"""What an overlay comes to, and how it is asked."""

import re


class Manifests:
    """What an overlay comes to."""

    def __init__(self, docs: list[dict], beside: "Manifests | None" = None):
        self.docs = docs
        # What stands beside it in a cluster: what watches it.
        self.beside = beside
        self.by_name = {(doc["kind"], doc["metadata"]["name"]): doc for doc in docs}
        self.workloads = [doc for doc in docs if doc["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job")]
        self.workloads += [job for doc in self.of("AnalysisTemplate") for job in jobs(doc)]

    def of(self, *kinds: str) -> list[dict]:
        return [doc for doc in self.docs if doc["kind"] in kinds]

    def has(self, kind: str, name: str) -> bool:
        return (kind, name) in self.by_name

    def get(self, kind: str, name: str) -> dict | None:
        return self.by_name.get((kind, name))

    def everything(self) -> list[dict]:
        """With what stands beside it."""
        return self.docs + (self.beside.docs if self.beside else [])

    def all_workloads(self) -> list[dict]:
        return self.workloads + (self.beside.workloads if self.beside else [])

    def anywhere(self, kind: str, name: str | None) -> dict | None:
        return self.get(kind, name) or (self.beside.get(kind, name) if self.beside else None)

    def labelled(self, labels: dict) -> list[dict]:
        """The workloads whose pods have these labels."""
        return [one for one in self.workloads if labels.items() <= pod(one)["metadata"].get("labels", {}).items()]

    def settings(self) -> dict[str, str]:
        found = self.generated("prepx-settings")
        return found["data"] if found else {}

    def generated(self, name: str) -> dict | None:
        """The ConfigMap that kustomize has made under this name, with a hash of what is in it behind."""
        return next((doc for doc in self.of("ConfigMap") if doc["metadata"]["name"].startswith(name + "-")), None)


def jobs(template: dict) -> list[dict]:
    """What an analysis runs."""
    metrics = [metric for metric in template["spec"]["metrics"] if "job" in metric["provider"]]
    return [{"kind": "Job", "metadata": metric, "spec": metric["provider"]["job"]["spec"]} for metric in metrics]


def pod(workload: dict) -> dict:
    return workload["spec"]["template"]


def containers(workload: dict) -> list[dict]:
    spec = pod(workload)["spec"]
    return spec["containers"] + spec.get("initContainers", [])


def namespace(doc: dict) -> str:
    """Jobs of an analysis are beside it."""
    return doc["metadata"].get("namespace", "prepx")


def name(doc: dict) -> str:
    return f"{doc['kind']} {doc['metadata']['name']}"


def short(host: str) -> str:
    """`prepx-user` of `prepx-user.prepx.svc.cluster.local`, and of an address of one pod its Service."""
    host = re.sub(r"(\.prepx)?(\.svc\.cluster\.local)?$", "", host)
    return host.rpartition(".")[2]
