"""The processes of the platform: what each is told, and when it serves."""

import http.client
import json
import os
import pathlib
import secrets
from collections.abc import Callable

from state import HOME

import authority  # noqa: E402
import server  # noqa: E402

import clocks

SERVICES = [
    "user", "trading", "risk", "portfolio", "market-data", "analytics", "notification", "gateway",
]
OPERATOR = ("operator", "operator-secret")
TRADER = ("demo", "demo-secret")
PARTITIONS = 4
START_SECONDS_MAX = 180
STOP_SECONDS_MAX = 30


class Services(server.Servers):
    """So many processes of each service, or all services in one process."""

    STOP_SECONDS_MAX = STOP_SECONDS_MAX

    def __init__(
        self, work: pathlib.Path, binaries: pathlib.Path, replicas: int, partitions: int, engines: dict,
        tls: bool = False,
        own_clocks: bool = False,
        archive_url: str = "",
    ):
        super().__init__(work)
        self.archive_url = archive_url or f"file:{work}/archives"
        self.binaries, self.partitions, self.engines = binaries, partitions, engines
        ports = iter(server.free_ports(len(SERVICES) * replicas * (2 if tls else 1)))
        self.ports = {service: [next(ports) for _ in range(replicas)] for service in SERVICES}
        self.clocks = work / "clocks" if own_clocks else None
        self.authority = authority.Authority(work / "certificates") if tls else None
        # Who has no certificate cannot ask where a service serves.
        self.probe_ports = list(ports)

    @staticmethod
    def wanted(binaries: pathlib.Path) -> list[pathlib.Path]:
        """The programs that it takes."""
        return [binaries / f"prepx-{service}" for service in SERVICES]

    def start(self):
        """Until each answers, of each service one does its work, and no partition is without somebody who does."""
        settings, probe_ports = self.settings(), iter(self.probe_ports)
        configs = {service: self.config(service, settings) for service in SERVICES}
        for directory in ("data", "snapshots", "clocks"):
            (self.work / directory).mkdir()
        for service, ports in self.ports.items():
            for number, port in enumerate(ports, 1):
                command = [self.binaries / f"prepx-{service}", "--dev"]
                command += ["--config", configs[service], "--listen", f"127.0.0.1:{port}"]
                probe_port = next(probe_ports, 0)
                if probe_port:
                    command += ["--probe-listen", f"127.0.0.1:{probe_port}"]
                name = f"prepx-{service}-{number}"
                env = clocks.environment(self.clocks, name) if self.clocks else {}
                self.spawn(name, command, port, probe_port, env)
        for program in self.programs:
            program.until(lambda: probe(program, "/healthz") == 200, START_SECONDS_MAX)
        for ports in self.ports.values():
            replicas = [program for program in self.programs if program.port in ports]
            ready = lambda: any(probe(replica, "/readyz") == 200 for replica in replicas)
            replicas[0].until(ready, START_SECONDS_MAX)
        self.until_all_partitions_answer()

    def until_all_partitions_answer(self):
        """Listings ask the owner of an account's partition, and those of all instruments."""
        gateway = self.programs[-1]
        listed = lambda: get(gateway.port, "/v2/assets", TRADER) == 200
        known = lambda: get(gateway.port, "/v2/account", TRADER) == 200
        gateway.until(lambda: known() and listed(), START_SECONDS_MAX)
        gateway.until(lambda: not problems(gateway.port), START_SECONDS_MAX)

    def name_doors(self):
        """Asks for every door once, before anything has been started."""
        self.peers(self.door)

    def config(self, service: str, settings: dict) -> pathlib.Path:
        """What is true of all of them, who this one is, and by which doors the gateway reaches the others."""
        name, own = f"prepx-{service}", {}
        if self.authority:
            own["tls"] = self.authority.identity(name)
        if service == "gateway":
            own["peers"] = self.peers(self.door)
        return self.configured(name, settings | own)

    def settings(self) -> dict:
        """What is true of all of them."""
        return self.engines | {
            "account_partitions": self.partitions,
            "matching_partitions": self.partitions,
            "data_dir": str(self.work / "data"),
            "snapshot_url": f"file:{self.work}/snapshots",
            "archive_url": self.archive_url,
            "cluster_key": secrets.token_hex(16),
            "peers": self.peers(lambda name, port: port),
        }

    def peers(self, door: Callable[[str, int], int]) -> dict[str, str]:
        """Where each service is, with a door before each process."""
        scheme = "https" if self.authority else "http"
        at = lambda service, number, port: f"{scheme}://127.0.0.1:{door(f'{service}-{number}', port)}"
        return {
            service.replace("-", "_"): ",".join(at(service, *numbered) for numbered in enumerate(ports, 1))
            for service, ports in self.ports.items()
            if service != "gateway"
        }

    def configured(self, name: str, settings: dict) -> pathlib.Path:
        """The file with the settings, which only its owner may read."""
        config = self.work / f"{name}.toml"
        tables = {name: [value] for name, value in settings.items() if isinstance(value, dict)}
        lists = {name: value for name, value in settings.items() if isinstance(value, list)}
        lines = lambda table: [f"{name} = {json.dumps(value)}\n" for name, value in table.items()]
        with open(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.writelines(lines({name: settings[name] for name in settings if name not in tables | lists}))
            for name, all in (tables | lists).items():
                head = f"[[{name}]]\n" if name in lists else f"[{name}]\n"
                for table in all:
                    file.writelines([head, *lines(table)])
        return config

    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['gateway'][0]}"


class OneProcess(Services):
    """`prepx start`, which has all services in it, and where no engines are named those too."""

    @staticmethod
    def wanted(binaries: pathlib.Path) -> list[pathlib.Path]:
        return [binaries / "prepx"]

    def start(self):
        config = self.configured("prepx", self.engines)
        port = self.ports["gateway"][0]
        env = {}
        if self.clocks:
            self.clocks.mkdir()
            env = clocks.environment(self.clocks, "prepx")
        command = [self.binaries / "prepx", "start", "--dev", "--simulate", "off"]
        command += ["--config", config, "--listen", f"127.0.0.1:{port}"]
        command += ["--data-dir", self.work / "data"]
        program = self.spawn("prepx", command, port, env=env)
        program.until(program.listens, START_SECONDS_MAX)
        self.until_all_partitions_answer()

    def name_doors(self):
        self.url()

    def url(self) -> str:
        """Its callers come by a door, as there are none within."""
        return f"http://127.0.0.1:{self.door('prepx', self.ports['gateway'][0])}"


def probe(program: server.Program, path: str) -> int:
    """Asks a process how it is; the status of its answer."""
    return get(program.probe_port or program.port, path)


def problems(port: int) -> list[str]:
    """What a gateway says is wrong, such as a partition that nobody takes yet."""
    status, body = ask(port, "/api/v1/admin/status", OPERATOR)
    return json.loads(body)["problems"] if status == 200 else [f"its status is refused: {status}"]


def get(port: int, path: str, key: tuple[str, str] | None = None) -> int:
    """Asks a process over HTTP; the status of its answer."""
    return ask(port, path, key)[0]


def ask(port: int, path: str, key: tuple[str, str] | None = None) -> tuple[int, bytes]:
    """Asks a process over HTTP; the status of its answer, and its body."""
    names = ("APCA-API-KEY-ID", "APCA-API-SECRET-KEY")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers=dict(zip(names, key or ())))
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as error:
        raise OSError(f"{path}: {error!r}") from error
    finally:
        connection.close()
