"""Metrics, rules, dashboards and runbooks, with what a platform really exports: the table of docs/metrics.md is the one list that all of
them are compared with. A Prometheus of its own scrapes a platform with traders and is asked everything that rules and dashboards ask."""

import itertools
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import pytest
import requests
from prometheus_client.openmetrics import parser as openmetrics
from websockets.sync.client import connect

from conftest import OPERATOR, PATIENCE_S, ROOT, Server, binary, on_kafka, trader

sys.path[:0] = [str(ROOT / "tests/servers"), str(ROOT / "observability")]
import dashboards
import debian
import server as servers

HERE = ROOT / "observability"
TABLE = ROOT / "docs/metrics.md"
RUNBOOKS = ROOT / "docs/runbooks"
# What Prometheus adds to what it scrapes, and what rules add to what they record.
ADDED = {"job", "instance", "le", "edge", "service", "window"}
# Words of PromQL that look like names of metrics.
WORDS = set(
    "abs and avg avg_over_time by clamp_max clamp_min deriv group_left group_right histogram_quantile ignoring increase label_replace max min on or rate "
    "sort sum time topk unless vector without bool".split()
)
# What is there to be asked for, by the words of the table: more on real servers (tests/servers/*.py run), and where those are told of.
ALWAYS_SEEN = {"start"} if on_kafka() else {"start", "no Kafka"}
HERE_SEEN = ALWAYS_SEEN | {"a socket opens", "somebody signs in"}
HERE_SEEN |= {"Kafka"} if on_kafka() else set()
# This queue is before the embedded log.
EMBEDDED_ONLY = 'queue="commands"'
HERE_SEEN |= {where for where, told in {"PostgreSQL": "POSTGRES", "Redis": "REDIS"}.items() if f"PREPX_TEST_{told}" in os.environ}
EXPORTERS = {"Strimzi's JMX exporter": os.environ.get("PREPX_TEST_KAFKA_METRICS"), "redis_exporter": os.environ.get("PREPX_TEST_REDIS_METRICS")}
# Histograms with exemplars, and where to see them.
WITH_EXEMPLARS = {"prepx_call_duration_seconds", "prepx_stream_duration_seconds", "prepx_http_request_duration_seconds"}
# Every request has its trace exported, to nobody.
TRACED = "[telemetry]\notlp_endpoint = 'http://127.0.0.1:1'\ntraces_ppm = 1000000\n"
COUNTED = re.compile(r'\b(?:counter|gauge|histogram|Durations::of)!?\(\s*"((?:prepx|process)_\w+)"')
SELECTOR = re.compile(r"([A-Za-z_:][\w:]*)\s*(\{[^}]*\})?")
SUFFIXES = ("_bucket", "_count", "_sum")


def program(name: str) -> str:
    return str(debian.program(name, f"/usr/bin/{name}"))


def rows() -> list[list[str]]:
    """The rows of the tables, without heads and rules."""
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def named(cell: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", cell))


def own() -> dict[str, tuple[str, set, str]]:
    """Kind, labels and where it is seen, of each metric of PrepX."""
    wide = [row for row in rows() if len(row) == 5]
    return {row[0].strip("`"): (row[1], named(row[2]), row[3]) for row in wide}


def others() -> dict[str, tuple[set, str]]:
    """The labels of what is not PrepX's, and who exports it."""
    return {row[0].strip("`"): (named(row[1]), row[2]) for row in rows() if len(row) == 3}


def known() -> dict[str, set]:
    """The labels of every metric that may be asked for."""
    return {name: labels for name, (labels, _) in others().items()} | {name: labels for name, (_, labels, _) in own().items()}


def exported(page: str) -> dict[str, tuple[str, set]]:
    """Kind and labels of each metric of a page."""
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", page, re.MULTILINE))
    found = {}
    for line in page.splitlines():
        if not line or line.startswith("#"):
            continue
        name, labels = re.fullmatch(r"(\w+)(?:\{(.*)\})? \S+", line).groups()
        name = next((base for base in bases(name) if base in kinds), name)
        labels = set(re.findall(r'(\w+)="', labels or ""))
        found[name] = (kinds[name], found.get(name, ("", set()))[1] | labels - {"le"})
    return found


def bases(name: str) -> list[str]:
    return [name, *(name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix))]


def test_the_table_names_what_the_source_counts():
    sources = [*ROOT.glob("libs/*/src/**/*.rs"), *ROOT.glob("services/**/src/**/*.rs")]
    # Unit tests make names up.
    texts = [source.read_text().split("#[cfg(test)]\nmod tests {")[0] for source in sources]
    counted = {name for text in texts for name in COUNTED.findall(text)}
    assert counted == set(own())


def asked_of(expr: str) -> tuple[set, set]:
    """The metrics and the labels that a query names."""
    plain = re.sub(r'"[^"]*"', '""', expr)
    labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"\"", plain))
    for grouped in re.findall(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)", plain):
        labels |= set(re.findall(r"\w+", grouped))
    bare = re.sub(r"\b(?:by|on|ignoring|without)\s*\([^)]*\)|\{[^}]*\}|\[[^\]]*\]|\b[\d.]+(?:e\d+)?\b", " ", plain)
    return {name for name, _ in SELECTOR.findall(bare)} - WORDS, labels


def check_names(expr: str, recorded: set):
    names, labels = asked_of(expr)
    table = known()
    allowed = set(ADDED)
    for name in names:
        base = next((base for base in bases(name) if base in table), None)
        assert base or name in recorded, f"{name} in {expr} is no metric of docs/metrics.md and no recorded one"
        # What a rule records has labels of what it is made of.
        allowed |= table[base] if base else set().union(*table.values())
    assert labels <= allowed, f"{labels - allowed} in {expr}"


def panels() -> list[tuple[str, str]]:
    """Every query of every dashboard, and where it is."""
    found = []
    for file in sorted((HERE / "dashboards").glob("*.json")):
        board = json.loads(file.read_text())
        for panel in board["panels"]:
            found += [(f"{file.stem}: {panel['title']}", target["expr"]) for target in panel["targets"]]
    return found


def test_the_dashboards_are_what_their_program_writes():
    written = {file.stem: file.read_text() for file in (HERE / "dashboards").glob("*.json")}
    assert written == {name: dashboards.text(made) for name, made in dashboards.dashboards().items()}


def test_alerts_fire_and_are_silent():
    """The unit tests of the rules; there are some of each kind for every alert, and a runbook."""
    rules, tests = sorted((HERE / "rules").glob("*.yml")), sorted((HERE / "tests").glob("*.yml"))
    promtool = program("promtool")
    for command in (["check", "rules", *rules], ["test", "rules", *tests]):
        # A third of a minute of one core, which others may want as well.
        done = subprocess.run([promtool, *command], capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
    alerts = set(re.findall(r"alert: (\w+)", "".join(file.read_text() for file in rules)))
    tested = re.findall(r"alertname: (\w+)\n\s+exp_alerts:( \[\])?", "".join(file.read_text() for file in tests))
    assert alerts == {name for name, silent in tested if not silent}, "fires"
    assert alerts == {name for name, silent in tested if silent}, "is silent"


def test_every_alert_has_a_runbook():
    rules = "".join(file.read_text() for file in (HERE / "rules").glob("*.yml"))
    named = {}
    for name, runbook in re.findall(r"alert: (\w+).*?runbook: docs/runbooks/([\w-]+)\.md", rules, re.DOTALL):
        named.setdefault(runbook, set()).add(name)
    there = {file.stem: file.read_text().splitlines()[0] for file in RUNBOOKS.glob("*.md") if file.stem != "README"}
    assert {name: set(re.findall(r"\w+", title)) for name, title in there.items()} == named


class Prometheus:
    """A Prometheus that scrapes one platform every second and has our rules."""

    def __init__(self, directory: Path, target: str):
        port = servers.free_ports(1)[0]
        self.url = f"http://127.0.0.1:{port}"
        config = directory / "prometheus.yml"
        ours = (HERE / "prometheus.yml").read_text().replace("127.0.0.1:8080", target)
        ours = re.sub(r"interval: \d+s", "interval: 1s", ours.replace("rules/", f"{HERE}/rules/"))
        # They take longer to tell; a pod is what Kubernetes would name.
        for job, told in enumerate(filter(None, EXPORTERS.values())):
            targets = f"static_configs: [{{targets: {told.split()}, labels: {{pod: '{job}'}}}}]"
            ours += f"  - {{job_name: 'exporter-{job}', scrape_interval: 5s, {targets}}}\n"
        config.write_text(ours)
        command = [
            program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={directory}/data",
            f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=exemplar-storage",
        ]
        self.log = open(directory / "log", "wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def ask(self, path: str, **query: str) -> dict:
        answer = requests.get(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=PATIENCE_S).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expr: str) -> list:
        return self.ask("query", query=expr)["result"]

    def rules(self) -> list[dict]:
        return [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.log.close()


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """A platform with traders, on which everything has been asked once that is asked without a parameter."""
    directory = tmp_path_factory.mktemp("market")
    market = Server(directory / "data").start(simulate="on", settings=TRACED)
    made = trader(market, "USD=10000")
    keys = [(OPERATOR["PREPX_KEY_ID"], OPERATOR["PREPX_SECRET_KEY"]), (made.key_id, made.secret_key)]
    paths = requests.get(f"{market.url}/openapi.json", timeout=PATIENCE_S).json()["paths"]
    plain = [path for path, methods in paths.items() if "get" in methods and "{" not in path]
    for key_id, secret in keys:
        headers = {"APCA-API-KEY-ID": key_id, "APCA-API-SECRET-KEY": secret}
        for path in plain:
            # Of streams only the head of the answer.
            requests.get(market.url + path, headers=headers, stream=True, timeout=30).close()
    address = {"email": "somebody.seen@example.com", "password": "violet kiln 93 seen"}
    assert requests.post(f"{market.url}/api/v1/users", json=address, timeout=30).ok
    assert requests.post(f"{market.url}/api/v1/sessions", json=address, timeout=30).ok
    with connect(f"{market.url.replace('http', 'ws')}/stream") as socket:
        socket.send(json.dumps({"action": "auth", "key": made.key_id, "secret": made.secret_key}))
        socket.recv()
        yield market
    assert market.stop() == 0


@pytest.fixture(scope="module")
def prometheus(market, tmp_path_factory):
    prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"), market.url.removeprefix("http://"))
    yield prometheus
    prometheus.stop()


def until(holds, what: str):
    """Waits until nothing is missing, and says what is when it takes too long."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            missing = holds()
        except requests.ConnectionError as error:
            missing = error
        if not missing:
            return
        assert time.monotonic() < end, f"{what}: {missing}"
        time.sleep(0.5)


def test_the_table_is_what_a_platform_exports(market):
    table = own()
    page = lambda: exported(requests.get(f"{market.url}/metrics", timeout=PATIENCE_S).text)
    always = {name for name, (_, _, seen) in table.items() if seen in ALWAYS_SEEN}
    until(lambda: always - set(page()), "not exported")
    for name, (kind, labels) in page().items():
        assert name in table, f"{name} is exported and not in docs/metrics.md"
        assert (kind, labels) == table[name][:2], name


def test_the_page_has_exemplars_for_whoever_reads_openmetrics(market):
    """By the parser of Prometheus' own client for Python, which refuses what the standard does."""
    answer = requests.get(f"{market.url}/metrics", headers={"Accept": "application/openmetrics-text"}, timeout=PATIENCE_S)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in openmetrics.text_string_to_metric_families(answer.text)}
    table = own()
    for name, family in families.items():
        kind = table[name + "_total" if family.type == "counter" else name][0]
        assert family.type == kind, name
    found = {name for name, family in families.items() for sample in family.samples if sample.exemplar}
    assert {"prepx_call_duration_seconds", "prepx_http_request_duration_seconds"} <= found <= WITH_EXEMPLARS
    for name in found:
        for sample in families[name].samples:
            if sample.exemplar:
                assert re.fullmatch(r"[0-9a-f]{32}", sample.exemplar.labels["trace_id"])
                assert sample.exemplar.value <= float(sample.labels["le"])
                assert abs(float(sample.exemplar.timestamp) - time.time()) < 3600


def sources(expr: str, recorded: dict) -> set[str]:
    """The metrics behind a query, through what is recorded."""
    found = set()
    for name in asked_of(expr)[0]:
        found |= set().union(*(sources(one, recorded) for one in recorded[name])) if name in recorded else {name}
    return found


def test_every_query_is_answered(prometheus):
    """By name and label every query is right; what is made of what this platform and the servers beside it export has series."""
    until(lambda: prometheus.query("up == 0") or ([] if prometheus.query("up") else ["up"]), "not scraped")
    rules = prometheus.rules()
    recorded = {}
    for rule in rules:
        if rule["type"] == "recording":
            recorded.setdefault(rule["name"], []).append(rule["query"])
    queries = panels() + [(name, name) for name in recorded]
    for where, expr in queries + [(rule["name"], rule["query"]) for rule in rules]:
        check_names(expr, set(recorded))
    there = {name for name, (_, _, seen) in own().items() if seen in HERE_SEEN}
    there |= {name for name, (_, who) in others().items() if EXPORTERS.get(who)}

    def is_here(expr: str) -> bool:
        return all(there & set(bases(name)) for name in sources(expr, recorded)) and not (on_kafka() and EMBEDDED_ONLY in expr)

    here = [(where, expr) for where, expr in queries if is_here(expr)]
    assert len(here) > 100
    until(lambda: [(where, expr) for where, expr in here if not prometheus.query(expr)], "no series")
    unhealthy = [rule for rule in prometheus.rules() if rule["health"] == "err"]
    assert not unhealthy


def test_prometheus_keeps_exemplars(prometheus):
    now = time.time()
    between = {"start": str(now - 3600), "end": str(now + 3600)}
    for name in ("prepx_call_duration_seconds_bucket", "prepx_http_request_duration_seconds_bucket"):
        until(lambda: [] if prometheus.ask("query_exemplars", query=name, **between) else [name], "no exemplars")


def test_the_commands_of_runbooks_work(market, prometheus, tmp_path):
    until(lambda: [] if prometheus.query("prepx:edge_requests:rate5m") else ["rules"], "not evaluated")
    tools = [str(Path(path).parent) for path in (binary(), program("promtool"))]
    environment = {
        **os.environ, **OPERATOR, "PREPX_URL": market.url, "PROMETHEUS_URL": prometheus.url,
        "PATH": os.pathsep.join([*tools, os.environ["PATH"]]),
    }
    for runbook in sorted(RUNBOOKS.glob("*.md")):
        blocks = re.findall(r"```sh\n(.*?)```", runbook.read_text(), re.DOTALL)
        assert blocks, runbook
        script = "set -eu\n" + "\n".join(blocks)
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, env=environment, cwd=tmp_path)
        assert done.returncode == 0, f"{runbook.name}: {done.stderr}{done.stdout}"


def test_what_runbooks_say_to_do_is_what_the_program_knows():
    """Commands in the text change something, so they are not run: each is one of the program's, with options that it has."""
    told = {command for runbook in RUNBOOKS.glob("*.md") for command in re.findall(r"`prepx ([a-z][^`]*)`", runbook.read_text())}
    assert len(told) > 5
    for command in sorted(told):
        words = command.split()
        verbs = list(itertools.takewhile(lambda word: re.fullmatch(r"[a-z-]+", word) and not word.startswith("--"), words))
        done = subprocess.run([binary(), *verbs, "--help"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, f"prepx {command}: {done.stderr}"
        unknown = {word for word in words if word.startswith("--")} - set(re.findall(r"--[a-z-]+", done.stdout))
        assert not unknown, f"prepx {command}: it has no {unknown}"
        wanted = set(re.findall(r"(--[a-z-]+) <", done.stdout.partition("Usage:")[2].splitlines()[0]))
        assert "--help" in words or wanted <= set(words), f"prepx {command}: it wants {wanted}"


def test_the_filter_of_the_log_changes_without_a_restart(tmp_path):
    filter = tmp_path / "filter"
    filter.write_text("info")
    quiet = Server(tmp_path / "data").start(settings=f"[telemetry]\nlog_filter_file = '{filter}'\n")
    log = tmp_path / "stderr.log"
    assert " DEBUG " not in log.read_text()
    filter.write_text("debug")

    def missing():
        # Of a connection that says nothing there is a line of that level.
        socket.create_connection(quiet.url.removeprefix("http://").split(":")).close()
        return [] if " DEBUG " in log.read_text() else ["a line of that level"]

    until(missing, "not changed")
    assert quiet.stop() == 0


def test_no_secret_and_no_address_is_logged(market):
    # The banner for whoever has started it shows the fixed keys of development; it is no line of the log.
    lines = [line for line in (market.data_dir.parent / "stderr.log").read_text().splitlines() if re.match(r"\d{4}-\d\d-\d\dT", line)]
    assert lines
    secrets = [OPERATOR["PREPX_SECRET_KEY"], "demo-secret", "violet kiln 93 seen", "somebody.seen@example.com"]
    assert not [line for line in lines if any(secret in line for secret in secrets)]
    assert not [line for line in lines if re.search(r"[\w.+-]+@[\w-]+\.[a-z]{2,}", line)]
