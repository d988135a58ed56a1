"""Whether analyses roll back the versions that they should and no others: their queries are asked of made-up series by promtool."""

import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import yaml

import facts
from manifests import Manifests

sys.path.insert(0, str(facts.ROOT / "tests/servers"))
import debian

SERVICE, HASH, OTHER_HASH = "prepx-user", "77aa", "66bb"
# What Argo Rollouts takes for good: no result, or one that is not above a bound.
GOOD = "len(result) == 0 || isNaN(result[0]) || result[0] <= "
# What keeps a few bad calls from deciding.
MINIMUM = " and sum("


def pod(hash: str = HASH) -> str:
    return f'pod="{SERVICE}-{hash}-x"'


def at_once(count: int) -> str:
    """A counter that was there before, and has gone up by so many a minute ago; two minutes, by 5 s."""
    return f"0x12 {count}x12"


def ended(total: int, bad: int, hash: str = HASH) -> dict[str, str]:
    """So many calls, of which some failed."""
    series = lambda code: f'prepx_calls_total{{{pod(hash)},method="m",code="{code}"}}'
    return {series("OK"): at_once(total - bad), series("UNAVAILABLE"): at_once(bad)}


def took(total: int, slow: int, second: str = "1") -> dict[str, str]:
    """So many calls, of which some took between a second and two and a half."""
    counts = {"0.1": total - slow, second: total - slow, "2.5": total, "+Inf": total}
    series = lambda bound: f'prepx_call_duration_seconds_bucket{{{pod()},method="m",le="{bound}"}}'
    return {series(bound): at_once(count) for bound, count in counts.items()}


def crashed(times: int) -> dict[str, str]:
    """A container of ten that has started again so often, ten seconds apart."""
    values = "0x12 " + " ".join(f"{time}x1" for time in range(1, times + 1)) + f" {times}x10"
    restarts = {f'kube_pod_container_status_restarts_total{{{pod()},container="service"}}': values}
    return restarts | {f'kube_pod_info{{pod="{SERVICE}-{HASH}-{at}"}}': "1x24" for at in range(10)}


# Of each metric: what happened, and whether it speaks against the version.
CASES = {
    ("prepx-calls", "error-rate"): [
        ("nothing", {}, False),
        ("no failure", ended(1000, 0), False),
        ("one of few", ended(20, 1), False),
        ("nine of few", ended(20, 9), False),
        ("half of few", ended(20, 10), True),
        ("all", ended(10, 10), True),
        ("2 %", ended(1000, 20), True),
        ("1 % and less", ended(2000, 20), False),
        ("all of another version", ended(1000, 0) | ended(1000, 1000, OTHER_HASH), False),
    ],
    ("prepx-calls", "p99"): [
        ("nothing", {}, False),
        ("one of few", took(20, 1), False),
        ("all of few", took(10, 10), True),
        ("2 %", took(1000, 20), True),
        ("2 %, as Prometheus 3 writes the bound", took(1000, 20, "1.0"), True),
        ("one of few, as Prometheus 3 writes the bound", took(20, 1, "1.0"), False),
        ("1 % and less", took(2000, 18), False),
    ],
    ("prepx-crashes", "crash-rate"): [
        ("never", crashed(0), False),
        ("once", crashed(1), False),
        ("twice", crashed(2), True),
    ],
    # Nobody is kept waiting by a gateway that is not promoted.
    ("prepx-preview", "crash-rate"): [("never", crashed(0), False), ("once", crashed(1), True)],
}


def problems(m: Manifests) -> list[str]:
    queries = dict(asked(m))
    wrong = [f"tests/k8s: no case tries {metric} of {template}" for template, metric in queries if (template, metric) not in CASES]
    wrong += [f"{template} has no {metric}" for template, metric in CASES if (template, metric) not in queries]
    for (template, metric), (query, condition) in queries.items():
        if not condition.startswith(GOOD):
            wrong.append(f"{metric} of {template} is good when {condition!r}, not when {GOOD!r} and a bound")
    return wrong or told(queries)


def unseen(m: Manifests) -> list[str]:
    """The minima that could be left out, and nobody would see."""
    queries = dict(asked(m))
    without = {one: (query.partition(MINIMUM)[0], good) for one, (query, good) in queries.items() if MINIMUM in query}
    return [f"tests/k8s: nobody sees that {one} has no minimum" for one in without if not told({one: without[one]})]


def asked(m: Manifests) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """Of each metric that Prometheus is asked for: the query, and when its answer is good."""
    for template in m.of("AnalysisTemplate"):
        for metric in template["spec"]["metrics"]:
            if "prometheus" in metric["provider"]:
                query = metric["provider"]["prometheus"]["query"]
                query = query.replace("{{args.service}}", SERVICE).replace("{{args.hash}}", HASH)
                yield (template["metadata"]["name"], metric["name"]), (query, metric["successCondition"])


def told(queries: dict) -> list[str]:
    """What promtool says of the cases of these."""
    tests = []
    for (template, metric), (query, condition) in queries.items():
        for what, series, bad in CASES[template, metric]:
            # In what promtool says of it, the comment names the case.
            expr = f"count(({query}) > {condition.removeprefix(GOOD)}) # {what}"
            tests.append({
                "name": f"{metric} of {template}: {what}",
                "interval": "5s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [{"expr": expr, "eval_time": "2m", "exp_samples": [{"labels": "{}", "value": 1}] if bad else []}],
            })
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory, "analyses.yml")
        file.write_text(yaml.safe_dump({"evaluation_interval": "5s", "tests": tests}))
        command = [debian.program("promtool", "/usr/bin/promtool"), "test", "rules", file]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().splitlines() if done.returncode else []
