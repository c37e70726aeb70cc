-- Operators ask workers, and read what was done.

-- An operator asks a worker to give away what it holds and to take nothing more, until told otherwise
-- or until the process ends.
ALTER TABLE workers ADD COLUMN drain_asked BIGINT NOT NULL DEFAULT 0 CHECK (drain_asked IN (0, 1));

CREATE INDEX audit_of_all ON audit(at, id);
