-- Who should have a lease next, who works, what is paused, and epochs in the audit.

ALTER TABLE lease ADD COLUMN successor TEXT; -- a WORKER_ID; '': anybody but the holder

ALTER TABLE accounts ADD COLUMN paused BIGINT NOT NULL DEFAULT 0 CHECK (paused IN (0, 1));
ALTER TABLE accounts ADD COLUMN resumed_at BIGINT;

ALTER TABLE audit ADD COLUMN epoch_before BIGINT;
ALTER TABLE audit ADD COLUMN epoch_after BIGINT;

-- Running workers. A row that has expired is of a process that ended without a word.
CREATE TABLE workers(
  owner TEXT PRIMARY KEY,
  capacity BIGINT NOT NULL,       -- how many accounts it takes
  accounts TEXT NOT NULL,         -- as configured: a comma list or *
  installation TEXT NOT NULL,     -- whose local auth state it can open
  draining BIGINT NOT NULL CHECK (draining IN (0, 1)),
  version TEXT NOT NULL,
  started_at BIGINT NOT NULL,
  beat_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
