-- Files on their way out, who people are, and what is asked of a lease holder.

-- Taken in before the message that names them, so that any holder can send them. An upload that was not
-- used for a day goes, unless a message that waits names it.
CREATE TABLE uploads(
  upload_id TEXT PRIMARY KEY,
  mime_type TEXT NOT NULL,
  name TEXT,
  size BIGINT NOT NULL,
  sha256 TEXT,                    -- hex; none: not whole
  used_at BIGINT NOT NULL
);
CREATE INDEX uploads_age ON uploads(used_at);
CREATE TABLE upload_chunks(
  upload_id TEXT NOT NULL,
  part BIGINT NOT NULL,           -- from 0
  bytes BYTEA NOT NULL,
  PRIMARY KEY (upload_id, part)
);

-- A person as an account knows them. Personal data.
CREATE TABLE contacts(
  contact_id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL,
  pn TEXT,
  lid TEXT,
  push_name TEXT,                 -- what they call themselves
  saved_name TEXT,                -- what the account's address book calls them
  canonical TEXT,                 -- the number that WhatsApp knows this one by, when it is another
  on_whatsapp BIGINT CHECK (on_whatsapp IN (0, 1)), -- none: never asked
  checked_at BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  CHECK (pn IS NOT NULL OR lid IS NOT NULL)
);
CREATE UNIQUE INDEX contacts_pn ON contacts(account_id, pn) WHERE pn IS NOT NULL;
CREATE UNIQUE INDEX contacts_lid ON contacts(account_id, lid) WHERE lid IS NOT NULL;
CREATE INDEX contacts_age ON contacts(updated_at);

-- Numbers that somebody wants to know about; the holder asks WhatsApp and notes the answer in contacts.
CREATE TABLE lookups(
  account_id TEXT NOT NULL,
  pn TEXT NOT NULL,
  asked_at BIGINT NOT NULL,
  PRIMARY KEY (account_id, pn)
);

-- What a session should show in a chat. Best effort: soon stale, and then dropped.
CREATE TABLE hints(
  account_id TEXT NOT NULL,
  conv TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('presence', 'read')),
  typing_ms BIGINT NOT NULL,      -- of a presence; 0: paused
  asked_at BIGINT NOT NULL,
  PRIMARY KEY (account_id, conv, kind)
);

-- Messages that were committed until then are shown as read.
ALTER TABLE conversations ADD COLUMN read_until BIGINT;

-- Two conversations that turned out to be with one person are one from then on.
ALTER TABLE conversations ADD COLUMN merged_into TEXT;

-- The file of a message: it stays as long as the message waits.
ALTER TABLE outbox ADD COLUMN upload_id TEXT;
CREATE INDEX outbox_upload ON outbox(upload_id) WHERE upload_id IS NOT NULL;
