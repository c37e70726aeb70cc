-- Auth state in the shared store, and what operators ask of the holder of an auth state.

-- Where an account's auth state lies; NULL: there is none yet. auth_home is of a local one alone.
ALTER TABLE accounts ADD COLUMN auth_medium TEXT CHECK (auth_medium IN ('local', 'remote'));
UPDATE accounts SET auth_medium = 'local' WHERE auth_home IS NOT NULL;

-- What is known of the records of one account.
CREATE TABLE auth_heads(
  account_id TEXT PRIMARY KEY,
  epoch BIGINT NOT NULL,          -- the highest that opened it
  lineage TEXT NOT NULL,          -- heads can be compared only when it is equal
  writes BIGINT NOT NULL,
  key_count BIGINT NOT NULL,      -- of all keys, and a checksum of their names
  key_digest BYTEA NOT NULL,
  last_write_at BIGINT,
  verified_at BIGINT
);

-- Sealed values. A key is bytes, so that both engines compare and order it alike.
CREATE TABLE auth_records(
  account_id TEXT NOT NULL,
  key BYTEA NOT NULL,
  value BYTEA NOT NULL,
  PRIMARY KEY (account_id, key)
);

-- What an operator asks of whoever holds the account. Its row goes when it is done.
CREATE TABLE auth_orders(
  account_id TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('clear', 'accept_rollback')),
  actor TEXT NOT NULL,
  asked_at BIGINT NOT NULL
);

-- How far a local auth state had come: an older copy of its file is known by it.
CREATE TABLE auth_marks(
  account_id TEXT PRIMARY KEY,
  lineage TEXT NOT NULL,
  writes BIGINT NOT NULL
);

ALTER TABLE link_wishes ADD COLUMN replace_number BIGINT NOT NULL DEFAULT 0 CHECK (replace_number IN (0, 1));
