#!/usr/bin/env python3
"""test_images.py [IMAGES [OPTION...]]: the images that `make images` has made, looked into and run by a real engine, read-only and
without rights. Where no engine can be started, what needs one is skipped, and the reason said."""

import hashlib
import io
import json
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

import engine

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "images"))
import dockerfile

SECONDS_MAX = 120
BUILD_SECONDS_MAX = 600
NOBODY = 65532
# Beside its program an image has the loader, what is linked, and whom TLS trusts.
ALLOWED = ("etc/ssl/certs/ca-certificates.crt", "lib/", "lib64/ld-linux")


class Layout:
    """An image as it is in its file."""

    def __init__(self, path: pathlib.Path):
        with tarfile.open(path) as tar:
            self.files = {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}
        self.index = json.loads(self.files["index.json"])
        self.named, *self.others = self.index["manifests"]
        self.name = self.named.get("annotations", {}).get("io.containerd.image.name", "")
        self.manifest = self.json(self.named)
        self.config = self.json(self.manifest["config"])

    def blob(self, descriptor: dict) -> bytes:
        return self.files["blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")]

    def json(self, descriptor: dict) -> dict:
        return json.loads(self.blob(descriptor))

    def entries(self):
        for layer in self.manifest["layers"]:
            with tarfile.open(fileobj=io.BytesIO(self.blob(layer))) as tar:
                yield from tar.getmembers()

    def content(self) -> dict[str, tuple]:
        """What each path is, whose, with which rights, of when, and its bytes' digest."""
        found = {}
        for layer in self.manifest["layers"]:
            with tarfile.open(fileobj=io.BytesIO(self.blob(layer))) as tar:
                for entry in tar:
                    digest = hashlib.sha256(tar.extractfile(entry).read()).hexdigest() if entry.isfile() else ""
                    name = entry.name.strip("/")
                    found[name] = (entry.type, entry.mode & 0o7777, entry.uid, entry.gid, entry.mtime, digest)
        return found


class Contents(unittest.TestCase):
    """What is in the images: no engine is needed to see it."""

    def test_they_are_those_of_the_dockerfile(self):
        self.assertEqual(set(LAYOUTS), set(dockerfile.images()))

    def test_nothing_is_in_them_but_the_program_and_what_it_needs(self):
        for program, layout in LAYOUTS.items():
            files = [entry for entry in layout.entries() if not entry.isdir()]
            alien = [entry.name for entry in files if entry.name != program and not entry.name.startswith(ALLOWED)]
            self.assertEqual(alien, [], program)
            for entry in layout.entries():
                self.assertEqual((entry.uid, entry.gid, entry.mtime), (0, 0, 0), entry.name)
                self.assertIn(entry.mode, (0o644, 0o755), entry.name)

    def test_they_start_their_program_as_nobody(self):
        for program, layout in LAYOUTS.items():
            config = layout.config["config"]
            self.assertEqual(config["User"], f"{NOBODY}:{NOBODY}")
            self.assertEqual(config["Entrypoint"], [f"/{program}"])
            self.assertEqual(config["Labels"]["org.opencontainers.image.title"], program)
            self.assertEqual(config["Labels"]["org.opencontainers.image.version"], layout.name.rsplit(":", 1)[1])

    def test_every_blob_is_what_its_name_says(self):
        for layout in LAYOUTS.values():
            for name, blob in layout.files.items():
                if name.startswith("blobs/"):
                    self.assertEqual(name.rsplit("/", 1)[1], hashlib.sha256(blob).hexdigest())

    def test_a_bill_of_materials_refers_to_each(self):
        for program, layout in LAYOUTS.items():
            [artifact] = layout.others
            manifest = layout.json(artifact)
            self.assertEqual(manifest["subject"]["digest"], layout.named["digest"])
            bom = json.loads(layout.blob(manifest["layers"][0]))
            self.assertEqual((bom["bomFormat"], bom["metadata"]["component"]["name"]), ("CycloneDX", program))
            names = {component["name"] for component in bom["components"]}
            self.assertLessEqual({"tokio", "tonic", "prepx-domain"}, names)
            # The system's libraries are known as packages, which is how faults in them are told of.
            self.assertEqual([name for name in names if ".so" in name], [])
            refs = {component["bom-ref"] for component in bom["components"]}
            self.assertLessEqual({ref for need in bom["dependencies"] for ref in need["dependsOn"]}, refs)

    def test_built_again_they_are_the_same(self):
        with tempfile.TemporaryDirectory() as again:
            subprocess.run([ROOT / "images/build", IMAGES / "root", again], check=True, stdout=subprocess.DEVNULL)
            for program in LAYOUTS:
                first, second = (IMAGES / f"{program}.tar"), pathlib.Path(again, f"{program}.tar")
                self.assertEqual(first.read_bytes(), second.read_bytes(), program)


class ByBuildah(unittest.TestCase):
    """The Dockerfile's last stages, built by a program that builds Dockerfiles, of the same collected files."""

    @unittest.skipUnless(shutil.which("buildah"), "buildah is missing: apt-get install buildah")
    def test_they_are_the_images_that_were_built_without_it(self):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            work = pathlib.Path(folder)
            (work / "build").mkdir()
            (work / "empty").mkdir()
            (work / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
            shutil.copytree(IMAGES / "root", work / "build/image")
            # Of one that serves and of one that does not; the others are of the same shape (tests/k8s/delivery.py).
            for program in ("prepx", "prepx-gateway"):
                layout, theirs = LAYOUTS[program], self.built(work, program)
                self.assertEqual(theirs.content(), layout.content(), program)
                for field in ("User", "Entrypoint", "ExposedPorts"):
                    own = layout.config["config"].get(field) or None
                    self.assertEqual(theirs.config["config"].get(field), own, program)
                labels = theirs.config["config"]["Labels"]
                self.assertLessEqual(layout.config["config"]["Labels"].items(), labels.items())

    def built(self, work: pathlib.Path, program: str) -> Layout:
        stores = ["--root", work / "root", "--runroot", work / "run", "--storage-driver", "vfs"]
        policy = ["--signature-policy", work / "policy.json"]
        # The stage before is this folder: no image is fetched, and nothing compiled.
        words = ["--isolation", "chroot", "--timestamp", "0", "--build-context", f"build={work}/build", "--target", program]
        self.buildah(*stores, "bud", *policy, *words, "-t", program, "-f", ROOT / "Dockerfile", work / "empty")
        archive = work / f"{program}.tar"
        self.buildah(*stores, "push", *policy, "--disable-compression", program, f"oci-archive:{archive}")
        return Layout(archive)

    def buildah(self, *words):
        words = ["buildah", *map(str, words)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=BUILD_SECONDS_MAX, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)


class Running(unittest.TestCase):
    """The images in containers."""

    @classmethod
    def setUpClass(cls):
        if WHY_NOT:
            raise unittest.SkipTest(f"no container engine can be started: {WHY_NOT}")
        try:
            cls.engine = engine.Engine()
        except engine.Unavailable as error:
            raise unittest.SkipTest(f"no container engine can be started: {error}") from error
        cls.addClassCleanup(cls.engine.stop)
        cls.names = engine.Names()
        threading.Thread(target=cls.names.serve, daemon=True).start()
        for program in LAYOUTS:
            cls.engine.ctr("images", "import", IMAGES / f"{program}.tar")

    def test_the_engine_has_them_by_their_digests(self):
        listed = self.engine.ctr("images", "ls").stdout.splitlines()[1:]
        digests = {words[0]: words[2] for words in map(str.split, listed)}
        for layout in LAYOUTS.values():
            self.assertEqual(digests.get(layout.name), layout.named["digest"])

    def test_every_program_starts_with_what_it_is_linked_to(self):
        for program, layout in LAYOUTS.items():
            said = self.run_once(layout, f"/{program}", "--version")
            self.assertEqual((said.returncode, said.stdout.split()[0]), (0, program), said.stderr)

    def test_there_is_no_shell(self):
        said = self.run_once(LAYOUTS["prepx-gateway"], "/bin/sh", "-c", "true")
        self.assertNotEqual(said.returncode, 0)
        self.assertIn("no such file or directory", said.stderr)

    def test_nothing_can_be_written_but_where_data_belongs(self):
        layout = LAYOUTS["prepx"]
        for place, problem in (("/here", "Read-only file system"), ("/var/lib/prepx", None)):
            process = self.start(layout, "/prepx", "start", "--data-dir", place, "--listen", "127.0.0.1:0")
            self.addCleanup(process.kill)
            if problem:
                process.wait(SECONDS_MAX)
                self.assertIn(problem, self.said(process))
            else:
                self.until(lambda: "\nready http://" in self.said(process), process)
                self.end(layout, process)

    def test_a_service_answers_as_nobody_and_looks_names_up(self):
        layout = LAYOUTS["prepx-gateway"]
        lines = (ROOT / "k8s/base/settings.env").read_text().splitlines()
        env = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        # In memory: there are no servers here.
        del env["PREPX_CACHE_URL"]
        env |= {"PREPX_CLUSTER_KEY": "a-key-that-is-long-enough-for-this-0", "PREPX_ADVERTISE": "http://127.0.0.1:9000"}
        process = self.start(layout, env=env)
        self.addCleanup(process.kill)
        self.until(lambda: self.answer("http://127.0.0.1:9090/healthz") == 200, process)
        self.until(lambda: {"prepx-user", "prepx-trading"} <= self.names.asked, process)
        status = pathlib.Path(f"/proc/{self.pid(layout)}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines())
        self.assertEqual(set(fields["Uid"].split()), {str(NOBODY)})
        self.assertEqual(int(fields["CapEff"], 16), 0)
        self.end(layout, process)

    def run_once(self, layout: Layout, *words) -> subprocess.CompletedProcess:
        command = self.engine.run_words(layout.name, "once", *words)
        return subprocess.run(
            command, env=self.engine.env, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
        )

    def start(self, layout: Layout, *words, env: dict = {}) -> subprocess.Popen:
        command = self.engine.run_words(layout.name, self.container(layout), *words, env=env)
        log = open(self.engine.work / f"{self.container(layout)}.log", "w+b")
        process = subprocess.Popen(command, env=self.engine.env, stdout=log, stderr=log)
        process.log = log.name
        log.close()
        return process

    def container(self, layout: Layout) -> str:
        return layout.config["config"]["Entrypoint"][0].strip("/")

    def said(self, process) -> str:
        return pathlib.Path(process.log).read_text(errors="replace")

    def pid(self, layout: Layout) -> int:
        listed = self.engine.ctr("tasks", "ls").stdout.splitlines()[1:]
        return next(int(words[1]) for words in map(str.split, listed) if words[0] == self.container(layout))

    def end(self, layout: Layout, process):
        """As an orchestrator does; it ends by itself and well."""
        self.engine.ctr("tasks", "kill", "--signal", "SIGTERM", self.container(layout))
        self.assertEqual(process.wait(SECONDS_MAX), 0, self.said(process))

    def answer(self, url: str) -> int:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def until(self, condition, process):
        deadline = time.monotonic() + SECONDS_MAX
        while not condition():
            if process.poll() is not None or time.monotonic() > deadline:
                self.fail(f"it did not come to that: {self.said(process)}")
            time.sleep(0.05)


if __name__ == "__main__":
    IMAGES = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".images").resolve()
    WHY_NOT = ""
    try:
        engine.enter()
    except engine.Unavailable as error:
        WHY_NOT = str(error)
    LAYOUTS = {path.stem: Layout(path) for path in sorted(IMAGES.glob("*.tar"))}
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=2)
