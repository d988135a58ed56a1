"""The mesh around the pods: Istio's control plane on the node's API server by the values of istio/istiod.yaml, sidecars that it puts into
pods by its own templates, and an ingress gateway, by which clients come in over TLS."""

import asyncio
import base64
import json
import pathlib
import re
import ssl
import subprocess
import threading
import urllib.request

import node
import oci
import yaml
from callers import until
from deployed import SERVICES, Platform
from released_envoy import WITHOUT
from versions import HASH

import server
from authority import Authority

ROOT = pathlib.Path(__file__).resolve().parents[2]
SYSTEM, INGRESS = "istio-system", "istio-ingress"
AGENTS, INJECTOR, HTTP, METRICS = 15012, 15017, 15080, 15014
HUB, TAG = "prepx.test", "1"
# The public name, and one of those below it, by which callers come in here without TLS.
PUBLIC, DOOR = "api.prepx.com", "node.api.prepx.com"
SECONDS_MAX = 300
MESH = {"rootNamespace": SYSTEM, "defaultProviders": {}, "defaultConfig": {"discoveryAddress": f"istiod.{SYSTEM}.svc:{AGENTS}"}}
# Where the image of sidecars is, and that rules are nftables'.
VALUES = {"hub": HUB, "tag": TAG, "nativeNftables": True, "imagePullPolicy": "Never"}
# What is enough on two cores; and where the stores are, whose brokers tell it by address.
PROXY = {
    "resources": {"requests": {"cpu": "5m", "memory": "32Mi"}, "limits": {"cpu": "2", "memory": "256Mi"}},
    "excludeIPRanges": f"{node.ADDRESS}/32",
}


class Sidecars(server.Servers):
    """All that the mesh is, but the sidecars themselves, which are in the pods."""

    START_SECONDS_MAX = 120

    def __init__(self, work: pathlib.Path, platform: Platform):
        super().__init__(work)
        work.mkdir()
        self.platform, self.node = platform, platform.node
        self.tools = platform.node.tools / "bin"
        self.public = Authority(work / "public")
        self.door: Door | None = None

    def start(self):
        self.take_proxy()
        self.node.apply([namespace(SYSTEM), namespace(INGRESS, {"istio-injection": "enabled"})])
        self.node.apply(node.brought_home(istiod(), {443: INJECTOR}))
        self.start_istiod()
        root = lambda: self.node.api.get("configmaps", "istio-ca-root-cert", SYSTEM)["data"]["root-cert.pem"]
        until("istiod tells by which root it is known", root, SECONDS_MAX)
        self.node.apply([injector(root())])
        self.start_ingress()
        self.platform.asked("delete", "pods", "-l", "app.kubernetes.io/part-of=prepx", "--wait=false")
        until("those before have ended", self.platform.nobody_ends, SECONDS_MAX)
        for service in SERVICES:
            until(f"{service} is ready", lambda: self.platform.is_ready(service), SECONDS_MAX)

    def take_proxy(self):
        """The image of sidecars: Envoy with the libraries that it takes, Istio's agent, and its template."""
        layout, agent = oci.Layout(), "/usr/local/bin/pilot-agent"
        files = {agent: self.tools / "pilot-agent", "/usr/local/bin/envoy": self.tools / "envoy"}
        files["/var/lib/istio/envoy/envoy_bootstrap_tmpl.json"] = self.tools / "envoy_bootstrap.json"
        told = subprocess.run(["ldd", self.tools / "envoy"], capture_output=True, text=True, check=False).stdout
        files |= {path: pathlib.Path(path) for path in re.findall(r"(/\S+)", told)}
        layer = layout.layer({path.lstrip("/"): source.resolve() for path, source in files.items()})
        layout.image(f"{HUB}/proxyv2:{TAG}", [layer], {"Entrypoint": [agent], "Env": ["PATH=/usr/local/bin"]})
        file = self.work / "proxy.tar"
        layout.write(file)
        self.node.take(file)
        file.unlink()

    def start_istiod(self):
        told = yaml.safe_load((ROOT / "istio/istiod.yaml").read_text())
        (self.work / "mesh.yaml").write_text(yaml.safe_dump(MESH | told["meshConfig"]))
        self.write_injection(told)
        env = WITHOUT | self.node.env | {
            "POD_NAMESPACE": SYSTEM,
            "POD_NAME": "istiod",
            "PILOT_CERT_PROVIDER": "istiod",
            "CLUSTER_ID": "Kubernetes",
            "ENABLE_NATIVE_SIDECARS": "true",
            "KUBE_FEATURE_WatchListClient": "false",
            # It asks for the keys of tokens at the public address.
            "SSL_CERT_FILE": str(self.public.path("ca.pem")),
        }
        at = lambda port: f"0.0.0.0:{port}"
        command = ["env", "-C", self.work, self.tools / "pilot-discovery", "discovery", "--kubeconfig", self.node.kubeconfig]
        command += ["--meshConfig", self.work / "mesh.yaml", "--secureGRPCAddr", at(AGENTS), "--httpsAddr", at(INJECTOR)]
        command += ["--httpAddr", at(HTTP), "--grpcAddr", "", "--monitoringAddr", at(METRICS), "--ctrlz_port", "0"]
        program = self.spawn("istiod", command, HTTP, env=env)
        program.until(self.is_ready, self.START_SECONDS_MAX)

    def is_ready(self) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{HTTP}/ready", timeout=5) as answer:
            return answer.status == 200

    def write_injection(self, told: dict):
        """What Istio's chart makes of its own values and of ours."""
        values = yaml.safe_load((self.tools / "injection/values.yaml").read_text())["_internal_defaults_do_not_set"]
        values["global"] |= VALUES
        values["global"]["proxy"] |= PROXY
        values["cni"] |= told["pilot"]["cni"]
        values["gateways"]["securityContext"] = {"runAsNonRoot": True}
        used = {name: values[name] for name in ("global", "sidecarInjectorWebhook", "revision", "gateways")}
        used["pilot"] = {"cni": values["cni"], "env": values["env"]}
        templates = {one.stem: one.read_text() for one in (self.tools / "injection").glob("*.yaml") if one.stem != "values"}
        config = {"policy": "enabled", "defaultTemplates": ["sidecar"], "templates": templates}
        into = self.work / "var/lib/istio/inject"
        into.mkdir(parents=True)
        (into / "config").write_text(yaml.safe_dump(config))
        (into / "values").write_text(json.dumps(used))

    def start_ingress(self):
        identity = self.public.identity(PUBLIC, f"*.{PUBLIC}")
        coded = {
            name: base64.b64encode(pathlib.Path(identity[of]).read_bytes()).decode()
            for name, of in (("tls.crt", "certificate"), ("tls.key", "key"))
        }
        metadata = {"name": "prepx-public", "namespace": INGRESS}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls", "data": coded}
        self.node.apply([secret, *ingress()])
        pods = lambda: self.node.api.get("pods", inside=INGRESS)["items"]
        until("the ingress is ready", lambda: pods() and all(node.condition(one, "Ready") for one in pods()), SECONDS_MAX)
        address = self.node.api.get("services", INGRESS, INGRESS)["spec"]["clusterIP"]
        with open("/etc/hosts", "a") as hosts:
            hosts.write(f"{address} {PUBLIC}\n127.0.0.1 {DOOR}\n")
        self.door = Door(address, str(self.public.path("ca.pem")))

    def weights(self, name: str) -> dict[str, int]:
        """What a VirtualService says of the subsets of its Service, where nobody asks for one."""
        routes = {one["name"]: one["route"] for one in self.platform.get("virtualservices", name)["spec"]["http"]}
        return {one["destination"]["subset"]: one.get("weight", 100) for one in routes["calls"]}

    def taken(self, service: str) -> dict[str, int]:
        """How many calls the pods of each version of a service have answered by now."""
        counts = {}
        for pod in self.platform.pods(service):
            version = pod["metadata"]["labels"][HASH]
            try:
                with urllib.request.urlopen(f"http://{pod['status']['podIP']}:9090/metrics", timeout=5) as answer:
                    page = answer.read().decode()
            except (OSError, KeyError):
                # It does not run yet.
                page = ""
            found = re.findall(rf'^prepx_calls_total\{{method="/?prepx.{service}[^}}]*\}} (\d+)', page, re.MULTILINE)
            counts[version] = counts.get(version, 0) + sum(map(int, found))
        return counts

    def stop(self):
        super().stop()
        if self.door:
            self.door.stop()


class Door:
    """Takes connections without TLS and has them go on over TLS to the ingress, as gRPC or HTTP/1.1."""

    PREFACE = b"PRI"

    def __init__(self, address: str, authority: str):
        self.address, self.loop = address, asyncio.new_event_loop()
        self.contexts = {protocol: ssl.create_default_context(cafile=authority) for protocol in ("h2", "http/1.1")}
        for protocol, context in self.contexts.items():
            context.set_alpn_protocols([protocol])
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(asyncio.start_server(self.take, "127.0.0.1", 80), self.loop).result()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        try:
            first = await reader.read(65_536)
            context = self.contexts["h2" if first.startswith(self.PREFACE) else "http/1.1"]
            back, on = await asyncio.open_connection(self.address, 443, ssl=context, server_hostname=DOOR)
            on.write(first)
            await asyncio.gather(carry(reader, on), carry(back, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def stop(self):
        asyncio.run_coroutine_threadsafe(end_others(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)


async def end_others():
    """Whatever else is under way in this loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for one in others:
        one.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def carry(one: asyncio.StreamReader, other: asyncio.StreamWriter):
    """Until it has said everything."""
    try:
        while said := await one.read(65_536):
            other.write(said)
            await other.drain()
    except OSError:
        pass
    other.close()


def namespace(name: str, labels: dict[str, str] = {}) -> dict:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def istiod() -> dict:
    """Its Service."""
    ports = [
        {"name": "https-dns", "port": AGENTS, "appProtocol": "tls"},
        {"name": "https-webhook", "port": 443, "appProtocol": "https"},
    ]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "istiod", "namespace": SYSTEM}, "spec": {"ports": ports}}


def injector(root: str) -> dict:
    """Who is asked what a new pod of the namespaces that want it is to have, and by which root it is known."""
    hook = {
        "name": "namespace.sidecar-injector.istio.io",
        "clientConfig": {
            "service": {"name": "istiod", "namespace": SYSTEM, "path": "/inject", "port": 443},
            "caBundle": base64.b64encode(root.encode()).decode(),
        },
        "sideEffects": "None",
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        "failurePolicy": "Fail",
        "admissionReviewVersions": ["v1"],
        "namespaceSelector": {"matchLabels": {"istio-injection": "enabled"}},
        "objectSelector": {"matchExpressions": [{"key": "sidecar.istio.io/inject", "operator": "NotIn", "values": ["false"]}]},
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "istio-sidecar-injector", "labels": {"istio.io/rev": "default"}},
        "webhooks": [hook],
    }


def ingress() -> list[dict]:
    """What Istio's chart of a gateway makes, with the account and the labels that istio/ knows."""
    metadata, labels = {"name": INGRESS, "namespace": INGRESS}, {"istio": "ingress"}
    ports = {80: 8080, 443: 8443}
    template = {
        "metadata": {"labels": labels | {"sidecar.istio.io/inject": "true"}, "annotations": {"inject.istio.io/templates": "gateway"}},
        "spec": {"serviceAccountName": INGRESS, "containers": [{"name": "istio-proxy", "image": "auto", "imagePullPolicy": "Never"}]},
    }
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "watch", "list"]}]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": INGRESS}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    service = {"selector": labels, "ports": [{"name": f"tcp-{port}", "port": port, "targetPort": to} for port, to in ports.items()]}
    subjects = [{"kind": "ServiceAccount", "name": INGRESS}]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata, "roleRef": role, "subjects": subjects},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec},
    ]
