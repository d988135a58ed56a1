"""The pods of k8s/ start by the files as they are, take orders, and are replaced without losing one."""

from callers import until
from deployed import SERVICES
from node import condition


def test_all_pods_become_ready_and_stay(platform):
    """By the probes of the files, without a restart."""
    pods = platform.pods()
    assert {pod["metadata"]["labels"]["app.kubernetes.io/name"] for pod in pods} == {f"prepx-{name}" for name in SERVICES}
    assert all(condition(pod, "Ready") for pod in pods)
    assert all(status["restartCount"] == 0 for pod in pods for status in pod["status"]["containerStatuses"])


def test_a_rolling_update_of_all_services_at_once_loses_no_request(platform):
    with platform.under_load("prepx-all", "drain") as orders:
        for service in SERVICES:
            platform.asked("rollout", "restart", f"deployment/prepx-{service}")
        for service in SERVICES:
            platform.asked("rollout", "status", f"deployment/prepx-{service}", "--timeout=240s")
        until("the pods before have ended", platform.nobody_ends)
    assert orders.failed() == 0, orders.why


def test_a_drained_node_loses_no_request(platform):
    """Every pod is evicted as `kubectl drain` does it, by what the disruption budgets allow."""
    with platform.under_load("prepx-all", "drain") as orders:
        platform.evict_all()
    assert orders.failed() == 0, orders.why
