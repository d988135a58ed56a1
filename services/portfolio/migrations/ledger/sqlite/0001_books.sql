-- The double-entry ledger: every leg with the transition that it came from. Rows are only added.
CREATE TABLE postings (
    -- The partition of the account stage, the transition in its journal, and the message of its lane.
    source_partition BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    number BIGINT NOT NULL,
    leg BIGINT NOT NULL,
    -- 1 available, 2 held, 3 clearing, 4 fees, 5 outside.
    book BIGINT NOT NULL,
    -- 0 for the books of the partition itself.
    account_id BIGINT NOT NULL,
    asset TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    PRIMARY KEY (source_partition, number, leg)
);

-- Every order there ever was, as its account saw it last.
CREATE TABLE orders (
    account_id BIGINT NOT NULL,
    order_id BIGINT NOT NULL,
    client_order_id TEXT NOT NULL,
    -- Without the slash of a pair.
    symbol TEXT NOT NULL,
    -- 1 buy, 2 sell.
    side BIGINT NOT NULL,
    -- 1 once nothing more happens to it.
    final BIGINT NOT NULL,
    created_at_us BIGINT NOT NULL,
    -- prepx.journal.v1.OrderView.
    view BYTEA NOT NULL,
    PRIMARY KEY (account_id, order_id)
);
CREATE INDEX orders_by_name ON orders (account_id, client_order_id);

-- What changed accounts, as their owners see it.
CREATE TABLE activities (
    account_id BIGINT NOT NULL,
    at_us BIGINT NOT NULL,
    source_partition BIGINT NOT NULL,
    number BIGINT NOT NULL,
    -- 1 FILL, 2 CSD, 3 CSW, 4 FEE, 5 CFEE, 6 JNLS.
    type BIGINT NOT NULL,
    -- prepx.journal.v1.AccountUpdate.
    change BYTEA NOT NULL,
    PRIMARY KEY (account_id, at_us, source_partition, number, type)
);

-- By how much what accounts have has changed, by day (UTC). Totals are the sums of all days before.
CREATE TABLE daily_changes (
    account_id BIGINT NOT NULL,
    asset TEXT NOT NULL,
    -- The midnight at which the day begins.
    day_us BIGINT NOT NULL,
    change_minor BIGINT NOT NULL,
    -- How much of that was paid in, or out when negative.
    paid_minor BIGINT NOT NULL,
    PRIMARY KEY (account_id, asset, day_us)
);
