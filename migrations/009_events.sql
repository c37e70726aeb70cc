-- What the workers tell, for who looks: the newest of it, bounded by age and number.

CREATE TABLE events(
  id TEXT PRIMARY KEY,            -- sorts by the clock of the worker that told it
  at BIGINT NOT NULL,             -- when it was written
  account_id TEXT,                -- none: it concerns no one account
  name TEXT NOT NULL,
  body TEXT NOT NULL              -- JSON, the line of the log
);
CREATE INDEX events_by_time ON events(at, id);
