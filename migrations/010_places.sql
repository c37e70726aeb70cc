-- A message that cannot be read yet keeps its place: jobs of its conversation with a later order wait for
-- it until held_until.
ALTER TABLE missing ADD COLUMN conv TEXT;
ALTER TABLE missing ADD COLUMN ord BIGINT;
ALTER TABLE missing ADD COLUMN held_until BIGINT NOT NULL DEFAULT 0;
CREATE INDEX missing_places ON missing(conv) WHERE outcome IS NULL;

-- The pace of a chat, apart from the wait for a message's next attempt: the one may end early.
ALTER TABLE outbox_lanes ADD COLUMN paced_until BIGINT NOT NULL DEFAULT 0;
