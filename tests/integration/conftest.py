"""One sandbox with both chains for all integration tests, and accounts of fixed words on it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bursar.nodes.sandbox import Sandbox

PAYER = Path(__file__).with_name("payer.py")


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    pytest.importorskip("pbk", reason="the extra bursar[sandbox] is not installed")
    pytest.importorskip("eth", reason="the extra bursar[sandbox] is not installed")
    from bursar.nodes.sandbox import Sandbox

    with Sandbox(ethereum="py-evm") as started:
        started.mine(110)
        yield started


Payer = Callable[[dict[str, Any]], dict[str, Any]]


@contextlib.contextmanager
def serving() -> Iterator[Payer]:
    """A function that has a fresh process carry out one command (see ``payer.py``), and tells how it ended."""
    with subprocess.Popen(
        [sys.executable, str(PAYER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        ask, answer = server.stdin, server.stdout

        def run(command: dict[str, Any]) -> dict[str, Any]:
            ask.write(json.dumps(command) + "\n")
            ask.flush()
            found: dict[str, Any] = json.loads(answer.readline())
            return found

        yield run
        ask.close()
        server.wait(30)


@pytest.fixture(scope="session")
def payers() -> Iterator[Payer]:
    with serving() as run:
        yield run


@pytest.fixture(scope="session")
def rivals() -> Iterator[Payer]:
    """Other processes than those of ``payers``, so that both can run at once."""
    with serving() as run:
        yield run
