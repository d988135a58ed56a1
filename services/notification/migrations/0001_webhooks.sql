-- Endpoints of accounts to which events of their orders are sent. Their secrets are not here: they follow from the id
-- under a key in the data directory. Of the events each is a bit, by the number of its enum; 0 is all.
CREATE TABLE webhooks (
    webhook_id BYTEA NOT NULL PRIMARY KEY,
    account_id BIGINT NOT NULL,
    url TEXT NOT NULL,
    events BIGINT NOT NULL,
    created_at_us BIGINT NOT NULL,
    disabled_at_us BIGINT
);
CREATE INDEX webhooks_by_account ON webhooks (account_id, created_at_us);
-- Those that are sent to.
CREATE INDEX webhooks_live ON webhooks (account_id, created_at_us) WHERE disabled_at_us IS NULL;
