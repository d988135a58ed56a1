"""The judge finds each kind of wrong in a history that is right but for it: python3 -m unittest
discover tests/chaos."""

import copy
import unittest

from check import judged

ORDER = {
    "symbol": "AAA", "qty": "2", "side": "buy", "type": "limit", "time_in_force": "gtc",
    "limit_price": "100", "client_order_id": "one",
}
SHOWN = ORDER | {"id": "id-1", "status": "new", "filled_qty": "0"}
RIGHT = [
    {"kind": "account", "account": "a", "cash": "1000", "positions": {"AAA": "5"}},
    {"kind": "account", "account": "b", "cash": "0", "positions": {"AAA": "5"}},
    {"kind": "invoke", "account": "a", "order": ORDER},
    {"kind": "ok", "account": "a", "name": "one", "id": "id-1"},
    {"kind": "invoke", "account": "a", "order": ORDER | {"client_order_id": "two"}},
    {"kind": "refused", "account": "a", "name": "two", "why": "403"},
    {"kind": "invoke", "account": "a", "order": ORDER | {"client_order_id": "three"}},
    {"kind": "unknown", "account": "a", "name": "three", "why": "timed out"},
    {"kind": "fault", "part": "prepx-risk-1", "way": "kill", "seconds": 1},
    {
        "kind": "read", "account": "a", "cash": "1000", "buying_power": "800",
        "positions": {"AAA": "5"}, "orders": [SHOWN],
    },
    {"kind": "cancel", "account": "a", "id": "id-1"},
    {
        "kind": "read", "account": "a", "cash": "900", "buying_power": "900",
        "positions": {"AAA": "6"}, "orders": [SHOWN | {"status": "canceled", "filled_qty": "1"}],
    },
    {
        "kind": "read", "account": "b", "cash": "100", "buying_power": "100",
        "positions": {"AAA": "4"}, "orders": [],
    },
    {"kind": "verify", "code": 0, "said": ""},
]
FIRST_READ, LAST_READ, OTHER_READ, VERIFY = 9, 11, 12, 13


class Check(unittest.TestCase):
    def found(self, change=lambda lines: None) -> list[str]:
        """What is wrong with the history after a change."""
        lines = [{"round": 1} | line for line in copy.deepcopy(RIGHT)]
        change(lines)
        return [wrong.partition(": ")[2] for wrong in judged(lines).wrong]

    def one(self, text: str, change):
        found = self.found(change)
        self.assertTrue(any(text in wrong for wrong in found), found or "nothing was found")

    def test_what_is_right_is_found_right(self):
        self.assertEqual(self.found(), [])

    def test_an_unknown_order_may_be_there(self):
        def change(lines):
            three = SHOWN | {"client_order_id": "three", "id": "id-3", "status": "canceled"}
            lines[LAST_READ]["orders"].append(three)

        self.assertEqual(self.found(change), [])

    def test_an_order_refused_while_a_service_is_drained(self):
        refused = {"kind": "unknown", "account": "a", "name": "three", "why": "503 the owner is away"}
        for part, way, count in (("risk-1", "drain", 1), ("risk-1", "kill", 0), ("gateway-1", "drain", 0)):
            fault = {"kind": "fault", "part": f"prepx-{part}", "way": way}
            more = [fault, refused, {"kind": "healed"}, refused]
            lines = lambda lines: lines.extend({"round": 1} | line for line in more)
            found = [wrong for wrong in self.found(lines) if "was drained" in wrong]
            self.assertEqual(len(found), count, (part, way, found))

    def test_owners(self):
        def lines(*seats, way="usurp"):
            fault = {"kind": "fault", "part": "prepx-risk-1", "way": way}
            owners = [
                {"kind": "owners", "seats": [{"name": "account/0", "owner": owner, "epoch": epoch}]}
                for owner, epoch in seats
            ]
            more = owners[:1] + [fault] + owners[1:]
            return lambda lines: lines.extend({"round": 1} | line for line in more)

        one, two = "prepx-risk-1", "prepx-risk-2"
        self.assertEqual(self.found(lines((one, 4), (two, 5))), [])
        self.assertEqual(self.found(lines((one, 4), (one, 4), way="kill")), [])
        self.one("nobody took account/0 over from prepx-risk-1", lines((one, 4), (one, 4)))
        self.one("two owners under epoch 4, prepx-risk-1 and prepx-risk-2", lines((one, 4), (two, 4)))
        self.one("account/0 had epoch 4, and now 3", lines((one, 4), (two, 3), way="kill"))
        self.one("prepx-risk-1 owned nothing", lines((two, 4), (two, 4)))

    def test_a_scan_that_is_behind(self):
        def scan(*names):
            more = [
                {"kind": "invoke", "account": "a", "order": ORDER | {"client_order_id": name}} for name in ("x", "y")
            ] + [{"kind": "ok", "account": "a", "name": name, "id": name} for name in ("x", "y")]
            more.append({"kind": "scan", "account": "a", "names": names})
            return lambda lines: lines.extend({"round": 1} | line for line in more)

        for behind in ((), ("one",), ("one", "x"), ("three", "one", "y", "x")):
            self.assertEqual(self.found(scan(*behind)), [], behind)
        self.one("a scan has order y, and not x, which was acknowledged before (I1)", scan("one", "y"))
        self.one("a scan has order x, and not one", scan("x"))
        self.one("order x is there 2 times (I2)", scan("x", "one", "x"))

    def test_a_lost_order(self):
        self.one("order one was acknowledged and is lost", lambda lines: lines[LAST_READ].update(orders=[]))

    def test_a_doubled_order(self):
        def change(lines):
            lines[LAST_READ]["orders"] *= 2

        self.one("order one is there 2 times", change)

    def test_an_order_of_nobody_and_one_that_was_refused(self):
        for name, text in (("four", "nobody placed order four"), ("two", "order two was refused")):
            more = SHOWN | {"client_order_id": name, "id": "id-9", "status": "canceled"}
            self.one(text, lambda lines: lines[LAST_READ]["orders"].append(more))

    def test_another_id_and_other_terms(self):
        for field, text in (("id", "order one was id-1, and is"), ("qty", "qty of order one was 2")):
            self.one(text, lambda lines: lines[LAST_READ]["orders"][0].update({field: "7"}))

    def test_an_order_that_goes_back(self):
        def change(lines):
            lines[FIRST_READ]["orders"][0].update(status="filled", filled_qty="2")

        self.one("order one had filled 2, and now 1", change)
        self.one("order one had ended as filled, and is canceled", change)

    def test_a_cancel_that_did_nothing(self):
        def change(lines):
            lines[LAST_READ]["orders"][0].update(status="new")

        self.one("a cancel of order one was acknowledged, and it is new", change)

    def test_a_hold_without_an_order(self):
        self.one("1 is held, for open buys worth 0", lambda lines: lines[LAST_READ].update(buying_power="899"))

    def test_money_and_goods_from_nowhere(self):
        self.one(
            "the accounts had 1000 cash together, and have 1001",
            lambda lines: lines[OTHER_READ].update(cash="101", buying_power="101"),
        )
        self.one(
            "the accounts had 10 AAA together, and have 9",
            lambda lines: lines[OTHER_READ].update(positions={"AAA": "3"}),
        )

    def test_what_verify_found_and_what_did_not_come_back(self):
        self.one("prepx verify: I3", lambda lines: lines[VERIFY].update(code=1, said="I3"))
        self.one("too long", lambda lines: lines.append({"round": 1, "kind": "failed", "why": "too long"}))


if __name__ == "__main__":
    unittest.main()
