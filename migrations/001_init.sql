-- The shared store. Times are integers in milliseconds of the store's clock unless said otherwise.
-- The same text serves SQLite and PostgreSQL.

CREATE TABLE schema_meta(
  one INTEGER PRIMARY KEY CHECK (one = 1),
  version BIGINT NOT NULL,        -- of the newest migration
  min_compatible BIGINT NOT NULL, -- a binary that knows less must not use this store
  store_id TEXT NOT NULL          -- local auth state is bound to the store that fences it
);

CREATE TABLE accounts(
  account_id TEXT PRIMARY KEY,
  enabled BIGINT NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
  auth_home TEXT,                 -- the installation whose disk holds a local auth state
  linked_jid TEXT,                -- own number, device JID
  linked_lid TEXT,
  linked_at BIGINT,
  created_at BIGINT NOT NULL
);

CREATE TABLE lease(
  account_id TEXT PRIMARY KEY,
  epoch BIGINT NOT NULL,
  token TEXT NOT NULL,
  owner TEXT NOT NULL,
  beat BIGINT NOT NULL,
  expires_at BIGINT NOT NULL      -- rows are never deleted; 0: released
);
CREATE UNIQUE INDEX lease_fence ON lease(account_id, epoch, token);

-- What the holder's session is doing, for people on other processes. Advisory.
CREATE TABLE session_status(
  account_id TEXT PRIMARY KEY,
  epoch BIGINT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  detail TEXT NOT NULL,
  since BIGINT NOT NULL
);

-- The current QR or pairing code of the holder, and whether somebody looks. A credential: short-lived.
CREATE TABLE link_codes(
  account_id TEXT PRIMARY KEY,
  epoch BIGINT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('qr', 'pairing')),
  code TEXT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE TABLE link_wishes(
  account_id TEXT PRIMARY KEY,
  watched_until BIGINT NOT NULL,  -- somebody looks at the QR until then
  phone TEXT,                     -- and wants a pairing code for this number instead
  asked_at BIGINT NOT NULL
);

CREATE TABLE conversations(
  conv TEXT PRIMARY KEY,
  account_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('direct', 'group', 'status', 'broadcast', 'newsletter')),
  pn TEXT,
  lid TEXT,
  jid TEXT,                       -- of what is not a person
  name TEXT,
  created_at BIGINT NOT NULL,
  last_message_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX conversations_pn ON conversations(account_id, pn) WHERE pn IS NOT NULL;
CREATE UNIQUE INDEX conversations_lid ON conversations(account_id, lid) WHERE lid IS NOT NULL;
CREATE UNIQUE INDEX conversations_jid ON conversations(account_id, jid) WHERE jid IS NOT NULL;

-- One row for each message that ever reached the hook: the dedupe table. Kept 35 days.
CREATE TABLE inbox(
  account_id TEXT NOT NULL,
  key TEXT NOT NULL,              -- the message id; suffixed when another message has the same id
  message_id TEXT NOT NULL,
  chat_jid TEXT,
  chat_pn TEXT,
  chat_lid TEXT,
  sender_pn TEXT,
  sender_lid TEXT,
  from_me BIGINT NOT NULL CHECK (from_me IN (0, 1)),
  content_hash TEXT NOT NULL,
  result TEXT NOT NULL CHECK (result IN ('queued', 'recorded', 'ignored', 'failed')),
  conv TEXT,
  epoch BIGINT NOT NULL,
  committed_at BIGINT NOT NULL,
  PRIMARY KEY (account_id, key)
);
CREATE INDEX inbox_message ON inbox(account_id, message_id);
CREATE INDEX inbox_age ON inbox(committed_at);

-- Bodies, media keys and names: personal data with a retention of its own.
CREATE TABLE messages(
  account_id TEXT NOT NULL,
  key TEXT NOT NULL,
  conv TEXT NOT NULL,
  message_id TEXT NOT NULL,
  sender_pn TEXT,
  sender_lid TEXT,
  from_me BIGINT NOT NULL,
  push_name TEXT,
  sent_at BIGINT NOT NULL,        -- Unix milliseconds by WhatsApp's server
  content TEXT NOT NULL,          -- JSON
  context TEXT NOT NULL,          -- JSON
  raw BYTEA NOT NULL,
  committed_at BIGINT NOT NULL,
  PRIMARY KEY (account_id, key)
);
CREATE INDEX messages_conv ON messages(conv, committed_at);

CREATE TABLE lanes(
  conv TEXT PRIMARY KEY,
  account_id TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('idle', 'ready', 'busy')),
  ready_at BIGINT NOT NULL,
  lock_token TEXT,
  locked_until BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX lanes_ready ON lanes(account_id, ready_at) WHERE state = 'ready';
CREATE INDEX lanes_stale ON lanes(locked_until) WHERE state = 'busy';

CREATE TABLE jobs(
  job_id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL,
  conv TEXT NOT NULL,
  ord BIGINT NOT NULL,            -- epoch << 40 | counter, given by the lease holder
  kind TEXT NOT NULL CHECK (kind IN ('message', 'undecryptable', 'lost')),
  key TEXT NOT NULL,              -- of the inbox row
  status TEXT NOT NULL CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
  summary TEXT NOT NULL,          -- one line without content
  attempt_count BIGINT NOT NULL DEFAULT 0,
  locked_until BIGINT,
  started_at BIGINT,
  processor_id TEXT,
  error_reason TEXT,
  error_message TEXT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX jobs_order ON jobs(conv, ord);
CREATE INDEX jobs_next ON jobs(conv, ord) WHERE status = 'pending';
CREATE INDEX jobs_recent ON jobs(account_id, created_at);

-- Messages that arrived and whose content we do not have: decrypted and lost before they were stored
-- (asked for again, see auth-store), or not decryptable so far.
CREATE TABLE missing(
  account_id TEXT NOT NULL,
  chat TEXT NOT NULL,             -- as the session spells it
  sender TEXT NOT NULL,           -- device JID
  message_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('lost', 'undecryptable')),
  asked BIGINT NOT NULL DEFAULT 0,
  first_seen BIGINT NOT NULL,
  due BIGINT NOT NULL,            -- when to ask again, or to give up
  outcome TEXT CHECK (outcome IN ('recovered', 'given_up')),
  PRIMARY KEY (account_id, chat, sender, message_id)
);
CREATE INDEX missing_due ON missing(account_id, due) WHERE outcome IS NULL;

-- Operators' interventions and changes of holder: who, when, why.
CREATE TABLE audit(
  id TEXT PRIMARY KEY,
  at BIGINT NOT NULL,
  account_id TEXT,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  detail TEXT NOT NULL
);
CREATE INDEX audit_account ON audit(account_id, at);
