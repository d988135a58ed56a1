-- Money in and out by the caller's own name for it. Kept for ever: a repeat books nothing. On PostgreSQL sixteen ways
-- by account.
CREATE TABLE transfers (
    account_id BIGINT NOT NULL,
    idempotency_key TEXT NOT NULL,
    command_id BYTEA NOT NULL,
    stamped_at_us BIGINT NOT NULL,
    -- 1 incoming, 2 outgoing.
    direction BIGINT NOT NULL,
    asset TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    -- 1 once the account stage's decision is durable.
    settled BIGINT NOT NULL,
    PRIMARY KEY (account_id, idempotency_key)
)
--pg PARTITION BY HASH (account_id)
;

--pg DO $$
--pg BEGIN
--pg     FOR part IN 0..15 LOOP
--pg         EXECUTE format(
--pg             'CREATE TABLE %I PARTITION OF transfers FOR VALUES WITH (MODULUS 16, REMAINDER %s)',
--pg             'transfers_p' || part, part
--pg         );
--pg     END LOOP;
--pg END $$;
