"""Every row of Ethereum's checklist has a test in tests/safety that carries its id, and the page says which."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    path = Path(__file__).parent / "ethereum_checklist_page.py"
    spec = importlib.util.spec_from_file_location("ethereum_checklist_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ethereum_checklist_page"] = module
    spec.loader.exec_module(module)
    return module


def test_every_row_has_a_test_where_users_come_in(pages: ModuleType) -> None:
    found = pages.tests_by_row()
    missing = [row for row in pages.rules() if not any(test.startswith("safety/") for test in found.get(row, []))]
    assert not missing, "rows without a test in tests/safety"
    assert not found.keys() - pages.rules().keys(), "ids that no row has"


def test_the_page_is_current(pages: ModuleType) -> None:
    assert pages.page() == pages.PAGE.read_text(), "run `make api`"
