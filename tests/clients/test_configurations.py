"""What owners set for their accounts, through unmodified alpaca-py."""


import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import DTBPCheck, OrderSide, OrderStatus, PDTCheck, TradeConfirmationEmail
from alpaca.trading.requests import ReplaceOrderRequest
from conftest import Server, trader
from test_trading import error_of, eventually, limit, status_of


def changed(client, **settings):
    """Sends all settings back with these changed, as the client does."""
    return client.set_account_configurations(
        client.get_account_configurations().model_copy(update=settings)
    )


def assert_suspended(refused):
    assert isinstance(refused, APIError)
    assert (refused.status_code, refused.code) == (403, 40320000)
    assert refused.message == (
        "trading is suspended by the account's owner: only cancels are accepted until suspend_trade is false"
    )


def test_an_owner_stops_trading_and_goes_on(server, add_trader, symbol):
    owner, other = add_trader("USD=1000"), add_trader("USD=1000")
    resting = owner.client.submit_order(limit(symbol, OrderSide.BUY, 1, 99))

    assert changed(owner.client, suspend_trade=True).suspend_trade is True
    assert owner.client.get_account().trade_suspended_by_user is True
    assert_suspended(error_of(lambda: owner.client.submit_order(limit(symbol, OrderSide.BUY, 1, 99))))
    change = ReplaceOrderRequest(limit_price=98)
    assert_suspended(error_of(lambda: owner.client.replace_order_by_id(resting.id, change)))
    owner.client.cancel_order_by_id(resting.id)
    eventually(status_of(owner, resting), OrderStatus.CANCELED)
    # Nobody else is concerned.
    other.client.submit_order(limit(symbol, OrderSide.BUY, 1, 99))

    # The operator's switch is another one: neither takes the other back.
    server.admin("kill-switch", "--account", owner.account_id, "on")
    assert changed(owner.client, suspend_trade=False).suspend_trade is False
    blocked = error_of(lambda: owner.client.submit_order(limit(symbol, OrderSide.BUY, 1, 99)))
    assert blocked.message == "the account is stopped by an operator: only cancels are accepted"
    server.admin("kill-switch", "--account", owner.account_id, "off")
    assert owner.client.submit_order(limit(symbol, OrderSide.BUY, 1, 99)).status == OrderStatus.NEW


def test_settings_go_back_as_they_came(add_trader):
    client = add_trader("USD=1").client
    settings = client.get_account_configurations()
    assert settings.model_dump() == {
        "fractional_trading": True,
        "max_margin_multiplier": "1",
        "no_shorting": True,
        "suspend_trade": False,
        "trade_confirm_email": TradeConfirmationEmail.NONE,
        "ptp_no_exception_entry": False,
        "max_options_trading_level": 0,
        "dtbp_check": DTBPCheck.ENTRY,
        "pdt_check": PDTCheck.ENTRY,
    }
    assert client.set_account_configurations(settings) == settings


@pytest.mark.parametrize("setting, value, message", [
    ("fractional_trading", False, "must be true: quantities go down to the lot of the instrument"),
    ("max_margin_multiplier", "4", "must be 1: this is a cash account, nothing is borrowed"),
    ("no_shorting", False, "must be true: this is a cash account, nothing is sold short"),
    ("trade_confirm_email", TradeConfirmationEmail.ALL, "must be none: no mail is sent"),
    ("ptp_no_exception_entry", True, "must be false: no publicly traded partnerships are listed here"),
    ("max_options_trading_level", 2, "must be 0: no options are listed here"),
    ("dtbp_check", DTBPCheck.BOTH, "must be entry: the check is of margin accounts, and this is a cash account"),
    ("pdt_check", PDTCheck.EXIT, "must be entry: the check is of margin accounts, and this is a cash account"),
])
def test_what_cannot_be_honoured_is_refused_and_changes_nothing(add_trader, setting, value, message):
    client = add_trader("USD=1").client
    refused = error_of(lambda: changed(client, suspend_trade=True, **{setting: value}))
    assert (refused.status_code, refused.code) == (422, 42210000)
    assert refused.message == f"{setting} {message}"
    assert client.get_account_configurations().suspend_trade is False


def test_a_suspension_outlives_a_crash(tmp_path):
    server = Server(tmp_path / "data").start()
    server.admin(
        "instrument", "add", "--symbol", "STOP", "--class", "us_equity", "--tick", "0.01",
        "--lot", "1", "--calendar", "always", "--reference-price", "100",
    )
    owner = trader(server, "USD=1000")
    changed(owner.client, suspend_trade=True)
    server.kill()
    server.start()
    owner.client._base_url = server.url
    assert owner.client.get_account_configurations().suspend_trade is True
    assert_suspended(error_of(lambda: owner.client.submit_order(limit("STOP", OrderSide.BUY, 1, 99))))
    assert server.stop() == 0
