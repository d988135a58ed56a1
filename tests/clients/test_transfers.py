"""Money in and out under the caller's own names: a repeat books nothing, also after a crash."""

import json
import urllib.error
import urllib.request

from conftest import Server, trader
from test_market_data import pair  # noqa: F401, a fixture


def transfer(server, account, way, key, amount, asset="USD"):
    request = urllib.request.Request(
        f"{server.url}/api/v1/admin/accounts/{account.account_id}/{way}",
        json.dumps({"asset": asset, "amount": amount, "idempotency_key": key}).encode(),
        {
            "APCA-API-KEY-ID": "operator",
            "APCA-API-SECRET-KEY": "operator-secret",
            "Content-Type": "application/json",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def test_a_repeat_books_nothing(server, add_trader):
    account = add_trader()
    first = transfer(server, account, "deposits", "one", "100.5")
    assert first[0] == 200
    assert transfer(server, account, "deposits", "one", "100.5") == first
    assert account.client.get_account().cash == "100.5"
    # The name stands for another transfer.
    for way, amount in (("deposits", "100.6"), ("withdrawals", "100.5")):
        status, answer = transfer(server, account, way, "one", amount)
        assert (status, answer["code"]) == (409, 40910000)
    assert account.client.get_account().cash == "100.5"


def test_transfers_of_crypto_are_those_of_wallets(server, add_trader, symbol, pair):
    base = pair.split("/")[0]
    account, other = add_trader("USD=5", f"{symbol}=1"), add_trader(f"{base}=9")
    moved = [
        transfer(server, account, way, way, amount, base)[1]
        for way, amount in (("deposits", "2.5"), ("withdrawals", "0.50"))
    ]
    listed = lambda **query: account.client.get("/wallets/transfers", query)
    found = listed()
    assert [(one["id"], one["direction"], one["amount"]) for one in found] == [
        (moved[1]["id"], "OUTGOING", "0.5"), (moved[0]["id"], "INCOMING", "2.5"),
    ]
    for one in found:
        assert (one["asset"], one["status"], one["fees"], one["network_fee"]) == (base, "COMPLETE", "0", "0"), one
        assert one["created_at"].endswith("Z") and one["tx_hash"] is one["to_address"] is None, one
    assert listed(asset=base) == found and listed(asset="USD") == listed(asset=symbol) == []
    assert [one["amount"] for one in other.client.get("/wallets/transfers")] == ["9"]


def test_a_refused_withdrawal_leaves_its_name_free(server, add_trader):
    account = add_trader("USD=100")
    status, answer = transfer(server, account, "withdrawals", "out", "100.01")
    assert (status, answer["code"]) == (403, 40310000)
    assert answer["message"] == "insufficient balance for USD: needs 100.01, 100.00 available"
    assert transfer(server, account, "withdrawals", "out", "100")[0] == 200
    assert account.client.get_account().cash == "0"
    assert transfer(server, account, "deposits", "zero", "0")[0] == 422
    assert transfer(server, account, "deposits", "", "1")[0] == 422


def test_an_amount_that_cannot_be_carried_is_told_the_most(server, add_trader):
    account = add_trader()
    for amount, most in (("30000000000", "2305843009213693951"), ("1e30", "92233720368.54775807")):
        status, answer = transfer(server, account, "deposits", "large", amount)
        assert status == 422 and most in answer["message"], answer


def test_a_repeat_after_a_crash_books_nothing(tmp_path):
    server = Server(tmp_path / "data").start()
    account = trader(server)
    first = transfer(server, account, "deposits", "one", "7")
    server.kill()
    server.start()
    account.client._base_url = server.url
    assert transfer(server, account, "deposits", "one", "7") == first
    assert account.client.get_account().cash == "7"
    assert server.stop() == 0
