"""One node of Kubernetes and what steers it, in the namespaces of this process: etcd, the API server, controllers, scheduler,
kubelet, kube-proxy, containerd, a bridge for pods, CoreDNS. Policies of networks are not enforced: a bridge knows none."""

import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "images"), *(str(HERE.parent / name) for name in ("servers", "cluster", "chaos", "mesh"))]
import oci
import server
from api import Api
from authority import Authority
from callers import until

NAME = "node-0"
# Of addresses that are nobody's (RFC 5737).
ADDRESS = "192.0.2.10"
PODS = "10.244.0.0/24"
SERVICES = "10.96.0.0/16"
API, ETCD, ETCD_PEERS, CONTROLLERS, SCHEDULER = 16443, 12379, 12380, 10257, 10259
KUBELET, PROXY = 10248, 10256
# Whom the API server hands on what others answer, such as metrics, and as whom it does that.
FRONT = "front-proxy"
# Of the kubelet and kube-proxy besides, as they have them by themselves.
OTHERS = {10249, 10250, 10255}
DNS, DNS_READY = 53, 8181
PAUSE = "prepx.test/pause:1"
TOKEN = "administrator-of-one-test"
START_SECONDS_MAX = 180
# The kubelet writes these, which are the whole machine's, unless they are so already: it is shown them so.
SHOWN = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
CONTAINERD = """
version = 2
root = "{work}/containerd/root"
state = "{work}/containerd/state"
[grpc]
address = "{work}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
# Not every machine lets one make a process less likely to be killed.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{work}/plugins"
conf_dir = "{work}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"""
BRIDGE = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [{"type": "bridge", "bridge": "pods0", "isGateway": True, "ipMasq": False, "hairpinMode": True}],
}
COREDNS = """
.:{port} {{
    errors
    ready 127.0.0.1:{ready}
    kubernetes cluster.local {{
        kubeconfig {kubeconfig}
        ttl 1
    }}
}}
"""


# Whoever takes any port takes none of these.
server.PORTS_GIVEN.update({API, ETCD, ETCD_PEERS, CONTROLLERS, SCHEDULER, KUBELET, PROXY, *OTHERS})


class Node(server.Servers):
    """The node; `group` is the cgroup that its pods are in."""

    def __init__(self, work: pathlib.Path, tools: pathlib.Path, group: str):
        super().__init__(work)
        self.tools, self.group = tools, group
        self.kubeconfig = work / "kubeconfig"
        self.api = Api(API, TOKEN)
        self.env = {
            "PATH": f"{tools}/bin:/usr/sbin:/sbin:{os.environ['PATH']}",
            "KUBECONFIG": str(self.kubeconfig),
            "CONTAINERD_ADDRESS": f"{work}/containerd.sock",
            "CONTAINERD_NAMESPACE": "k8s.io",
        }

    def start(self):
        settle(self.work)
        self.start_api()
        self.start_controllers()
        self.start_engine()
        self.start_agents()
        until("the node is ready", lambda: condition(self.api.get("nodes", NAME), "Ready"))

    def launch(self, name: str, port: int, *words) -> server.Program:
        return self.spawn(name, [self.tools / "bin" / name, *words], port, env=self.env)

    def start_api(self):
        at = lambda port: f"http://127.0.0.1:{port}"
        etcd = ["--data-dir", self.work / "etcd", "--unsafe-no-fsync"]
        etcd += ["--listen-client-urls", at(ETCD), "--advertise-client-urls", at(ETCD)]
        etcd += ["--listen-peer-urls", at(ETCD_PEERS), "--initial-advertise-peer-urls", at(ETCD_PEERS)]
        etcd += ["--initial-cluster", f"default={at(ETCD_PEERS)}"]
        self.launch("etcd", ETCD, *etcd)
        key = self.work / "accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        (self.work / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
        self.write_kubeconfig()
        api = ["--etcd-servers", at(ETCD), "--bind-address", "127.0.0.1", "--secure-port", API]
        api += ["--advertise-address", ADDRESS, "--endpoint-reconciler-type", "none"]
        api += ["--cert-dir", self.work / "certificates", "--token-auth-file", self.work / "tokens.csv"]
        api += ["--authorization-mode", "RBAC", "--service-account-issuer", "https://kubernetes.default.svc"]
        api += ["--service-account-key-file", key, "--service-account-signing-key-file", key]
        api += ["--service-cluster-ip-range", SERVICES, "--kubelet-preferred-address-types", "InternalIP"]
        api += self.handing_on()
        program = self.launch("kube-apiserver", API, *api)
        program.until(lambda: self.asked("get", "--raw", "/readyz") == "ok", START_SECONDS_MAX)

    def handing_on(self) -> list:
        """How it says for whom it asks others that serve a part of its API."""
        identity = Authority(self.work / "front").identity(FRONT)
        words = ["--requestheader-client-ca-file", identity["ca"], "--requestheader-allowed-names", FRONT]
        words += ["--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group"]
        words += ["--requestheader-extra-headers-prefix=X-Remote-Extra-"]
        return [*words, "--proxy-client-cert-file", identity["certificate"], "--proxy-client-key-file", identity["key"]]

    def write_kubeconfig(self):
        entry = lambda kind, value: [{"name": "node", kind: value}]
        self.kubeconfig.write_text(json.dumps({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "node",
            "clusters": entry("cluster", {"server": f"https://127.0.0.1:{API}", "insecure-skip-tls-verify": True}),
            "users": entry("user", {"token": TOKEN}),
            "contexts": entry("context", {"cluster": "node", "user": "node"}),
        }))

    def start_controllers(self):
        known = ["--kubeconfig", self.kubeconfig, "--leader-elect=false", "--bind-address", "127.0.0.1"]
        own = ["--service-account-private-key-file", self.work / "accounts.key"]
        own += ["--root-ca-file", self.work / "certificates/apiserver.crt", "--use-service-account-credentials=false"]
        # One looks at what autoscalers ask for more often than every 15 s.
        own += ["--horizontal-pod-autoscaler-sync-period=2s"]
        self.launch("kube-controller-manager", CONTROLLERS, *known, *own)
        self.launch("kube-scheduler", SCHEDULER, *known)

    def start_engine(self):
        """containerd, with the network of pods."""
        (self.work / "cni").mkdir()
        self.plugins()
        ranges = {"type": "host-local", "dataDir": str(self.work / "addresses"), "ranges": [[{"subnet": PODS}]]}
        BRIDGE["plugins"][0]["ipam"] = ranges | {"routes": [{"dst": "0.0.0.0/0"}]}
        redirect = {"type": "redirect", "api": f"https://127.0.0.1:{API}", "token": TOKEN, "agent": f"{self.tools}/bin/pilot-agent"}
        BRIDGE["plugins"].append(redirect)
        (self.work / "cni/10-bridge.conflist").write_text(json.dumps(BRIDGE))
        settings = self.work / "containerd.toml"
        settings.write_text(CONTAINERD.format(work=self.work, tools=self.tools, pause=PAUSE))
        program = self.launch("containerd", 0, "--config", settings)
        program.until(lambda: self.ctr("version") is not None, START_SECONDS_MAX)
        pause, file = oci.Layout(), self.work / "pause.tar"
        pause.image(PAUSE, [pause.layer({"pause": self.tools / "bin/pause"})], {"Entrypoint": ["/pause"]})
        pause.write(file)
        self.take(file)

    def plugins(self):
        """Those of networks, and one of our own."""
        own = self.work / "plugins"
        own.mkdir()
        for path in (self.tools / "cni").iterdir():
            (own / path.name).symlink_to(path.resolve())
        (own / "redirect").write_text(f"#!/bin/sh\nexec {sys.executable} -I {HERE}/redirect.py\n")
        (own / "redirect").chmod(0o755)

    def take(self, image: pathlib.Path):
        """An image, an OCI layout in a file."""
        self.ctr("images", "import", image)

    def ctr(self, *words) -> str:
        return self.run("ctr", *words)

    def start_agents(self):
        names = self.work / "resolv.conf"
        names.touch()
        settings = self.work / "kubelet.json"
        settings.write_text(json.dumps(self.kubelet(names)))
        own = ["--config", settings, "--kubeconfig", self.kubeconfig, "--hostname-override", NAME, "--node-ip", ADDRESS]
        own += ["--root-dir", self.work / "kubelet", "--cert-dir", self.work / "kubelet-certificates"]
        self.launch("kubelet", KUBELET, *own)
        own = ["--kubeconfig", self.kubeconfig, "--hostname-override", NAME, "--proxy-mode", "nftables"]
        own += ["--cluster-cidr", PODS, "--healthz-bind-address", "127.0.0.1", "--metrics-bind-address", "127.0.0.1"]
        # These are the whole machine's.
        own += ["--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0"]
        own += ["--conntrack-tcp-timeout-close-wait=0"]
        self.launch("kube-proxy", PROXY, *own)
        corefile = self.work / "Corefile"
        told = {"port": DNS, "ready": DNS_READY, "kubeconfig": self.kubeconfig}
        corefile.write_text(COREDNS.format(**told))
        program = self.launch("coredns", DNS_READY, "-conf", corefile)
        program.until(program.listens, START_SECONDS_MAX)

    def kubelet(self, names: pathlib.Path) -> dict:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": ADDRESS,
            "containerRuntimeEndpoint": f"unix://{self.work}/containerd.sock",
            "failCgroupV1": False,
            "failSwapOn": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.group}",
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "healthzBindAddress": "127.0.0.1",
            "makeIPTablesUtilChains": False,
            "clusterDNS": [ADDRESS],
            "clusterDomain": "cluster.local",
            "resolvConf": str(names),
            "podLogsDir": str(self.work / "pod-logs"),
            "volumePluginDir": str(self.work / "volume-plugins"),
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        }

    def run(self, program: str, *words, told: str | None = None) -> str:
        """What a program of the tools says; raises RuntimeError with its complaint."""
        command = [str(word) for word in (self.tools / "bin" / program, *words)]
        env = os.environ | self.env
        done = subprocess.run(command, env=env, input=told, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{program} {' '.join(command[1:])}: {done.stderr.strip()}")
        return done.stdout

    def asked(self, *words, told: str | None = None) -> str:
        return self.run("kubectl", *words, told=told)

    def apply(self, documents: list[dict]):
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
        self.asked("apply", "--server-side", "--force-conflicts", "-f", "-", told=text)


def settle(work: pathlib.Path):
    """Mounts, links and addresses of our own."""
    shell("mount", "--make-rprivate", "/")
    shell("mount", "-t", "tmpfs", "none", "/run")
    # What is written there, such as links to logs and files where programs look for them, is gone with us.
    for place in ("/var", "/etc", "/usr/share"):
        own, changes = work / f"own{place}", work / f"changes{place}"
        for directory in (own, changes):
            directory.mkdir(parents=True)
        shell("mount", "-t", "overlay", "-o", f"lowerdir={place},upperdir={own},workdir={changes}", "none", place)
    write("/etc/hosts", "127.0.0.1 localhost\n")
    for name, value in SHOWN.items():
        shown = pathlib.Path("/run", name.replace("/", "_"))
        shown.write_text(f"{value}\n")
        shell("mount", "--bind", shown, f"/proc/sys/{name}")
    # The API server and the kubelet look for a way out.
    for words in (
        "link set lo up",
        "link add node0 type bridge",
        f"addr add {ADDRESS}/32 dev node0",
        "link set node0 up",
        "route add default dev node0",
    ):
        shell("ip", *words.split())
    pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def write(path: str, text: str):
    """A file of the system as we see it, whatever it was before."""
    file = pathlib.Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    file.write_text(text)


def shell(*words):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")


def condition(found: dict, kind: str) -> bool:
    """Whether an object says of itself that it is so."""
    told = found.get("status", {}).get("conditions", [])
    return any(one["type"] == kind and one["status"] == "True" for one in told)


def service_of_it(name: str, inside: str, *ports: int, places: dict[int, int] = {}) -> list[dict]:
    """A Service whose endpoint is the node itself, at the same ports or where `places` says."""
    spec = {"ports": [{"name": f"tcp-{port}", "port": port} for port in ports]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": inside}, "spec": spec}
    return brought_home(service, places)


def brought_home(service: dict, places: dict[int, int]) -> list[dict]:
    """A Service of some pods that are not here, with the node itself for them."""
    meta, spec = service["metadata"], {name: value for name, value in service["spec"].items() if name != "selector"}
    return [
        service | {"spec": spec},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": meta["name"], "namespace": meta["namespace"],
                "labels": {"kubernetes.io/service-name": meta["name"]},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [ADDRESS]}],
            "ports": [{"name": one["name"], "port": places.get(one["port"], one["port"])} for one in spec["ports"]],
        },
    ]
