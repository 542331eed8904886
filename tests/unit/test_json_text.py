"""JSON from outside: depth counted without parsing, doubled members, long numbers and fractions refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.json_text import nested_deeply, read_strictly

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


@given(VALUES)
def test_what_is_written_is_read(value: object) -> None:
    assert read_strictly(json.dumps(value), deepest=64) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[[1]]]", "too deeply: at most 2 levels"),
        ('{"a": 1, "b": 2, "a": 3}', "'a' stands twice"),
        ('{"\\u0061": 1, "a": 3}', "'a' stands twice"),
        ("[1.0]", "in the place of a whole number"),
        ("[1e3]", "in the place of a whole number"),
        ("[NaN]", "NaN is no number"),
        ("[-Infinity]", "no number"),
        ("[" + "9" * 81 + "]", "a number of 81 characters"),
        ("[1." + "9" * 81 + "]", "a number of 83 characters"),
        ("", "Expecting value"),
        ("[1", "delimiter"),
        ("\ufeff[]", "BOM"),
        (b"[\xff]", "codec"),
        ('"\ud800"', "codec"),
    ],
)
def test_what_could_be_read_two_ways_is_refused(text: str | bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_strictly(text, deepest=2)


def test_fractions_go_where_the_caller_says() -> None:
    assert read_strictly('{"fee": 0.1}', deepest=2, fraction=str) == {"fee": "0.1"}
    with pytest.raises(ValueError, match="characters"):
        read_strictly("[0." + "1" * 80 + "]", deepest=2, fraction=str)
