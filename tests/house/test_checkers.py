"""The checkers agree with the source: formatting, lint, types, the public face, the documentation."""

from __future__ import annotations

import importlib.util
import json
import os
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


def test_no_type_of_the_public_face_is_unknown() -> None:
    """Every exported symbol has a type that pyright, another checker than our own, knows too."""
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is installed for the oldest interpreter only")
    options = ("--outputjson", "--verifytypes", "bursar", "--ignoreexternal")
    # with --verifytypes it heeds no --pythonpath: it asks the first python of the search path for the packages
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", *options],
        cwd=PROJECT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)["typeCompleteness"]
    assert found["exportedSymbolCounts"]["withKnownType"] > 1000
    assert found["exportedSymbolCounts"]["withUnknownType"] == 0
    assert found["otherSymbolCounts"]["withUnknownType"] == 0


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
