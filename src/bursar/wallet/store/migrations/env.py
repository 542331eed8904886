"""Alembic's entry: runs the wanted migrations on the connection handed over by ``store.migrate``."""

from __future__ import annotations

from alembic import context

from bursar.wallet.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
