"""The vendors' programs, where this computer has them: they are in no checkout and in no continuous integration."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def vendor_file() -> Callable[[str], Path]:
    """A function from an environment variable to the file it names; it skips the test where it names none."""

    def locate(variable: str) -> Path:
        named = os.environ.get(variable)
        if not named:
            pytest.skip(f"no vendor's program is here: set {variable} to its path (docs/how-to/real-firmware.md)")
        path = Path(named)
        if not path.is_file():
            pytest.fail(f"{variable} names {named}, which is no file")
        return path

    return locate
