#!/usr/bin/env python3
"""A server that speaks S3 for tests: tests/servers/s3.py run -- COMMAND...

Starts moto (Python's double of Amazon's services, fetched from PyPI once) on a free port of loopback, makes a
bucket, runs COMMAND with PREPX_TEST_S3 set to its URL and the AWS_* variables that lead there, ends the
server by its process id and exits as COMMAND did. Everything is in memory.
"""

import argparse
import http.client
import pathlib
import subprocess
import sys
import tempfile

import server

MOTO = "5.2.5"
BUCKET = "prepx"


def environment_of_moto(work: pathlib.Path) -> pathlib.Path:
    """A virtual environment with the server in it."""
    home = work / "venv"
    made = subprocess.run([sys.executable, "-m", "venv", home])
    if made.returncode:
        sys.exit("Python's venv module is missing: apt-get install python3-venv")
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"moto[s3,server]=={MOTO}"]
    subprocess.run([home / "bin/python", *install], check=True)
    return home


def python() -> pathlib.Path:
    """Python with the server in it."""
    return server.kept(f"moto-{MOTO}", environment_of_moto) / "bin/python"


class S3(server.Servers):
    """One server with one bucket."""

    def __init__(self, work: pathlib.Path):
        super().__init__(work)
        [self.port] = server.free_ports(1)

    def start(self):
        """Until the bucket is there."""
        # Called as a module: the scripts of an environment know the place where it was made.
        moto = self.spawn("moto", [python(), "-m", "moto.server", "-H", self.LISTEN, "-p", self.port], self.port)
        moto.until(self.make_bucket, self.START_SECONDS_MAX)

    def make_bucket(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("PUT", f"/{BUCKET}")
            return connection.getresponse().status == 200
        finally:
            connection.close()

    def url(self) -> str:
        return f"s3://{BUCKET}"

    def environment(self) -> dict[str, str]:
        return {
            "PREPX_TEST_S3": self.url(),
            "AWS_ENDPOINT_URL": f"http://{self.ADDRESS}:{self.port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    _, command = server.arguments(parser)
    with tempfile.TemporaryDirectory(prefix="prepx-s3-") as work:
        server.run(S3(pathlib.Path(work)), command)


if __name__ == "__main__":
    main()
