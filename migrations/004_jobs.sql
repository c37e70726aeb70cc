-- The agent queue: claims, dead letters, priorities, and the switch that stops everything.

-- Priority is a lane's: within a conversation order is order. -1 low, 0 normal, 1 high.
ALTER TABLE lanes ADD COLUMN priority BIGINT NOT NULL DEFAULT 0 CHECK (priority IN (-1, 0, 1));
DROP INDEX lanes_ready;
CREATE INDEX lanes_claim ON lanes(account_id, priority, ready_at) WHERE state = 'ready';

-- The order of a lane is (ord, turn): what is put at its end again keeps away from the numbers that
-- lease holders give out.
ALTER TABLE jobs ADD COLUMN turn BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN claim_token TEXT;    -- of the claim that holds it, or that completed it
ALTER TABLE jobs ADD COLUMN result TEXT;         -- JSON, as the agent gave it
ALTER TABLE jobs ADD COLUMN finished_at BIGINT;
ALTER TABLE jobs ADD COLUMN dead BIGINT NOT NULL DEFAULT 0 CHECK (dead IN (0, 1)); -- a dead letter
DROP INDEX jobs_order;
CREATE UNIQUE INDEX jobs_order ON jobs(conv, ord, turn);
DROP INDEX jobs_next;
CREATE INDEX jobs_next ON jobs(conv, ord, turn) WHERE status = 'pending';
CREATE UNIQUE INDEX jobs_active ON jobs(conv) WHERE status = 'processing'; -- one claim for each lane
CREATE INDEX jobs_dead ON jobs(finished_at, job_id) WHERE dead = 1;
CREATE INDEX jobs_finished ON jobs(status, finished_at) WHERE finished_at IS NOT NULL;
UPDATE jobs SET finished_at = updated_at WHERE status IN ('completed', 'failed');

-- The kill switch: no claims and no sends, for any account.
CREATE TABLE controls(
  one INTEGER PRIMARY KEY CHECK (one = 1),
  paused BIGINT NOT NULL CHECK (paused IN (0, 1)),
  actor TEXT,
  since BIGINT
);
INSERT INTO controls(one, paused) VALUES(1, 0);

-- Whether anything of the fleet changed, for processes that see only that something was committed
-- (SQLite). PostgreSQL tells them what it was.
CREATE TABLE stirs(topic TEXT PRIMARY KEY, seq BIGINT NOT NULL);
INSERT INTO stirs(topic, seq) VALUES('fleet', 0);
