-- Links that show an account's code once. Their names are secrets: only hashes are here.
CREATE TABLE tickets(
  hash TEXT PRIMARY KEY,          -- SHA-256 of the name
  account_id TEXT NOT NULL,
  until BIGINT NOT NULL
);
CREATE INDEX tickets_until ON tickets(until);
