-- The double-entry ledger: every leg with the transition that it came from. Rows are only added.
-- On PostgreSQL, tables with an account in them are partitioned by it, sixteen ways.
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
    PRIMARY KEY (source_partition, number, leg
--pg , account_id
    )
)
--pg PARTITION BY HASH (account_id)
-- In SQLite the rows stand in their key: an index of its own would be as large as they are.
--pg /*
WITHOUT ROWID
--pg */
;

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
)
--pg PARTITION BY HASH (account_id)
;
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
)
--pg PARTITION BY HASH (account_id)
;

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
)
--pg PARTITION BY HASH (account_id)
;

--pg DO $$
--pg DECLARE
--pg     whole TEXT;
--pg BEGIN
--pg     FOREACH whole IN ARRAY ARRAY['postings', 'orders', 'activities', 'daily_changes'] LOOP
--pg         FOR part IN 0..15 LOOP
--pg             EXECUTE format(
--pg                 'CREATE TABLE %I PARTITION OF %I FOR VALUES WITH (MODULUS 16, REMAINDER %s)',
--pg                 whole || '_p' || part, whole, part
--pg             );
--pg         END LOOP;
--pg     END LOOP;
--pg END $$;

-- Accounts of the simulated population: what they did may be compacted.
CREATE TABLE simulated (
    account_id BIGINT NOT NULL PRIMARY KEY
);

-- What compacted postings came to: an opening balance a book. They add up to zero by asset, as the
-- postings of every message did.
CREATE TABLE openings (
    source_partition BIGINT NOT NULL,
    book BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    asset TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    -- The newest transition that is in it.
    seq BIGINT NOT NULL,
    PRIMARY KEY (source_partition, book, account_id, asset)
);

-- How far compaction has come: in the postings of a partition by message, in orders and activities
-- by row.
CREATE TABLE compacted (
    -- postings, orders or activities.
    part TEXT NOT NULL,
    source_partition BIGINT NOT NULL,
    through BIGINT NOT NULL,
    PRIMARY KEY (part, source_partition)
);
