"""The Tiltfile evaluated with stand-ins for what Tilt brings: what it calls, with which arguments. That is its language and
its arguments; how Tilt behaves is not seen."""

import inspect
import json
import pathlib
from dataclasses import dataclass

import starlark

import delivery

# What the Tiltfile uses of Tilt's API, each with the arguments that it has there.
TILT = {
    "allow_k8s_contexts": "contexts",
    "config_define_string": "name, args=False, usage=''",
    "custom_build": "ref, command, deps, tag='', disable_push=False, skips_local_docker=False, live_update=[], "
    "match_in_env_vars=False, ignore=[], entrypoint=[], command_bat='', outputs_image_ref_to='', image_deps=[], env={}, dir=''",
    "encode_yaml_stream": "objs",
    "k8s_resource": "workload='', new_name='', port_forwards=[], extra_pod_selectors=[], trigger_mode=None, resource_deps=[], "
    "objects=[], auto_init=True, pod_readiness='', links=[], labels=[], discovery_strategy=''",
    "k8s_yaml": "yaml, allow_duplicates=False",
    "kustomize": "pathToDir, kustomize_bin='', flags=[]",
    "local_resource": "name, cmd='', deps=[], trigger_mode=None, resource_deps=[], ignore=[], auto_init=True, serve_cmd='', "
    "cmd_bat='', serve_cmd_bat='', allow_parallel=False, links=[], labels=[], env={}, serve_env={}, readiness_probe=None, "
    "dir='', serve_dir=''",
}
# Groups of functions are values with fields in the language.
PRELUDE = """
config = struct(define_string = config_define_string, parse = config_parse)
os = struct(getenv = os_getenv)
TRIGGER_MODE_AUTO, TRIGGER_MODE_MANUAL = "auto", "manual"
"""


@dataclass
class Call:
    """One call of Tilt, its arguments by name."""

    name: str
    arguments: dict


def calls(text: str, told: dict[str, str], context: str = "kind-kind") -> list[Call]:
    """What is called, when Tilt has been given these flags; a stranger and a wrong argument are errors."""
    made, module = [], starlark.Module()
    for name, arguments in TILT.items():
        module.add_callable(name, recorder(made, name, signature(arguments)))
    module.add_callable("k8s_context", lambda: context)
    module.add_callable("os_getenv", lambda name, default="": default)
    defined = lambda: {call.arguments["name"] for call in made if call.name == "config_define_string"}
    module.add_callable("config_parse", lambda: {name: value for name, value in told.items() if name in defined()})
    library = starlark.Globals.extended_by([starlark.LibraryExtension.StructType])
    dialect = starlark.Dialect.extended()
    for name, part in (("prelude", PRELUDE), ("Tiltfile", text)):
        starlark.eval(module, starlark.parse(name, part, dialect), library)
    return made


def signature(arguments: str) -> inspect.Signature:
    return inspect.signature(eval(f"lambda {arguments}: None"))


def recorder(made: list[Call], name: str, wanted: inspect.Signature):
    def record(*args, **kwargs):
        bound = wanted.bind(*args, **kwargs)
        bound.apply_defaults()
        made.append(Call(name, bound.arguments))
        return f"<{name} {json.dumps(bound.arguments, default=str)}>"

    return record


def problems(docs: list[dict]) -> list[str]:
    """What is wrong with the Tiltfile beside the objects of the overlay that it deploys."""
    text, wrong = (delivery.ROOT / "Tiltfile").read_text(), []
    for told in ({}, {"context": "node", "load": "ctr images import", "stores": "192.0.2.1"}):
        try:
            wrong += of_calls(calls(text, told), docs)
        except (starlark.StarlarkError, TypeError) as error:
            wrong.append(f"Tiltfile, with {told}: {error}")
    return wrong


def of_calls(made: list[Call], docs: list[dict]) -> list[str]:
    of = lambda name: [call.arguments for call in made if call.name == name]
    resources, locals_ = of("k8s_resource"), of("local_resource")
    known = {one["new_name"] or one["workload"] for one in resources} | {one["name"] for one in locals_}
    workloads = {doc["metadata"]["name"] for doc in docs if doc["kind"] == "Deployment"}
    built, named = {one["ref"] for one in of("custom_build")}, {name.rpartition(":")[0] for name in delivery.named_images(docs)}
    wrong = []
    if built != named:
        wrong.append(f"Tiltfile: it builds {sorted(built ^ named)}, or does not, unlike what the overlay names")
    if {one["workload"] for one in resources} - {"stores"} != workloads:
        wrong.append(f"Tiltfile: its resources are not the overlay's {sorted(workloads)}")
    for one in [*resources, *locals_]:
        wrong += [f"Tiltfile: {need} is nobody's name" for need in set(one["resource_deps"]) - known]
        wrong += [] if one["labels"] else [f"Tiltfile: {one} is in no group"]
    commands = [one["cmd"] for one in locals_] + [one["command"] for one in of("custom_build")]
    for program in {command.split()[0] for command in commands} - {"make"}:
        wrong += [] if (delivery.ROOT / program).is_file() else [f"Tiltfile: there is no {program}"]
    for path in (path for one in locals_ for path in one["deps"]):
        wrong += [] if (delivery.ROOT / path).exists() else [f"Tiltfile: there is no {path} to look at"]
    return wrong


def unseen() -> list[str]:
    """Faults that pass."""
    bad = ['custom_build("a", "b", dep = [])', "docker_build('a', '.')", 'config.parse()["x"]']
    return [f"Tiltfile: {text!r} passes" for text in bad if passes(text)]


def passes(text: str) -> bool:
    try:
        calls(text, {})
    except (starlark.StarlarkError, TypeError):
        return False
    return True
