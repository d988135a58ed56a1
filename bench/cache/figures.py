#!/usr/bin/env python3
"""How long the reads of a running platform take on each level of the cache and in its databases, by the
histograms that its processes publish: `run --url URL` after a load, or beside one with `--seconds`.

The processes are those that the gateway at the URL names to its operators; all of what they count is put
together. What a histogram says of a percentile is between two of its bounds, in proportion."""

import argparse
import collections
import json
import re
import sys
import time
import urllib.error
import urllib.request

LOOKUPS, USES, WAITS = "prepx_cache_lookup_seconds", "prepx_store_use_seconds", "prepx_store_wait_seconds"
BUCKET = re.compile(rf"^({LOOKUPS}|{USES}|{WAITS})_(bucket|sum)\{{(.*)\}} (\S+)$")
LABEL = re.compile(r'(\w+)="([^"]*)"')
# Of issue and requirements: the percentile, and below which time it has to be.
TARGETS = {"l1": (50, 1e-6), "l2": (95, 5e-3), "l3": (95, 5e-3), "database": (95, 50e-3)}
ANSWER_SECONDS_MAX = 10


class Histogram:
    """Counts of what was at most each bound, and the sum of all."""

    def __init__(self):
        self.up_to = collections.Counter()
        self.sum = 0.0

    def add(self, other: "Histogram", sign: int = 1):
        for bound, count in other.up_to.items():
            self.up_to[bound] += sign * count
        self.sum += sign * other.sum

    def count(self) -> float:
        return self.up_to[float("inf")]

    def share(self, bound: float) -> float:
        """How much of it took no longer than one of its bounds."""
        return self.up_to[bound] / self.count()

    def percentile(self, percent: float) -> float:
        """Infinite when it lies beyond the last bound."""
        wanted, below, lower = self.count() * percent / 100, 0.0, 0.0
        for bound in sorted(self.up_to):
            if self.up_to[bound] >= wanted and self.up_to[bound] > below:
                if bound == float("inf"):
                    return bound
                return lower + (bound - lower) * (wanted - below) / (self.up_to[bound] - below)
            below, lower = self.up_to[bound], bound
        return float("inf")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--url", required=True, help="the gateway, http://HOST:PORT")
    parser.add_argument("--key", default="operator", help="the id of an operator's key; that of --dev")
    parser.add_argument("--secret", default="operator-secret", help="its secret; that of --dev")
    parser.add_argument("--seconds", type=float, default=0.0,
                        help="count only what happens from now on for so long; without, everything since each process began")
    asked = parser.parse_args()
    pages = [f"http://{address}/metrics" for address in processes(asked)]
    found = read(pages)
    if asked.seconds:
        time.sleep(asked.seconds)
        before, found = found, read(pages)
        for labels, histogram in before.items():
            found[labels].add(histogram, -1)
    show(found, len(pages))


def processes(asked: argparse.Namespace) -> list[str]:
    """Where each process of the platform is; of gateways, only the one that is asked."""
    request = urllib.request.Request(f"{asked.url.rstrip('/')}/api/v1/admin/status")
    request.add_header("APCA-API-KEY-ID", asked.key)
    request.add_header("APCA-API-SECRET-KEY", asked.secret)
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS_MAX) as answer:
        status = json.load(answer)
    gateway = asked.url.split("://", 1)[-1].rstrip("/")
    return sorted({gateway} | {process["address"] for process in status["processes"]})


def read(pages: list[str]) -> dict[tuple, Histogram]:
    """By the metric and its labels, of all processes together."""
    found = collections.defaultdict(Histogram)
    for url in pages:
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_SECONDS_MAX) as answer:
                page = answer.read().decode()
        except urllib.error.URLError as error:
            print(f"{url}: {error}; it is left out", file=sys.stderr)
            continue
        for line in filter(None, map(BUCKET.match, page.splitlines())):
            metric, part, text, value = line.groups()
            labels = dict(LABEL.findall(text))
            bound = labels.pop("le", None)
            histogram = found[metric, *sorted(labels.items())]
            if part == "sum":
                histogram.sum += float(value)
            else:
                histogram.up_to[float(bound)] += float(value)
    return found


def show(found: dict[tuple, Histogram], processes: int):
    """Every level and every kind of connection in all, then by space and by schema."""
    rows = collections.defaultdict(Histogram)
    for (metric, *labels), histogram in found.items():
        labels = dict(labels)
        if metric == LOOKUPS:
            kind = f"{labels['level']} {labels['outcome']}"
            names = [(0, kind, ""), (1, kind, labels["space"])]
        else:
            what = "use" if metric == USES else "wait for a connection"
            kind = f"database {labels['pool']}, {what}"
            names = [(0, kind, ""), (1, kind, labels["schema"])]
            if metric == USES and labels["pool"] != "writers":
                names.append((0, "database all reads, use", ""))
        for name in names:
            rows[name].add(histogram)
    print(f"{processes} processes")
    print("| | of | count | mean | p50 | p95 | p99 | target |\n|---|---|---:|---:|---:|---:|---:|---|")
    for (_, kind, of), histogram in sorted(rows.items()):
        if histogram.count():
            times = [histogram.sum / histogram.count(), *map(histogram.percentile, (50, 95, 99))]
            cells = [kind, of or "all", f"{histogram.count():.0f}", *map(shown, times), judged(kind, histogram)]
            print("|", " | ".join(cells), "|")


def judged(kind: str, histogram: Histogram) -> str:
    """Whether it meets what is asked of hits, and of whole uses of a database."""
    level, _, rest = kind.partition(" ")
    if rest == "miss" or "wait" in rest or level not in TARGETS:
        return ""
    percent, limit = TARGETS[level]
    verdict = "met" if histogram.share(limit) * 100 >= percent else "NOT met"
    return f"p{percent} under {shown(limit)}: {verdict}, {histogram.share(limit) * 100:.2f} % are"


def shown(seconds: float) -> str:
    if seconds == float("inf"):
        return "beyond"
    for scale, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


main()
