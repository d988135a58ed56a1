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
