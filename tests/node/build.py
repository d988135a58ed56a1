#!/usr/bin/env python3
"""Builds what a node of Kubernetes takes, once, and prints where: its control plane and its node agents, Argo Rollouts, Istio, CoreDNS
and what autoscalers ask from Go's module proxy, etcd, nftables, Prometheus and Alertmanager of a newer Debian, containerd, runc and the
plugins of networks as the tests of images have them. Nothing of it is installed or kept in this repository.
"""

import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / name) for name in ("mesh", "images", "k8s", "servers")]
import debian
import engine
import gomodules
import kafka
import postgres
import s3
import server
import tools
from control_plane import CONTROL_PLANE

KUBERNETES_VERSION = "1.34.4"
ROLLOUTS = "github.com/argoproj/argo-rollouts"
VERSION = "k8s.io/component-base/version"
PARTS = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"]
KUBERNETES = gomodules.Module(
    "kubernetes",
    {part: f"k8s.io/kubernetes/cmd/{part}" for part in PARTS},
    minutes=40,
    ldflags=f"-X {VERSION}.gitVersion=v{KUBERNETES_VERSION} -X {VERSION}.gitMajor=1 -X {VERSION}.gitMinor=34",
)
AUTOSCALING = gomodules.Module(
    "autoscaling",
    {"prometheus-adapter": "sigs.k8s.io/prometheus-adapter/cmd/adapter", "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server"},
    minutes=4,
)
# What holds a pod's namespaces, and a bad version of a service.
STAND_INS = gomodules.Module("stand_ins", {"pause": "./pause", "faulty": "./faulty"}, minutes=1)
DEBIANS = {"etcd-server": "/usr/bin/etcd", "nftables": "/usr/sbin/nft", "prometheus": "/usr/bin/prometheus"}
# Debian's looks for its templates where they are installed.
ALERTMANAGER = ("prometheus-alertmanager", "/usr/bin/prometheus-alertmanager", "/usr/share/prometheus/alertmanager")


def main():
    try:
        engine.available()
    except engine.Unavailable as error:
        print(f"no node is started, and nothing of tests/node is run: {error}", file=sys.stderr)
        return
    # There is no network where the tests run to fetch these by.
    kafka.jars()
    postgres.pgbouncer()
    s3.python()
    print(server.kept(f"node-{gomodules.key(HERE, *MODULES)}", install))
    gomodules.forget()


def install(work: pathlib.Path) -> pathlib.Path:
    home = work / "tools"
    (home / "bin").mkdir(parents=True)
    python = gomodules.environment(home / "venv", HERE / "requirements.txt")
    found = [debian.program(package, path) for package, path in DEBIANS.items()]
    alertmanager = debian.program(*ALERTMANAGER)
    (home / "alertmanager").symlink_to(alertmanager.parents[1] / "data")
    found.append(alertmanager)
    for module in MODULES:
        found += gomodules.programs(module, python).iterdir()
    found += [path for path in engine.programs().iterdir() if path.name.startswith(("containerd", "ctr", "runc"))]
    found.append(gomodules.kustomize())
    for path in found:
        (home / "bin" / path.name).symlink_to(path)
    (home / "cni").symlink_to(engine.plugins())
    return home


def definitions(made: pathlib.Path, source: gomodules.Source, _python: pathlib.Path):
    """The kinds that k8s/ and istio/ use and somebody here acts on."""
    kinds = made / "kinds"
    kinds.mkdir()
    for path, module in (("istio.io/api", "istio.io/api@v1.31.1"), (ROLLOUTS, ROLLOUTS)):
        for file in source(module).glob(next(names for named, names in tools.DEFINITIONS.items() if named.startswith(path))):
            shutil.copy(file, kinds)


CONTROLLERS = gomodules.Module(
    "controllers",
    {"rollouts-controller": f"{ROLLOUTS}/cmd/rollouts-controller", "coredns": "./coredns"},
    minutes=10,
    more=definitions,
)
MODULES = (KUBERNETES, CONTROLLERS, CONTROL_PLANE, AUTOSCALING, STAND_INS)


if __name__ == "__main__":
    main()
