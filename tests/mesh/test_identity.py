"""Who may call whom: nobody without a certificate of the mesh, nobody with a wrong name, nobody a method that is not
theirs; and whose token at the edge is not one of ours is turned away there."""

import http.client
import pathlib
import socket
import ssl
import time

import jwt
import pytest
from calls import Grpc, text
from conftest import DEMO, EXCHANGE, JWKS, KEY, LIST_KEYS, REVOKE, until
from outside import new_key

SIGN_UP = "/prepx.user.v1.UserService/SignUp"
PART = "/prepx.platform.v1.PartService/GetPart"
CHECK = "/grpc.health.v1.Health/Check"
REFUSED = "PERMISSION_DENIED"
EXCHANGED = text(1, KEY[0]) + text(2, KEY[1])
# A change of policies is not at once at all connections: one answer tells nothing.
TIMES = 30


def statuses(caller: Grpc, method: str, message: bytes = b"", **headers: str) -> set[str]:
    return {caller.status(method, message, **headers) for _ in range(TIMES)}


def test_the_gateway_may_what_it_hands_on(platform):
    caller = platform.caller("gateway")
    assert statuses(caller, LIST_KEYS, **DEMO) == {"OK"}
    assert statuses(caller, EXCHANGE, EXCHANGED) == {"OK"}
    assert REFUSED not in statuses(caller, REVOKE)
    assert statuses(caller, CHECK) == {REFUSED}


def test_a_service_may_only_what_it_needs(platform):
    caller = platform.caller("trading")
    assert statuses(caller, EXCHANGE, EXCHANGED) == {"OK"}
    assert statuses(caller, JWKS) == {"OK"}
    before = taken(platform)
    for method in (SIGN_UP, LIST_KEYS, REVOKE, PART, CHECK):
        assert statuses(caller, method, **DEMO) == {REFUSED}, method
    assert taken(platform) == before


@pytest.mark.parametrize("caller", ["stranger", "elsewhere", "rollouts"])
def test_who_has_another_name_may_nothing(platform, caller):
    before = taken(platform)
    for method in (JWKS, EXCHANGE, LIST_KEYS, SIGN_UP, PART, CHECK):
        assert statuses(platform.caller(caller), method, **DEMO) == {REFUSED}, method
    assert taken(platform) == before


def taken(platform) -> list[dict[str, int]]:
    """What the processes have heard of what is refused here."""
    return [platform.taken(method) for method in (SIGN_UP, LIST_KEYS, REVOKE)]


def test_only_the_edge_calls_the_gateway(platform):
    for pod in ("trading", "stranger", "elsewhere"):
        assert {asked(platform, pod, "GET", "/api/health") for _ in range(TIMES)} == {403}
    assert asked(platform, "rollouts", "GET", "/api/health") == 200
    assert asked(platform, "rollouts", "POST", "/api/health") == 403
    assert asked(platform, "rollouts", "GET", "/api/v1/keys") == 403


def asked(platform, pod: str, method: str, path: str) -> int:
    """What the gateway's pod answers to a pod over HTTP/1.1."""
    connection = http.client.HTTPConnection(platform.pods[pod].outlet, 9000, timeout=60)
    connection.request(method, path, headers={"host": "prepx-gateway.prepx:9000", **key_headers()})
    status = connection.getresponse().status
    connection.close()
    return status


def key_headers() -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in DEMO.items()}


def test_without_a_certificate_there_are_metrics_and_nothing_else(platform):
    pod = platform.pods["v1-a"].address
    assert plain(pod, 9090, "/metrics").startswith(b"HTTP/1.1 200 ")
    assert plain(pod, 9000, "/metrics") == b""


def plain(address: str, port: int, path: str) -> bytes:
    with socket.create_connection((address, port), 60) as connection:
        return said(connection, path)


def said(connection: socket.socket, path: str) -> bytes:
    """The beginning of an answer, nothing when there is none."""
    try:
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: prepx-user\r\nconnection: close\r\n\r\n".encode())
        return connection.recv(1024)
    except (ConnectionError, ssl.SSLError):
        return b""


def test_a_certificate_has_to_be_of_the_mesh(platform):
    """With the gateway's own it gets as far as the policies; with one of the same name by another authority nowhere."""
    own = platform.mesh.work / "pods/gateway"
    assert shown(platform, own / "cert-chain.pem", own / "key.pem").startswith(b"HTTP/1.1 403 ")
    strangers = platform.mesh.strangers_authority
    name = "subjectAltName=URI:spiffe://cluster.local/ns/prepx/sa/prepx-gateway"
    signer = ["-CA", strangers.path("ca.pem"), "-CAkey", strangers.path("ca.key")]
    strangers.certify("gateway", "gateway", name, "extendedKeyUsage=serverAuth,clientAuth", signer=signer)
    assert shown(platform, strangers.path("gateway.pem"), strangers.path("gateway.key")) == b""


def shown(platform, certificate: pathlib.Path, key: pathlib.Path) -> bytes:
    """What a pod answers to who shows this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(platform.mesh.pods_authority.path("ca.pem"))
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["istio"])
    try:
        with socket.create_connection((platform.pods["v1-a"].address, 9000), 60) as connection:
            with context.wrap_socket(connection) as wrapped:
                return said(wrapped, "/metrics")
    except (ConnectionError, ssl.SSLError):
        return b""


def test_a_token_has_to_be_ours_and_in_time(platform):
    good = token(platform.processes.ports["v1-a"])
    # istiod asks for the keys at the public address, which was not there when it began.
    until(lambda: profile(platform, good)[0] == 200, "a good token passes")
    kid, claims = jwt.get_unverified_header(good)["kid"], jwt.decode(good, options={"verify_signature": False})
    status, told = profile(platform, jwt.encode(claims, new_key(), "RS256", {"kid": kid}))
    assert status == 401 and "Jwt verification fails" in told
    platform.processes.in_the_past()
    old = token(platform.processes.past_port)
    assert jwt.decode(old, options={"verify_signature": False})["exp"] < time.time()
    status, told = profile(platform, old)
    assert status == 401 and "Jwt is expired" in told
    # Who has a key instead of a token is judged by the services.
    assert platform.rest().get("/api/v1/users/me", **DEMO) == 200
    assert platform.rest().get("/api/v1/users/me", **{**DEMO, "apca_api_secret_key": "wrong"}) == 401


def token(port: int) -> str:
    """A trader's token, of the process itself."""
    answer = Grpc(f"127.0.0.1:{port}", "prepx-user").call(EXCHANGE, EXCHANGED)
    # The first field of the answer is a text of less than 16 KiB.
    length = answer[1] & 0x7F | answer[2] << 7
    return answer[3 : 3 + length].decode()


def profile(platform, bearer: str) -> tuple[int, str]:
    client = platform.rest()
    client.request("GET", "/api/v1/users/me", headers={"authorization": f"Bearer {bearer}"})
    answer = client.getresponse()
    return answer.status, answer.read().decode()


def test_a_server_has_to_be_who_it_is_taken_for(platform):
    """A pod whose account is not the one that its Service's pods have is not talked to."""
    caller = platform.caller("gateway")
    users = [pod for pod in platform.mesh.pods if pod.account == "prepx-user"]
    for pod in users:
        pod.account = "prepx-risk"
    platform.mesh.configure("istio/base")
    until(lambda: caller.status(JWKS) == "UNAVAILABLE", "nobody is believed to be prepx-user")
    for pod in users:
        pod.account = "prepx-user"
    platform.mesh.configure("istio/base")
    until(lambda: statuses(caller, JWKS) == {"OK"}, "they are believed again")
