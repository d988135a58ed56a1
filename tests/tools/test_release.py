"""What a release calls: the changelog's section, and images that are pushed, signed and attested by their digests."""

import importlib.machinery
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "images"))
import dockerfile

CHANGELOG = "# Changelog\n\n## Unreleased\n\n- d\n\n## 1.10.0 - 2026-12-01\n\n### Added\n\n- c\n\n## 1.1.0\n\n- b\n\n## 1.0.0\n"
# Stands for docker and cosign: notes how it was called, and leaves the digest where buildx does.
CALLED = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
while [ $# -gt 0 ]; do
    [ "$1" != --metadata-file ] || echo '{"containerimage.digest": "sha256:d"}' > "$2"
    shift
done
"""


def notes():
    loader = importlib.machinery.SourceFileLoader("release_notes", str(ROOT / "tools/release-notes"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("release_notes", loader))
    loader.exec_module(module)
    return module


class Notes(unittest.TestCase):
    def test_a_version_has_its_own_section(self):
        self.assertEqual(notes().section(CHANGELOG, "1.10.0"), "### Added\n\n- c")
        self.assertEqual(notes().section(CHANGELOG, "1.1.0"), "- b")

    def test_a_version_of_which_nothing_is_said_is_none(self):
        for version in ("1.0.0", "1.1", "2.0.0"):
            self.assertRaises(SystemExit, notes().section, CHANGELOG, version)

    def test_another_version_than_that_of_the_build_is_refused(self):
        done = subprocess.run([ROOT / "tools/release-notes", "99.0.0"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("not 99.0.0", done.stderr)


class Publish(unittest.TestCase):
    def test_each_image_is_pushed_signed_and_attested(self):
        with tempfile.TemporaryDirectory() as folder:
            calls = pathlib.Path(folder, "calls")
            for name in ("docker", "cosign"):
                program = pathlib.Path(folder, name)
                program.write_text(CALLED)
                program.chmod(0o755)
            env = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "CALLS": str(calls)}
            done = subprocess.run(
                [ROOT / "images/publish", "ghcr.io/me", "1.2.3"], env=env, capture_output=True, text=True, check=True
            )
            first, *called = calls.read_text().splitlines()
        self.assertIn("docker buildx build --target sbom ", first)
        programs = list(dockerfile.images())
        self.assertEqual(done.stdout.splitlines(), [f"sha256:d ghcr.io/me/{program}:1.2.3" for program in programs])
        for number, program in enumerate(programs):
            built, signed, attested = called[3 * number : 3 * number + 3]
            self.assertIn(f"--target {program} ", built)
            self.assertIn(f"name=ghcr.io/me/{program}:1.2.3,push=true", built)
            self.assertEqual(signed, f"cosign sign --yes ghcr.io/me/{program}@sha256:d")
            self.assertRegex(attested, rf"--type cyclonedx --predicate \S+/{program}\.cdx\.json ghcr.io/me/{program}@sha256:d$")


if __name__ == "__main__":
    unittest.main()
