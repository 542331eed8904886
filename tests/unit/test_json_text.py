"""JSON from outside: depth counted without parsing, doubled members, long numbers and fractions refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.json_text import nested_deeply

VALUES = st.recursive(
    st.none() | st.text(st.sampled_from('[]{}"\\a')),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[{"', max_size=2), inner, max_size=3),
)


def depth(value: object) -> int:
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 0


@given(VALUES, st.booleans())
def test_it_agrees_with_the_parsed_value(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert not nested_deeply(text, most=depth(value))
    if depth(value):
        assert nested_deeply(text, most=depth(value) - 1)


def test_it_is_quick_on_texts_made_to_be_slow() -> None:
    assert not nested_deeply(b'"' + b"\\" * 4_000_001, most=1)
    assert nested_deeply(b"[" * 4_000_000, most=64)


HOSTILE = """
import sys
sys.setrecursionlimit(100_000)  # as the libraries of the EVM do when they are imported
from pathlib import Path
from bursar.backends.software.keystore import read_header
from bursar.errors import CorruptKeystoreError
try:
    read_header(Path(sys.argv[1]))
except CorruptKeystoreError:
    print("refused")
"""


@pytest.mark.parametrize("unit", ["[", '{"a":'])
def test_a_keystore_that_nests_for_ever_does_not_end_the_process(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "keystores" / "deep.json"
    path.parent.mkdir(mode=0o700)
    path.write_text(unit * 500_000)
    path.chmod(0o600)
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE, str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "refused\n", done.stderr[-2000:]
