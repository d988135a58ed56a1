"""The history of a run: one JSON object a line, in the order of what happened, each with its time and
the number of its round. Whoever judges it reads nothing else.

  account  one more account, and what it was given
  invoke   a caller is about to place an order
  ok       it was acknowledged, with its id
  refused  it was refused for good, or never left the caller
  unknown  nobody told the caller what became of it
  cancel   a cancel of an acknowledged order was acknowledged
  scan     the names of all orders of an account, read at any time, by whoever places them
  fault    what was done to which part
  healed   every part is well again
  owners   who owns which partition of the stages under which epoch
  read     all orders, cash and positions of an account, after all was quiet
  verify   what `prepx verify` found
"""

import json
import pathlib
import threading
import time


class History:
    """Appends, from any thread."""

    def __init__(self, path: pathlib.Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.round, self.turn = path, 0, threading.Lock()
        self.file = open(path, "w", buffering=1)

    def note(self, kind: str, **fields):
        with self.turn:
            at_ms = time.time_ns() // 1_000_000
            line = {"kind": kind, "round": self.round, "at_ms": at_ms, **fields}
            self.file.write(json.dumps(line) + "\n")


def read(path: pathlib.Path) -> list[dict]:
    with open(path) as file:
        return [json.loads(line) for line in file]
