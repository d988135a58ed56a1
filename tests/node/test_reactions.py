"""What the platform's watchers do about what they see: autoscalers have more pods made, somebody is woken, and an order can be followed."""

import contextlib
import os
import signal
import sys
import time
from collections import Counter

import pytest
from callers import Api, until
from deployed import REPLICAS, Reader, key_of
from metrics import Metrics
from receivers import PAGER_KEY

SECONDS_MAX = 240
SCALED = "portfolio"
CALLS = "prepx_calls_per_second"
READERS = 3
HANGS = "market-data"
DOWN = "ProcessDown"


@pytest.fixture(scope="module")
def scaling(platform, watchers):
    metrics = Metrics(platform.work / "metrics", platform)
    try:
        metrics.start()
        platform.node.apply([one for one in platform.built("scaling") if one["kind"] == "HorizontalPodAutoscaler"])
        yield Scaling(platform)
    finally:
        metrics.stop()
        platform.node.apply([one for one in platform.built("pods") if one["kind"] == "HorizontalPodAutoscaler"])


class Scaling:
    """The autoscaler of one service."""

    def __init__(self, platform):
        self.platform = platform

    def found(self) -> dict:
        return self.platform.get("horizontalpodautoscalers", f"prepx-{SCALED}")

    def wanted(self) -> int:
        return self.found()["status"].get("desiredReplicas", 0)

    def has(self, count: int) -> bool:
        pods = self.platform.pods(SCALED)
        return len(pods) == count and self.platform.is_ready(SCALED)

    def knows_all(self) -> bool:
        found = self.found()
        kinds = lambda metrics: [one["type"] for one in metrics]
        return kinds(found["status"].get("currentMetrics", [])) == kinds(found["spec"]["metrics"])

    def reasons(self) -> list[str]:
        """The metrics that are above what they should be."""
        status = self.found()["status"].get("currentMetrics", [])
        return [name_of(one) for one, said in zip(self.found()["spec"]["metrics"], status) if is_above(one, said)]


def name_of(metric: dict) -> str:
    return metric["pods"]["metric"]["name"] if metric["type"] == "Pods" else metric["resource"]["name"]


def is_above(metric: dict, said: dict) -> bool:
    if metric["type"] == "Resource":
        return said["resource"]["current"]["averageUtilization"] > metric["resource"]["target"]["averageUtilization"]
    return number(said["pods"]["current"]["averageValue"]) > number(metric["pods"]["target"]["averageValue"])


def number(quantity: str) -> float:
    """Such as 1500m."""
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


@pytest.fixture(scope="module")
def hung(platform, watchers):
    """The process of one pod does nothing from here on, until it is killed for that; the pod's name, and since when."""
    pod = platform.pods(HANGS)[0]
    container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
    pid = next(int(words[1]) for words in map(str.split, platform.node.ctr("tasks", "ls").splitlines()) if words[0] == container)
    os.kill(pid, signal.SIGSTOP)
    yield pod["metadata"]["name"], time.monotonic()
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def readers(platform):
    """Some who only read."""
    caller = platform.load.newcomer()
    reading = [Reader(Api(platform.load.gateways, key_of(caller)), "/v2/positions") for _ in range(READERS)]
    for one in reading:
        one.start()
    try:
        yield reading
    finally:
        for one in reading:
            one.stopping.set()
        for one in reading:
            one.join(SECONDS_MAX)


# An alert takes its minutes: they pass while others are looked at.
@pytest.mark.usefixtures("hung")
def test_an_autoscaler_adds_pods_by_the_calls_that_come(platform, scaling):
    until("all metrics are known", scaling.knows_all, SECONDS_MAX)
    begun, why = time.monotonic(), set()

    def has_grown() -> bool:
        why.update(scaling.reasons())
        return scaling.has(4)

    with readers(platform) as reading:
        until("there are more pods", has_grown, SECONDS_MAX)
    print(f"4 pods after {time.monotonic() - begun:.0f} s because of {why}", file=sys.stderr)
    assert CALLS in why
    assert not {"cpu", "memory"} & why
    assert not [one for reader in reading for one in reader.why]


def test_somebody_is_woken_when_a_process_hangs(watchers, hung):
    pager, (pod, begun) = watchers.pager, hung
    until("somebody is woken", lambda: pager.pages("trigger", DOWN), SECONDS_MAX)
    print(f"paged not later than after {time.monotonic() - begun:.0f} s", file=sys.stderr)
    page = pager.pages("trigger", DOWN)[0]
    assert page["routing_key"] == PAGER_KEY
    assert page["payload"]["severity"] == "critical"
    details = page["payload"]["custom_details"]
    assert details["runbook"] == "docs/runbooks/process-down.md"
    assert pod in str(details)
    until("the chat has it too", lambda: pager.chat(f"[FIRING 1] {DOWN}"), SECONDS_MAX)


def test_the_autoscaler_takes_them_away_when_nobody_calls(scaling):
    begun = time.monotonic()
    until("there are as many as before", lambda: scaling.wanted() == REPLICAS and scaling.has(REPLICAS), SECONDS_MAX)
    print(f"{REPLICAS} pods after {time.monotonic() - begun:.0f} s more", file=sys.stderr)


# How often each thing is in the trace of an order that trades at once, at least, and who tells it.
WAY = Counter({
    ("prepx-gateway", "POST /v2/orders"): 1,
    ("prepx-trading", "prepx.trading.v1.TradingService/SubmitOrder"): 1,
    ("prepx-trading", "submit a command"): 1,
    ("prepx-risk", "process trading-commands"): 1,
    ("prepx-trading", "process order-processing"): 1,
    # A fill and the end of each of the two orders.
    ("prepx-risk", "process order-executions"): 4,
    ("prepx-portfolio", "process portfolio-updates"): 3,
    # The news to listeners, and the webhooks.
    ("prepx-notification", "process portfolio-updates"): 6,
    ("prepx-market-data", "process market-data"): 1,
    ("prepx-notification", "process market-data"): 1,
})


def is_complete(trace: list) -> bool:
    return WAY <= Counter((service, span.name) for service, span in trace)


def test_the_trace_of_an_order_is_complete(platform, watchers):
    """Of one in a hundred, as the services sample by themselves."""
    with platform.under_load("prepx-all", "none"):
        before = set(watchers.collector.traces())
        new = lambda: [spans for trace, spans in watchers.collector.traces().items() if trace not in before]
        until("the trace of an order is complete", lambda: any(map(is_complete, new())), SECONDS_MAX)
        trace = next(filter(is_complete, new()))
    ids = {span.span_id for _, span in trace}
    roots = [span for _, span in trace if span.parent_span_id not in ids]
    assert [span.name for span in roots] == ["POST /v2/orders"]
    assert not roots[0].parent_span_id
    print(f"a trace of {len(trace)} spans by {sorted({service for service, _ in trace})}", file=sys.stderr)


def test_who_was_woken_hears_that_it_is_over(watchers, hung):
    """The kubelet has killed the process, and another runs in the pod."""
    pager, (_, begun) = watchers.pager, hung
    until("they hear that it is over", lambda: pager.pages("resolve", DOWN), SECONDS_MAX)
    page = pager.pages("trigger", DOWN)[0]
    assert {one["dedup_key"] for one in pager.pages("resolve", DOWN)} == {page["dedup_key"]}
    until("so does the chat", lambda: pager.chat(f"[RESOLVED] {DOWN}"), SECONDS_MAX)
    print(f"over not later than after {time.monotonic() - begun:.0f} s", file=sys.stderr)
