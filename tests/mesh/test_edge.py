"""The public address: TLS, one name, and whoever comes without TLS is told where to go."""

import http.client
import socket
import ssl

import overlay
import pytest
from mesh import PUBLIC


def test_plain_text_is_sent_to_https(platform):
    connection = http.client.HTTPConnection(platform.mesh.edge.address, overlay.PORTS_OF_THE_EDGE[80], timeout=60)
    connection.request("GET", "/v2/clock", headers={"host": PUBLIC})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["location"]) == (301, f"https://{PUBLIC}/v2/clock")


REGION = f"eu-west-1.{PUBLIC}"
SPOKEN = [
    (PUBLIC, "TLSv1_3", "TLSv1.3"), (PUBLIC, "TLSv1_2", None),
    (REGION, "TLSv1_3", "TLSv1.3"), (REGION, "TLSv1_2", "TLSv1.2"), (REGION, "TLSv1_1", None),
]


@pytest.mark.parametrize(("name", "newest", "spoken"), SPOKEN)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_spoken(platform, name, newest, spoken):
    context = ssl.create_default_context(cafile=platform.authority())
    # Python's own minimum would hide the edge's.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion[newest]
    assert version(platform, context, name) == spoken


def test_no_other_name_is_served(platform):
    context = ssl.create_default_context(cafile=platform.authority())
    context.check_hostname = False
    assert version(platform, context, "other.example") is None
    client = platform.rest()
    client.request("GET", "/.well-known/jwks.json", headers={"host": "other.example"})
    assert client.getresponse().status in (404, 421)


def version(platform, context: ssl.SSLContext, name: str) -> str | None:
    """Which TLS is spoken for a name; None when there is none."""
    place = (platform.mesh.edge.address, overlay.PORTS_OF_THE_EDGE[443])
    try:
        with socket.create_connection(place, 60) as connection:
            with context.wrap_socket(connection, server_hostname=name) as wrapped:
                return wrapped.version()
    except (ConnectionError, ssl.SSLError):
        return None
