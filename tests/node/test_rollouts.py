"""Argo Rollouts by the files of k8s/components/rollouts, judged by a real Prometheus: a good version goes through its steps, a bad one is
given up by itself, and whoever places orders meanwhile loses none."""

import re
import sys
import time

import pytest
import versions
from callers import until
from deployed import REPLICAS
from releases import NAME

FAILED_MAX = 0.001
SECONDS_MAX = 300


def test_rollouts_take_the_pods_over(platform, rollouts):
    """Deployments that run become what Rollouts refer to, and nobody notices."""
    with platform.under_load("prepx-all", "drain") as orders:
        rollouts.take_over()
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


OWNER = "prepx-trading"


def test_a_version_that_decides_otherwise_owns_nothing(platform, rollouts):
    """It opens accounts with another limit; of those that there are it decides that again, and is given up before it has a pod."""
    versions.take(platform.node, platform.work / "images", "prepx", "otherwise", rule=versions.ANOTHER)
    before = rollouts.tag(OWNER)
    rollouts.shadow_by("otherwise")
    with platform.under_load(OWNER, "none") as orders:
        rollouts.offer("otherwise", name=OWNER)
        version, owners = rollouts.status(OWNER)["currentPodHash"], []

        def is_given_up() -> bool:
            owners.extend(pod for pod in platform.pods("trading") if pod["metadata"]["labels"]["rollouts-pod-template-hash"] == version)
            return rollouts.status(OWNER).get("abort")

        until("it is given up", is_given_up, SECONDS_MAX)
        reasons, said = rollouts.given_up(OWNER), rollouts.shadowed()
        rollouts.shadow_by(before)
        rollouts.image(before, OWNER)
        until("the version before is the one that is wanted", lambda: rollouts.is_settled(OWNER), SECONDS_MAX)
    assert (reasons, owners) == (["decides-alike"], [])
    print(said[-2000:], file=sys.stderr)
    assert re.search(r"recorded is Opened.*, decided Opened", said) and re.search(r"events of .* transitions .*: \d+ differ$", said, re.M)
    assert orders.failed() == 0, orders.why


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
