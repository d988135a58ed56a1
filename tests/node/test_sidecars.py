"""Istio around the pods: what Argo Rollouts writes into the routes of istio/ is read by Envoys, and calls are shared out by it, while a new
version of a service that owns partitions takes its place."""

import math
import re
import sys
import time

import pytest
from callers import until
from sidecars import DOOR, Sidecars

SECONDS_MAX = 300
NAME, SERVICE = "prepx-trading", "trading"
FAILED_MAX = 0.001
STEPS = (10, 20, 50)
# How long Envoys may not have heard of it, and by how many standard deviations a share may differ.
HEARD_SECONDS, DEVIATIONS = 2, 4
CALLS_MIN = 100


@pytest.fixture(scope="module")
def sidecars(platform, rollouts):
    sidecars = Sidecars(platform.work / "sidecars", platform)
    if not rollouts.have_taken_over():
        rollouts.take_over()
    try:
        sidecars.start()
        platform.load = platform.new_load(DOOR)
        yield sidecars
    finally:
        sidecars.stop()


class Shares:
    """How many calls each version got while the weights were so."""

    def __init__(self, sidecars: Sidecars):
        self.sidecars, self.seen = sidecars, {}
        self.weight, self.since = None, 0.0

    def look(self):
        weight, now = self.sidecars.weights(NAME)["v2"], time.monotonic()
        if weight != self.weight:
            self.weight, self.since = weight, now
        counts = self.sidecars.taken(SERVICE)
        # It was the same before and after that.
        if now > self.since + HEARD_SECONDS and self.sidecars.weights(NAME)["v2"] == weight:
            self.seen.setdefault(weight, []).append(counts)

    def of(self, weight: int, version: str) -> tuple[float, int]:
        """The share of a version, of how many calls."""
        first, last = self.seen[weight][0], self.seen[weight][-1]
        got = {one: count - first.get(one, 0) for one, count in last.items()}
        return got.get(version, 0) / sum(got.values()), sum(got.values())


def test_calls_are_shared_out_by_the_weights_of_a_rollout(platform, rollouts, sidecars):
    begun, shares = time.monotonic(), Shares(sidecars)
    with platform.under_load(NAME, "drain") as orders:
        rollouts.offer(NAME, "good")
        version = rollouts.status(NAME)["currentPodHash"]

        def is_over() -> bool:
            shares.look()
            assert not rollouts.status(NAME).get("abort"), rollouts.given_up(NAME)
            return rollouts.is_settled(NAME)

        until("it is promoted", is_over, SECONDS_MAX)
    shadowed = rollouts.shadowed().splitlines()[-1]
    print(f"{NAME} was promoted after {time.monotonic() - begun:.0f} s; shadowed before: {shadowed}", file=sys.stderr)
    # It had something to decide again, and nothing came out otherwise.
    assert re.fullmatch(r"[1-9]\d* events of .*: all are as they were recorded", shadowed)
    for weight in STEPS:
        share, calls = shares.of(weight, version)
        print(f"at {weight} %: {share:.2%} of {calls} calls", file=sys.stderr)
        wanted = weight / 100
        assert calls >= CALLS_MIN
        assert abs(share - wanted) < DEVIATIONS * math.sqrt(wanted * (1 - wanted) / calls)
    assert orders.share_failed() < FAILED_MAX, orders.why
