"""Argo Rollouts by the files of k8s/components/rollouts, judged by a real Prometheus: a good version goes through its steps, a bad one is
given up by itself, and whoever places orders meanwhile loses none."""

import sys
import time

import pytest
import versions
from callers import until
from deployed import REPLICAS

SERVICE = "portfolio"
NAME = f"prepx-{SERVICE}"
FAILED_MAX = 0.001
SECONDS_MAX = 300


class Rollouts:
    """The rollouts of the platform."""

    def __init__(self, platform):
        self.platform = platform

    def all(self) -> list[dict]:
        return self.platform.get("rollouts")["items"]

    def status(self, name: str = NAME) -> dict:
        return self.platform.get("rollout", name).get("status", {})

    def is_settled(self, name: str = NAME) -> bool:
        """Healthy, and all pods are of the version that is wanted."""
        status = self.status(name)
        stable = status.get("stableRS") or status.get("blueGreen", {}).get("activeSelector")
        return status.get("phase") == "Healthy" and status.get("currentPodHash") == stable

    def image(self, tag: str, name: str = NAME):
        """What a commit of another version does."""
        self.platform.asked("set", "image", f"deployment/{name}", f"service={versions.name_of(name, tag)}")

    def offer(self, tag: str, faults: dict[str, str] = {}, name: str = NAME):
        """A new version; until the controller has begun."""
        platform = self.platform
        versions.take(platform.node, platform.work / "images", name, tag, faults)
        before = self.status(name)["currentPodHash"]
        self.image(tag, name)
        until("the rollout has begun", lambda: self.status(name)["currentPodHash"] != before, SECONDS_MAX)

    def metrics(self, name: str = NAME) -> dict[str, str]:
        """What the looks at the last version have come to, by their names."""
        runs = self.platform.get("analysisruns", "-l", f"rollouts-pod-template-hash={self.status(name)['currentPodHash']}")
        results = (one for run in runs["items"] for one in run.get("status", {}).get("metricResults", ()))
        return {one["name"]: one["phase"] for one in results}

    def given_up(self, name: str = NAME) -> list[str]:
        """By which metrics the last version was."""
        return [metric for metric, phase in self.metrics(name).items() if phase in ("Failed", "Error")]


METRICS, HEALTH = 8090, 8091


@pytest.fixture(scope="module")
def rollouts(platform):
    """The controller, and the kinds of it and of the mesh."""
    on = platform.node
    kinds = sorted((on.tools / "bin/kinds").iterdir())
    on.asked("apply", "--server-side", *(word for kind in kinds for word in ("-f", kind)))
    on.asked("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    own = ["--kubeconfig", on.kubeconfig, "--leader-elect=false", "--metricsport", METRICS, "--healthzPort", HEALTH]
    program = on.launch("rollouts-controller", HEALTH, *own)
    program.until(program.listens, SECONDS_MAX)
    return Rollouts(platform)


def test_rollouts_take_the_pods_over(platform, rollouts):
    """Deployments that run become what Rollouts refer to, and nobody notices."""
    with platform.under_load("prepx-all", "drain") as orders:
        platform.node.apply([one for one in platform.built("rollouts") if one["kind"] != "Job"])
        for one in rollouts.all():
            name = one["metadata"]["name"]
            until(f"{name} is healthy", lambda: rollouts.is_settled(name), SECONDS_MAX)
        gone = lambda: not any(one["spec"]["replicas"] for one in platform.get("deployments")["items"])
        until("the deployments have no pods of their own", gone, SECONDS_MAX)
        until("the pods before have ended", platform.nobody_ends, SECONDS_MAX)
    assert orders.failed() == 0, orders.why


def test_a_good_version_goes_through_its_steps(platform, rollouts):
    begun, steps = time.monotonic(), []
    with platform.under_load(NAME, "drain") as orders:
        rollouts.offer("good")

        def is_over() -> bool:
            step = rollouts.status().get("currentStepIndex", 0)
            if step not in steps:
                steps.append(step)
            assert not rollouts.status().get("abort"), rollouts.given_up()
            return rollouts.is_settled()

        until("it is promoted", is_over, SECONDS_MAX)
    print(f"{NAME} was promoted after {time.monotonic() - begun:.0f} s by the steps {steps}", file=sys.stderr)
    assert {1, 3, 5} <= set(steps)
    assert orders.share_failed() < FAILED_MAX, orders.why


BAD = {
    "fails": ({"FAIL": "0.03"}, "error-rate"),
    "is-slow": ({"SLOW": "1500ms"}, "p99"),
    "crashes": ({"CRASH": "8s"}, "crash-rate"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_version_is_given_up(platform, rollouts, kind):
    faults, metric = BAD[kind]
    begun = time.monotonic()
    with platform.under_load(NAME, "canary") as orders:
        rollouts.offer(kind, faults)
        until("it is given up", lambda: rollouts.status().get("abort"), SECONDS_MAX)
        reasons = rollouts.given_up()
        print(f"{kind}: given up after {time.monotonic() - begun:.0f} s by {reasons}", file=sys.stderr)
        rollouts.image("good")
        until("the version before has all pods", rollouts.is_settled, SECONDS_MAX)
    assert metric in reasons
    assert orders.share_failed() < FAILED_MAX, orders.why


GATEWAY = "prepx-gateway"


def test_a_gateway_is_looked_at_and_then_promoted_by_hand(platform, rollouts):
    before = rollouts.status(GATEWAY)["blueGreen"]["activeSelector"]
    with platform.under_load(GATEWAY, "drain") as orders:
        rollouts.offer("good", name=GATEWAY)
        waits = lambda: [one["reason"] for one in rollouts.status(GATEWAY).get("pauseConditions") or ()]
        looked = lambda: {"answers": "Successful", "crash-rate": "Successful"} == rollouts.metrics(GATEWAY)
        until("it has been looked at", looked, SECONDS_MAX)
        until("it waits for somebody", lambda: waits() == ["BlueGreenPause"], SECONDS_MAX)
        assert rollouts.status(GATEWAY)["blueGreen"]["activeSelector"] == before
        # What `kubectl argo rollouts promote` does.
        promoted = ["--subresource=status", "--type=merge", "-p", '{"status": {"pauseConditions": null}}']
        platform.asked("patch", "rollout", GATEWAY, *promoted)
        until("it is promoted", lambda: rollouts.is_settled(GATEWAY), SECONDS_MAX)
        one_set = lambda: len(platform.pods("gateway")) == REPLICAS and platform.nobody_ends()
        until("the pods before have ended", one_set, SECONDS_MAX)
    assert rollouts.status(GATEWAY)["blueGreen"]["activeSelector"] != before
    assert orders.failed() == 0, orders.why


def test_a_gateway_that_does_not_answer_is_not_promoted(platform, rollouts):
    before = rollouts.status(GATEWAY)["blueGreen"]["activeSelector"]
    with platform.under_load(GATEWAY, "drain") as orders:
        rollouts.offer("silent", {"FAIL": "1"}, GATEWAY)
        until("it is given up", lambda: rollouts.status(GATEWAY).get("abort"), SECONDS_MAX)
        assert rollouts.given_up(GATEWAY) == ["answers"]
        assert rollouts.status(GATEWAY)["blueGreen"]["activeSelector"] == before
        rollouts.image("good", GATEWAY)
        until("the version before is the one that is wanted", lambda: rollouts.is_settled(GATEWAY), SECONDS_MAX)
    assert orders.failed() == 0, orders.why
