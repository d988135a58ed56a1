"""New versions of services by Argo Rollouts, as the files of k8s/components/rollouts have them."""

import json

import versions
from callers import until
from deployed import Platform

METRICS, HEALTH = 8090, 8091
SECONDS_MAX = 300


class Rollouts:
    """The rollouts of the platform, and who moves them."""

    def __init__(self, platform: Platform):
        self.platform = platform

    def start(self):
        """The controller, and the kinds of it and of the mesh."""
        on = self.platform.node
        kinds = sorted((on.tools / "bin/kinds").iterdir())
        on.asked("apply", "--server-side", *(word for kind in kinds for word in ("-f", kind)))
        on.asked("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        own = ["--kubeconfig", on.kubeconfig, "--leader-elect=false", "--metricsport", METRICS, "--healthzPort", HEALTH]
        program = on.launch("rollouts-controller", HEALTH, *own)
        program.until(program.listens, SECONDS_MAX)

    def take_over(self):
        """From the Deployments, whose pods were the first; until none of those is left."""
        platform = self.platform
        platform.node.apply([one for one in platform.built("rollouts") if one["kind"] != "Job"])
        for one in self.all():
            name = one["metadata"]["name"]
            until(f"{name} is healthy", lambda: self.is_settled(name), SECONDS_MAX)
        gone = lambda: not any(one["spec"]["replicas"] for one in platform.get("deployments")["items"])
        until("the deployments have no pods of their own", gone, SECONDS_MAX)
        until("the pods before have ended", platform.nobody_ends, SECONDS_MAX)

    def have_taken_over(self) -> bool:
        return bool(self.all())

    def all(self) -> list[dict]:
        return self.platform.get("rollouts")["items"]

    def status(self, name: str) -> dict:
        return self.platform.get("rollouts", name).get("status", {})

    def is_settled(self, name: str) -> bool:
        """Healthy, and all pods are of the version that is wanted."""
        status = self.status(name)
        stable = status.get("stableRS") or status.get("blueGreen", {}).get("activeSelector")
        return status.get("phase") == "Healthy" and status.get("currentPodHash") == stable

    def image(self, name: str, tag: str):
        """What a commit of another version does."""
        self.platform.asked("set", "image", f"deployment/{name}", f"service={versions.name_of(name, tag)}")

    def offer(self, name: str, tag: str, faults: dict[str, str] = {}):
        """A new version; until the controller has begun."""
        platform = self.platform
        versions.take(platform.node, platform.work / "images", name, tag, faults=faults)
        before = self.status(name)["currentPodHash"]
        self.image(name, tag)
        until("the rollout has begun", lambda: self.status(name)["currentPodHash"] != before, SECONDS_MAX)

    def tag(self, name: str) -> str:
        """Of the version that is wanted."""
        return self.platform.get("deployments", name)["spec"]["template"]["spec"]["containers"][0]["image"].rsplit(":", 1)[1]

    def shadow_by(self, tag: str):
        """What the same commit does to the program that decides again first."""
        path = "/spec/metrics/0/provider/job/spec/template/spec/containers/0/image"
        change = [{"op": "replace", "path": path, "value": versions.name_of("prepx", tag)}]
        self.platform.asked("patch", "analysistemplate", "prepx-shadow", "--type=json", "-p", json.dumps(change))

    def shadowed(self) -> str:
        """What the last of its pods said."""
        pods = self.platform.get("pods", labels="app.kubernetes.io/name=prepx-shadow")["items"]
        last = max(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])
        return self.platform.asked("logs", last["metadata"]["name"])

    def metrics(self, name: str) -> dict[str, str]:
        """What the looks at the last version have come to, by their names."""
        runs = self.platform.get("analysisruns", labels=f"{versions.HASH}={self.status(name)['currentPodHash']}")
        results = (one for run in runs["items"] for one in run.get("status", {}).get("metricResults", ()))
        return {one["name"]: one["phase"] for one in results}

    def given_up(self, name: str) -> list[str]:
        """By which metrics the last version was."""
        return [metric for metric, phase in self.metrics(name).items() if phase in ("Failed", "Error")]
