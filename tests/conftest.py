"""Fixtures of the whole suite: official vectors, system components, and what a run must say when it closes."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

PROJECT = Path(__file__).resolve().parent.parent
_MISSING = pytest.StashKey[bool]()
# What floors 1-5 are measured by: their own tests and those of their promises. Elsewhere the tracer only costs time.
_MEASURED = tuple(
    PROJECT / "tests" / name
    for name in (
        "conformance",
        "safety",
        *(f"unit/{room}" for room in ("bitcoin", "chain", "crypto", "ethereum", "keys", "policy", "signing")),
        "unit/backends/software",  # MuSig2 and secret storage come to life there
        "unit/test_nesting.py",
    )
)


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


@pytest.fixture(scope="session")
def component() -> Callable[[str], Path]:
    """A function from a program's name to its path; a missing one skips the test, or fails it with ``CI=true``."""

    def locate(name: str) -> Path:
        named = os.environ.get(f"BURSAR_{name.upper()}") or shutil.which(name)
        if named is not None and Path(named).is_file():
            return Path(named)
        reason = f"the program {name} is not installed (`make test` installs it; BURSAR_{name.upper()} names one)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    return locate


def pytest_configure() -> None:
    """Let the program under test find what `make test` installed for it, and be interrupted as on a terminal."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # inherited by what a shell starts in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for path in sorted(PROJECT.glob(".cache/anvil/node_modules/*/anvil-*/bin/anvil")):
        os.environ.setdefault("BURSAR_ANVIL", str(path))
    examples = os.environ.get("BURSAR_EXAMPLES")
    if examples:  # how many of each property, where its test does not say
        settings.register_profile("asked", settings(), max_examples=int(examples))
        settings.load_profile("asked")


@cache
def _measured(path: Path) -> bool:
    return any(path.is_relative_to(part) for part in _MEASURED)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep coverage off where other floors are tested."""
    for item in items:
        if not _measured(item.path):
            item.add_marker("no_cover")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    words = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    return str(words).removeprefix("Skipped: ")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every skipped test and its reason: pytest's own summary folds them by source line."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.section("skipped tests and why")
    for report in skipped:
        terminalreporter.write_line(f"{report.nodeid}: {_reason(report)}")
    if terminalreporter.config.stash.get(_MISSING, False):
        terminalreporter.write_line("CI=true: what is not installed counts as a failure", red=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A run fails in which every test skipped; with ``CI=true`` also one in which something was not installed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or exitstatus != pytest.ExitCode.OK or session.config.option.collectonly:
        return
    skipped = reporter.stats.get("skipped", [])
    missing = os.environ.get("CI") == "true" and any("not installed" in _reason(report) for report in skipped)
    session.config.stash[_MISSING] = missing
    if missing or (skipped and not reporter.stats.get("passed")):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
