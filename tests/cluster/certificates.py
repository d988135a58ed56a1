"""A CA for one cluster, and who each service is by it: made with openssl, which PostgreSQL's packages bring."""

import pathlib
import subprocess

from state import HOME  # noqa: F401

from server import need  # noqa: E402

DAYS = 30
# Nothing of the machine's own configuration gets into the certificates.
CONFIGURATION = "[req]\ndistinguished_name = name\n[name]\n"


class Authority:
    """What it makes is in a directory that only its owner may enter."""

    def __init__(self, directory: pathlib.Path):
        need("openssl", "openssl")
        self.directory = directory
        directory.mkdir(mode=0o700)
        self.path("openssl.cnf").write_text(CONFIGURATION)
        self.certify("ca", "prepx cluster", "basicConstraints=critical,CA:true", "keyUsage=critical,keyCertSign")

    def identity(self, name: str) -> dict[str, str]:
        """The table `tls` of a service's settings."""
        if not self.path(f"{name}.pem").exists():
            extensions = (f"subjectAltName=DNS:{name}", "extendedKeyUsage=serverAuth,clientAuth")
            self.certify(name, name, *extensions, signer=["-CA", self.path("ca.pem"), "-CAkey", self.path("ca.key")])
        files = {"certificate": f"{name}.pem", "key": f"{name}.key", "ca": "ca.pem"}
        return {setting: str(self.path(file)) for setting, file in files.items()}

    def certify(self, file: str, name: str, *extensions: str, signer: list = []):
        """A key and its certificate, signed by the CA or by itself."""
        command = ["openssl", "req", "-config", self.path("openssl.cnf"), "-x509", *signer]
        command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", str(DAYS)]
        command += ["-subj", f"/CN={name}", "-keyout", self.path(f"{file}.key"), "-out", self.path(f"{file}.pem")]
        command += [word for extension in extensions for word in ("-addext", extension)]
        subprocess.run(command, check=True, capture_output=True)

    def path(self, name: str) -> pathlib.Path:
        return self.directory / name
