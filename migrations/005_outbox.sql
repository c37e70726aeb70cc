-- Messages that wait to be sent, and what became of them.

-- One lane for each chat: its messages leave one at a time, in the order in which they were put in.
CREATE TABLE outbox_lanes(
  conv TEXT PRIMARY KEY,
  account_id TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('idle', 'ready', 'busy')),
  ready_at BIGINT NOT NULL,       -- when something can be sent, for a ready lane
  next_ord BIGINT NOT NULL,       -- given out under this row's lock
  blocked_by TEXT,                -- the message whose next attempt the lane waits for
  blocked_until BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX outbox_lanes_ready ON outbox_lanes(account_id, ready_at) WHERE state = 'ready';

CREATE TABLE outbox(
  outbox_id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL,
  conv TEXT NOT NULL,
  ord BIGINT NOT NULL,
  message_id TEXT NOT NULL,       -- WhatsApp's id, the same in every attempt
  content TEXT,                   -- JSON of the draft; NULL after its retention
  source TEXT NOT NULL CHECK (source IN ('reply', 'api', 'operator')),
  job_id TEXT,                    -- a reply: of this job, at this place among its replies
  reply_index BIGINT,
  idempotency_key TEXT,           -- a request of the API: its key, and a hash of what it asked for
  request_hash TEXT,
  status TEXT NOT NULL CHECK (status IN ('pending', 'sending', 'sent', 'failed', 'uncertain', 'cancelled')),
  delivery TEXT CHECK (delivery IN ('server', 'device', 'read', 'played')),
  attempt_count BIGINT NOT NULL DEFAULT 0,
  round_start BIGINT NOT NULL DEFAULT 0,   -- attempt_count when an operator had it tried anew
  next_attempt_at BIGINT NOT NULL,         -- counts while it is pending
  may_have_left BIGINT NOT NULL DEFAULT 0 CHECK (may_have_left IN (0, 1)),
  epoch BIGINT,                   -- of the holder that tried last
  error_code TEXT,
  error TEXT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  last_attempt_at BIGINT,
  sent_at BIGINT
);
CREATE UNIQUE INDEX outbox_order ON outbox(conv, ord);
CREATE UNIQUE INDEX outbox_message ON outbox(account_id, message_id);
CREATE UNIQUE INDEX outbox_reply ON outbox(job_id, reply_index) WHERE job_id IS NOT NULL;
CREATE UNIQUE INDEX outbox_request ON outbox(account_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX outbox_next ON outbox(conv, ord) WHERE status = 'pending';
CREATE INDEX outbox_due ON outbox(conv, next_attempt_at) WHERE status = 'pending';
CREATE INDEX outbox_sending ON outbox(account_id, conv) WHERE status = 'sending';
CREATE INDEX outbox_recent ON outbox(account_id, created_at);
CREATE INDEX outbox_talk ON outbox(conv, created_at);
CREATE INDEX outbox_age ON outbox(created_at);

-- Each attempt, made before anything leaves: one without a duration was cut short.
CREATE TABLE outbox_attempts(
  outbox_id TEXT NOT NULL,
  attempt BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  started_at BIGINT NOT NULL,
  duration_ms BIGINT,
  error_code TEXT,
  error TEXT,
  PRIMARY KEY (outbox_id, attempt)
);

-- Why the account is paused, when the worker did it.
ALTER TABLE accounts ADD COLUMN pause_reason TEXT;
