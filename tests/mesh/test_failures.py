"""What becomes of calls when a process is gone or hangs: what only reads is asked again, what may have taken effect is
not; who fails is left out for a while; nobody waits for ever. And a drill, which brings trouble on purpose."""

import json
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from calls import Grpc, many
from conftest import DEMO, LIST_KEYS, REVOKE, until

# As Envoy names what goes to v1.
V1 = "cluster.outbound.9000.v1.*prepx-user"
# istio/base/destinations.yaml, consecutive5xxErrors.
FAILURES_MAX = 5
# istio/base/routes.yaml: one try of a read, and a call.
TRY_SECONDS, CALL_SECONDS = 10, 30
# A timer may be early by what clocks are coarse.
COARSE_SECONDS = 0.1
WRITTEN = "NOT_FOUND"


def read(caller: Grpc) -> str:
    return caller.status(LIST_KEYS, **DEMO)


def write(caller: Grpc) -> str:
    """A key that there is none of is revoked: the service's own answer is that there is none."""
    return caller.status(REVOKE, b"\x0a\x04none", **DEMO)


def test_a_process_is_gone(platform):
    caller = platform.caller("gateway")
    platform.process("v1-b").send(signal.SIGKILL)
    platform.process("v1-b").wait_end(30)
    retried, left_out = counts(platform)

    # Writes first: those that came to it have failed, and are not sent again; after five nobody comes to it.
    written = Counter(write(caller) for _ in range(200))
    assert written.keys() == {WRITTEN, "UNAVAILABLE"} and written["UNAVAILABLE"] <= FAILURES_MAX
    assert counts(platform) == (retried, left_out + 1)

    # It comes back, after half a minute.
    platform.restart("v1-b")
    before = platform.taken(LIST_KEYS)["v1-b"]
    until(lambda: read(caller) == "OK" and platform.taken(LIST_KEYS)["v1-b"] > before, "v1-b is called again")

    # Reads are sent again, to another pod, with nobody the wiser.
    platform.process("v1-b").send(signal.SIGKILL)
    platform.process("v1-b").wait_end(30)
    answered = Counter(read(caller) for _ in range(200))
    # Others need it, whatever came of this.
    platform.restart("v1-b")
    assert answered == {"OK": 200}
    assert counts(platform)[0] > retried


def counts(platform) -> tuple[int, int]:
    """How many calls were sent again, and how often a pod was left out."""
    return (
        platform.counted("gateway", rf"^{V1}.*upstream_rq_retry$"),
        platform.counted("gateway", rf"^{V1}.*outlier_detection.ejections_enforced_total$"),
    )


def left_out_now(platform) -> int:
    return platform.counted("gateway", rf"^{V1}.*outlier_detection.ejections_active$")


def test_a_process_hangs(platform):
    until(lambda: left_out_now(platform) == 0, "v1-b is no longer left out")
    process = platform.process("v1-b")
    process.send(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(80) as callers:
            reads = [callers.submit(timed, read, platform.caller("gateway")) for _ in range(40)]
            writes = [callers.submit(timed, write, platform.caller("gateway")) for _ in range(40)]
    finally:
        process.send(signal.SIGCONT)
    reads, writes = [done.result() for done in reads], [done.result() for done in writes]
    assert {status for status, _ in reads} == {"OK"}
    assert max(seconds for _, seconds in reads) >= TRY_SECONDS - COARSE_SECONDS
    # Both Envoys of a call have a timer for it, and either may be the first.
    given_up = {seconds: status for status, seconds in writes if status != WRITTEN}
    assert set(given_up.values()) <= {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
    assert min(given_up) >= CALL_SECONDS - COARSE_SECONDS


def timed(call, caller: Grpc) -> tuple[str, float]:
    began = time.monotonic()
    return call(caller), time.monotonic() - began


def test_a_drill(platform):
    """istio/drill: one in twenty waits 2 s, one in a hundred is refused; of these bounds luck goes beyond one in a
    million times."""
    platform.mesh.configure("istio/drill")
    until(lambda: drilled(platform), "the drill has begun")
    count = 4000
    # Most of it is waiting.
    with_faults = many(count, lambda: partial(write, platform.caller("gateway")), callers=64)
    aborted, delayed = (platform.counted("gateway", rf"fault.{kind}_injected$") for kind in ("aborts", "delays"))
    assert with_faults == {WRITTEN: count - aborted, "UNAVAILABLE": aborted}
    assert abs(aborted - 0.01 * count) < 33 and abs(delayed - 0.05 * count) < 70

    # Reads are left alone.
    assert many(400, lambda: partial(read, platform.caller("gateway"))) == {"OK": 400}
    assert platform.counted("gateway", r"fault.(aborts|delays)_injected$") == aborted + delayed
    platform.mesh.configure("istio/base")
    until(lambda: not drilled(platform), "the drill has ended")


def drilled(platform) -> bool:
    """Whether the gateway's Envoy knows of it."""
    told = platform.mesh.told(platform.pods["gateway"], "/config_dump?resource=dynamic_route_configs")
    return "HTTPFault" in json.dumps(json.loads(told))
