"""redirect.py: a plugin of the network, after the bridge. It does what Istio's own does where pods may have no container with rights:
leads the calls of a pod with a sidecar through that, by Istio's own program and the words that its template has for it."""

import json
import os
import ssl
import subprocess
import sys
import urllib.request

SECONDS_MAX = 20
# The container that looks whether it was done, and what it is told besides.
LOOKS, BESIDES = "istio-validation", ("--run-validation", "--skip-rule-apply")


def main():
    if os.environ["CNI_COMMAND"] == "VERSION":
        print(json.dumps({"cniVersion": "0.4.0", "supportedVersions": ["0.3.1", "0.4.0"]}))
        return
    settings = json.load(sys.stdin)
    if os.environ["CNI_COMMAND"] != "ADD":
        return
    told = dict(pair.split("=", 1) for pair in os.environ["CNI_ARGS"].split(";"))
    words = rules(pod(settings, told["K8S_POD_NAMESPACE"], told["K8S_POD_NAME"]))
    if words:
        lead(settings["agent"], words)
    print(json.dumps(settings["prevResult"]))


def pod(settings: dict, namespace: str, name: str) -> dict:
    request = urllib.request.Request(f"{settings['api']}/api/v1/namespaces/{namespace}/pods/{name}")
    request.add_header("Authorization", f"Bearer {settings['token']}")
    # Of its own making, on loopback.
    context = ssl._create_unverified_context()
    with urllib.request.urlopen(request, timeout=SECONDS_MAX, context=context) as answer:
        return json.load(answer)


def rules(found: dict) -> list[str]:
    looking = [one for one in found["spec"].get("initContainers", []) if one["name"] == LOOKS]
    return [word for word in looking[0]["args"] if word not in BESIDES] if looking else []


def lead(agent: str, words: list[str]):
    command = ["nsenter", f"--net={os.environ['CNI_NETNS']}", agent, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS_MAX)
    if done.returncode:
        print(json.dumps({"code": 100, "msg": f"{' '.join(command)}: {done.stdout[-1000:]} {done.stderr[-1000:]}"}))
        sys.exit(1)


if __name__ == "__main__":
    main()
