"""Every row of the checklists has tests that carry its number or id, and the pages say which."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

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


@pytest.fixture(params=["SIGNER", "ETHEREUM"])
def checklist(pages: ModuleType, request: pytest.FixtureRequest) -> Any:
    return getattr(pages, request.param)


def test_every_row_has_a_test_where_users_come_in(checklist: Any) -> None:
    found = checklist.tests_by_row
    missing = [row for row in checklist.rules if not any(test.startswith("safety/") for test in found.get(row, []))]
    assert not missing, "rows without a test in tests/safety"
    assert not [row for row in found if row not in checklist.rules]


def test_the_signers_rows_are_100(pages: ModuleType) -> None:
    assert list(pages.SIGNER.rules) == [str(number) for number in range(1, 101)]


def test_every_test_of_the_folder_carries_a_row(pages: ModuleType) -> None:
    for letter, rows in zip("abcdefghij", pages.SIGNER.chapters.values(), strict=True):
        files = (f"safety/test_checklist_{letter}.py::", f"safety/test_checklist_{letter}_")
        found = pages.SIGNER.tests_by_row.items()
        assert {row for row, tests in found if any(test.startswith(files) for test in tests)} == set(rows), letter


def test_the_tests_of_what_devices_do_are_there(pages: ModuleType) -> None:
    named = {test for row in pages.device_behaviour.BEHAVIOUR for test in row.tests}
    missing = []
    for test in named:
        file, _, name = test.partition("::")
        if f"\ndef {name}(" not in (pages.TESTS / file).read_text():
            missing.append(test)
    assert not missing


def test_the_page_is_current(checklist: Any) -> None:
    assert checklist.page() == checklist.path.read_text(), "run `make api`"
