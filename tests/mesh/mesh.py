"""A real istiod with the files of istio/, and before each pod a real Envoy with Istio's agent: plain processes on
loopback. Certificates are from istiod's own authority; accounts are vouched for by `outside`."""

import base64
import json
import os
import pathlib
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass

import yaml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent / "cluster"), str(HERE.parent / "servers")]
import overlay
import server
from authority import Authority
from outside import AUDIENCE, ISSUER, Accounts, Outside
from overlay import Pod
from released_envoy import WITHOUT

PUBLIC = "api.prepx.com"
ISTIOD = "istiod.istio-system.svc"
START_SECONDS_MAX = 120
MESH = {
    "trustDomain": "cluster.local",
    "enableAutoMtls": True,
    "enablePrometheusMerge": False,
    "enableTracing": False,
    "defaultProviders": {},
    "defaultConfig": {"discoveryAddress": f"{ISTIOD}:15012"},
}


@dataclass
class Ports:
    """Where an Envoy and its agent tell of themselves."""

    admin: int
    status: int
    envoy_status: int
    metrics: int


class Mesh(server.Servers):
    """istiod, and an Envoy for each pod. `edge` is the one that clients come in by."""

    START_SECONDS_MAX = START_SECONDS_MAX

    def __init__(self, work: pathlib.Path, tools: pathlib.Path, edge: Pod, pods: list[Pod]):
        super().__init__(work)
        self.tools, self.edge, self.pods = tools, edge, pods
        self.agents_port, self.ready_port, self.metrics_port = server.free_ports(3)
        self.ports = {pod.name: Ports(*server.free_ports(4)) for pod in [edge, *pods]}
        self.base = self.built("k8s/base")
        self.accounts = Accounts()
        place = (edge.address, overlay.PORTS_OF_THE_EDGE[443])
        self.outside = Outside(self.accounts, {f"{PUBLIC}:443": place})
        # Who vouches for pods, for the public name, and for nobody that should be believed.
        self.pods_authority, self.public_authority, self.strangers_authority = (
            Authority(work / name) for name in ("pods", "public", "strangers")
        )

    def start(self):
        # Its ports for metrics and readiness are for other machines as well: here they stay on this one.
        text = (self.tools / "bin/envoy_bootstrap.json").read_text().replace("{{ .wildcard }}", "127.0.0.1")
        (self.work / "envoy_bootstrap.json").write_text(text)
        self.configure("istio/base")
        self.start_istiod()
        for pod in [self.edge, *self.pods]:
            self.start_agent(pod)
        for program in self.programs:
            program.until(lambda: ready(program.probe_port), START_SECONDS_MAX)

    def built(self, folder: str) -> list[dict]:
        """What kustomize makes of a folder of this repository."""
        command = [self.tools / "bin/kustomize", "build", ROOT / folder]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return list(yaml.safe_load_all(told))

    def configure(self, folder: str, *more: dict):
        """The mesh is what a folder of istio/ says, and some documents besides."""
        docs = overlay.laid_over(self.built(folder), self.base, self.pods, self.edge.address)
        directory = self.work / "config"
        directory.mkdir(exist_ok=True)
        # Moved in whole: istiod never reads half a file.
        draft = self.work / "config.new"
        draft.write_text(yaml.safe_dump_all([*docs, *more]))
        draft.rename(directory / "mesh.yaml")

    def start_istiod(self):
        (self.work / "mesh.yaml").write_text(yaml.safe_dump(MESH))
        rule = {"issuer": ISSUER, "jwks_uri": self.outside.url, "audiences": [AUDIENCE]}
        env = WITHOUT | {
            "ROOT_CA_DIR": self.authority_of_pods(),
            "ENABLE_CA_SERVER": "true",
            "PILOT_CERT_PROVIDER": "istiod",
            "JWT_RULE": json.dumps(rule),
            "POD_NAMESPACE": "istio-system",
            "POD_NAME": "istiod",
            "KUBE_FEATURE_WatchListClient": "false",
            # It asks for the keys of tokens at the public address, as the files say.
            "HTTPS_PROXY": self.outside.url,
            "SSL_CERT_FILE": str(self.public_authority.path("ca.pem")),
        }
        at = lambda port: f"127.0.0.1:{port}"
        command = [self.tools / "bin/istiod", "-config", self.work / "config", "-secrets", self.public_secret()]
        command += ["-mesh", self.work / "mesh.yaml", "-agents", at(self.agents_port)]
        command += ["-ready", at(self.ready_port), "-metrics", at(self.metrics_port)]
        self.spawn("istiod", command, self.agents_port, self.ready_port, env)

    def authority_of_pods(self) -> str:
        """The authority's files, by the names that istiod knows."""
        at = self.pods_authority.path
        for name in ("root-cert.pem", "ca-cert.pem", "cert-chain.pem"):
            at(name).symlink_to(at("ca.pem"))
        at("ca-key.pem").symlink_to(at("ca.key"))
        return str(self.pods_authority.directory)

    def public_secret(self) -> pathlib.Path:
        """The Secret of the public certificate, beside the edge."""
        files = self.public_authority.identity(PUBLIC, f"*.{PUBLIC}")
        directory = self.work / "secrets"
        directory.mkdir(mode=0o700)
        coded = lambda name: base64.b64encode(pathlib.Path(files[name]).read_bytes()).decode()
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "prepx-public", "namespace": self.edge.namespace},
            "type": "kubernetes.io/tls",
            "data": {"tls.crt": coded("certificate"), "tls.key": coded("key")},
        }
        (directory / "prepx-public.yaml").write_text(yaml.safe_dump(secret))
        return directory

    def start_agent(self, pod: Pod):
        """The pod's agent, in a directory of its own, where it looks for its token and its root; it starts Envoy."""
        home, ports = self.work / "pods" / pod.name, self.ports[pod.name]
        tokens, root = home / "var/run/secrets/tokens", home / "var/run/secrets/istio"
        for directory in (tokens, root, home / "etc/istio/proxy"):
            directory.mkdir(parents=True)
        (tokens / "istio-token").write_text(self.accounts.token(pod.namespace, pod.account))
        (root / "root-cert.pem").symlink_to(self.pods_authority.path("ca.pem"))
        kind = "router" if pod is self.edge else "sidecar"
        command = ["env", "-C", home, self.tools / "bin/pilot-agent", "proxy", kind]
        command += ["--domain", f"{pod.namespace}.svc.cluster.local", "--proxyLogLevel", "warning"]
        self.spawn(f"envoy-{pod.name}", command, ports.admin, ports.status, self.agent_environment(pod, ports))

    def agent_environment(self, pod: Pod, ports: Ports) -> dict[str, str]:
        proxy = {
            "binaryPath": str(self.tools / "bin/envoy"),
            "configPath": "./etc/istio/proxy",
            "proxyBootstrapTemplatePath": str(self.work / "envoy_bootstrap.json"),
            "discoveryAddress": f"127.0.0.1:{self.agents_port}",
            "proxyAdminPort": ports.admin,
            "statusPort": ports.status,
            "concurrency": 1,
            "terminationDrainDuration": "1s",
            "proxyStatsMatcher": {"inclusionRegexps": [".*"]},
        }
        return {
            "PROXY_CONFIG": json.dumps(proxy),
            "ISTIOD_SAN": ISTIOD,
            "INSTANCE_IP": pod.address or pod.outlet,
            "POD_NAME": pod.name,
            "POD_NAMESPACE": pod.namespace,
            "SERVICE_ACCOUNT": pod.account,
            "TRUST_DOMAIN": "cluster.local",
            "ISTIO_META_CLUSTER_ID": "Kubernetes",
            "ISTIO_META_INTERCEPTION_MODE": "NONE",
            # No listener for ports below 1024, which take rights.
            "ISTIO_META_UNPRIVILEGED_POD": "true",
            "ISTIO_METAJSON_LABELS": json.dumps(pod.all_labels()),
            "ENVOY_STATUS_PORT": str(ports.envoy_status),
            "ENVOY_PROMETHEUS_PORT": str(ports.metrics),
            "GRPC_XDS_BOOTSTRAP": "",
            "OUTPUT_CERTS": str(self.work / "pods" / pod.name),
        }

    def told(self, pod: Pod, path: str) -> str:
        """What a pod's Envoy tells of itself."""
        return fetch(self.ports[pod.name].admin, path)

    def counted(self, pod: Pod, pattern: str) -> int:
        """The sum of the counters of a pod's Envoy whose names match."""
        stats = json.loads(self.told(pod, f"/stats?format=json&filter={pattern}"))["stats"]
        return sum(stat.get("value", 0) for stat in stats)

    def stop(self):
        """An agent that has to be killed leaves its Envoy."""
        children = [(pid, server.born(pid)) for program in self.programs for pid in server.family(program.pid)]
        super().stop()
        for pid, born in children:
            if born and server.born(pid) == born:
                os.kill(pid, signal.SIGKILL)
        self.outside.shutdown()


def ready(port: int) -> bool:
    """istiod and its agents say so at different places."""
    for path in ("/ready", "/healthz/ready"):
        try:
            fetch(port, path)
            return True
        except OSError:
            pass
    return False


def fetch(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return answer.read().decode()
