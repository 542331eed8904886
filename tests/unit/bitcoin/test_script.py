"""Templates, classification and dust."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin import script as s
from bursar.bitcoin.script import ScriptType
from bursar.errors import InvalidInputError

KEY = b"\x02" + b"\x11" * 32


@pytest.mark.parametrize(
    ("script", "kind", "dust"),
    [
        (s.p2pkh(bytes(20)), ScriptType.P2PKH, 546),
        (s.p2sh(bytes(20)), ScriptType.P2SH, 540),
        (s.p2wpkh(bytes(20)), ScriptType.P2WPKH, 294),
        (s.p2wsh(bytes(32)), ScriptType.P2WSH, 330),
        (s.p2tr(bytes(32)), ScriptType.P2TR, 330),
        (s.op_return(b"hello"), ScriptType.OP_RETURN, 0),
        (bytes.fromhex("51024e73"), ScriptType.ANCHOR, 240),
        (b"\x52\x10" + bytes(16), ScriptType.WITNESS_UNKNOWN, 282),
        (b"\x21" + KEY + b"\xac", ScriptType.P2PK, 576),
        (b"\x51\x21" + KEY + b"\x21" + KEY + b"\x52\xae", ScriptType.MULTISIG, 684),
        (b"\x51\x21" + KEY + b"\x52\xae", ScriptType.UNKNOWN, None),
        (b"", ScriptType.UNKNOWN, None),
        (b"\x00\x15" + bytes(21), ScriptType.UNKNOWN, None),
    ],
)
def test_scripts_are_classified_and_have_cores_dust_threshold(
    script: bytes, kind: ScriptType, dust: int | None
) -> None:
    assert s.classify(script) is kind
    if dust is not None:
        assert s.dust_threshold(script) == dust


@pytest.mark.parametrize("make", [s.p2pkh, s.p2sh, s.p2wpkh, s.p2wsh, s.p2tr])
def test_templates_refuse_wrong_sizes(make: object) -> None:
    with pytest.raises(InvalidInputError):
        make(bytes(19))  # type: ignore[operator]


def test_op_return_is_limited_and_pushed_shortest() -> None:
    assert s.op_return(b"a" * 75)[:2] == b"\x6a\x4b"
    assert s.op_return(b"a" * 80)[:3] == b"\x6a\x4c\x50"
    with pytest.raises(InvalidInputError):
        s.op_return(b"a" * 81)
    assert s.push(b"a" * 256)[:3] == b"\x4d\x00\x01"
    with pytest.raises(InvalidInputError):
        s.push(b"a" * 521)


@given(st.binary(max_size=120))
def test_any_bytes_have_a_kind(script: bytes) -> None:
    assert isinstance(s.classify(script), ScriptType)
    s.witness_program(script)
    s.multisig(script)
