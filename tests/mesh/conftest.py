"""One mesh for all tests: an edge, a gateway, three pods that answer as `prepx-user`, and callers who may and may not."""

import os
import pathlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

import calls
import overlay
import processes
from mesh import PUBLIC, Mesh, fetch
from overlay import HASH, Pod

WAIT_SECONDS_MAX = 180
JWKS = "/prepx.user.v1.UserService/GetJwks"
LIST_KEYS = "/prepx.user.v1.UserService/ListKeys"
EXCHANGE = "/prepx.user.v1.UserService/ExchangeKey"
# One that changes something, when it is told what.
REVOKE = "/prepx.user.v1.UserService/RevokeKey"
# A trader's key, of those for development.
KEY = ("demo", "demo-secret")
DEMO = dict(zip(("apca_api_key_id", "apca_api_secret_key"), KEY))


def pods(ports: dict[str, int], gateway: tuple[int, int]) -> tuple[Pod, list[Pod]]:
    """The edge, and the others, at addresses of loopback that nobody else has."""
    block = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
    part = {"app.kubernetes.io/part-of": "prepx"}
    label = lambda account: part | {"app.kubernetes.io/name": account}
    edge = Pod("edge", "istio-ingress", "istio-ingress", {"istio": "ingress"}, f"{block}.1")
    inside = [
        Pod(
            "gateway", "prepx-gateway", labels=label("prepx-gateway"), address=f"{block}.2",
            ports=dict(zip((9000, 9090), gateway)), outlet=f"{block}.3", told="prepx-user",
        ),
        Pod("trading", "prepx-trading", labels=label("prepx-trading"), outlet=f"{block}.4"),
        Pod("stranger", "default", outlet=f"{block}.5"),
        Pod("elsewhere", "prepx-gateway", "elsewhere", outlet=f"{block}.6"),
        Pod("rollouts", "argo-rollouts", "argo-rollouts", outlet=f"{block}.7"),
    ]
    for number, (name, port) in enumerate(ports.items(), 11):
        labels = label("prepx-user") | {HASH: name.split("-")[0]}
        user = Pod(name, "prepx-user", labels=labels, address=f"{block}.{number}", ports={9000: port, 9090: port})
        inside.append(user)
    return edge, inside


@dataclass
class Platform:
    """All that runs, and who calls it."""

    mesh: Mesh
    processes: processes.Processes
    pods: dict[str, Pod]

    def rest(self) -> calls.Rest:
        """A client of the public address."""
        port = overlay.PORTS_OF_THE_EDGE[443]
        return calls.Rest((self.mesh.edge.address, port), PUBLIC, self.authority())

    def grpc(self) -> calls.Grpc:
        """One that speaks gRPC."""
        place = f"{self.mesh.edge.address}:{overlay.PORTS_OF_THE_EDGE[443]}"
        return calls.Grpc(place, PUBLIC, self.authority())

    def authority(self) -> str:
        return str(self.mesh.public_authority.path("ca.pem"))

    def caller(self, pod: str, service: str = "prepx-user.prepx") -> calls.Grpc:
        """What a pod's own process would call with: through its Envoy, by its name."""
        return calls.Grpc(f"{self.pods[pod].outlet}:9000", f"{service}:9000")

    def taken(self, method: str = JWKS) -> dict[str, int]:
        """How many calls of a method each process of `prepx-user` has answered."""
        ports = self.processes.ports.items()
        return {name: processes.calls(fetch(port, "/metrics"), method) for name, port in ports}

    def counted(self, pod: str, pattern: str) -> int:
        return self.mesh.counted(self.pods[pod], pattern)

    def restart(self, name: str):
        """Until its process serves again."""
        program = self.processes.start_one(name)
        program.until(program.listens, processes.START_SECONDS_MAX)

    def process(self, name: str):
        return next(one for one in reversed(self.processes.programs) if one.name == f"prepx-{name}")


# A pod that failed is left out for half a minute, the next time for a whole one, and so on. So what takes all pods comes first, then one
# is gone, what does not care runs while it is left out, and in the end one hangs.
FIRST = ("test_calls_are_shared", "test_who_names_a_version", "test_a_process_is_gone")
LAST = "test_a_process_hangs"


def pytest_collection_modifyitems(items):
    place = lambda name: next((number for number, first in enumerate(FIRST) if name.startswith(first)), len(FIRST))
    items.sort(key=lambda item: (place(item.name), item.name.startswith(LAST)))


def until(condition: Callable[[], bool], what: str):
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, f"it is not so yet: {what}"
        time.sleep(0.1)


@pytest.fixture(scope="session")
def platform(tmp_path_factory):
    work = tmp_path_factory.mktemp("mesh")
    (work / "processes").mkdir()
    names = ["v1-a", "v1-b", "v2-a"]
    behind = processes.Processes(work / "processes", names)
    edge, inside = pods(behind.ports, (behind.gateway_port, behind.gateway_probe_port))
    mesh = Mesh(work, pathlib.Path(os.environ["PREPX_MESH_TOOLS"]), edge, inside)
    platform = Platform(mesh, behind, {pod.name: pod for pod in inside})
    try:
        behind.start()
        mesh.start()
        gateway = behind.start_gateway(f"http://{platform.pods['gateway'].outlet}:9000")
        gateway.until(gateway.listens, processes.START_SECONDS_MAX)
        until(lambda: answers(platform), "the public address answers")
        yield platform
    finally:
        mesh.stop()
        behind.stop()


def answers(platform: Platform) -> bool:
    try:
        return platform.rest().get("/.well-known/jwks.json") == 200
    except OSError:
        return False
