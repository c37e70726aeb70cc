-- Where jobs are pushed to, as far as it is set by the API. Those of a file are not here.

CREATE TABLE webhooks(
  name TEXT PRIMARY KEY,
  target TEXT NOT NULL,           -- JSON: URL, accounts, limits
  secret TEXT NOT NULL,           -- signs
  previous_secret TEXT,           -- signs too until then, while receivers learn the new one
  previous_until BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
