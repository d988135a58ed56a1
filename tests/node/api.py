"""What the API server is asked over and over while a test waits: by one connection for each thread. kubectl, which learns anew each time
what there is, takes a tenth of a second of a processor for a question, and the pods have only two."""

import http.client
import json
import ssl
import threading
import urllib.parse

SECONDS_MAX = 60
# Where each kind is served.
SERVED = {
    "api/v1": ("configmaps", "nodes", "pods", "services"),
    "apis/apiregistration.k8s.io/v1": ("apiservices",),
    "apis/apps/v1": ("deployments",),
    "apis/argoproj.io/v1alpha1": ("analysisruns", "rollouts"),
    "apis/autoscaling/v2": ("horizontalpodautoscalers",),
    "apis/batch/v1": ("jobs",),
    "apis/networking.istio.io/v1": ("virtualservices",),
}
PLACES = {kind: place for place, kinds in SERVED.items() for kind in kinds}


class Api:
    """One API server, by its port on loopback."""

    def __init__(self, port: int, token: str):
        self.port, self.headers = port, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        # Its certificate is of its own making.
        self.context = ssl._create_unverified_context()
        self.kept = threading.local()

    def get(self, kind: str, name: str = "", inside: str = "", labels: str = "") -> dict:
        """One object, or all of a kind that have some labels; raises RuntimeError when there is no answer of that kind."""
        path = "/".join(filter(None, (PLACES[kind], inside and f"namespaces/{inside}", kind, name)))
        status, told = self.call("GET", f"/{path}?{urllib.parse.urlencode({'labelSelector': labels} if labels else {})}")
        if status != http.HTTPStatus.OK:
            raise RuntimeError(f"{kind} {name}: {status} {told}")
        return json.loads(told)

    def evict(self, pod: str, inside: str) -> bool:
        """As `kubectl drain` does it; whether it goes, or has gone: a budget may be against it."""
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": inside}}
        status, told = self.call("POST", f"/api/v1/namespaces/{inside}/pods/{pod}/eviction", json.dumps(eviction))
        if status == http.HTTPStatus.TOO_MANY_REQUESTS:
            return False
        if status not in (http.HTTPStatus.CREATED, http.HTTPStatus.NOT_FOUND):
            raise RuntimeError(f"eviction of {pod}: {status} {told}")
        return True

    def call(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        """The status and the text of an answer; raises OSError when there is none. What is asked may be asked again."""
        if not hasattr(self.kept, "connection"):
            self.kept.connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=SECONDS_MAX, context=self.context)
        problem = None
        # When nobody has asked for a while, the server has closed it: the second time it is a new one.
        for _ in range(2):
            try:
                self.kept.connection.request(method, path, body, self.headers)
                answer = self.kept.connection.getresponse()
                return answer.status, answer.read().decode()
            except (OSError, http.client.HTTPException) as error:
                self.kept.connection.close()
                problem = error
        raise OSError(f"{method} {path}: {problem!r}") from problem
