"""Where the platform's watchers tell what they know: who wakes somebody and where they chat, over TLS by the names that Alertmanager's
file and its secrets have; and the collector of traces, by its Service's name."""

import http.server
import json
import pathlib
import ssl
import threading
from concurrent import futures

import grpc
import node
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service

from authority import Authority

# PagerDuty's own, which is in Alertmanager, and the host of Slack's webhooks.
PAGES, CHAT = "events.pagerduty.com", "hooks.slack.com"
HTTPS = 443
PAGER_KEY = "key-of-the-pager"
CHAT_PATH = "/services/T0/B0/prepx"


class Pager(http.server.ThreadingHTTPServer):
    """Keeps what it is sent."""

    daemon_threads = True

    def __init__(self, work: pathlib.Path):
        super().__init__((node.ADDRESS, HTTPS), Taken)
        self.told: list[tuple[str, str, dict]] = []
        authority = Authority(work / "outside")
        identity = authority.identity(PAGES, CHAT)
        self.authority = identity["ca"]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity["certificate"], identity["key"])
        self.socket = context.wrap_socket(self.socket, server_side=True)
        with open("/etc/hosts", "a") as hosts:
            hosts.write(f"{node.ADDRESS} {PAGES} {CHAT}\n")
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def receivers(self) -> dict[str, str]:
        """The secret of Alertmanager."""
        return {"pager-key": PAGER_KEY, "chat-url": f"https://{CHAT}{CHAT_PATH}"}

    def trusted(self) -> dict[str, str]:
        """By which Alertmanager knows us."""
        return {"SSL_CERT_FILE": self.authority}

    def pages(self, action: str, words: str) -> list[dict]:
        """The events of PagerDuty's API that begin or end something, and are about some words."""
        events = [body for host, path, body in list(self.told) if (host, path) == (PAGES, "/v2/enqueue")]
        return [one for one in events if one["event_action"] == action and words in one["payload"]["summary"]]

    def chat(self, words: str) -> list[str]:
        """The titles of messages of Slack that have some words."""
        bodies = [body for host, path, body in list(self.told) if (host, path) == (CHAT, CHAT_PATH)]
        titles = [one["title"] for body in bodies for one in body["attachments"]]
        return [title for title in titles if words in title]


class Taken(http.server.BaseHTTPRequestHandler):
    server: Pager

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        host = self.headers["Host"].partition(":")[0]
        self.server.told.append((host, self.path, body))
        answer = {PAGES: b'{"status": "success"}', CHAT: b"ok"}[host]
        self.send_response(202 if host == PAGES else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Collector(service.TraceServiceServicer):
    """Keeps every span, with the service that told it."""

    def __init__(self, port: int):
        self.spans: list[tuple[str, object]] = []
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        service.add_TraceServiceServicer_to_server(self, self.server)
        self.server.add_insecure_port(f"0.0.0.0:{port}")
        self.server.start()

    def Export(self, request, _context):
        for resource in request.resource_spans:
            told = {one.key: one.value.string_value for one in resource.resource.attributes}
            spans = [span for scope in resource.scope_spans for span in scope.spans]
            self.spans += [(told.get("service.name", ""), span) for span in spans]
        return messages.ExportTraceServiceResponse()

    def traces(self) -> dict[bytes, list[tuple[str, object]]]:
        """All spans, by their traces."""
        found = {}
        for told in list(self.spans):
            found.setdefault(told[1].trace_id, []).append(told)
        return found

    def stop(self):
        self.server.stop(1)
