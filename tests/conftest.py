"""Fixtures of the whole suite: where the official vectors are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def official_vectors() -> Callable[[str], Path]:
    """A function from a path below the vectors folder to the file; it skips the test where the file is absent."""
    folder = Path(os.environ.get("BURSAR_VECTORS") or PROJECT.parent / "shared" / "vectors")

    def locate(relative: str) -> Path:
        path = folder / relative
        if not path.is_file():
            pytest.skip(f"official vectors not present: {relative} (set BURSAR_VECTORS to their folder)")
        return path

    return locate
