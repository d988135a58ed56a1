"""A CA for tests, and who each service or server is by it: made with openssl, which PostgreSQL's packages bring."""

import pathlib
import subprocess

from server import need

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
        self.certify("ca", "prepx tests", "basicConstraints=critical,CA:true", "keyUsage=critical,keyCertSign")

    def identity(self, name: str, *others: str) -> dict[str, str]:
        """The table `tls` of a service's settings; it may have other names besides."""
        if not self.path(f"{name}.pem").exists():
            names = ",".join(f"DNS:{one}" for one in (name, *others))
            extensions = (f"subjectAltName={names}", "extendedKeyUsage=serverAuth,clientAuth")
            self.certify(name, name, *extensions, signer=self.signer())
        files = {"certificate": f"{name}.pem", "key": f"{name}.key", "ca": "ca.pem"}
        return {setting: str(self.path(file)) for setting, file in files.items()}

    def server(self, name: str = "server") -> tuple[pathlib.Path, pathlib.Path]:
        """The certificate and the key of a server on loopback, which may be a client too."""
        names = "subjectAltName=IP:127.0.0.1"
        self.certify(name, name, names, "extendedKeyUsage=serverAuth,clientAuth", signer=self.signer())
        return self.path(f"{name}.pem"), self.path(f"{name}.key")

    def signer(self) -> list:
        return ["-CA", self.path("ca.pem"), "-CAkey", self.path("ca.key")]

    def certify(self, file: str, name: str, *extensions: str, signer: list = []):
        """A key and its certificate, signed by the CA or by itself."""
        command = ["openssl", "req", "-config", self.path("openssl.cnf"), "-x509", *signer]
        command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", str(DAYS)]
        command += ["-subj", f"/CN={name}", "-keyout", self.path(f"{file}.key"), "-out", self.path(f"{file}.pem")]
        command += [word for extension in extensions for word in ("-addext", extension)]
        subprocess.run(command, check=True, capture_output=True)

    def path(self, name: str) -> pathlib.Path:
        return self.directory / name
