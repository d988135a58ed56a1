-- What could not be done outside, however often it was tried: what the topics of dead letters come to. The record is
-- the errand with its attempts, as it is on the log.
CREATE TABLE dead_letters (
    letter_id BYTEA NOT NULL PRIMARY KEY,
    group_name TEXT NOT NULL,
    died_at_us BIGINT NOT NULL,
    record BYTEA NOT NULL
);
CREATE INDEX dead_letters_by_time ON dead_letters (died_at_us, letter_id);
