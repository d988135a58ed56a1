"""The streams: unmodified alpaca-py on trade updates and market data, and sockets that do what no
client should. Every number is computed by hand."""

import json
import logging
import socket
import threading
import time
from datetime import datetime, timedelta, timezone
from uuid import UUID
from zoneinfo import ZoneInfo

import msgpack
import pytest
import requests
from alpaca.data.live import CryptoDataStream, StockDataStream
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, OrderStatus, TradeEvent
from alpaca.trading.requests import ReplaceOrderRequest
from alpaca.trading.stream import TradingStream
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from conftest import PATIENCE_S, Server, trader
from test_market_data import pair  # noqa: F401, a fixture
from test_trading import eventually, limit, status_of


def ws(server, path: str) -> str:
    return server.url.replace("http", "ws", 1) + path


class Running:
    """A client's stream on a thread of its own, and what it has heard."""

    def __init__(self, stream):
        self.stream = stream
        self.heard = []
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=stream.run, daemon=True)

    async def hear(self, message):
        with self.changed:
            self.heard.append(message)
            self.changed.notify_all()

    def wait(self, count, which=lambda message: True, timeout_s=PATIENCE_S):
        """The first `count` messages of a kind, in their order."""
        chosen = lambda: [message for message in self.heard if which(message)]
        with self.changed:
            self.changed.wait_for(lambda: len(chosen()) >= count, timeout_s)
            assert len(chosen()) >= count, f"{len(chosen())} of {count}: {self.heard}"
            return chosen()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        # Not waited for: the client looks up from its socket every 5 s only.
        self.stream.stop()


def trade_updates(server, who):
    stream = TradingStream(who.key_id, who.secret_key, url_override=ws(server, "/stream"))
    running = Running(stream)
    stream.subscribe_trade_updates(running.hear)
    return running


def probe(running, trader, symbol):
    """Trades nothing until the stream tells of it: from then on it tells everything."""
    for _ in range(50):
        order = trader.client.submit_order(limit(symbol, OrderSide.SELL, 1, 104))
        with running.changed:
            heard = running.changed.wait_for(lambda: running.heard, 0.2)
        # What is on offer cannot be offered again.
        trader.client.cancel_orders()
        eventually(status_of(trader, order), OrderStatus.CANCELED)
        if heard:
            break
    running.wait(1, lambda update: update.event == TradeEvent.CANCELED)


def shown(update):
    return (update.event, update.price, update.qty, update.position_qty)


def of(order):
    return lambda update: update.order.id == order.id


def test_trade_updates_of_two_accounts(server, add_trader, symbol):
    seller = add_trader("USD=1000", f"{symbol}=10")
    buyer = add_trader("USD=1000", f"{symbol}=1")
    with trade_updates(server, seller) as sold, trade_updates(server, buyer) as bought:
        probe(sold, seller, symbol)
        probe(bought, buyer, symbol)
        offer = seller.client.submit_order(limit(symbol, OrderSide.SELL, 5, 100.50))
        eventually(status_of(seller, offer), OrderStatus.NEW)
        first = buyer.client.submit_order(limit(symbol, OrderSide.BUY, 2, 100.50))
        second = buyer.client.submit_order(limit(symbol, OrderSide.BUY, 4, 101))

        updates = sold.wait(3, of(offer))
        assert [shown(update) for update in updates] == [
            ("new", None, None, None),
            ("partial_fill", 100.5, 2, 8),
            ("fill", 100.5, 3, 5),
        ]
        assert [update.order.status.value for update in updates] == [
            "new", "partially_filled", "filled",
        ]
        assert [update.order.filled_qty for update in updates] == ["0", "2", "5"]
        assert updates[2].order.filled_avg_price == "100.5"
        assert updates[0].execution_id is None
        executions = {update.execution_id for update in updates[1:]}
        assert len(executions) == 2 and all(isinstance(one, UUID) for one in executions)
        times = [update.timestamp for update in updates]
        assert times == sorted(times)
        assert abs(times[0] - datetime.now(timezone.utc)) < timedelta(minutes=1)

        assert [shown(update) for update in bought.wait(2, of(first))] == [
            ("new", None, None, None), ("fill", 100.5, 2, 3),
        ]
        updates = bought.wait(2, of(second))
        assert [shown(update) for update in updates] == [
            ("new", None, None, None), ("partial_fill", 100.5, 3, 6),
        ]
        assert not executions & {update.execution_id for update in bought.heard}

        buyer.client.cancel_order_by_id(second.id)
        assert [shown(update)[0] for update in bought.wait(4, of(second))][2:] == [
            "pending_cancel", "canceled",
        ]
        # I9: neither hears of the other.
        assert not {u.order.id for u in sold.heard} & {u.order.id for u in bought.heard}


def test_trade_updates_of_a_replacement_and_an_immediate_order(server, add_trader, symbol):
    seller = add_trader(f"{symbol}=10")
    with trade_updates(server, seller) as sold:
        probe(sold, seller, symbol)
        old = seller.client.submit_order(limit(symbol, OrderSide.SELL, 5, 101))
        eventually(status_of(seller, old), OrderStatus.NEW)
        new = seller.client.replace_order_by_id(old.id, ReplaceOrderRequest(qty=6))
        assert [shown(update)[0] for update in sold.wait(3, of(old))] == [
            "new", "pending_replace", "replaced",
        ]
        updates = sold.wait(2, of(new))
        assert [shown(update)[0] for update in updates] == ["pending_new", "new"]
        assert updates[1].order.replaces == old.id and updates[1].order.qty == "6"


class Subscriptions(logging.Handler):
    """Hears alpaca-py say that its subscription was confirmed."""

    def __init__(self):
        super().__init__(logging.INFO)
        self.confirmed = threading.Event()

    def emit(self, record):
        if record.getMessage().startswith("subscribed to"):
            self.confirmed.set()


@pytest.fixture
def confirmed():
    logger = logging.getLogger("alpaca.data.live.websocket")
    handler, level = Subscriptions(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lambda: handler.confirmed.wait(PATIENCE_S)
    logger.removeHandler(handler)
    logger.setLevel(level)


def kind(name):
    return lambda message: type(message).__name__ == name


def quote(message):
    return (message.bid_price, message.bid_size, message.ask_price, message.ask_size)


def traded(message):
    return (message.symbol, message.price, message.size)


def play(seller, buyer, symbol):
    """Sells 4 at 100.50 and 2 at 101; buys 1.5, then 3 with a limit of 101.
    Trades: 1.5 and 2.5 at 100.50, 0.5 at 101. Left: 1.5 for sale at 101."""
    for qty, price in ((4, 100.50), (2, 101)):
        seller.client.submit_order(limit(symbol, OrderSide.SELL, qty, price))
    for qty, price in ((1.5, 101), (3, 101)):
        buyer.client.submit_order(limit(symbol, OrderSide.BUY, qty, price))


QUOTES = [
    (0, 0, 100.5, 4),
    (0, 0, 100.5, 2.5),
    (0, 0, 101, 2),
    (0, 0, 101, 1.5),
]


def check_bar(bar, symbol):
    assert (bar.symbol, bar.open, bar.high, bar.low, bar.close) == (symbol, 100.5, 101, 100.5, 101)
    assert (bar.volume, bar.trade_count) == (4.5, 3)
    # (4 × 100.50 + 0.5 × 101) / 4.5
    assert bar.vwap == pytest.approx(100.55555556)
    assert (bar.timestamp.second, bar.timestamp.microsecond) == (0, 0)


def not_at_the_end_of_a_minute():
    """Waits, if need be, so that what follows is within one minute."""
    while datetime.now(timezone.utc).second > 50:
        time.sleep(0.5)


def test_stocks(server, add_trader, symbol, confirmed):
    seller, buyer = add_trader(f"{symbol}=10"), add_trader("USD=1000")
    url = ws(server, "/v2/iex")
    stream = StockDataStream(seller.key_id, seller.secret_key, url_override=url)
    running = Running(stream)
    stream.subscribe_trades(running.hear, symbol)
    stream.subscribe_quotes(running.hear, symbol)
    stream.subscribe_bars(running.hear, symbol)
    days = []

    async def hear_day(bar):
        days.append(bar)

    stream.subscribe_daily_bars(hear_day, symbol)
    not_at_the_end_of_a_minute()
    with running:
        assert confirmed()
        play(seller, buyer, symbol)
        trades = running.wait(3, kind("Trade"))
        assert [traded(trade) for trade in trades] == [
            (symbol, 100.5, 1.5), (symbol, 100.5, 2.5), (symbol, 101, 0.5),
        ]
        assert abs(trades[0].timestamp - datetime.now(timezone.utc)) < timedelta(minutes=1)
        assert [quote(message) for message in running.wait(4, kind("Quote"))] == QUOTES
        [bar] = running.wait(1, kind("Bar"), timeout_s=75)
        check_bar(bar, symbol)
        eventually(lambda: len(days), 1)
        check_bar(days[0], symbol)
        midnight = days[0].timestamp.astimezone(ZoneInfo("America/New_York"))
        assert (midnight.hour, midnight.minute) == (0, 0)


def test_crypto_with_orderbooks(server, add_trader, pair, confirmed):
    seller, buyer = add_trader(f"{pair.split('/')[0]}=10"), add_trader("USD=1000")
    url = ws(server, "/v1beta3/crypto/us")
    stream = CryptoDataStream(seller.key_id, seller.secret_key, url_override=url)
    running = Running(stream)
    stream.subscribe_trades(running.hear, "*")
    stream.subscribe_orderbooks(running.hear, pair)
    with running:
        assert confirmed()
        play(seller, buyer, pair)
        of_pair = lambda message: message.symbol == pair
        trades = running.wait(3, lambda m: kind("Trade")(m) and of_pair(m))
        assert [traded(trade) for trade in trades] == [
            (pair, 100.5, 1.5), (pair, 100.5, 2.5), (pair, 101, 0.5),
        ]
        books = running.wait(6, kind("Orderbook"))
        levels = lambda side: [(level.price, level.size) for level in side]
        assert [(book.reset, levels(book.bids), levels(book.asks)) for book in books] == [
            (True, [], []),
            (False, [], [(100.5, 4)]),
            (False, [], [(101, 2)]),
            (False, [], [(100.5, 2.5)]),
            (False, [], [(100.5, 0)]),
            (False, [], [(101, 1.5)]),
        ]


class Raw:
    """A JSON socket without a client library."""

    def __init__(self, server, path="/v2/iex", **options):
        self.connecting = connect(ws(server, path), open_timeout=PATIENCE_S, **options)

    def __enter__(self):
        self.socket = self.connecting.__enter__()
        return self

    def __exit__(self, *why):
        self.connecting.__exit__(*why)

    def say(self, message):
        self.socket.send(json.dumps(message))

    def hear(self, timeout_s=PATIENCE_S):
        return json.loads(self.socket.recv(timeout=timeout_s))

    def ask(self, message):
        self.say(message)
        return self.hear()

    def closed(self, timeout_s=PATIENCE_S):
        with pytest.raises(ConnectionClosed) as closed:
            self.socket.recv(timeout=timeout_s)
        return closed.value.rcvd and closed.value.rcvd.code

    def sign_in(self, trader):
        """Shows the key of a trader, to a server that has just spoken first."""
        assert self.hear() == [{"T": "success", "msg": "connected"}]
        answer = self.ask({"action": "auth", "key": trader.key_id, "secret": trader.secret_key})
        assert answer == [{"T": "success", "msg": "authenticated"}]


def refusal(code, words):
    return [{"T": "error", "code": code, "msg": words}]


def test_wrong_keys_are_refused_and_closed(server, add_trader):
    key = add_trader().key_id
    with Raw(server) as raw:
        assert raw.hear() == [{"T": "success", "msg": "connected"}]
        wrong = {"action": "auth", "key": key, "secret": "wrong"}
        assert raw.ask(wrong) == refusal(402, "auth failed")
        assert raw.closed() == 1008
    with Raw(server, "/stream") as raw:
        wrong = {"action": "authenticate", "data": {"key_id": key, "secret_key": "wrong"}}
        assert raw.ask(wrong) == {
            "stream": "authorization",
            "data": {"status": "unauthorized", "action": "authenticate"},
        }
        assert raw.closed() == 1008


def test_a_trading_stream_stays_whose_it_is(server, add_trader):
    first, second = add_trader(), add_trader()

    def ask(who, secret=None):
        keys = {"key_id": who.key_id, "secret_key": secret or who.secret_key}
        return raw.ask({"action": "authenticate", "data": keys})

    authorization = lambda status: {
        "stream": "authorization", "data": {"status": status, "action": "authenticate"},
    }
    with Raw(server, "/stream") as raw:
        assert ask(first) == authorization("authorized")
        assert ask(first) == authorization("authorized")
        words = {"code": 403, "error_message": "already authenticated"}
        assert ask(second) == {"stream": "error", "data": words}
        assert ask(first, "wrong") == authorization("unauthorized")
        assert raw.closed() == 1008


def test_who_does_not_sign_in_is_told_and_closed(server):
    with Raw(server) as data, Raw(server, "/stream") as trading:
        data.hear()
        asked = {"action": "subscribe", "trades": ["A"]}
        assert data.ask(asked) == refusal(401, "not authenticated")
        listen = {"action": "listen", "data": {"streams": ["trade_updates"]}}
        assert trading.ask(listen)["data"]["status"] == "unauthorized"
        assert data.hear() == refusal(404, "auth timeout")
        assert data.closed() == 1008
        assert trading.hear()["data"]["status"] == "unauthorized"
        assert trading.closed() == 1008


def test_keys_in_the_headers_sign_in(server, add_trader):
    trader = add_trader()
    keys = {"APCA-API-KEY-ID": trader.key_id, "APCA-API-SECRET-KEY": trader.secret_key}
    with Raw(server, additional_headers=keys) as raw:
        assert raw.hear() == [{"T": "success", "msg": "connected"}]
        assert raw.hear() == [{"T": "success", "msg": "authenticated"}]


def test_sockets_end_with_their_key(server, add_trader):
    trader, other = add_trader(), add_trader()
    keys = {"APCA-API-KEY-ID": trader.key_id, "APCA-API-SECRET-KEY": trader.secret_key}
    with Raw(server, additional_headers=keys) as data, Raw(server) as untouched, \
            Raw(server, "/stream", additional_headers=keys) as trading:
        untouched.sign_in(other)
        assert [data.hear(), data.hear()][1] == [{"T": "success", "msg": "authenticated"}]
        assert trading.hear()["data"]["status"] == "authorized"
        own = f"{server.url}/api/v1/keys/{trader.key_id}"
        assert requests.delete(own, headers=keys, timeout=PATIENCE_S).status_code == 204
        # Before any heartbeat.
        assert data.hear(timeout_s=12) == refusal(402, "auth failed")
        assert data.closed() == 1008
        assert trading.hear(timeout_s=12)["data"]["status"] == "unauthorized"
        assert trading.closed() == 1008
        asked = {"action": "subscribe", "trades": ["A"]}
        assert untouched.ask(asked)[0]["T"] == "subscription"


def test_subscriptions_are_listed_whole_and_bounded(server, add_trader):
    with Raw(server) as raw:
        raw.sign_in(add_trader())
        every = ["trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "corrections",
                 "cancelErrors"]
        nothing = {"T": "subscription", **{name: [] for name in every}}
        asked = {"action": "subscribe", "trades": ["B", "A"], "bars": ["*"]}
        assert raw.ask(asked) == [{**nothing, "trades": ["A", "B"], "bars": ["*"]}]
        asked = {"action": "unsubscribe", "trades": ["A"], "quotes": ["A"]}
        assert raw.ask(asked) == [{**nothing, "trades": ["B"], "bars": ["*"]}]
        many = {"action": "subscribe", "quotes": [f"S{n}" for n in range(1001)]}
        assert raw.ask(many) == refusal(405, "symbol limit exceeded")
        assert raw.ask({"action": "auth", "key": "k", "secret": "s"}) == refusal(
            403, "already authenticated"
        )
        untold = lambda *names: [
            {**refusal(410, "invalid subscribe action for this feed")[0], "channels": list(names)}
        ]
        assert raw.ask({"action": "subscribe", "orderbooks": ["A"]}) == untold("orderbooks")
        # The rest is heard, and what there is not is named.
        asked = {"action": "subscribe", "quotes": ["A"], "orderbooks": ["A"], "news": ["A"]}
        assert raw.ask(asked) == [{**nothing, "trades": ["B"], "quotes": ["A"], "bars": ["*"]}]
        assert raw.hear() == untold("orderbooks", "news")
        assert raw.ask({"action": "unsubscribe", "quotes": ["A"]}) == [
            {**nothing, "trades": ["B"], "bars": ["*"]}
        ]
        assert raw.ask({"action": "unsubscribe", "bars": ["*"]}) == [{**nothing, "trades": ["B"]}]


GARBAGE = [
    "", "{", "null", "[]", "7", '"subscribe"', "{}", '{"action":7}', '{"action":"dance"}',
    '{"action":"subscribe","trades":"A"}', '{"action":"subscribe","trades":[{}]}',
    "[" * 5000, "\x00", b"\xff\xfe", b"", '{"action":"subscribe","trades":["' + "A" * 99 + '"]}',
]


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/msgpack"}])
def test_garbage_is_answered_with_an_error(server, add_trader, headers):
    trader = add_trader()
    with connect(ws(server, "/v2/iex"), additional_headers=headers) as raw:
        read = msgpack.unpackb if headers else json.loads
        ask = lambda message: (raw.send(message), read(raw.recv(timeout=PATIENCE_S)))[1]
        assert read(raw.recv(timeout=PATIENCE_S))[0]["msg"] == "connected"
        key = {"action": "auth", "key": trader.key_id, "secret": trader.secret_key}
        assert ask(json.dumps(key)) == [{"T": "success", "msg": "authenticated"}]
        for garbage in GARBAGE:
            assert ask(garbage) == refusal(400, "invalid syntax"), garbage
        assert ask('{"action":"subscribe"}')[0]["T"] == "subscription"


def test_garbage_on_the_trading_stream(server):
    with Raw(server, "/stream") as raw:
        for garbage in GARBAGE:
            raw.socket.send(garbage)
            assert raw.hear()["data"]["code"] == 400, garbage


def test_a_message_that_is_too_large_ends_its_socket_alone(server, add_trader):
    trader = add_trader()
    with Raw(server) as large, Raw(server) as other:
        large.sign_in(trader)
        other.sign_in(trader)
        try:
            large.socket.send("x" * (1 << 20))
        except ConnectionClosed:
            pass
        with pytest.raises(ConnectionClosed):
            while True:
                assert json.loads(large.socket.recv(timeout=PATIENCE_S)) == refusal(
                    400, "invalid syntax"
                )
        assert other.ask({"action": "subscribe"})[0]["T"] == "subscription"


def test_a_path_of_a_socket_says_so_to_others(server):
    answer = requests.get(server.url + "/stream", timeout=PATIENCE_S)
    assert answer.status_code == 400 and "WebSocket" in answer.json()["message"]


def test_who_does_not_read_holds_nobody_up(server, add_trader, symbol):
    trader = add_trader(f"{symbol}=10")
    # A receive window of almost nothing, set before the connection is made, and a client that never
    # reads from it.
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    host, port = server.url.removeprefix("http://").split(":")
    deaf.connect((host, int(port)))
    # Neither reads while orders are placed, so neither hears that its own pings are answered.
    patient = {"ping_interval": None}
    slow = connect(ws(server, "/v2/iex"), sock=deaf, max_queue=1, close_timeout=1, **patient)
    with slow as slow, Raw(server, **patient) as quick:
        key = {"action": "auth", "key": trader.key_id, "secret": trader.secret_key}
        asked = {"action": "subscribe", "quotes": [symbol]}
        slow.send(json.dumps(key))
        slow.send(json.dumps(asked))
        quick.sign_in(trader)
        quick.ask(asked)
        for _ in range(100):
            order = trader.client.submit_order(limit(symbol, OrderSide.SELL, 1, 100.50))
            trader.client.cancel_order_by_id(order.id)
            eventually(status_of(trader, order), OrderStatus.CANCELED)
        quotes = []
        while len(quotes) < 200:
            quotes += [(message["ap"], message["as"]) for message in quick.hear()]
        assert quotes == [(100.5, 1), (0, 0)] * 100


def test_streams_end_with_the_server_and_clients_connect_again(tmp_path):
    (tmp_path / "data").mkdir()
    own = Server(tmp_path / "data").start()
    account = trader(own)
    with Raw(own) as raw:
        raw.sign_in(account)
        own.process.terminate()
        assert raw.closed() == 1012
    assert own.process.wait(timeout=30) == 0


def test_books_go_on_after_a_crash(tmp_path):
    (tmp_path / "data").mkdir()
    own = Server(tmp_path / "data").start()
    more = ("--tick", "0.01", "--lot", "0.001", "--calendar", "always", "--reference-price", "100")
    own.admin("instrument", "add", "--symbol", "AAA", "--class", "us_equity", *more)
    own.admin("instrument", "add", "--symbol", "BBB/USD", "--class", "crypto", *more)
    seller = trader(own, "AAA=10", "BBB=10")
    for symbol in ("AAA", "BBB/USD"):
        for price in (100.50, 101):
            seller.client.submit_order(limit(symbol, OrderSide.SELL, 2, price))
    own.kill()
    own.start()
    seller.client = TradingClient(seller.key_id, seller.secret_key, url_override=own.url)
    with Raw(own, "/v1beta3/crypto/us") as crypto, Raw(own) as stocks:
        crypto.sign_in(seller)
        crypto.ask({"action": "subscribe", "orderbooks": ["*"]})
        [whole] = crypto.hear()
        assert (whole["T"], whole["S"], whole["r"], whole["b"]) == ("o", "BBB/USD", True, [])
        assert whole["a"] == [{"p": 100.5, "s": 2}, {"p": 101, "s": 2}]

        stocks.sign_in(seller)
        stocks.ask({"action": "subscribe", "quotes": ["AAA"]})
        for order in seller.client.get_orders():
            if order.limit_price == "100.5":
                seller.client.cancel_order_by_id(order.id)
        [best] = stocks.hear()
        assert (best["S"], best["bp"], best["ap"], best["as"]) == ("AAA", 0, 101, 2)
        [change] = crypto.hear()
        assert (change["b"], change["a"]) == ([], [{"p": 100.5, "s": 0}])
        assert "r" not in change and change["n"] == whole["n"] + 1
    assert own.stop() == 0
