"""Who tells autoscalers what they ask: metrics-server, of processors and memory, and prometheus-adapter by the rules of
k8s/components/metrics."""

import pathlib

import node
from callers import until
from deployed import Platform
from watch import MONITORING, PROMETHEUS

import server

ADAPTER, KUBELETS = 6443, 4443
RELIST_SECONDS = 5
# Of each part of the API: the program, its namespace, and where it listens.
SERVED = {
    "v1beta1.custom.metrics.k8s.io": ("prometheus-adapter", MONITORING, ADAPTER),
    "v1beta1.metrics.k8s.io": ("metrics-server", "kube-system", KUBELETS),
}


class Metrics(server.Servers):
    """Both, as parts of the API server's API."""

    START_SECONDS_MAX = 60

    def __init__(self, work: pathlib.Path, platform: Platform):
        super().__init__(work)
        work.mkdir()
        self.node = platform.node
        self.rules = platform.get("configmaps", "prometheus-adapter-prepx")["data"]["config.yaml"]

    def start(self):
        rules = self.work / "rules.yaml"
        rules.write_text(self.rules)
        self.launch(
            "prometheus-adapter", ADAPTER, *self.known("--lister-kubeconfig"), f"--config={rules}",
            f"--prometheus-url=http://prometheus.{MONITORING}:{PROMETHEUS}", f"--metrics-relist-interval={RELIST_SECONDS}s",
        )
        self.launch(
            "metrics-server", KUBELETS, *self.known("--kubeconfig"), "--kubelet-insecure-tls",
            "--kubelet-preferred-address-types=InternalIP", "--metric-resolution=10s", "--kubelet-request-timeout=5s",
        )
        self.until_they_listen()
        for part, (name, namespace, port) in SERVED.items():
            self.node.apply([*node.service_of_it(name, namespace, 443, places={443: port}), offered(part, name, namespace)])
        for part in SERVED:
            until(f"{part} is served", lambda: node.condition(self.node.api.get("apiservices", part), "Available"))

    def known(self, option: str) -> list[str]:
        """How it asks the API server, for itself and for whoever comes to it."""
        options = (option, "--authentication-kubeconfig", "--authorization-kubeconfig")
        return [f"{one}={self.node.kubeconfig}" for one in options]

    def launch(self, name: str, port: int, *words):
        command = [self.node.tools / "bin" / name, f"--secure-port={port}", f"--cert-dir={self.work}/{name}", *words]
        self.spawn(name, command, port, env=self.node.env)


def offered(part: str, name: str, namespace: str) -> dict:
    version, _, group = part.partition(".")
    spec = {"service": {"name": name, "namespace": namespace}, "group": group, "version": version}
    spec |= {"insecureSkipTLSVerify": True, "groupPriorityMinimum": 100, "versionPriority": 100}
    return {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": part}, "spec": spec}
