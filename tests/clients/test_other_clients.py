"""What clients other than alpaca-py send and read, as they do it: seen by running the Go client 3.9.1, the
JavaScript client 3.1.3 and 4.0.2, alpaca-trade-api 3.2.0, @alpacahq/typescript-sdk 0.0.32-preview,
@master-chief/alpaca 6.3.20, apca 0.31 (Rust) and lumibot 4.6.30, and from the source of the C# client."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import msgpack
import requests
from websockets.sync.client import connect

from conftest import PATIENCE_S, keys
from test_market_data import BAR, VWAP, pair, play  # noqa: F401, a fixture
from test_streams import ws
from test_trading import eventually, limit, status_of
from alpaca.trading.enums import AssetClass, OrderSide, OrderStatus
from alpaca.trading.requests import GetAssetsRequest

NEW_YORK = ZoneInfo("America/New_York")


def test_the_go_client_replaces_without_a_time_in_force(add_trader, symbol, call):
    trader = add_trader("USD=1000")
    order = trader.client.submit_order(limit(symbol, OrderSide.BUY, 1, 99))
    change = {
        "qty": "2", "limit_price": None, "stop_price": None, "trail": None, "time_in_force": "",
        "client_order_id": "",
    }
    status, new = call(trader, "PATCH", f"/v2/orders/{order.id}", change)
    assert (status, new["qty"], new["time_in_force"]) == (200, "2", "gtc"), new
    # A new order has to say.
    order = {"symbol": symbol, "qty": "1", "side": "buy", "type": "market", "time_in_force": ""}
    status, refused = call(trader, "POST", "/v2/orders", order)
    assert (status, refused["message"]) == (422, "time_in_force is required: day, gtc, ioc or fok")


def test_the_clock_says_the_time_of_new_york(add_trader, call):
    """Alpaca's examples for JavaScript, and what is written after them, cut the last six characters off."""
    clock = call(add_trader(), "GET", "/v2/clock")[1]
    for name in ("timestamp", "next_open", "next_close"):
        assert clock[name][-6:] in ("-05:00", "-04:00"), clock
    assert clock["next_open"][11:19] == "09:30:00" and clock["next_close"][11:19] in ("16:00:00", "13:00:00"), clock


def test_positions_name_pairs_without_a_slash(add_trader, pair, call):
    """lumibot takes USD off the end and sells "BTC//USD" otherwise; others look for BTCUSD and buy again."""
    base = pair.removesuffix("/USD")
    trader = add_trader(f"{base}=2")
    [position] = call(trader, "GET", "/v2/positions")[1]
    assert (position["symbol"], position["qty"]) == (f"{base}USD", "2")
    status, order = call(trader, "DELETE", f"/v2/positions/{position['symbol']}")
    assert (status, order["symbol"]) == (200, pair), order


def test_typescript_clients_repeat_the_path(add_trader, symbol, call):
    """In the body of a replace, as @alpacahq/typescript-sdk and @master-chief/alpaca; in the query of a close, as the latter."""
    trader = add_trader("USD=1000", f"{symbol}=2")
    order = trader.client.submit_order(limit(symbol, OrderSide.BUY, 1, 99))
    change = {"order_id": str(order.id), "qty": "2"}
    status, new = call(trader, "PATCH", f"/v2/orders/{order.id}", change)
    assert (status, new["qty"], new["replaces"]) == (200, "2", str(order.id)), new
    status, closing = call(trader, "DELETE", f"/v2/positions/{symbol}", symbol=symbol)
    assert (status, closing["side"], closing["qty"]) == (200, "sell", "2"), closing


def test_the_go_client_names_a_position_twice(add_trader, symbol, call):
    trader = add_trader(f"{symbol}=2")
    status, position = call(trader, "GET", f"/v2/positions/{symbol}", symbol=symbol)
    assert (status, position["qty"]) == (200, "2"), position


def test_settings_of_the_go_and_the_c_sharp_client(add_trader, call):
    trader = add_trader()
    status, settings = call(trader, "GET", "/v2/account/configurations")
    assert (status, settings["dtbp_check"], settings["pdt_check"]) == (200, "entry", "entry")
    change = {
        "dtbp_check": "", "trade_confirm_email": "", "suspend_trade": True, "no_shorting": True,
        "fractional_trading": True,
    }
    status, settings = call(trader, "PATCH", "/v2/account/configurations", change)
    assert (status, settings["suspend_trade"]) == (200, True), settings
    status, settings = call(trader, "PATCH", "/v2/account/configurations", settings)
    assert status == 200, settings


def test_a_body_that_says_it_is_text(server, add_trader, symbol):
    """As the C# client sends every body, and @master-chief/alpaca."""
    trader = add_trader("USD=1000")
    for said in ("text/plain; charset=utf-8", "text/plain;charset=UTF-8"):
        order = f'{{"symbol":"{symbol}","qty":1,"side":"buy","type":"limit","limit_price":99,"time_in_force":"day"}}'
        answer = requests.post(
            f"{server.url}/v2/orders", headers={**keys(trader), "Content-Type": said}, data=order,
            timeout=PATIENCE_S,
        )
        assert (answer.status_code, answer.json()["qty"]) == (200, "1"), answer.text


def test_a_history_begins_at_date_start(add_trader, call):
    trader = add_trader("USD=5")
    path = "/v2/account/portfolio/history"
    for start in ("start", "date_start"):
        status, found = call(trader, "GET", path, timeframe="1D", date_end="2026-01-09", **{start: "2026-01-05"})
        assert (status, len(found["timestamp"])) == (200, 5), found


def test_activities_that_do_not_occur_here(server, add_trader, call):
    trader = add_trader("USD=5")
    server.admin("deposit", "--account", trader.account_id, "USD=6")
    amounts = lambda **query: [a["net_amount"] for a in call(trader, "GET", "/v2/account/activities", **query)[1]]
    assert amounts(activity_types="TRANS") == ["6", "5"]
    assert amounts(activity_types="DIV,CSD") == ["6", "5"]
    assert amounts(activity_types="DIV") == [] and amounts(activity_types="FILL,FILL,FILL,FILL,FILL,FILL") == []
    for kind, count in (("TRANS", 2), ("DIV", 0), ("INT", 0)):
        status, found = call(trader, "GET", f"/v2/account/activities/{kind}")
        assert (status, len(found)) == (200, count), found


def test_one_equity_at_a_time(add_trader, symbol, call):
    _, buyer = play(add_trader, symbol)
    stock = lambda rest, **query: call(buyer, "GET", f"/v2/stocks/{symbol}/{rest}", **query)
    eventually(lambda: (stock("quotes/latest")[1].get("quote") or {}).get("bs"), 2)
    _, latest = stock("quotes/latest")
    # Clients that are made from Alpaca's OpenAPI document refuse a quote or a trade without c and z.
    venue = {"bx": "Q", "ax": "Q", "c": ["R"], "z": "C"}
    assert latest["symbol"] == symbol
    assert latest["quote"] == {"t": latest["quote"]["t"], "bp": 99, "bs": 2, "ap": 101, "as": 1.5, **venue}
    _, latest = stock("trades/latest")
    assert (latest["symbol"], latest["trade"]["p"], latest["trade"]["x"]) == (symbol, 101, "Q")
    assert (latest["trade"]["c"], latest["trade"]["z"]) == (["@"], "C")
    _, latest = stock("bars/latest")
    assert (latest["symbol"], latest["bar"]["c"]) == (symbol, 101)
    _, snapshot = stock("snapshot")
    day = snapshot["dailyBar"]
    assert tuple(day[name] for name in "ohlcvn") == BAR and day["vw"] == VWAP
    assert (snapshot["symbol"], snapshot["latestTrade"]["p"], snapshot["prevDailyBar"]) == (symbol, 101, None)

    _, bars = stock("bars", timeframe="1Day", start="2026-01-01")
    assert (bars["symbol"], bars["next_page_token"], bars["bars"]) == (symbol, None, [day])
    _, quotes = stock("quotes")
    assert quotes["symbol"] == symbol and quotes["quotes"][-1]["bp"] == 99
    prices, token = [], None
    for _ in range(3):
        _, page = stock("trades", limit=1, sort="desc", page_token=token)
        prices += [(trade["p"], trade["s"]) for trade in page["trades"]]
        token = page["next_page_token"]
    assert (prices, token) == ([(101, 0.5), (100.5, 2.5), (100.5, 1.5)], None)


def test_one_equity_of_which_nothing_is_known(add_trader, symbol, pair, call):
    trader = add_trader()
    assert call(trader, "GET", f"/v2/stocks/{symbol}/trades/latest") == (200, {"symbol": symbol, "trade": None})
    empty = {"trades": [], "symbol": symbol, "next_page_token": None}
    assert call(trader, "GET", f"/v2/stocks/{symbol}/trades") == (200, empty)
    for unknown in ("NOSUCH", f"{symbol},{symbol}", pair.replace("/", "%2F")):
        for rest in ("trades/latest", "trades", "snapshot"):
            status, refused = call(trader, "GET", f"/v2/stocks/{unknown}/{rest}")
            assert (status, refused["code"]) == (422, 42210000), refused
            assert refused["details"]["field"] == "symbols", refused


def test_a_day_ends_with_its_last_trade(server, add_trader, symbol, call):
    """alpaca-trade-api and much that is written with it ask for one day as start and end."""
    _, buyer = play(add_trader, symbol)
    for what, count, zone in (("bars", 1, NEW_YORK), ("trades", 3, timezone.utc)):
        query = {"timeframe": "1Day"} if what == "bars" else {}
        day = f"{datetime.now(zone):%Y-%m-%d}"
        found = lambda end: call(buyer, "GET", f"/v2/stocks/{symbol}/{what}", start=day, end=end, **query)[1][what]
        eventually(lambda: len(found(day)) == count, True)
        assert what == "bars" or found(f"{day}T00:00:00Z") == []


def test_days_of_equities_begin_in_new_york(add_trader, symbol, pair, call):
    """Bots take the bar that does not begin with today's date in New York for the day before."""
    for root, named, zone in (("/v2/stocks/", symbol, NEW_YORK), ("/v1beta3/crypto/us/", pair, timezone.utc)):
        _, buyer = play(add_trader, named)
        midnight = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        monday, first = midnight - timedelta(days=midnight.weekday()), midnight.replace(day=1)
        for timeframe, start in (("1Day", midnight), ("1Week", monday), ("1Month", first)):
            query = {"symbols": named, "timeframe": timeframe, "start": "2026-01-01"}
            found = lambda: call(buyer, "GET", f"{root}bars", **query)[1]["bars"].get(named, [])
            said = f"{start.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
            eventually(lambda: [(bar["t"], bar["n"]) for bar in found()], [(said, 3)])
        snapshot = call(buyer, "GET", f"{root}snapshots", symbols=named)[1]
        day = snapshot.get("snapshots", snapshot)[named]["dailyBar"]
        assert (day["t"], day["n"]) == (f"{midnight.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}", 3)


def test_pairs_have_no_venue(server, add_trader, pair):
    play(add_trader, pair)
    found = requests.get(
        f"{server.url}/v1beta3/crypto/us/trades", params={"symbols": pair}, timeout=PATIENCE_S
    ).json()["trades"][pair]
    assert found and all(not {"x", "c", "z"} & trade.keys() for trade in found)


def test_the_go_client_names_every_channel(server, add_trader, symbol):
    trader = add_trader()
    nothing = dict.fromkeys([
        "quotes", "bars", "updatedBars", "dailyBars", "statuses", "imbalances", "lulds", "orderbooks", "news",
        "pricing",
    ])
    with connect(
        ws(server, "/v2/iex"), additional_headers={"Content-Type": "application/msgpack", **keys(trader)}
    ) as socket:
        hear = lambda: msgpack.unpackb(socket.recv(timeout=PATIENCE_S))
        assert [hear(), hear()] == [
            [{"T": "success", "msg": "connected"}], [{"T": "success", "msg": "authenticated"}],
        ]
        socket.send(msgpack.packb({"action": "subscribe", "trades": [symbol], **nothing}))
        [answer] = hear()
        assert (answer["T"], answer["trades"], answer["quotes"]) == ("subscription", [symbol], [])


def test_a_stream_with_a_slash_at_its_end(server, add_trader):
    with connect(ws(server, "/stream/"), additional_headers=keys(add_trader())) as socket:
        assert '"authorized"' in socket.recv(timeout=PATIENCE_S)


def test_a_day_begins_with_what_there_was_at_midnight(server, add_trader, symbol, call):
    """Bots divide by last_equity, also on the first day; Alpaca's document requires the profit of the day."""
    seller, owner, other = add_trader(f"{symbol}=10"), add_trader("USD=1000"), add_trader("USD=1000")
    account = lambda trader: call(trader, "GET", "/v2/account")[1]
    worth = lambda trader: (account(trader)["equity"], account(trader)["last_equity"])
    # The accounts are of today and began with what was paid in; before the first trade there was the reference price of 100.
    assert worth(owner) == ("1000", "1000") and worth(seller) == ("1000", "1000")
    seller.client.submit_order(limit(symbol, OrderSide.SELL, 4, 103))
    bought = owner.client.submit_order(limit(symbol, OrderSide.BUY, 4, 103))
    eventually(status_of(owner, bought), OrderStatus.FILLED)
    assert worth(owner) == ("1000", "1000") and worth(seller) == ("1030", "1000")
    position = owner.client.get_open_position(symbol)
    assert (position.current_price, position.lastday_price, position.change_today) == ("103", "100", "0.03")
    assert (position.unrealized_intraday_pl, position.unrealized_intraday_plpc) == ("0", "0")
    assert owner.client.get_all_positions() == [position]

    seller.client.submit_order(limit(symbol, OrderSide.SELL, 1, 104))
    last = other.client.submit_order(limit(symbol, OrderSide.BUY, 1, 104))
    eventually(status_of(other, last), OrderStatus.FILLED)
    eventually(lambda: owner.client.get_open_position(symbol).current_price, "104")
    position = owner.client.get_open_position(symbol)
    # 4 at 104 for 4 at 103.
    assert (position.unrealized_intraday_pl, position.unrealized_intraday_plpc) == ("4", "0.00970874")
    server.admin("deposit", "--account", owner.account_id, "USD=50")
    assert worth(owner) == ("1054", "1050")
    shown = account(owner)
    yesterday = datetime.fromisoformat(call(owner, "GET", "/v2/clock")[1]["timestamp"]).astimezone(timezone.utc)
    assert shown["balance_asof"] == f"{yesterday - timedelta(days=1):%Y-%m-%d}"
    assert shown["options_buying_power"] == "0"


def test_pairs_have_one_slash_or_none(add_trader, pair, call):
    """lumibot sent BTC//USD, and with any number of slashes it was taken for BTC/USD."""
    base = pair.removesuffix("/USD")
    trader = add_trader("USD=1000", f"{base}=2")
    order = {"qty": "1", "side": "buy", "type": "limit", "limit_price": "99", "time_in_force": "gtc"}
    for named in (pair, f"{base}USD"):
        status, placed = call(trader, "POST", "/v2/orders", {**order, "symbol": named})
        assert (status, placed["symbol"]) == (200, pair), placed
    for wrong in (f"{base}//USD", f"/{base}USD", f"{base}USD/", f"{base[0]}/{base[1:]}USD"):
        status, refused = call(trader, "POST", "/v2/orders", {**order, "symbol": wrong})
        assert (status, refused["code"]) == (404, 40410000), refused
        named = wrong.replace("/", "%2F")
        for path in (f"/v2/positions/{named}", f"/v2/assets/{named}"):
            assert call(trader, "GET", path)[0] == 404, path
    assert len(call(trader, "GET", "/v2/orders", symbols=f"{base}USD")[1]) == 2
    assert call(trader, "GET", "/v2/orders", symbols=f"{base}//USD")[1] == []


def test_the_calendar_says_when_trades_settle(add_trader, call):
    trader = add_trader()
    days = lambda **query: [
        (day["date"], day["settlement_date"]) for day in call(trader, "GET", "/v2/calendar", **query)[1]
    ]
    week = {"start": "2025-01-16", "end": "2025-01-21"}
    settled = [("2025-01-16", "2025-01-17"), ("2025-01-17", "2025-01-21"), ("2025-01-21", "2025-01-22")]
    assert days(**week) == days(**week, date_type="TRADING") == settled
    assert days(**week, date_type="SETTLEMENT") == [("2025-01-15", "2025-01-16"), *settled[:2]]


def test_an_order_names_its_instrument_by_uuid(add_trader, symbol, call):
    trader = add_trader("USD=1000")
    asset = call(trader, "GET", f"/v2/assets/{symbol}")[1]["id"]
    order = {
        "symbol": asset, "qty": "1", "side": "buy", "type": "limit", "limit_price": "99", "time_in_force": "day",
    }
    status, placed = call(trader, "POST", "/v2/orders", order)
    assert (status, placed["symbol"], placed["asset_id"]) == (200, symbol, asset), placed
    order["symbol"] = placed["id"]
    assert call(trader, "POST", "/v2/orders", order)[0] == 404


def test_orders_of_a_class(add_trader, symbol, pair, call):
    trader = add_trader("USD=1000")
    for named in (symbol, pair):
        trader.client.submit_order(limit(named, OrderSide.BUY, 1, 99))
    found = lambda **query: sorted(order["symbol"] for order in call(trader, "GET", "/v2/orders", **query)[1])
    assert found(asset_class="us_equity") == [symbol] and found(asset_class="crypto") == [pair]
    both = sorted([symbol, pair])
    assert found(asset_class="us_equity,crypto") == found(asset_class="all") == both
    assert found(asset_class="us_option") == found(asset_class="crypto_perp") == []
    for none in AssetClass:
        if none not in (AssetClass.US_EQUITY, AssetClass.CRYPTO):
            assert trader.client.get_all_assets(GetAssetsRequest(asset_class=none)) == []
    assert found(asset_class="us_option") == found(asset_class="crypto", symbols=symbol) == []
    status, refused = call(trader, "GET", "/v2/orders", asset_class="bonds")
    assert (status, refused["details"]["field"]) == (422, "asset_class"), refused


def test_symbols_that_are_not_listed_are_left_out(add_trader, symbol, pair, call):
    """Bots ask for lists of hundreds, of which some are gone; apca has a test of its own for it."""
    _, buyer = play(add_trader, symbol)
    play(add_trader, pair)
    for root, known, other in (("/v2/stocks/", symbol, pair), ("/v1beta3/crypto/us/", pair, symbol)):
        latest = "{}/latest" if root == "/v2/stocks/" else "latest/{}"
        asked = ",".join([known, *(f"GONE{number}" for number in range(999))])
        for what in ("bars", "quotes", "trades"):
            path = root + latest.format(what)
            eventually(lambda: list(call(buyer, "GET", path, symbols=asked)[1][what]), [known])
            status, found = call(buyer, "GET", root + what, symbols=asked, timeframe="1Min") if what == "bars" else (
                call(buyer, "GET", root + what, symbols=asked))
            assert (status, list(found[what])) == (200, [known]), found
            assert call(buyer, "GET", path, symbols="GONE") == (200, {what: {}})
            status, refused = call(buyer, "GET", path, symbols=f"{known},{other}")
            assert (status, refused["details"]["field"]) == (422, "symbols"), refused
        found = call(buyer, "GET", f"{root}snapshots", symbols=asked)[1]
        assert list(found.get("snapshots", found)) == [known]
        status, refused = call(buyer, "GET", f"{root}snapshots", symbols=f"{asked},MORE")
        assert (status, refused["details"]["field"]) == (422, "symbols"), refused
