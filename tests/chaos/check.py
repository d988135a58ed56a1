#!/usr/bin/env python3
"""Judges a history: tests/chaos/check.py FILE. Prints what is wrong, a line each, and exits with 1; or
what the history holds, and exits with 0.

Of every account at every time it was read after all was quiet:
  - each order that was acknowledged before is there, once, with its id and its terms (I1, I2);
  - nothing is there that nobody placed, or that was refused for good;
  - what has filled does not become less, and an order that has ended stays as it ended;
  - an order whose cancel was acknowledged is not open;
  - what is held is worth the open buys, and nothing when there are none (I4).
Of every scan, which may be behind, at any time: of the orders that an account had acknowledged, one after the other, those up
to the last one that is there, which is the highest position read, are there, each once (I1, I2).

Of all accounts of a round together: cash and goods are those that were paid in (I3). While a service is
drained, no order is refused and of none it is unknown what became of it; but for the gateway, whose callers
lose their connections. And `prepx verify` found nothing.

Of every partition of the stages: its epoch never goes back, and under one epoch it has one owner. What an owner
had who was paused until others took over, others have under a newer epoch.
"""

import pathlib
import sys
from collections import Counter, defaultdict
from decimal import Decimal

import history

ENDED = {"filled", "canceled", "expired", "rejected", "replaced"}
# Refusals that have nothing to do with what runs where.
FINAL = ("403", "422")
TERMS = ("symbol", "side", "qty", "limit_price")


class Judge:
    """What is known so far of every order, and what is wrong."""

    def __init__(self):
        self.wrong = []
        self.placed, self.ids, self.refused = {}, {}, set()
        self.canceled, self.seen, self.given = set(), {}, {}
        self.of_account = defaultdict(list)
        self.last_read = {}
        self.count = Counter()
        # The service that is drained in this round.
        self.drained = None
        # The owner and epoch of each partition, and which epochs have to be over when all is well again.
        self.owners, self.over = {}, {}

    def take(self, line: dict):
        kind = line["kind"]
        self.count[kind] += 1
        if take := getattr(self, f"take_{kind}", None):
            take(line)

    def blame(self, line: dict, text: str):
        self.wrong.append(f"round {line['round']}, account {line.get('account', '-')}: {text}")

    def take_account(self, line):
        self.given[line["account"]] = (line["round"], line["cash"], line["positions"])

    def take_invoke(self, line):
        self.placed[line["order"]["client_order_id"]] = line["order"]

    def take_ok(self, line):
        if self.ids.setdefault(line["name"], line["id"]) != line["id"]:
            self.blame(line, f"order {line['name']} was acknowledged with two ids")
        self.of_account[line["account"]].append(line["name"])

    def take_fault(self, line):
        others = line["part"].startswith("prepx-") and not line["part"].startswith("prepx-gateway")
        is_drain = line["way"] == "drain" and others
        self.drained = line["part"] if is_drain else None
        if line["way"] == "usurp":
            self.over = {name: epoch for name, (owner, epoch) in self.owners.items() if owner == line["part"]}
            if not self.over:
                self.blame(line, f"{line['part']} owned nothing that others could take over")

    def take_owners(self, line):
        for seat in line["seats"]:
            name, now = seat["name"], (seat["owner"], seat["epoch"])
            owner, epoch = self.owners.get(name, now)
            if now[1] < epoch:
                self.blame(line, f"{name} had epoch {epoch}, and now {now[1]}")
            if now[1] == epoch and now[0] != owner:
                self.blame(line, f"{name} has two owners under epoch {epoch}, {owner} and {now[0]}")
            if now[1] <= self.over.pop(name, -1):
                self.blame(line, f"nobody took {name} over from {owner}")
            self.owners[name] = now

    def take_refused(self, line):
        self.refused.add(line["name"])
        self.take_unknown(line)

    def take_unknown(self, line):
        if self.drained and not line["why"].startswith(FINAL):
            self.blame(line, f"while {self.drained} was drained, order {line['name']} was told: {line['why']}")

    def take_healed(self, line):
        self.drained = None

    def take_cancel(self, line):
        self.canceled.add(line["id"])

    def take_scan(self, line):
        there, acknowledged = Counter(line["names"]), self.of_account[line["account"]]
        highest = max((at for at, name in enumerate(acknowledged) if there[name]), default=-1)
        for name in acknowledged[: highest + 1]:
            if there[name] == 0:
                last = acknowledged[highest]
                self.blame(line, f"a scan has order {last}, and not {name}, which was acknowledged before (I1)")
        self.nothing_is_there_twice(line, there)

    def take_verify(self, line):
        if line["code"] != 0:
            self.blame(line, f"prepx verify: {line['said']}")

    def take_failed(self, line):
        self.blame(line, line["why"])

    def take_read(self, line):
        self.last_read[line["account"]] = line
        self.nothing_is_lost_or_doubled(line)
        for order in line["orders"]:
            self.is_as_it_was_placed(line, order)
            self.goes_forward(line, order)
        self.holds_are_those_of_open_orders(line)

    def nothing_is_lost_or_doubled(self, line):
        there = Counter(order["client_order_id"] for order in line["orders"])
        for name in self.of_account[line["account"]]:
            if there[name] == 0:
                self.blame(line, f"order {name} was acknowledged and is lost (I1)")
        self.nothing_is_there_twice(line, there)

    def nothing_is_there_twice(self, line, there):
        for name, count in there.items():
            if count > 1:
                self.blame(line, f"order {name} is there {count} times (I2)")

    def is_as_it_was_placed(self, line, order):
        name = order["client_order_id"]
        placed = self.placed.get(name)
        if placed is None:
            return self.blame(line, f"nobody placed order {name}")
        if name in self.refused:
            self.blame(line, f"order {name} was refused, and is there")
        if order["id"] != self.ids.setdefault(name, order["id"]):
            self.blame(line, f"order {name} was {self.ids[name]}, and is {order['id']}")
        for term in TERMS:
            if str(order[term]) != placed[term]:
                self.blame(line, f"{term} of order {name} was {placed[term]}, and is {order[term]}")

    def goes_forward(self, line, order):
        name, now = order["client_order_id"], (Decimal(order["filled_qty"]), order["status"])
        filled, before = self.seen.get(name, (Decimal(0), None))
        if now[0] < filled:
            self.blame(line, f"order {name} had filled {filled}, and now {now[0]}")
        if before in ENDED and now != (filled, before):
            self.blame(line, f"order {name} had ended as {before}, and is {now[1]}")
        if order["id"] in self.canceled and order["status"] not in ENDED:
            self.blame(line, f"a cancel of order {name} was acknowledged, and it is {now[1]}")
        self.seen[name] = now

    def holds_are_those_of_open_orders(self, line):
        open_buys = [
            (Decimal(order["limit_price"]), Decimal(order["qty"]), Decimal(order["filled_qty"]))
            for order in line["orders"]
            if order["side"] == "buy" and order["status"] not in ENDED
        ]
        # What an order was filled for below its limit stays held until it ends.
        least = sum(price * (quantity - filled) for price, quantity, filled in open_buys)
        most = sum(price * quantity for price, quantity, _ in open_buys)
        held = Decimal(line["cash"]) - Decimal(line["buying_power"])
        if not least <= held <= most:
            self.blame(line, f"{held} is held, for open buys worth {least} to {most} (I4)")

    def end(self):
        """What only all accounts of a round show together."""
        rounds = defaultdict(list)
        for account, (number, *given) in self.given.items():
            if account in self.last_read:
                rounds[number].append((given, self.last_read[account]))
        for number, accounts in rounds.items():
            self.is_conserved(number, accounts)

    def is_conserved(self, number, accounts):
        before, after = Counter(), Counter()
        for (cash, positions), read in accounts:
            for counter, money, goods in (
                (before, cash, positions), (after, read["cash"], read["positions"])
            ):
                counter["cash"] += Decimal(money)
                for symbol, quantity in goods.items():
                    counter[symbol] += Decimal(quantity)
        for asset in before.keys() | after.keys():
            if before[asset] != after[asset]:
                told = f"the accounts had {before[asset]} {asset} together, and have {after[asset]} (I3)"
                self.blame({"round": number}, told)


def judged(lines: list[dict]) -> Judge:
    judge = Judge()
    for line in lines:
        judge.take(line)
    judge.end()
    return judge


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    judge = judged(history.read(pathlib.Path(sys.argv[1])))
    for wrong in judge.wrong:
        print(wrong)
    if not judge.count["read"] or not judge.count["ok"]:
        sys.exit("nothing was acknowledged, or nothing was read: this history shows nothing")
    told = ("fault", "invoke", "ok", "refused", "unknown", "cancel", "scan", "read", "verify")
    print(", ".join(f"{judge.count[kind]} {kind}" for kind in told))
    sys.exit(1 if judge.wrong else 0)


if __name__ == "__main__":
    main()
