"""A real Prometheus that finds the pods by their annotations, and Argo Rollouts' controller, which asks it. What kube-state-metrics
tells in a cluster of containers' restarts is told by a few lines here: its module is not to be had."""

import http.server
import pathlib
import threading

import node
import yaml
from stores import NAMESPACE

import server

PROMETHEUS, STATES, ROLLOUTS, ROLLOUTS_HEALTH = 9090, 8092, 8090, 8091
SCRAPE = {
    "global": {"scrape_interval": "2s", "evaluation_interval": "2s"},
    "scrape_configs": [
        {"job_name": "states", "static_configs": [{"targets": [f"127.0.0.1:{STATES}"]}]},
        {
            "job_name": "prepx",
            "relabel_configs": [
                {"source_labels": ["__meta_kubernetes_pod_annotation_prometheus_io_scrape"], "regex": "true", "action": "keep"},
                # One target for each pod, wherever its containers listen.
                {"source_labels": ["__meta_kubernetes_pod_container_port_name"], "regex": "probes", "action": "keep"},
                {"source_labels": ["__meta_kubernetes_pod_annotation_prometheus_io_path"], "target_label": "__metrics_path__"},
                {
                    "source_labels": ["__meta_kubernetes_pod_ip", "__meta_kubernetes_pod_annotation_prometheus_io_port"],
                    "separator": ":",
                    "target_label": "__address__",
                },
                {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
                {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            ],
        },
    ],
}


class Watchers(server.Servers):
    """They run beside the node's own programs, and find names as a pod does."""

    def __init__(self, work: pathlib.Path, on: node.Node):
        super().__init__(work)
        self.node = on

    def start(self):
        self.find_names()
        kinds = sorted((self.node.tools / "bin/kinds").iterdir())
        self.node.asked("apply", "--server-side", *(word for kind in kinds for word in ("-f", kind)))
        self.node.asked("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        threading.Thread(target=States(self.node).serve_forever, daemon=True).start()
        self.node.apply([namespace("monitoring"), *node.service_of_it("prometheus", "monitoring", PROMETHEUS)])
        found = {"role": "pod", "kubeconfig_file": str(self.node.kubeconfig), "namespaces": {"names": [NAMESPACE]}}
        SCRAPE["scrape_configs"][1]["kubernetes_sd_configs"] = [found]
        settings = self.work / "prometheus.yml"
        settings.write_text(yaml.safe_dump(SCRAPE))
        own = ["--config.file", settings, "--storage.tsdb.path", self.work / "prometheus"]
        program = self.launch("prometheus", PROMETHEUS, *own, "--web.listen-address", f"0.0.0.0:{PROMETHEUS}")
        program.until(program.listens, self.START_SECONDS_MAX)
        own = ["--kubeconfig", self.node.kubeconfig, "--leader-elect=false"]
        own += ["--metricsport", ROLLOUTS, "--healthzPort", ROLLOUTS_HEALTH]
        program = self.launch("rollouts-controller", ROLLOUTS_HEALTH, *own)
        program.until(program.listens, self.START_SECONDS_MAX)

    def launch(self, name: str, port: int, *words) -> server.Program:
        return self.spawn(name, [self.node.tools / "bin" / name, *words], port, env=self.node.env)

    def find_names(self):
        """What is asked for in here is looked up where pods look it up."""
        names = self.work / "resolv.conf"
        names.write_text(f"nameserver {node.ADDRESS}\nsearch svc.cluster.local cluster.local\noptions ndots:5\n")
        node.shell("mount", "--bind", names, pathlib.Path("/etc/resolv.conf").resolve())


class States(http.server.ThreadingHTTPServer):
    """Tells of containers what kube-state-metrics tells of them."""

    def __init__(self, on: node.Node):
        super().__init__(("127.0.0.1", STATES), Answer)
        self.node = on

    def page(self) -> str:
        lines = []
        for pod in self.node.get("pods", "-n", NAMESPACE)["items"]:
            labels = f'namespace="{NAMESPACE}",pod="{pod["metadata"]["name"]}"'
            lines.append(f"kube_pod_info{{{labels}}} 1")
            for container in pod["status"].get("containerStatuses", ()):
                told = f'{labels},container="{container["name"]}"'
                lines.append(f"kube_pod_container_status_restarts_total{{{told}}} {container['restartCount']}")
        return "\n".join(lines) + "\n"


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        page = self.server.page().encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        try:
            self.wfile.write(page)
        except OSError:
            # Prometheus has asked for the last time.
            pass

    def log_message(self, *_):
        pass


def namespace(name: str) -> dict:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
