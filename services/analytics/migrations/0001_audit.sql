-- How far each journal is chained. The row is the consumer's position and its effect in one (I2).
CREATE TABLE heads (
    topic BIGINT NOT NULL,
    source_partition BIGINT NOT NULL,
    next_offset BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    PRIMARY KEY (topic, source_partition)
);

-- Signed roots, dense from 1. Never changed, never removed. On PostgreSQL by month; a month may be put elsewhere as
-- a whole, and has to be back for all roots to be verified.
CREATE TABLE roots (
    number BIGINT NOT NULL,
    created_at_us BIGINT NOT NULL,
    -- The canonical encoding: what is hashed.
    body BYTEA NOT NULL,
    -- Of the hash of the body.
    signature BYTEA NOT NULL,
    PRIMARY KEY (number
--pg , created_at_us
    )
)
--pg PARTITION BY RANGE (created_at_us)
;
-- What no month is made for, by a clock that is wrong or before the service has looked.
--pg CREATE TABLE roots_default PARTITION OF roots DEFAULT;
