"""Every row of the signer's checklist has tests that carry its number, and the page says which."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    path = Path(__file__).parent / "checklist_page.py"
    spec = importlib.util.spec_from_file_location("checklist_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["checklist_page"] = module
    spec.loader.exec_module(module)
    return module


def test_every_row_has_a_test_where_users_come_in(pages: ModuleType) -> None:
    found = pages.tests_by_row()
    assert set(pages.rules()) == set(range(1, 83))
    missing = [row for row in pages.rules() if not any(test.startswith("safety/") for test in found.get(row, []))]
    assert not missing, "rows of the checklist without a test in tests/safety"
    assert not [row for row in found if not 1 <= row <= 100]


def test_every_test_of_the_folder_carries_a_row(pages: ModuleType) -> None:
    letters = dict(zip("abcdefghi", pages.CHAPTERS, strict=True))
    first = 1
    for letter, chapter in letters.items():
        rows = range(first, first + len(pages.CHAPTERS[chapter]))
        first = rows.stop
        file = f"safety/test_checklist_{letter}.py::"
        carried = {row for row, tests in pages.tests_by_row().items() if any(test.startswith(file) for test in tests)}
        assert carried == set(rows), chapter


def test_the_page_is_current(pages: ModuleType) -> None:
    assert pages.page() == pages.PAGE.read_text(), "run `make api`"
