-- Users, on PostgreSQL a hundred ways by id. What is personal is sealed under the user's key in user_keys; the rest
-- is ids and hashes.
CREATE TABLE users (
    user_id BYTEA NOT NULL PRIMARY KEY,
    role TEXT NOT NULL,
    simulated BIGINT NOT NULL,
    account_id BIGINT,
    email_lookup BYTEA,
    email_sealed BYTEA,
    password_hash TEXT,
    created_at_us BIGINT NOT NULL
)
--pg PARTITION BY HASH (user_id)
;

--pg DO $$
--pg BEGIN
--pg     FOR part IN 0..99 LOOP
--pg         EXECUTE format(
--pg             'CREATE TABLE %I PARTITION OF users FOR VALUES WITH (MODULUS 100, REMAINDER %s)',
--pg             'users_p' || part, part
--pg         );
--pg     END LOOP;
--pg END $$;

-- Whose an address is: a key of a partitioned table cannot be something else than it is parted by.
CREATE TABLE emails (
    email_lookup BYTEA NOT NULL PRIMARY KEY,
    user_id BYTEA NOT NULL REFERENCES users (user_id)
);

-- Deleting a row here erases the user's personal data.
CREATE TABLE user_keys (
    user_id BYTEA NOT NULL PRIMARY KEY REFERENCES users (user_id),
    sealed BYTEA NOT NULL
);

-- Sign-in sessions that are not over. Only the refresh token of this generation is good.
CREATE TABLE sessions (
    session_id TEXT NOT NULL PRIMARY KEY,
    user_id BYTEA NOT NULL REFERENCES users (user_id),
    generation BIGINT NOT NULL,
    created_at_us BIGINT NOT NULL,
    ends_at_us BIGINT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id, created_at_us);

-- API keys, revoked ones too: their ids are never given out again.
CREATE TABLE api_keys (
    key_id TEXT NOT NULL PRIMARY KEY,
    user_id BYTEA NOT NULL REFERENCES users (user_id),
    secret_hash BYTEA NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at_us BIGINT NOT NULL,
    revoked_at_us BIGINT
);
CREATE INDEX api_keys_by_user ON api_keys (user_id, created_at_us);

-- Private keys of access tokens, sealed under the master key.
CREATE TABLE signing_keys (
    created_at_us BIGINT NOT NULL PRIMARY KEY,
    sealed BYTEA NOT NULL
);
