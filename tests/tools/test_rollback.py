"""What tools/rollback asks of a cluster, in which order: kubectl is a stand-in that has the objects in a file."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROLLBACK = pathlib.Path(__file__).resolve().parents[2] / "tools/rollback"
# Notes how it was called; shows what it is told to show; fails where it is told to.
KUBECTL = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
*"$FAILS"*) exit 1 ;;
"get rollouts"*) cat "$OBJECTS" ;;
"get application"*) printf '%s' "$PHASE" ;;
esac
"""
NEW, OLD, OLDER = "2.0.0", "1.1.0", "1.0.0"
WAVES = {"user": 1, "portfolio": 1, "risk": 2, "trading": 3, "gateway": 4}


def template(version: str) -> dict:
    sidecar = {"name": "istio-proxy", "image": f"docker.io/istio/proxyv2:{NEW}"}
    return {"spec": {"containers": [sidecar, {"name": "service", "image": f"registry.prepx.example:5000/prepx:{version}"}]}}


def objects(runs: dict[str, str], history: list[str], waves: dict[str, int] = WAVES) -> dict:
    """Services, each with the version that it is told to run and those that it has run, oldest first."""
    items = []
    for service, version in runs.items():
        name = f"prepx-{service}"
        turn = {"argocd.argoproj.io/sync-wave": str(waves[service])} if service in waves else {}
        spec = {"workloadRef": {"kind": "Deployment", "name": name}}
        items.append({"kind": "Rollout", "metadata": {"name": name, "annotations": turn}, "spec": spec})
        items.append({"kind": "Deployment", "metadata": {"name": name}, "spec": {"template": template(version)}})
        for number, had in enumerate(history, 1):
            items.append(replicas(name, number, had, "Rollout"))
        # Of the Deployment's own, before there were Rollouts.
        items.append(replicas(name, 9, OLDER, "Deployment"))
    return {"items": items}


def replicas(name: str, revision: int, version: str, owner: str) -> dict:
    meta = {"ownerReferences": [{"kind": owner, "name": name}], "labels": {"rollouts-pod-template-hash": f"hash{revision}"}}
    meta["annotations"] = {"rollout.argoproj.io/revision": str(revision)}
    return {"kind": "ReplicaSet", "metadata": meta, "spec": {"template": template(version)}}


class Rollback(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = pathlib.Path(folder.name)
        (self.work / "kubectl").write_text(KUBECTL)
        (self.work / "kubectl").chmod(0o755)

    def run_with(self, there: dict, *words: str, fails: str = "nothing", phase: str = "Succeeded"):
        (self.work / "objects").write_text(json.dumps(there))
        (self.work / "calls").write_text("")
        env = os.environ | {"PATH": f"{self.work}:{os.environ['PATH']}", "FAILS": fails, "PHASE": phase}
        env |= {name.upper(): str(self.work / name) for name in ("calls", "objects")}
        self.done = subprocess.run([ROLLBACK, *words], env=env, capture_output=True, text=True, check=False)
        return (self.work / "calls").read_text().splitlines()

    def steps(self, calls: list[str]) -> list[str]:
        """Of the plugin's calls what is done to whom."""
        found = (re.match(r"argo rollouts (\w+) prepx-([\w-]+)", call) for call in calls)
        return [f"{one[1]} {one[2]}" for one in found if one]

    def test_services_go_back_in_the_reverse_of_their_turns(self):
        calls = self.run_with(objects(dict.fromkeys(WAVES, NEW), [OLDER, OLD, NEW]), NEW)
        self.assertEqual(self.done.returncode, 0, self.done.stderr)
        back = lambda *services: [f"{step} {one}" for step in ("undo", "promote", "status") for one in services]
        self.assertEqual(self.steps(calls), back("gateway") + back("trading") + back("risk") + back("user", "portfolio"))
        self.assertIn("argo rollouts undo prepx-risk --to-revision=2 --namespace prepx", calls)

    def test_nothing_is_promoted_before_the_version_before_is_seen(self):
        calls = self.run_with(objects({"risk": NEW}, [OLD, NEW]), NEW)
        last = [call for call in calls if "prepx-risk" in call]
        self.assertEqual(
            [call.removesuffix(" --namespace prepx") for call in last],
            [
                "argo rollouts undo prepx-risk --to-revision=1",
                "wait rollout.argoproj.io/prepx-risk --for=jsonpath={.status.currentPodHash}=hash1 --timeout=60s",
                "argo rollouts promote prepx-risk --full",
                "argo rollouts status prepx-risk --timeout=600s",
            ],
        )

    def test_what_runs_another_version_stays(self):
        calls = self.run_with(objects({"gateway": OLD, "risk": NEW, "user": OLD}, [OLD, NEW]), NEW)
        self.assertEqual(self.steps(calls), ["undo risk", "promote risk", "status risk"])
        calls = self.run_with(objects({"gateway": OLD}, [OLD, NEW]), NEW)
        self.assertEqual((self.done.returncode, self.steps(calls)), (1, []))
        self.assertIn("no service in prepx runs 2.0.0", self.done.stderr)

    def test_a_service_that_does_not_get_well_ends_it(self):
        calls = self.run_with(objects(dict.fromkeys(WAVES, NEW), [OLD, NEW]), NEW, fails="status prepx-trading")
        self.assertEqual((self.done.returncode, self.steps(calls)[-1]), (1, "status trading"))
        self.assertIn("argo rollouts status prepx-trading", self.done.stderr)

    def test_argo_cd_is_held_first(self):
        there = objects({"risk": NEW}, [OLD, NEW])
        held = 'patch application.argoproj.io/prepx --type=merge --patch={"spec": {"syncPolicy": {"automated": null}}} --namespace argocd'
        calls = self.run_with(there, NEW)
        self.assertEqual(calls[1], held)
        self.assertNotIn("Terminating", "".join(calls))
        calls = self.run_with(there, NEW, phase="Running")
        ended = next(number for number, call in enumerate(calls) if "Terminating" in call)
        self.assertIn("wait application.argoproj.io/prepx", calls[ended + 1])
        self.assertLess(ended, next(number for number, call in enumerate(calls) if "undo" in call))
        self.assertNotIn("application", "".join(self.run_with(there, NEW, "--application", "")))

    def test_a_plan_changes_nothing(self):
        calls = self.run_with(objects(dict.fromkeys(WAVES, NEW), [OLD, NEW]), NEW, "--plan")
        self.assertEqual(len(calls), 1)
        self.assertEqual(self.done.stdout.splitlines()[0], "4: prepx-gateway to revision 1")
        self.assertEqual(self.done.stdout.splitlines()[-1], "1: prepx-user to revision 1, prepx-portfolio to revision 1")

    def test_nothing_is_begun_that_cannot_be_done_for_all(self):
        calls = self.run_with(objects(dict.fromkeys(WAVES, NEW), [NEW]), NEW)
        self.assertEqual((self.done.returncode, len(calls)), (1, 1))
        self.assertIn("there is no version before 2.0.0 of prepx-user", self.done.stderr)
        calls = self.run_with(objects({"analytics": NEW}, [OLD, NEW]), NEW)
        self.assertEqual((self.done.returncode, len(calls)), (1, 1))
        self.assertIn("nobody knows its turn", self.done.stderr)


if __name__ == "__main__":
    unittest.main()
