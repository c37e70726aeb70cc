//! What only a PostgreSQL server does.
