"""What is outside of the mesh: who vouches for service accounts, and the way to the public address."""

import http.server
import json
import select
import socket
import threading
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

# The issuer of service accounts' tokens, and whom they are for.
ISSUER = "accounts.test"
AUDIENCE = "istio-ca"
KEY_ID = "accounts"
TOKEN_SECONDS = 24 * 3600
CHUNK_BYTES = 65_536


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


class Accounts:
    """Signs for service accounts as Kubernetes does, and tells its key."""

    def __init__(self):
        self.key = new_key()

    def token(self, namespace: str, account: str) -> str:
        claims = {
            "iss": ISSUER,
            "aud": [AUDIENCE],
            "sub": f"system:serviceaccount:{namespace}:{account}",
            "exp": int(time.time()) + TOKEN_SECONDS,
        }
        return jwt.encode(claims, self.key, "RS256", {"kid": KEY_ID})

    def keys(self) -> bytes:
        key = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return json.dumps({"keys": [key | {"kid": KEY_ID, "use": "sig", "alg": "RS256"}]}).encode()


class Outside(http.server.ThreadingHTTPServer):
    """The accounts' keys at `/`, and a way (CONNECT) for a public name to where it is on this machine."""

    daemon_threads = True

    def __init__(self, accounts: Accounts, places: dict[str, tuple[str, int]]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.accounts, self.places = accounts, places
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    server: Outside

    def do_GET(self):
        keys = self.server.accounts.keys()
        self.send_response(200)
        self.send_header("content-length", str(len(keys)))
        self.end_headers()
        self.wfile.write(keys)

    def do_CONNECT(self):
        place = self.server.places.get(self.path)
        if not place:
            self.send_error(403)
            return
        try:
            there = socket.create_connection(place, 5)
        except OSError:
            self.send_error(502)
            return
        self.send_response(200)
        self.end_headers()
        with there:
            carry(self.connection, there)
        self.close_connection = True

    def log_message(self, *_):
        pass


def carry(one: socket.socket, other: socket.socket):
    """Until one of them has said everything."""
    ways = {one: other, other: one}
    while True:
        for ready in select.select(ways, [], [])[0]:
            said = ready.recv(CHUNK_BYTES)
            if not said:
                return
            ways[ready].sendall(said)
