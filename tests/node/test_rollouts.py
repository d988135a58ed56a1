"""Argo Rollouts by the files of k8s/components/rollouts, judged by a real Prometheus: a good version goes through its steps, a bad one is
given up by itself, and whoever places orders meanwhile loses none. New versions of several services come at once: most of it is waiting."""

import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import versions
from callers import until
from deployed import REPLICAS
from releases import Rollouts

FAILED_MAX = 0.001
SECONDS_MAX = 300
PORTFOLIO, MARKET, OWNER, GATEWAY = "prepx-portfolio", "prepx-market-data", "prepx-trading", "prepx-gateway"
# What is told of what happens at once, by its name.
Stories = dict[str, Callable[[Rollouts], None]]


class Round:
    """What happens at once while orders are placed, and what came of it."""

    def __init__(self, rollouts: Rollouts, way: str, stories: Stories):
        with rollouts.platform.under_load("prepx-all", way) as self.orders, ThreadPoolExecutor(len(stories)) as threads:
            self.told: dict[str, Future] = {name: threads.submit(story, rollouts) for name, story in stories.items()}


def test_rollouts_take_the_pods_over(platform, rollouts):
    """Deployments that run become what Rollouts refer to, and nobody notices."""
    with platform.under_load("prepx-all", "drain") as orders:
        rollouts.take_over()
    assert orders.failed() == 0, orders.why


def goes_through_its_steps(rollouts: Rollouts):
    begun, steps = time.monotonic(), []
    rollouts.offer(MARKET, "good")

    def is_over() -> bool:
        step = rollouts.status(MARKET).get("currentStepIndex", 0)
        if step not in steps:
            steps.append(step)
        assert not rollouts.status(MARKET).get("abort"), rollouts.given_up(MARKET)
        return rollouts.is_settled(MARKET)

    until("it is promoted", is_over, SECONDS_MAX)
    print(f"{MARKET} was promoted after {time.monotonic() - begun:.0f} s by the steps {steps}", file=sys.stderr)
    assert {1, 3, 5} <= set(steps)


def decides_otherwise(rollouts: Rollouts):
    """It opens accounts with another limit. Of those that there are it decides that again, and is given up before it has a pod."""
    platform, before, owners = rollouts.platform, rollouts.tag(OWNER), []
    versions.take(platform.node, platform.work / "images", "prepx", "otherwise", rule=versions.ANOTHER)
    rollouts.shadow_by("otherwise")
    rollouts.offer(OWNER, "otherwise")
    version = rollouts.status(OWNER)["currentPodHash"]

    def is_given_up() -> bool:
        owners.extend(pod for pod in platform.pods("trading") if pod["metadata"]["labels"][versions.HASH] == version)
        return rollouts.status(OWNER).get("abort")

    until("it is given up", is_given_up, SECONDS_MAX)
    assert (rollouts.given_up(OWNER), owners) == (["decides-alike"], [])
    said = rollouts.shadowed()
    [differs] = re.findall(r"^\d+ events of .* transitions of .*: \d+ differ$", said, re.MULTILINE)
    print(f"{OWNER} owned nothing: {differs}", file=sys.stderr)
    assert re.search(r"recorded is Opened.*, decided Opened", said)
    rollouts.shadow_by(before)
    rollouts.image(OWNER, before)
    until("the version before is the one that is wanted", lambda: rollouts.is_settled(OWNER), SECONDS_MAX)


def is_not_promoted_and_a_good_one_is_by_hand(rollouts: Rollouts):
    before = rollouts.status(GATEWAY)["blueGreen"]["activeSelector"]
    active = lambda: rollouts.status(GATEWAY)["blueGreen"]["activeSelector"]
    rollouts.offer(GATEWAY, "silent", {"FAIL": "1"})
    until("it is given up", lambda: rollouts.status(GATEWAY).get("abort"), SECONDS_MAX)
    assert (rollouts.given_up(GATEWAY), active()) == (["answers"], before)
    rollouts.offer(GATEWAY, "good")
    looked = lambda: {"answers": "Successful", "crash-rate": "Successful"} == rollouts.metrics(GATEWAY)
    until("it has been looked at", looked, SECONDS_MAX)
    waits = lambda: [one["reason"] for one in rollouts.status(GATEWAY).get("pauseConditions") or ()]
    until("it waits for somebody", lambda: waits() == ["BlueGreenPause"], SECONDS_MAX)
    assert active() == before
    # What `kubectl argo rollouts promote` does.
    promoted = ["--subresource=status", "--type=merge", "-p", '{"status": {"pauseConditions": null}}']
    rollouts.platform.asked("patch", "rollout", GATEWAY, *promoted)
    until("it is promoted", lambda: rollouts.is_settled(GATEWAY), SECONDS_MAX)
    one_set = lambda: len(rollouts.platform.pods("gateway")) == REPLICAS and rollouts.platform.nobody_ends()
    until("the pods before have ended", one_set, SECONDS_MAX)
    assert active() != before


UNNOTICED = {
    "a-good-version-goes-through-its-steps": goes_through_its_steps,
    "an-owner-that-decides-otherwise-owns-nothing": decides_otherwise,
    "a-silent-gateway-is-not-promoted-and-a-good-one-is-by-hand": is_not_promoted_and_a_good_one_is_by_hand,
}


@pytest.fixture(scope="module")
def unnoticed(rollouts):
    return Round(rollouts, "drain", UNNOTICED)


@pytest.mark.parametrize("story", UNNOTICED)
def test_unnoticed(unnoticed, story):
    unnoticed.told[story].result()


def test_no_call_failed_meanwhile(unnoticed):
    assert unnoticed.orders.failed() == 0, unnoticed.orders.why


def bad(name: str, tag: str, faults: dict[str, str], metric: str) -> Callable[[Rollouts], None]:
    def is_given_up(rollouts: Rollouts):
        begun, before = time.monotonic(), rollouts.tag(name)
        rollouts.offer(name, tag, faults)
        until("it is given up", lambda: rollouts.status(name).get("abort"), SECONDS_MAX)
        reasons = rollouts.given_up(name)
        print(f"{name} that {tag}: given up after {time.monotonic() - begun:.0f} s by {reasons}", file=sys.stderr)
        rollouts.image(name, before)
        until("the version before has all pods", lambda: rollouts.is_settled(name), SECONDS_MAX)
        assert metric in reasons

    return is_given_up


def one_after_the_other(*stories: Callable[[Rollouts], None]) -> Callable[[Rollouts], None]:
    return lambda rollouts: [story(rollouts) for story in stories]


BAD = {
    "that-fails-and-one-that-is-slow": one_after_the_other(
        bad(PORTFOLIO, "fails", {"FAIL": "0.03"}, "error-rate"), bad(PORTFOLIO, "is-slow", {"SLOW": "1500ms"}, "p99")
    ),
    "that-crashes": bad(MARKET, "crashes", {"CRASH": "8s"}, "crash-rate"),
}


@pytest.fixture(scope="module")
def noticed(rollouts):
    return Round(rollouts, "canary", BAD)


@pytest.mark.parametrize("story", BAD)
def test_a_version_is_given_up(noticed, story):
    noticed.told[story].result()


def test_hardly_a_call_failed_meanwhile(noticed):
    assert noticed.orders.share_failed() < FAILED_MAX, noticed.orders.why
