-- Whose an address is. A table of its own, as on engines where a key cannot span what is partitioned.
CREATE TABLE emails (
    email_lookup BYTEA NOT NULL PRIMARY KEY,
    user_id BYTEA NOT NULL REFERENCES users (user_id)
);
INSERT INTO emails (email_lookup, user_id)
    SELECT email_lookup, user_id FROM users WHERE email_lookup IS NOT NULL;
