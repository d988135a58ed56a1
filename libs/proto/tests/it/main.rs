//! The JSON that clients of the public API get for a message: made from the protos alone, and checked
//! by eye once against what they demand.

use expect_test::{Expect, expect};
use http::Method;
use prepx_proto::descriptors;
use prepx_proto::market_data::v1 as market;
use prepx_proto::portfolio::v1 as portfolio;
use prepx_proto::trading::v1 as trading;
use prepx_transcode::Router;
use prost::Message;

/// 2024-01-02T15:04:05.000006Z.
const AT_US: i64 = 1_704_207_845_000_006;
const ID: &str = "61e69015-8549-4bfd-b9c3-01e75843f47d";

fn json(method: Method, path: &str, answer: &impl Message) -> String {
    let router = Router::build(descriptors()).expect("the routes are sound");
    let call = router.find(&method, path).expect("the route is there");
    let body = call
        .route()
        .encode(&answer.encode_to_vec())
        .expect("the answer is its own");
    String::from_utf8(body).expect("JSON is text")
}

fn check(method: Method, path: &str, answer: &impl Message, expected: Expect) {
    expected.assert_eq(&json(method, path, answer).replace(
        ",\"", ",
\"",
    ));
}

fn order() -> trading::Order {
    trading::Order {
        id: ID.to_owned(),
        client_order_id: "mine".to_owned(),
        created_at: AT_US,
        updated_at: AT_US,
        submitted_at: AT_US,
        asset_id: ID.to_owned(),
        symbol: "BTC/USD".to_owned(),
        asset_class: trading::AssetClass::Crypto.into(),
        qty: Some("1.5".to_owned()),
        order_class: trading::OrderClass::Simple.into(),
        order_type: trading::OrderType::StopLimit.into(),
        r#type: trading::OrderType::StopLimit.into(),
        side: trading::OrderSide::Buy.into(),
        time_in_force: trading::TimeInForce::Gtc.into(),
        limit_price: Some("42000.25".to_owned()),
        stop_price: Some("42000".to_owned()),
        status: trading::OrderStatus::PartiallyFilled.into(),
        ..trading::Order::default()
    }
}

#[test]
fn an_order() {
    check(
        Method::POST,
        "/v2/orders",
        &order(),
        expect![[r#"
        {"id":"61e69015-8549-4bfd-b9c3-01e75843f47d",
        "client_order_id":"mine",
        "created_at":"2024-01-02T15:04:05.000006Z",
        "updated_at":"2024-01-02T15:04:05.000006Z",
        "submitted_at":"2024-01-02T15:04:05.000006Z",
        "filled_at":null,
        "expired_at":null,
        "expires_at":null,
        "canceled_at":null,
        "failed_at":null,
        "replaced_at":null,
        "replaced_by":null,
        "replaces":null,
        "asset_id":"61e69015-8549-4bfd-b9c3-01e75843f47d",
        "symbol":"BTC/USD",
        "asset_class":"crypto",
        "notional":null,
        "qty":"1.5",
        "filled_qty":"0",
        "filled_avg_price":null,
        "order_class":"simple",
        "order_type":"stop_limit",
        "type":"stop_limit",
        "side":"buy",
        "time_in_force":"gtc",
        "limit_price":"42000.25",
        "stop_price":"42000",
        "status":"partially_filled",
        "extended_hours":false,
        "legs":null,
        "trail_percent":null,
        "trail_price":null,
        "hwm":null,
        "position_intent":null,
        "post_only":false,
        "reject_reason":null}"#]],
    );
}

#[test]
fn the_cancels_of_all_orders() {
    let result = trading::CancelOrderResult {
        id: ID.to_owned(),
        status: 200,
    };
    let answer = trading::CancelAllOrdersResponse {
        results: vec![result],
    };
    check(
        Method::DELETE,
        "/v2/orders",
        &answer,
        expect![[r#"
        [{"id":"61e69015-8549-4bfd-b9c3-01e75843f47d",
        "status":200}]"#]],
    );
}

#[test]
fn a_clock_and_a_calendar() {
    let clock = trading::Clock {
        timestamp: AT_US,
        is_open: true,
        next_open: 0,
        next_close: AT_US,
    };
    check(
        Method::GET,
        "/v2/clock",
        &clock,
        expect![[r#"
        {"timestamp":"2024-01-02T10:04:05.000006-05:00",
        "is_open":true,
        "next_open":null,
        "next_close":"2024-01-02T10:04:05.000006-05:00"}"#]],
    );
    let day = trading::CalendarDay {
        date: "2024-01-02".to_owned(),
        open: "09:30".to_owned(),
        close: "16:00".to_owned(),
        session_open: "0400".to_owned(),
        session_close: "2000".to_owned(),
        settlement_date: "2024-01-03".to_owned(),
    };
    let days = trading::GetCalendarResponse { days: vec![day] };
    check(
        Method::GET,
        "/v2/calendar",
        &days,
        expect![[r#"
        [{"date":"2024-01-02",
        "open":"09:30",
        "close":"16:00",
        "session_open":"0400",
        "session_close":"2000",
        "settlement_date":"2024-01-03"}]"#]],
    );
}

#[test]
fn an_asset() {
    let asset = trading::Asset {
        id: ID.to_owned(),
        class: trading::AssetClass::UsEquity.into(),
        exchange: "NASDAQ".to_owned(),
        symbol: "AAPL".to_owned(),
        name: "Apple".to_owned(),
        status: trading::AssetStatus::Active.into(),
        tradable: true,
        price_increment: Some("0.01".to_owned()),
        ..trading::Asset::default()
    };
    check(
        Method::GET,
        "/v2/assets/AAPL",
        &asset,
        expect![[r#"
        {"id":"61e69015-8549-4bfd-b9c3-01e75843f47d",
        "class":"us_equity",
        "exchange":"NASDAQ",
        "symbol":"AAPL",
        "name":"Apple",
        "status":"active",
        "tradable":true,
        "marginable":false,
        "shortable":false,
        "easy_to_borrow":false,
        "fractionable":false,
        "min_order_size":null,
        "min_trade_increment":null,
        "price_increment":"0.01",
        "attributes":[]}"#]],
    );
}

#[test]
fn an_account() {
    let account = portfolio::Account {
        id: ID.to_owned(),
        account_number: "PX0000001".to_owned(),
        status: portfolio::AccountStatus::Active.into(),
        crypto_status: portfolio::AccountStatus::Active.into(),
        currency: "USD".to_owned(),
        cash: "1000.5".to_owned(),
        created_at: AT_US,
        ..portfolio::Account::default()
    };
    check(
        Method::GET,
        "/v2/account",
        &account,
        expect![[r#"
        {"id":"61e69015-8549-4bfd-b9c3-01e75843f47d",
        "account_number":"PX0000001",
        "status":"ACTIVE",
        "crypto_status":"ACTIVE",
        "currency":"USD",
        "buying_power":"0",
        "regt_buying_power":"0",
        "daytrading_buying_power":"0",
        "non_marginable_buying_power":"0",
        "cash":"1000.5",
        "accrued_fees":"0",
        "pending_transfer_out":"0",
        "pending_transfer_in":"0",
        "portfolio_value":"0",
        "pattern_day_trader":false,
        "trading_blocked":false,
        "transfers_blocked":false,
        "account_blocked":false,
        "created_at":"2024-01-02T15:04:05.000006Z",
        "trade_suspended_by_user":false,
        "multiplier":"0",
        "shorting_enabled":false,
        "equity":"0",
        "last_equity":null,
        "long_market_value":"0",
        "short_market_value":"0",
        "position_market_value":"0",
        "initial_margin":"0",
        "maintenance_margin":"0",
        "last_maintenance_margin":"0",
        "sma":"0",
        "daytrade_count":0,
        "options_buying_power":"0",
        "balance_asof":null}"#]],
    );
}

#[test]
fn closed_positions_are_orders_or_errors() {
    use portfolio::close_position_outcome::Outcome;
    let result = |symbol: &str, outcome| portfolio::ClosePositionResult {
        order_id: None,
        status: 200,
        symbol: symbol.to_owned(),
        body: Some(portfolio::ClosePositionOutcome {
            outcome: Some(outcome),
        }),
    };
    let held = portfolio::ClosePositionError {
        code: 40_310_000,
        message: "held".to_owned(),
    };
    let results = vec![result("AAPL", Outcome::Error(held))];
    let answer = portfolio::CloseAllPositionsResponse { results };
    check(
        Method::DELETE,
        "/v2/positions",
        &answer,
        expect![[r#"
        [{"order_id":null,
        "status":200,
        "symbol":"AAPL",
        "body":{"code":40310000,
        "message":"held"}}]"#]],
    );
    let results = vec![result("BTC/USD", Outcome::Order(order()))];
    let answer = portfolio::CloseAllPositionsResponse { results };
    let (all, one) = (
        json(Method::DELETE, "/v2/positions", &answer),
        json(Method::POST, "/v2/orders", &order()),
    );
    assert!(all.ends_with(&format!("\"body\":{one}}}]")), "{all}");
}

#[test]
fn bars() {
    let bar = market::Bar {
        timestamp: AT_US,
        open: "1".to_owned(),
        high: "2.5".to_owned(),
        low: "1".to_owned(),
        close: "2".to_owned(),
        volume: "10".to_owned(),
        trade_count: 3,
        vwap: None,
    };
    let list = market::BarList { bars: vec![bar] };
    let answer = market::GetBarsResponse {
        bars: [("AAPL".to_owned(), list)].into(),
        next_page_token: None,
    };
    check(
        Method::GET,
        "/v2/stocks/bars",
        &answer,
        expect![[r#"
        {"bars":{"AAPL":[{"t":"2024-01-02T15:04:05.000006Z",
        "o":1,
        "h":2.5,
        "l":1,
        "c":2,
        "v":10,
        "n":3,
        "vw":null}]},
        "next_page_token":null}"#]],
    );
}

#[test]
fn trades_and_books() {
    let trade = market::Trade {
        timestamp: AT_US,
        price: "42000.25".to_owned(),
        size: "0.001".to_owned(),
        id: 7,
        taker: market::Taker::Seller.into(),
        exchange: String::new(),
        conditions: Vec::new(),
        tape: String::new(),
    };
    let answer = market::GetLatestTradesResponse {
        trades: [("BTC/USD".to_owned(), trade)].into(),
    };
    check(
        Method::GET,
        "/v1beta3/crypto/us/latest/trades",
        &answer,
        expect![[r#"
            {"trades":{"BTC/USD":{"t":"2024-01-02T15:04:05.000006Z",
            "p":42000.25,
            "s":0.001,
            "i":7,
            "tks":"S"}}}"#]],
    );
    let level = market::BookLevel {
        price: "42000".to_owned(),
        size: "1".to_owned(),
    };
    let book = market::OrderBook {
        timestamp: AT_US,
        bids: vec![level],
        number: 9,
        ..Default::default()
    };
    let answer = market::GetLatestOrderBooksResponse {
        orderbooks: [("BTC/USD".to_owned(), book)].into(),
    };
    check(
        Method::GET,
        "/v1beta3/crypto/us/latest/orderbooks",
        &answer,
        expect![[r#"
            {"orderbooks":{"BTC/USD":{"t":"2024-01-02T15:04:05.000006Z",
            "b":[{"p":42000,
            "s":1}],
            "a":[],
            "n":9}}}"#]],
    );
}

fn read<M: Message + Default>(method: Method, path: &str, query: &str, body: &str) -> M {
    let router = Router::build(descriptors()).expect("the routes are sound");
    let call = router.find(&method, path).expect("the route is there");
    let json = (!body.is_empty()).then_some("application/json");
    let query = (!query.is_empty()).then_some(query);
    let bytes = call
        .decode(query, json, body.as_bytes())
        .expect("the request is right");
    M::decode(bytes.as_slice()).expect("the transcoder writes the message")
}

#[test]
fn numbers_and_texts_place_the_same_order() {
    // As alpaca-py 0.44.0 sends it, and as ccxt 4.5.90 does.
    let number = r#"{"symbol":"BTC/USD","qty":1.50,"side":"buy","type":"limit",
        "time_in_force":"gtc","order_class":"","limit_price":1e-05}"#;
    let text = r#"{"symbol":"BTC/USD","qty":"1.50","side":"buy","type":"limit",
        "time_in_force":"gtc","order_class":"simple","limit_price":"1e-05"}"#;
    let placed: trading::SubmitOrderRequest = read(Method::POST, "/v2/orders", "", number);
    assert_eq!(placed, read(Method::POST, "/v2/orders", "", text));
    assert_eq!(placed.qty.as_deref(), Some("1.50"));
    assert_eq!(placed.limit_price.as_deref(), Some("1e-05"));
    assert_eq!(placed.order_class(), trading::OrderClass::Simple);
}

#[test]
fn queries_are_read_as_clients_write_them() {
    let query = "status=all&limit=7&nested=True&after=2024-01-02T00%3A00%3A00%2B00%3A00\
                 &direction=asc&symbols=AAPL,BTC%2FUSD";
    let orders: trading::GetOrdersRequest = read(Method::GET, "/v2/orders", query, "");
    assert_eq!(orders.status(), trading::QueryOrderStatus::All);
    assert_eq!((orders.limit, orders.nested), (Some(7), Some(true)));
    assert_eq!(orders.after, Some(1_704_153_600_000_000));
    assert_eq!(orders.symbols, "AAPL,BTC/USD");
    let query = "symbols=BTC%2FUSD&timeframe=1min&limit=12000&start=2024-01-02";
    let bars: market::GetBarsRequest = read(Method::GET, "/v1beta3/crypto/us/bars", query, "");
    assert_eq!(
        (bars.timeframe.as_str(), bars.limit),
        ("1min", Some(12_000))
    );
    assert_eq!(bars.start, Some(1_704_153_600_000_000));
}

#[test]
fn a_pair_in_a_path_may_keep_its_slash() {
    for path in ["/v2/assets/BTC/USD", "/v2/assets/BTC%2FUSD"] {
        let asked: trading::GetAssetRequest = read(Method::GET, path, "", "");
        assert_eq!(asked.symbol_or_id, "BTC/USD", "{path}");
    }
}
