-- Markets as of the last change that was taken.
CREATE TABLE markets (
    instrument_id BIGINT NOT NULL PRIMARY KEY,
    -- prepx.journal.v1.Instrument.
    definition BYTEA NOT NULL,
    -- The number of that change.
    number BIGINT NOT NULL,
    -- When the book, and when the best of it, changed last; 0 before the first time.
    book_at_us BIGINT NOT NULL,
    quote_at_us BIGINT NOT NULL
);

-- The books: with `markets`, the snapshot that later changes are applied to. Sizes are above zero.
CREATE TABLE levels (
    instrument_id BIGINT NOT NULL,
    -- 1 bids, 2 asks.
    side BIGINT NOT NULL,
    price_ticks BIGINT NOT NULL,
    qty_lots BIGINT NOT NULL,
    PRIMARY KEY (instrument_id, side, price_ticks)
);

-- The newest trades of each instrument.
CREATE TABLE trades (
    instrument_id BIGINT NOT NULL,
    at_us BIGINT NOT NULL,
    trade_id BIGINT NOT NULL,
    price_ticks BIGINT NOT NULL,
    qty_lots BIGINT NOT NULL,
    -- 1 the buyer arrived, 2 the seller.
    taker BIGINT NOT NULL,
    PRIMARY KEY (instrument_id, at_us, trade_id)
);

-- The newest quotes of each instrument: of each millisecond in which the best changed, the last.
-- Zeros on a side without any.
CREATE TABLE quotes (
    instrument_id BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    at_us BIGINT NOT NULL,
    bid_ticks BIGINT NOT NULL,
    bid_lots BIGINT NOT NULL,
    ask_ticks BIGINT NOT NULL,
    ask_lots BIGINT NOT NULL,
    PRIMARY KEY (instrument_id, at_ms)
);

-- Intervals with trades, for ever.
CREATE TABLE bars (
    instrument_id BIGINT NOT NULL,
    -- 60,000,000, 3,600,000,000 or 86,400,000,000.
    width_us BIGINT NOT NULL,
    start_us BIGINT NOT NULL,
    open_ticks BIGINT NOT NULL,
    high_ticks BIGINT NOT NULL,
    low_ticks BIGINT NOT NULL,
    close_ticks BIGINT NOT NULL,
    volume_lots BIGINT NOT NULL,
    trades BIGINT NOT NULL,
    -- Sum of price × quantity in ticks × lots: 16 bytes, two's complement, high byte first.
    turnover BYTEA NOT NULL,
    PRIMARY KEY (instrument_id, width_us, start_us)
);
