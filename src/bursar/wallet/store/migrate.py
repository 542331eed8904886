"""Schema migrations by alembic, run from the scripts inside this package."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from bursar.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Engine


_ALONE = threading.Lock()  # alembic keeps its context in globals of the process


def known_versions() -> tuple[str, ...]:
    """Every schema version this release can read, newest first."""
    return tuple(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def check_upgradable(version: str, path: Path) -> None:
    """``StoreError`` when the store was written by a newer release."""
    if version not in known_versions():
        raise StoreError(
            f"{path} has schema version {version[:40]!r}, which this release does not know: "
            "it was written by a newer one, upgrade bursar",
            code="store.newer",
        )


def upgrade(engine: Engine) -> None:
    """Bring the store to the newest schema in one transaction."""
    config = _config()
    with _ALONE, engine.connect() as connection:
        connection.execution_options(bursar_writing=True)
        with connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
