"""Argo Rollouts by the files of k8s/components/rollouts, judged by a real Prometheus: a good version goes through its steps, a bad one is
given up by itself, and whoever places orders meanwhile loses none."""

import sys
import time

import pytest
import versions
from callers import until
from watch import Watchers

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

    def phase(self, name: str = NAME) -> str:
        return self.status(name).get("phase", "")

    def is_settled(self, name: str = NAME) -> bool:
        """Healthy, and all pods are of the version that is wanted."""
        status = self.status(name)
        return status.get("phase") == "Healthy" and status.get("currentPodHash") == status.get("stableRS")

    def image(self, tag: str):
        """What a commit of another version does."""
        name = versions.name_of(NAME, tag)
        self.platform.asked("set", "image", f"deployment/{NAME}", f"service={name}")

    def offer(self, tag: str, faults: dict[str, str] = {}):
        """A new version; until the controller has begun."""
        platform = self.platform
        versions.take(platform.node, platform.work / "images", NAME, tag, faults)
        before = self.status()["currentPodHash"]
        self.image(tag)
        until("the rollout has begun", lambda: self.status()["currentPodHash"] != before, SECONDS_MAX)

    def given_up(self) -> list[str]:
        """By which metrics the last version was, or what its status says."""
        runs = self.platform.get("analysisruns", "-l", f"rollouts-pod-template-hash={self.status()['currentPodHash']}")
        metrics = [one for run in runs["items"] for one in run.get("status", {}).get("metricResults", ())]
        return [one["name"] for one in metrics if one["phase"] in ("Failed", "Error")] or [self.status().get("message", "")]


@pytest.fixture(scope="module")
def rollouts(platform):
    watchers = Watchers(platform.work / "node", platform.node)
    watchers.start()
    try:
        yield Rollouts(platform)
    finally:
        watchers.stop()


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
