-- How far each journal is chained. The row is the consumer's position and its effect in one (I2).
CREATE TABLE heads (
    topic BIGINT NOT NULL,
    source_partition BIGINT NOT NULL,
    next_offset BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    PRIMARY KEY (topic, source_partition)
);

-- Signed roots, dense from 1. Never changed, never removed.
CREATE TABLE roots (
    number BIGINT NOT NULL PRIMARY KEY,
    -- The canonical encoding: what is hashed.
    body BYTEA NOT NULL,
    -- Of the hash of the body.
    signature BYTEA NOT NULL
);
