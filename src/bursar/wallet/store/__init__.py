"""The store: SQLAlchemy Core on SQLite in WAL mode, migrated by alembic. Rows in, rows out; nothing is decided here."""
