"""One node for all tests, with the platform on it."""

import os
import pathlib
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]
import node
from deployed import Platform
from releases import Rollouts
from stores import Stores
from watch import Watchers


@pytest.fixture(scope="session")
def platform():
    work = pathlib.Path(os.environ["PREPX_NODE_WORK"])
    (work / "node").mkdir()
    tools = pathlib.Path(os.environ["PREPX_NODE_TOOLS"])
    on = node.Node(work / "node", tools, os.environ["PREPX_NODE_GROUP"])
    stores = Stores(work / "stores")
    platform = Platform(work, on, stores, pathlib.Path(os.environ["BINARIES_UNDER_TEST"]).resolve())
    try:
        with ThreadPoolExecutor() as beside:
            images = beside.submit(platform.make_images)
            on.start()
            started = beside.submit(stores.start)
            images.result()
            platform.take_images()
            started.result()
        platform.start()
        yield platform
    finally:
        # The namespaces end what is left; so that logs are whole, servers end first.
        on.stop()
        stores.stop()


@pytest.fixture(scope="session", autouse=True)
def watchers(platform):
    """They see all that happens."""
    watchers = Watchers(platform.work / "watchers", platform)
    try:
        watchers.start()
        yield watchers
    finally:
        watchers.stop()


@pytest.fixture(scope="session")
def rollouts(platform):
    rollouts = Rollouts(platform)
    rollouts.start()
    return rollouts
