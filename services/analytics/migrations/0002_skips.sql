-- What operators had stages go on without, dense from 1. A row commits with the head of the journal that says it.
CREATE TABLE skips (
    number BIGINT NOT NULL PRIMARY KEY,
    -- The partition that did: account/N or matching/N.
    seat TEXT NOT NULL,
    -- The sender's journal and the number on its lane: account-journal/2#57.
    message TEXT NOT NULL,
    reason TEXT NOT NULL
);
