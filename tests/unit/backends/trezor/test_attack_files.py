"""A damaged file of credentials, in a process whose libraries let recursion run into the end of the stack."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("trezorlib")

PAIRINGS = """
import sys
from pathlib import Path
from bursar.backends.trezor.pairing import Pairings
from bursar.errors import SignerError
sys.setrecursionlimit(100_000)  # as the libraries of the EVM do when they are imported
try:
    Pairings(Path(sys.argv[1])).all()
except SignerError as error:
    print(error.code)
"""


def test_a_file_that_nests_for_ever_does_not_end_the_process(tmp_path: Path) -> None:
    path = tmp_path / "pairings.json"
    path.write_text("[" * 65_536)
    path.chmod(0o600)
    done = subprocess.run([sys.executable, "-c", PAIRINGS, tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "signer.credentials\n")
