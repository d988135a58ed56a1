"""Of a hundred calls 80 go to v1 and 20 to v2, counted by the processes that answer; testers get v2."""

from functools import partial

import pytest
from calls import many
from conftest import DEMO, JWKS, LIST_KEYS

COUNT = 10_000
# One in eighty of such rounds is off by more, by luck: then so many more are asked, and all of them are judged.
MORE = 40_000
OFF_MAX = 0.01


def rest(platform, path, _, **headers):
    return partial(platform.rest().get, path, **headers)


def grpc(platform, _, method, **headers):
    return partial(platform.grpc().status, method, **headers)


@pytest.mark.parametrize(("client", "good"), [(rest, 200), (grpc, "OK")], ids=["http", "grpc"])
def test_calls_are_shared_by_weight(platform, client, good):
    before, asked = platform.taken(), 0
    for count in (COUNT, MORE):
        assert many(count, partial(client, platform, "/.well-known/jwks.json", JWKS)) == {good: count}
        asked += count
        share = share_of_v2(before, platform.taken())
        print(f"{client.__name__}: {share:.4f} of {asked} calls went to v2")
        if abs(share - 0.2) <= OFF_MAX:
            break
    assert abs(share - 0.2) <= OFF_MAX


def share_of_v2(before: dict[str, int], after: dict[str, int]) -> float:
    taken = {name: after[name] - before[name] for name in after}
    assert taken["v1-a"] > 0 and taken["v1-b"] > 0
    return taken["v2-a"] / sum(taken.values())


@pytest.mark.parametrize(("client", "good"), [(rest, 200), (grpc, "OK")], ids=["http", "grpc"])
def test_who_names_a_version_gets_it(platform, client, good):
    before = platform.taken(LIST_KEYS)
    wanted = {"x_prepx_version": "v2", **DEMO}
    assert many(400, partial(client, platform, "/api/v1/keys", LIST_KEYS, **wanted)) == {good: 400}
    after = platform.taken(LIST_KEYS)
    assert {name: after[name] - before[name] for name in after} == {"v1-a": 0, "v1-b": 0, "v2-a": 400}
