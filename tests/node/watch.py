"""What watches the platform, by the files of k8s/components/monitoring and observability/ as they are: a real Prometheus with all rules
and a real Alertmanager, at their names and with their files where their pods have them. Where those call out of the cluster, and what
kube-state-metrics tells, is answered by a few lines here: the module of the latter is not to be had."""

import http.server
import pathlib
import threading

import node
from deployed import Platform
from receivers import Collector, Pager
from stores import NAMESPACE

import server

ROOT = pathlib.Path(__file__).resolve().parents[2]
STACK = ROOT / "k8s/components/monitoring/stack"
MONITORING = "monitoring"
PROMETHEUS, ALERTMANAGER, STATES, COLLECTOR = 9090, 9093, 8092, 4317
# The Services there whose endpoint is the node itself, and the ports that are others there.
ON_THE_NODE = {"prometheus": {}, "alertmanager": {}, "kube-state-metrics": {8080: STATES}, "otel-collector": {}}
# Where Debian's Alertmanager has its own.
TEMPLATES = "/usr/share/prometheus/alertmanager"
# What a pod is told of the API server, and who it is there.
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
RIGHTS = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding")
IN_CLUSTER = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(node.API)}


class Watchers(server.Servers):
    """They run beside the node's own programs, and find names as a pod does."""

    START_SECONDS_MAX = 120

    def __init__(self, work: pathlib.Path, platform: Platform):
        super().__init__(work)
        work.mkdir()
        self.platform, self.node = platform, platform.node
        self.pager, self.collector = Pager(work), Collector(COLLECTOR)

    def start(self):
        node.write("/etc/resolv.conf", f"nameserver {node.ADDRESS}\nsearch svc.cluster.local cluster.local\noptions ndots:5\n")
        stack = self.platform.built(str(STACK))
        self.deploy(stack)
        threading.Thread(target=States(self.node).serve_forever, daemon=True).start()
        self.mount(stack, "alertmanager")
        self.mount(stack, "prometheus")
        for name, text in self.pager.receivers().items():
            node.write(f"/etc/receivers/{name}", text)
        for template in (self.node.tools / "alertmanager").glob("*.tmpl"):
            node.write(f"{TEMPLATES}/{template.name}", template.read_text())
        own = ["--config.file=/etc/alertmanager/alertmanager.yml", f"--storage.path={self.work}/alertmanager"]
        self.launch("prometheus-alertmanager", ALERTMANAGER, *own, "--cluster.listen-address=", env=self.pager.trusted())
        own = ["--config.file=/etc/prometheus/prometheus.yml", f"--storage.tsdb.path={self.work}/prometheus"]
        self.launch("prometheus", PROMETHEUS, *own, env=IN_CLUSTER)
        self.until_they_listen()

    def deploy(self, stack: list[dict]):
        """Its namespace, the account and rights of Prometheus, and names whose endpoint is the node."""
        rights = [one for one in stack if "prometheus" in one["metadata"]["name"] and one["kind"] in RIGHTS]
        self.node.apply([one for one in stack if one["kind"] == "Namespace"])
        services = {one["metadata"]["name"]: one for one in stack if one["kind"] == "Service"}
        named = [doc for name, places in ON_THE_NODE.items() for doc in node.brought_home(services[name], places)]
        self.node.apply(rights + named)
        token = self.node.asked("create", "token", "prometheus", "-n", MONITORING, "--duration=2h")
        node.write(f"{ACCOUNT}/token", token)
        node.write(f"{ACCOUNT}/ca.crt", (self.node.work / "certificates/apiserver.crt").read_text())

    def mount(self, stack: list[dict], program: str):
        """The maps of a program, where its pod has them."""
        of = {(one["kind"], one["metadata"]["name"]): one for one in stack}
        spec = of["StatefulSet", program]["spec"]["template"]["spec"]
        maps = {volume["name"]: volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume}
        for mount in spec["containers"][0]["volumeMounts"]:
            if mount["name"] in maps:
                for file, text in of["ConfigMap", maps[mount["name"]]]["data"].items():
                    node.write(f"{mount['mountPath']}/{file}", text)

    def launch(self, name: str, port: int, *words, env: dict[str, str] = {}) -> server.Program:
        return self.spawn(name, [self.node.tools / "bin" / name, *words], port, env=self.node.env | env)

    def stop(self):
        super().stop()
        self.pager.shutdown()
        self.collector.stop()


class States(http.server.ThreadingHTTPServer):
    """Tells of containers what kube-state-metrics tells of them."""

    daemon_threads = True

    def __init__(self, on: node.Node):
        super().__init__(("0.0.0.0", STATES), Answer)
        self.node = on

    def page(self) -> str:
        lines = []
        for pod in self.node.api.get("pods", inside=NAMESPACE)["items"]:
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
