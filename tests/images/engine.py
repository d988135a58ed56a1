"""A container engine of our own: containerd and runc, the system's or Debian's unpacked beside it, in namespaces that end
with the process that made them. No image registry is asked for anything."""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "servers"))
import server

START_SECONDS_MAX = 60
# What is apart from the machine: all of it ends with the first process inside.
NAMESPACES = ["--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"]
# Said in the environment of who is inside already.
INSIDE = "PREPX_IN_NAMESPACES"
CONFIG = """
version = 2
root = "{work}/root"
state = "{work}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{work}/containerd.sock"
"""


class Unavailable(Exception):
    """Why no engine can be started here."""


def enter():
    """Begins this program anew in namespaces of its own, unless it is there; their processes end with it."""
    if os.environ.get(INSIDE):
        return
    available()
    # There is no network inside to fetch it by.
    programs()
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", *NAMESPACES, sys.executable, *sys.argv])


def available():
    """Raises Unavailable where there are no namespaces to be had."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        raise Unavailable("it takes root and unshare (util-linux)")
    tried = subprocess.run(["unshare", *NAMESPACES, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        raise Unavailable(f"no namespaces here: {tried.stderr.strip()}")


def programs() -> pathlib.Path:
    """Where containerd, its shim, ctr and runc are."""
    found = shutil.which("containerd"), shutil.which("ctr"), shutil.which("runc")
    if all(found):
        return pathlib.Path(found[0]).parent
    return server.kept("containerd-runc", engine_unpacked)


def plugins() -> pathlib.Path:
    """Where the plugins are that give a pod its network."""
    for place in map(pathlib.Path, ("/opt/cni/bin", "/usr/lib/cni")):
        if (place / "bridge").exists():
            return place
    packages = ["containernetworking-plugins"]
    return server.kept("cni-plugins", lambda work: unpacked(work, packages) / "usr/lib/cni")


def engine_unpacked(work: pathlib.Path) -> pathlib.Path:
    root, home = unpacked(work, ["containerd", "runc"]), work / "programs"
    shutil.copytree(root / "usr/bin", home)
    shutil.copy(root / "usr/sbin/runc", home / "runc")
    return home


def unpacked(work: pathlib.Path, packages: list[str]) -> pathlib.Path:
    """The files of packages of this system, which are not installed."""
    told = " and ".join(packages)
    if not shutil.which("apt-get"):
        raise Unavailable(f"{told} are missing, and there is no apt-get to fetch them by")
    words = ["-o", "APT::Sandbox::User=root", "download", *packages]
    done = subprocess.run(["apt-get", "-q", *words], cwd=work, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"apt-get cannot fetch {told}: {done.stderr.strip()}")
    for package in work.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, work / "root"], check=True)
    return work / "root"


class Engine:
    """containerd inside the namespaces of this process, which sees nothing of the machine's network."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="prepx-engine-", ignore_cleanup_errors=True)
        self.work = pathlib.Path(self.folder.name)
        self.bin = programs()
        self.env = os.environ | {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "CONTAINERD_ADDRESS": f"{self.work}/containerd.sock",
        }
        self.settle()
        (self.work / "config.toml").write_text(CONFIG.format(work=self.work))
        with open(self.work / "log", "wb") as log:
            words = ["containerd", "--config", self.work / "config.toml"]
            self.daemon = subprocess.Popen(words, env=self.env, stdout=log, stderr=log)
        self.until_it_answers()

    def settle(self):
        """Mounts and links of our own: sockets of containers are in /run, names are looked up at 127.0.0.1."""
        names = self.work / "resolv.conf"
        names.write_text("nameserver 127.0.0.1\noptions timeout:1\n")
        for words in (
            "mount --make-rprivate /",
            "mount -t tmpfs none /run",
            f"mount --bind {names} {os.path.realpath('/etc/resolv.conf')}",
            "ip link set lo up",
        ):
            done = subprocess.run(words.split(), capture_output=True, text=True, check=False)
            if done.returncode:
                raise Unavailable(f"{words}: {done.stderr.strip()}")

    def until_it_answers(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        while self.ctr("version", check=False).returncode:
            if self.daemon.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"containerd does not start: {(self.work / 'log').read_text()[-500:]}")
            time.sleep(0.05)

    def ctr(self, *words, check=True) -> subprocess.CompletedProcess:
        done = subprocess.run(["ctr", *map(str, words)], env=self.env, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise RuntimeError(f"ctr {' '.join(map(str, words))}: {done.stderr}{done.stdout}")
        return done

    def run_words(self, image: str, name: str, *words, env: dict = {}) -> list[str]:
        """The command that runs a container as the manifests have it: read-only, no rights, a place for data."""
        data = "type=tmpfs,src=tmpfs,dst=/var/lib/prepx,options=uid=65532:gid=65532:mode=0700"
        said = [word for key, value in env.items() for word in ("--env", f"{key}={value}")]
        runtime = ["--runc-binary", str(self.bin / "runc"), "--net-host", "--read-only", "--cgroup", ""]
        return ["ctr", "run", "--rm", *runtime, "--mount", data, *said, image, name, *words]

    def stop(self):
        for task in self.ctr("tasks", "ls", "-q", check=False).stdout.split():
            self.ctr("tasks", "rm", "-f", task, check=False)
        self.daemon.terminate()
        self.daemon.wait()
        self.folder.cleanup()


class Names:
    """A server of names that knows one address for all of them, and remembers what was asked."""

    def __init__(self):
        self.asked: set[str] = set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))

    def serve(self):
        while True:
            query, asker = self.socket.recvfrom(512)
            end, labels = 12, []
            while length := query[end]:
                labels.append(query[end + 1 : end + 1 + length].decode())
                end += 1 + length
            self.asked.add(".".join(labels))
            question, wants_v4 = query[12 : end + 5], query[end + 1 : end + 3] == b"\0\1"
            head = query[:2] + b"\x81\x80\0\1" + (b"\0\1" if wants_v4 else b"\0\0") + b"\0\0\0\0"
            address = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x7f\0\0\1" if wants_v4 else b""
            self.socket.sendto(head + question + address, asker)
