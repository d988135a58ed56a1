"""Webhooks: events of orders at an endpoint of their owner, signed, tried again, and in the end with operators."""

import hashlib
import hmac
import json
import os
import shutil
import ssl
import subprocess
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from alpaca.trading.enums import OrderSide
from conftest import OPERATOR, Server, binary, trader
from test_status import shown as status_of_parts
from test_trading import eventually, limit

QUICK = "[webhooks]\nretry_delays_ms = [200, 300, 400]\ntimeout_ms = 500\n"


def keys(trader):
    return {"APCA-API-KEY-ID": trader.key_id, "APCA-API-SECRET-KEY": trader.secret_key}


class Receiver:
    """An HTTP server that answers as it is told and keeps what it was sent."""

    def __init__(self, context=None):
        self.sent, self.answers, self.status = [], [], 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.sent.append((self.path, dict(self.headers), body))
                status = receiver.answers.pop(0) if receiver.answers else receiver.status
                self.send_response(status)
                if status in (301, 302, 307):
                    self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path="/events"):
        return f"http://127.0.0.1:{self.port}{path}"

    def events(self):
        return [json.loads(body) for _, _, body in self.sent]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A platform that tries again soon."""
    own = Server(tmp_path_factory.mktemp("prepx") / "data").start(settings=QUICK)
    yield own
    assert own.stop() == 0


def at(server):
    return f"{server.url}/api/v1/notifications/webhooks"


def register(server, owner, url, events=()):
    made = requests.post(
        at(server), headers=keys(owner), json={"url": url, "events": list(events)}, timeout=30
    )
    assert made.status_code == 200, made.text
    return made.json()


def instrument(server):
    name = f"W{uuid.uuid4().hex[:8].upper()}"
    server.admin(
        "instrument", "add", "--symbol", name, "--class", "us_equity", "--tick", "0.01", "--lot", "0.001",
        "--calendar", "always", "--reference-price", "100",
    )
    return name


def order(owner, symbol):
    return owner.client.submit_order(limit(symbol, OrderSide.BUY, 1, 99))


def letters(server, *arguments):
    done = subprocess.run(
        [binary(), "dead-letters", *arguments, "--json", "--url", server.url],
        capture_output=True, text=True, timeout=60, env={**os.environ, **OPERATOR},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def dead_of(server, webhook):
    return [letter for letter in letters(server, "list") if letter["target"] == webhook["id"]]


def counted(server):
    """How many dead letters there are, as `prepx status` says it."""
    return lambda: sum(group["letters"] for group in status_of_parts(server)["dead_letters"])


def test_events_come_signed_and_in_their_order(quick, receiver):
    symbol = instrument(quick)
    buyer, seller = trader(quick, "USD=1000"), trader(quick, f"{symbol}=5")
    hook = register(quick, buyer, receiver.url("/a?b=c"))
    bid = order(buyer, symbol)
    seller.client.submit_order(limit(symbol, OrderSide.SELL, 1, 99))
    eventually(lambda: [event["event"] for event in receiver.events()], ["new", "fill"])
    for path, headers, body in receiver.sent:
        assert path == "/a?b=c" and headers["content-type"] == "application/json"
        told = json.loads(body)
        assert told["order"]["id"] == str(bid.id)
        assert headers["prepx-event-id"] == told["event_id"] and told["at"] == told["timestamp"]
        signed = f"{headers['prepx-timestamp']}.".encode() + body
        expected = hmac.new(hook["secret"].encode(), signed, hashlib.sha256).hexdigest()
        assert headers["prepx-signature"] == expected
    fill = receiver.events()[1]
    assert (fill["price"], fill["qty"], fill["position_qty"]) == ("99", "1", "1")
    # I9: the other side's events went to nobody.
    assert len(receiver.sent) == 2


def test_only_the_events_that_were_asked_for_are_sent(quick, receiver):
    owner, symbol = trader(quick, "USD=1000"), instrument(quick)
    hook = register(quick, owner, receiver.url(), ["canceled"])
    assert hook["events"] == ["canceled"]
    one = order(owner, symbol)
    owner.client.cancel_order_by_id(one.id)
    eventually(lambda: [event["event"] for event in receiver.events()], ["canceled"])


def test_what_fails_is_tried_again_under_the_same_id(quick, receiver):
    owner, symbol = trader(quick, "USD=1000"), instrument(quick)
    hook = register(quick, owner, receiver.url())
    receiver.answers = [500, 302]
    order(owner, symbol)
    eventually(lambda: len(receiver.sent), 3)
    assert len({headers["prepx-event-id"] for _, headers, _ in receiver.sent}) == 1
    assert len({body for _, _, body in receiver.sent}) == 1
    assert {path for path, _, _ in receiver.sent} == {"/events"}, "no redirect is followed"
    assert dead_of(quick, hook) == []


def test_what_nobody_takes_is_shown_replayed_and_dropped(quick, receiver):
    owner, symbol = trader(quick, "USD=1000"), instrument(quick)
    hook = register(quick, owner, receiver.url())
    receiver.status = 503
    order(owner, symbol)
    eventually(lambda: len(dead_of(quick, hook)), 1)
    [letter] = dead_of(quick, hook)
    assert (letter["group"], letter["attempts"], letter["last_failure"], letter["what"]) == (
        "webhooks", 4, "HTTP 503", "new",
    )
    eventually(counted(quick), len(letters(quick, "list")))
    shown = letters(quick, "show", "--id", letter["id"])
    assert json.loads(shown["payload"]) == receiver.events()[0]
    sent = [headers["prepx-timestamp"] for _, headers, _ in receiver.sent]
    assert [attempt["headers"]["prepx-timestamp"] for attempt in shown["attempts"]] == sent
    assert all("prepx-signature" not in attempt["headers"] for attempt in shown["attempts"])
    # Tried again from the beginning, and dead again.
    assert letters(quick, "replay", "--id", letter["id"]) == {"letters": 1}
    eventually(lambda: len(receiver.sent), 8)
    eventually(lambda: len(dead_of(quick, hook)), 1)
    receiver.status = 200
    assert letters(quick, "replay", "--id", letter["id"], "--group", "webhooks") == {"letters": 1}
    eventually(lambda: len(receiver.sent), 9)
    assert dead_of(quick, hook) == []
    # Idempotent: there is nothing any more.
    assert letters(quick, "replay", "--id", letter["id"]) == {"letters": 0}
    receiver.status = 500
    order(owner, symbol)
    eventually(lambda: len(dead_of(quick, hook)), 1)
    assert letters(quick, "drop", "--all")["letters"] >= 1
    assert dead_of(quick, hook) == [] and letters(quick, "drop", "--all") == {"letters": 0}
    eventually(counted(quick), 0)


def test_an_endpoint_that_is_gone_is_left_alone(quick, receiver):
    owner, symbol = trader(quick, "USD=1000"), instrument(quick)
    register(quick, owner, receiver.url())
    receiver.status = 410
    order(owner, symbol)
    state = lambda: [hook["status"] for hook in requests.get(at(quick), headers=keys(owner), timeout=30).json()["webhooks"]]
    eventually(state, ["disabled"])
    assert len(receiver.sent) == 1


def test_i9_webhooks_of_others_are_invisible(quick, receiver):
    owner, other = trader(quick, "USD=1"), trader(quick, "USD=1")
    hook = register(quick, owner, receiver.url())
    assert requests.get(at(quick), headers=keys(other), timeout=30).json() == {"webhooks": []}
    refused = requests.delete(f"{at(quick)}/{hook['id']}", headers=keys(other), timeout=30)
    assert (refused.status_code, refused.json()["code"]) == (404, 40410000)
    [shown] = requests.get(at(quick), headers=keys(owner), timeout=30).json()["webhooks"]
    assert shown == {name: value for name, value in hook.items() if name != "secret"}
    for status in (204, 404):
        gone = requests.delete(f"{at(quick)}/{hook['id']}", headers=keys(owner), timeout=30)
        assert gone.status_code == status
    assert requests.get(at(quick), timeout=30).status_code == 401


@pytest.mark.parametrize("body, words", [
    ({"url": "nowhere"}, "https://example.com"),
    ({"url": "ftp://example.com"}, "https://"),
    ({"url": "https://10.0.0.1/"}, "public Internet"),
    ({"url": "http://169.254.169.254/latest"}, "public Internet"),
    ({"url": "https://[fd00::1]/"}, "public Internet"),
    ({"url": "https://me:secret@example.com"}, "leave it out"),
    ({"url": "https://example.com/" + "a" * 2048}, "2048"),
    ({"url": "https://example.com", "events": ["filled"]}, "fill"),
    ({}, "url"),
])
def test_what_cannot_be_sent_to_is_refused(quick, add_trader_here, body, words):
    refused = requests.post(at(quick), headers=keys(add_trader_here), json=body, timeout=30)
    assert (refused.status_code, refused.json()["code"]) == (422, 42210000), refused.text
    assert words in refused.json()["message"]


@pytest.fixture(scope="module")
def add_trader_here(quick):
    return trader(quick, "USD=1")


def test_an_account_has_so_many_and_no_more(quick, receiver):
    owner = trader(quick, "USD=1")
    for _ in range(10):
        register(quick, owner, receiver.url())
    refused = requests.post(at(quick), headers=keys(owner), json={"url": receiver.url()}, timeout=30)
    assert (refused.status_code, refused.json()["code"]) == (409, 40910000)
    assert "delete one" in refused.json()["message"]


def test_dead_letters_are_for_operators(quick, add_trader_here):
    url = f"{quick.url}/api/v1/admin/dead-letters"
    assert [requests.get(url, timeout=30).status_code,
            requests.get(url, headers=keys(add_trader_here), timeout=30).status_code] == [401, 403]
    operator = {"APCA-API-KEY-ID": "operator", "APCA-API-SECRET-KEY": "operator-secret"}
    wrong = [
        requests.get(f"{url}?group=mail", headers=operator, timeout=30),
        requests.get(f"{url}?limit=101", headers=operator, timeout=30),
        requests.get(f"{url}?page_token=x", headers=operator, timeout=30),
        requests.post(f"{url}/replay", headers=operator, json={}, timeout=30),
        requests.post(f"{url}/drop", headers=operator, json={"ids": ["x"]}, timeout=30),
    ]
    assert [answer.status_code for answer in wrong] == [422] * 5
    assert requests.get(f"{url}/{uuid.uuid4()}", headers=operator, timeout=30).status_code == 404


@pytest.mark.skipif(shutil.which("openssl") is None, reason="it makes a certificate")
def test_an_endpoint_must_be_who_it_says(tmp_path):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=receiver",
         "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"],
        check=True, capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    receiver = Receiver(context)
    server = Server(tmp_path / "data").start(settings=QUICK)
    owner, symbol = trader(server, "USD=1000"), instrument(server)
    hook = register(server, owner, receiver.url().replace("http:", "https:"))
    order(owner, symbol)
    eventually(lambda: len(dead_of(server, hook)), 1)
    [letter] = dead_of(server, hook)
    assert letter["last_failure"].startswith("no TLS connection") and receiver.sent == []
    assert server.stop() == 0
    server.start(settings=f"{QUICK}ca_file = '{certificate}'\n")
    assert letters(server, "replay", "--all") == {"letters": 1}
    eventually(lambda: [event["event"] for event in receiver.events()], ["new"])
    assert server.stop() == 0
    receiver.close()


def test_killed_between_the_attempt_and_its_record_it_is_tried_again(tmp_path, receiver):
    server = Server(tmp_path / "data").start(settings="[webhooks]\ntimeout_ms = 20000\n")
    owner, symbol = trader(server, "USD=1000"), instrument(server)
    register(server, owner, receiver.url())
    held = threading.Event()
    taken = threading.Event()

    class Slow(list):
        def pop(self, _):
            taken.set()
            held.wait(30)
            return 200

    receiver.answers = Slow([200])
    order(owner, symbol)
    assert taken.wait(30)
    # It has been sent, and nobody here knows yet how it was answered.
    server.kill()
    held.set()
    receiver.answers = []
    server.start(settings=QUICK)
    eventually(lambda: len(receiver.sent), 2)
    first, second = receiver.sent
    assert first[1]["prepx-event-id"] == second[1]["prepx-event-id"] and first[2] == second[2]
    assert server.stop() == 0


def test_what_waits_survives_a_kill(tmp_path, receiver):
    server = Server(tmp_path / "data").start(settings=QUICK.replace("200, 300, 400", "3000"))
    owner, symbol = trader(server, "USD=1000"), instrument(server)
    hook = register(server, owner, receiver.url())
    receiver.status = 500
    order(owner, symbol)
    eventually(lambda: len(receiver.sent), 1)
    server.kill()
    server.start(settings=QUICK.replace("200, 300, 400", "3000"))
    eventually(lambda: len(dead_of(server, hook)), 1)
    server.kill()
    receiver.status = 200
    server.start(settings=QUICK)
    assert letters(server, "replay", "--all") == {"letters": 1}
    eventually(lambda: receiver.sent[-1][2] == receiver.sent[0][2] and dead_of(server, hook) == [], True)
    assert server.stop() == 0
