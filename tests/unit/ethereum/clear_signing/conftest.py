"""The public registry's cases, where their folder is present: never part of this project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="session")
def registry() -> Path:
    """The checkout of the public ERC-7730 registry; a test that asks for it is skipped where there is none."""
    folder = Path(os.environ.get("BURSAR_ERC7730") or PROJECT.parent / "shared" / "vectors" / "erc7730")
    if not (folder / "registry").is_dir():
        pytest.skip("the ERC-7730 registry is not present (set BURSAR_ERC7730 to its checkout)")
    return folder
