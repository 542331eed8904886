"""The checkers agree with the source: formatting, lint, types, the public face, the documentation."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
CHECKS = {
    "format": ("ruff", "format", "--check", "--no-cache"),
    "lint": ("ruff", "check", "--no-cache", "--output-format=concise"),
    "types": ("mypy", "--cache-dir=.cache/mypy"),
    "types of a user's program": ("pyright", "--pythonpath", sys.executable),
    "types of the public face": (
        *("pyright", "--pythonpath", sys.executable),
        *("--verifytypes", "bursar", "--ignoreexternal"),
    ),
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_source_passes(name: str) -> None:
    module, *options = CHECKS[name]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is installed for the oldest interpreter only")
    done = subprocess.run(
        [sys.executable, "-m", module, *options], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    if importlib.util.find_spec("sphinx") is None:
        pytest.skip("sphinx is installed for the oldest interpreter only")
    command = (
        "sphinx",
        "-n",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        "-d",
        tmp_path / "trees",
        "docs",
        tmp_path / "html",
    )
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
