"""The services as pods of the node, and callers who place orders by their public API meanwhile."""

import contextlib
import pathlib
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator

import dockerfile
import node
import yaml
from stores import NAMESPACE, Stores

import callers
import check
import history
import loads
from callers import until

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SERVICES = ["gateway", "user", "trading", "risk", "portfolio", "market-data", "analytics", "notification"]
# Who needs something else to be there comes later, as Argo CD has it by waves.
LATER = ("Job", "Deployment", "HorizontalPodAutoscaler", "Rollout")
REPLICAS = 2
CALLERS = 4
ACKNOWLEDGED_MIN = 20
# What is read meanwhile, of each account by a caller for each: money, positions, and what was paid last for an instrument.
READ = ("/v2/account", "/v2/positions", f"/v2/stocks/trades/latest?symbols={loads.SYMBOLS[0]}")
SECONDS_MAX = 240


class Load(loads.Load):
    """By the key of k8s/overlays/dev."""

    OPERATOR = ("development-operator", "operator-secret")


class Platform:
    """What runs on a node, and who calls it."""

    def __init__(self, work: pathlib.Path, on: node.Node, stores: Stores, binaries: pathlib.Path):
        self.work, self.node, self.stores, self.binaries = work, on, stores, binaries
        self.load: loads.Load | None = None

    def make_images(self):
        """All of the Dockerfile, as `make images` makes them."""
        root, programs = self.work / "root", list(dockerfile.images())
        subprocess.run([ROOT / "images/collect", self.binaries, root, *programs], check=True)
        made = [ROOT / "images/build", root, self.work / "images", *programs]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(root)

    def take_images(self):
        for image in sorted((self.work / "images").glob("*.tar")):
            self.node.take(image)

    def start(self):
        """By images and stores that are there."""
        documents = self.built("pods")
        self.node.apply([one for one in documents if one["kind"] not in LATER] + self.stores.documents())
        self.node.apply([one for one in documents if one["kind"] == "Job"])
        for job in ("prepx-topics", "prepx-schemas"):
            until(f"{job} is complete", lambda: node.condition(self.get("jobs", job), "Complete"), SECONDS_MAX)
        self.node.apply([one for one in documents if one["kind"] in LATER and one["kind"] != "Job"])
        for service in SERVICES:
            until(f"all pods of {service} are ready", lambda: self.is_ready(service), SECONDS_MAX)
        self.load = self.new_load()

    def built(self, folder: str) -> list[dict]:
        """What kustomize makes of a folder of these tests."""
        return list(yaml.safe_load_all(self.node.run("kustomize", "build", HERE / folder)))

    def get(self, kind: str, name: str = "", labels: str = "") -> dict:
        return self.node.api.get(kind, name, NAMESPACE, labels)

    def asked(self, *words) -> str:
        return self.node.asked("-n", NAMESPACE, *words)

    def pods(self, service: str = "") -> list[dict]:
        """Those of a service, or of all, that are not about to end."""
        selector = f"app.kubernetes.io/name=prepx-{service}" if service else "app.kubernetes.io/part-of=prepx"
        found = self.get("pods", labels=selector)["items"]
        return [pod for pod in found if not is_ending(pod)]

    def nobody_ends(self) -> bool:
        """Whether whoever was told to end has."""
        return not any(map(is_ending, self.get("pods")["items"]))

    def is_ready(self, service: str) -> bool:
        pods = self.pods(service)
        return len(pods) >= REPLICAS and all(node.condition(pod, "Ready") for pod in pods)

    def evict_all(self):
        """All pods that there are by now, as soon as the budgets let each go."""
        waiting = [pod["metadata"]["name"] for pod in self.pods()]

        def one_more() -> bool:
            waiting[:] = [name for name in waiting if not self.node.api.evict(name, NAMESPACE)]
            return not waiting

        until("all pods are evicted", one_more, SECONDS_MAX)
        for service in SERVICES:
            until(f"{service} is ready again", lambda: self.is_ready(service), SECONDS_MAX)
        until("those before have ended", self.nobody_ends, SECONDS_MAX)

    def new_load(self, gateway: str = "") -> loads.Load:
        """Callers come in at the Service of the gateway, or where they are told."""
        gateway = gateway or f"{self.get('services', 'prepx-gateway')['spec']['clusterIP']}:9000"
        told = history.History(self.work / f"history-{gateway}.jsonl")
        load = Load(f"http://{gateway}", [gateway], self.binaries / "prepx", told, random.getrandbits(32), None)
        load.list_instruments()
        return load

    @contextlib.contextmanager
    def under_load(self, part: str, way: str) -> Iterator["Orders"]:
        """Orders are placed before, while something happens to a part, and after; then all is judged."""
        load = self.load
        load.history.round += 1
        all_callers = [callers.patiently(load.newcomer, SECONDS_MAX) for _ in range(CALLERS)]
        readers = [Reader(callers.Api(load.gateways, key_of(caller)), path) for caller in all_callers for path in READ]
        orders = Orders(all_callers, readers)
        for one in (*all_callers, *readers):
            one.start()
        try:
            until("orders are acknowledged", lambda: all(one.count() >= ACKNOWLEDGED_MIN for one in all_callers))
            load.history.note("fault", part=part, way=way, seconds=0)
            struck = time.monotonic()
            yield orders
            healed = time.monotonic()
            until("every account is served after it", lambda: all(one.since(healed) for one in all_callers))
            load.history.note("healed")
        finally:
            for one in (*all_callers, *readers):
                one.stopping.set()
            for one in (*all_callers, *readers):
                one.join(SECONDS_MAX)
        load.look(all_callers)
        orders.judge(load.history, struck)


def is_ending(pod: dict) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def key_of(caller: callers.Caller) -> tuple[str, str]:
    headers = caller.api.headers
    return headers["APCA-API-KEY-ID"], headers["APCA-API-SECRET-KEY"]


class Reader(threading.Thread):
    """Asks the same, over and over."""

    def __init__(self, api: callers.Api, path: str):
        super().__init__(daemon=True)
        self.api, self.path, self.stopping = api, path, threading.Event()
        self.answered, self.why = 0, []

    def run(self):
        while not self.stopping.wait(callers.PAUSE_SECONDS):
            try:
                status, body = self.api.call("GET", self.path)
            except (callers.NeverSent, OSError) as error:
                status, body = 0, error
            if status == 200:
                self.answered += 1
            else:
                self.why.append(f"{status} {self.path} {body}")


class Orders:
    """What became of the calls of one round."""

    def __init__(self, all_callers: list[callers.Caller], readers: list[Reader]):
        self.callers, self.readers, self.count, self.why = all_callers, readers, Counter(), []

    def judge(self, told: history.History, since: float):
        lines = history.read(told.path)
        for line in lines:
            if line["round"] == told.round and line["kind"] in ("ok", "refused", "unknown"):
                self.count[line["kind"]] += 1
                if line["kind"] != "ok":
                    self.why.append(line["why"])
        for reader in self.readers:
            self.count["read"] += reader.answered
            self.count["not read"] += len(reader.why)
            self.why += reader.why
        self.waited = max(caller.longest_wait(since) for caller in self.callers)
        print(f"round {told.round}: {dict(self.count)}, nobody waited longer than {self.waited:.1f} s", file=sys.stderr)
        for why in self.why[:20]:
            print(f"  {why}", file=sys.stderr)
        # Of rounds before it has been told already.
        wrong = [one for one in check.judged(lines).wrong if one.startswith(f"round {told.round},")]
        assert not wrong, wrong[:10]

    def failed(self) -> int:
        """How many were not answered as they should be; what the market refuses is an answer."""
        return sum(not why.startswith(check.FINAL) for why in self.why)

    def share_failed(self) -> float:
        return self.failed() / max(sum(self.count.values()), 1)
