"""The tutorial of Ethereum says what the program says: every command of it is run, on a sandbox of its own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("pbk", reason="py-bitcoinkernel is not installed")
pytest.importorskip("eth", reason="py-evm is not installed")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tutorial_page", Path(__file__).with_name("tutorial_page.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tutorial_page"] = module
    spec.loader.exec_module(module)
    return module


def test_the_tutorial_shows_what_its_commands_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    page = load()
    monkeypatch.delenv("BURSAR_ANVIL", raising=False)
    shown = page.PAGE.read_text()
    played = page.played(shown)
    assert page.plain(played) == page.plain(shown), "run `python tests/house/tutorial_page.py --write`, and read it"
