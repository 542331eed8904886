"""PSBTs: BIP-174's, 370's and 371's own cases, exact round trips, live fields, what a signer must refuse."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from embit.psbt import PSBT as EmbitPsbt
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.finalize import combine, extract, finalize
from bursar.bitcoin.psbt import InputDigests, Psbt
from bursar.bitcoin.script import p2pkh, p2sh, p2tr, p2wpkh
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import hash160, sha256
from bursar.errors import InvalidInputError
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath

Vectors = Callable[[str], Path]


def cases(path: Path, section: str) -> list[dict[str, Any]]:
    found = [case for case in json.loads(path.read_text())["vectors"] if section in case["section"]]
    assert found
    return found


@pytest.mark.parametrize("number", ["0174", "0370", "0371"])
def test_valid_examples_round_trip_byte_for_byte(number: str, official_vectors: Vectors) -> None:
    for case in cases(official_vectors(f"bip/bip{number}.json"), "are valid PSBTs"):
        raw = base64.b64decode(case["psbt"])
        psbt = Psbt.parse(raw)
        assert psbt.serialize() == raw, case["case"]
        assert str(psbt) == case["psbt"]
        assert Psbt.from_text(f" {case['psbt']}\n") == psbt
        assert psbt.copy() == psbt
        for one in (*psbt.inputs, *psbt.outputs):
            for origin in one.bip32_derivations.values():
                assert len(origin.fingerprint) == 4


@pytest.mark.parametrize("number", ["0174", "0370", "0371"])
def test_invalid_examples_are_refused(number: str, official_vectors: Vectors) -> None:
    for case in cases(official_vectors(f"bip/bip{number}.json"), "are invalid PSBTs"):
        with pytest.raises(InvalidInputError):
            Psbt.from_text(case["psbt"])


def test_signer_examples_are_refused_when_signing(official_vectors: Vectors) -> None:
    found = cases(official_vectors("bip/bip0174.json"), "Fails Signer checks")
    assert len(found) == 4
    for case in found:
        psbt = Psbt.from_text(case["psbt"])
        digests = InputDigests(psbt, allow_any_sighash=True)
        with pytest.raises(InvalidInputError) as caught:
            [digests.digest(index) for index in range(len(psbt.inputs))]
        assert caught.value.code in ("input.psbt.utxo", "input.psbt.script"), case["case"]


def test_the_roles_of_bip_174(official_vectors: Vectors) -> None:
    everything = json.loads(official_vectors("bip/bip0174.json").read_text())["vectors"]
    by_start = [(case["section"], Psbt.from_text(case["psbt"])) for case in everything[34:]]
    sections = [section for section, _ in by_start]
    at = next(place for place, section in enumerate(sections) if "combiner must" in section)
    first, second, combined = (by_start[place][1] for place in (at - 2, at - 1, at))
    finalized = by_start[at + 1][1]
    joined = combine([first, second])
    assert [one.fields for one in joined.inputs] == [one.fields for one in combined.inputs]
    assert combine([second, first]).inputs == combined.inputs
    ours = finalize(combined)
    assert ours.inputs == finalized.inputs
    assert ours.outputs == finalized.outputs
    tx = extract(ours)
    assert tx.txid == combined.tx.txid or any(one.script_sig for one in tx.inputs)
    with_unknown = [psbt for _, psbt in by_start[at + 2 :]]
    merged = combine(with_unknown[:2])
    assert dict(merged.unknown) == dict(with_unknown[2].unknown)
    assert [dict(one.unknown) for one in merged.inputs] == [dict(one.unknown) for one in with_unknown[2].inputs]


def made(inputs: int = 2, outputs: int = 2) -> Psbt:
    rng = random.Random(inputs)
    tx = Transaction(
        2,
        [TxIn(OutPoint(Txid(rng.randbytes(32)), place), b"", 0xFFFFFFFD) for place in range(inputs)],
        [TxOut(Sats(1000 + place), p2wpkh(bytes(20))) for place in range(outputs)],
        7,
    )
    return Psbt(tx)


KEY = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
ORIGIN = KeyOrigin(Fingerprint(b"\x01\x02\x03\x04"), DerivationPath.from_text("m/84h/0h/0h/1/7"))


def test_fields_are_live_and_typed() -> None:
    psbt = made()
    one = psbt.inputs[0]
    one.bip32_derivations[KEY] = ORIGIN
    one.tap_bip32_derivations[KEY[1:]] = ((b"\x05" * 32,), ORIGIN)
    one.partial_sigs[KEY] = b"\x30" * 71
    one.witness_utxo = TxOut(Sats(5000), p2wpkh(bytes(20)))
    one.sighash_type = 1
    one.tap_key_sig = bytes(64)
    one.tap_internal_key = KEY[1:]
    one.tap_merkle_root = bytes(32)
    one.redeem_script = b"\x51"
    one.witness_script = b"\x52"
    one.final_script_sig = b"\x53"
    one.final_witness = (b"a", b"")
    one.tap_script_sigs[bytes(64)] = bytes(65)
    one.tap_leaf_scripts[b"\xc0" + bytes(32)] = b"\x51\xc0"
    one.unknown[b"\xfcprefix"] = b"mine"
    output = psbt.outputs[1]
    output.bip32_derivations[KEY] = ORIGIN
    output.tap_internal_key = KEY[1:]
    output.tap_bip32_derivations[KEY[1:]] = ((), ORIGIN)
    output.redeem_script = b"\x51"
    output.witness_script = b"\x52"
    psbt.xpubs[bytes(4) + b"\x05" + bytes(73)] = ORIGIN
    psbt.unknown[b"\xf0"] = b"x"
    again = Psbt.parse(psbt.serialize())
    assert again == psbt
    read = again.inputs[0]
    assert dict(read.bip32_derivations) == {KEY: ORIGIN}
    assert read.bip32_derivations.pairs() == list(read.bip32_derivations.items()) == [(KEY, ORIGIN)]
    assert read.tap_bip32_derivations == {KEY[1:]: ((b"\x05" * 32,), ORIGIN)}
    assert read.partial_sigs == {KEY: b"\x30" * 71}
    assert read.witness_utxo == one.witness_utxo
    assert (read.sighash_type, read.tap_key_sig, read.tap_internal_key) == (1, bytes(64), KEY[1:])
    assert (read.redeem_script, read.witness_script, read.final_script_sig) == (b"\x51", b"\x52", b"\x53")
    assert read.final_witness == (b"a", b"")
    assert read.tap_merkle_root == bytes(32)
    assert dict(read.unknown) == {b"\xfcprefix": b"mine"}
    assert len(read.partial_sigs) == len(again.xpubs) == len(again.unknown) == 1
    assert read.is_final
    assert again.outputs[1].tap_bip32_derivations[KEY[1:]] == ((), ORIGIN)
    del read.partial_sigs[KEY]
    read.tap_key_sig = None
    read.witness_utxo = None
    assert read.tap_key_sig is None
    assert read.witness_utxo is None
    assert KEY not in read.partial_sigs
    assert again != psbt
    assert EmbitPsbt.parse(made().serialize()).tx.txid().hex() == str(psbt.tx.txid)


def test_writing_a_field_obeys_the_rules() -> None:
    one = made().inputs[0]
    with pytest.raises(InvalidInputError):
        one.partial_sigs[KEY[:-1]] = b"\x30" * 71
    with pytest.raises(InvalidInputError):
        one.tap_key_sig = bytes(63)
    with pytest.raises(InvalidInputError):
        one.unknown[b"\x02" + KEY] = b""
    with pytest.raises(InvalidInputError):
        one.unknown[b""] = b""
    with pytest.raises(KeyError):
        one.unknown[b"\x02" + KEY]
    with pytest.raises(KeyError):
        one.partial_sigs[KEY]


def test_order_and_unknown_fields_survive() -> None:
    """Fields in no particular order, with proprietary and multi-byte types between them, come back as they were."""
    raw = made(1, 1).serialize()
    head = raw[:-2]
    maps = (
        b"\x04\xfd\xff\xff\x01\x01a" + b"\x01\x03\x04\x01\0\0\0" + b"\x05\xfc\x01x\0k\x02vv" + b"\x01\x04\x01\x51\0"
        b"\x02\xf1\xf2\x00" + b"\x01\x01\x01\x52" + b"\x01\x00\x01\x51\0"
    )
    psbt = Psbt.parse(head + maps)
    assert psbt.serialize() == head + maps
    assert list(psbt.inputs[0].unknown) == [b"\xfd\xff\xff\x01", b"\xfc\x01x\0k"]
    psbt.inputs[0].partial_sigs[KEY] = b"\x30" * 71
    assert list(psbt.inputs[0].fields)[-1] == b"\x02" + KEY


def utxo_error(psbt: Psbt) -> str:
    with pytest.raises(InvalidInputError) as caught:
        psbt.utxo(0)
    assert caught.value.code == "input.psbt.utxo"
    return str(caught.value)


def test_utxo_holds_the_fields_against_each_other() -> None:
    true = TxOut(Sats(5000), p2wpkh(bytes(20)))
    previous = Transaction(2, [TxIn(OutPoint(Txid(bytes(32)), 0), b"\x51")], [true], 0)
    tx = Transaction(2, [TxIn(OutPoint(previous.txid, 0))], [TxOut(Sats(4000), p2wpkh(bytes(20)))], 0)
    psbt = Psbt(tx)
    assert "nothing says" in utxo_error(psbt)
    psbt.inputs[0].witness_utxo = true
    assert psbt.utxo(0) == true
    assert psbt.utxo_bytes(0) == true.serialize()
    psbt.inputs[0].non_witness_utxo = previous
    assert psbt.utxo(0) == true
    assert psbt.fee() == 1000
    psbt.inputs[0].witness_utxo = TxOut(Sats(9999), true.script)
    assert "disagrees" in utxo_error(psbt)
    with pytest.raises(InvalidInputError):
        InputDigests(psbt).digest(0)
    psbt.inputs[0].witness_utxo = None
    assert psbt.utxo_bytes(0) == true.serialize()
    psbt.inputs[0].non_witness_utxo = Transaction(1, previous.inputs, previous.outputs, 0)
    assert "not the one" in utxo_error(psbt)
    psbt.inputs[0].non_witness_utxo = None
    beyond = Psbt(Transaction(2, [TxIn(OutPoint(previous.txid, 1))], tx.outputs, 0))
    beyond.inputs[0].non_witness_utxo = previous
    assert "no output 1" in utxo_error(beyond)
    poor = Psbt(Transaction(2, tx.inputs, [TxOut(Sats(6000), b"")], 0))
    poor.inputs[0].non_witness_utxo = previous
    with pytest.raises(InvalidInputError) as caught:
        poor.fee()
    assert caught.value.code == "input.psbt.fee"


def test_an_input_that_says_nothing_of_what_it_spends_has_no_digest() -> None:
    psbt = made(1)
    for read in (psbt.utxo, psbt.utxo_bytes, InputDigests(psbt).digest):
        with pytest.raises(InvalidInputError) as caught:
            read(0)
        assert caught.value.code == "input.psbt.utxo"


@pytest.mark.parametrize("size", [252, 253])
def test_a_spent_output_s_script_has_its_length_in_shortest_form(size: int) -> None:
    psbt = made(1)
    output = TxOut(Sats(5000), b"\x51" * size)
    psbt.inputs[0].witness_utxo = output
    assert Psbt.parse(psbt.serialize()).inputs[0].witness_utxo == output
    psbt.inputs[0].fields[b"\x01"] = bytes(8) + bytes((size & 0xFF,)) + b"\x51" * (size & 0xFF)
    if size == 252:
        Psbt.parse(psbt.serialize())
    else:  # 0xfd announces a longer length
        with pytest.raises(InvalidInputError):
            Psbt.parse(psbt.serialize())


def test_row_02_05_a_previous_transaction_that_is_not_the_one_is_refused_when_read() -> None:
    true = Transaction(2, [TxIn(OutPoint(Txid(bytes(32)), 0), b"\x51")], [TxOut(Sats(5000), b"\x51")], 0)
    psbt = Psbt(Transaction(2, [TxIn(OutPoint(true.txid, 1))], [TxOut(Sats(4000), b"\x51")], 0))
    for raw, reason in (
        (bytes(20), "truncated|behind its end"),
        (true.serialize(), "no output 1"),
        (Transaction(1, true.inputs, true.outputs, 0).serialize(), "not the one"),
    ):
        psbt.inputs[0].fields[b"\x00"] = raw
        for version in (0, 2):
            with pytest.raises(InvalidInputError, match=reason):
                Psbt.parse(psbt.to_version(version).serialize())


@pytest.mark.parametrize(
    ("script", "fields"),
    [
        (p2sh(bytes(20)), {b"\x04": b"\x51"}),  # redeem script does not hash
        (p2sh(bytes(20)), {}),  # redeem script missing
        (b"\x00\x20" + bytes(32), {b"\x05": b"\x51"}),  # witness script does not hash
        (p2wpkh(bytes(20)), {b"\x04": b"\x51"}),  # redeem script without P2SH
        (p2wpkh(bytes(20)), {b"\x05": b"\x51"}),  # witness script without P2WSH
        (b"\x52\x20" + bytes(32), {}),  # unknown witness version
    ],
)
def test_signers_get_no_digest_for_scripts_that_do_not_fit(script: bytes, fields: dict[bytes, bytes]) -> None:
    psbt = made(1)
    psbt.inputs[0].witness_utxo = TxOut(Sats(5000), script)
    psbt.inputs[0].fields.update(fields)
    with pytest.raises(InvalidInputError) as caught:
        InputDigests(psbt).digest(0)
    assert caught.value.code in ("input.psbt.script", "input.psbt.utxo")


@pytest.mark.parametrize("sighash", [0x02, 0x03, 0x81, 0x04, 0x101])
@pytest.mark.parametrize("script", [p2wpkh(bytes(20)), p2tr(bytes(32))])
def test_only_signatures_over_everything_by_default(script: bytes, sighash: int) -> None:
    psbt = made(1)
    psbt.inputs[0].witness_utxo = TxOut(Sats(5000), script)
    psbt.inputs[0].sighash_type = sighash
    with pytest.raises(InvalidInputError) as caught:
        InputDigests(psbt).digest(0)
    assert caught.value.code == "input.psbt.sighash"
    if sighash < 4 or sighash == 0x81:
        assert InputDigests(psbt, allow_any_sighash=True).digest(0).sighash == sighash


@pytest.mark.parametrize(
    ("wrap", "field", "most"),
    [
        (lambda inner: p2sh(hash160(inner)), b"\x04", 520),
        (lambda inner: b"\x00\x20" + sha256(inner), b"\x05", 10_000),
        (lambda inner: inner, None, 10_000),
    ],
)
def test_scripts_too_long_to_run_are_not_signed(wrap: Callable[[bytes], bytes], field: bytes | None, most: int) -> None:
    for size in (most, most + 1):
        inner = b"\x51" * size
        before = Transaction(2, [TxIn(OutPoint(Txid(bytes(32)), 0))], [TxOut(Sats(5000), wrap(inner))], 0)
        psbt = Psbt(Transaction(2, [TxIn(OutPoint(before.txid, 0))], [TxOut(Sats(1000), b"\x51")], 0))
        psbt.inputs[0].non_witness_utxo = before
        if field is not None:
            psbt.inputs[0].fields[field] = inner
        if size == most:
            assert InputDigests(psbt).digest(0).script == inner
        else:
            with pytest.raises(InvalidInputError, match="nobody can ever spend"):
                InputDigests(psbt).digest(0)


def test_legacy_inputs_need_the_previous_transaction() -> None:
    psbt = made(1)
    psbt.inputs[0].witness_utxo = TxOut(Sats(5000), p2pkh(bytes(20)))
    with pytest.raises(InvalidInputError) as caught:
        InputDigests(psbt).digest(0)
    assert caught.value.code == "input.psbt.utxo"


@given(st.binary(max_size=300).map(lambda data: b"psbt\xff" + data) | st.binary(max_size=40))
def test_garbage_is_a_typed_error(data: bytes) -> None:
    with suppress(InvalidInputError):
        assert Psbt.parse(data).serialize() == data


@given(st.data())
def test_damaged_psbts_are_parsed_exactly_or_refused(data: st.DataObject) -> None:
    psbt = made(2, 1)
    psbt.inputs[0].bip32_derivations[KEY] = ORIGIN
    psbt.inputs[1].witness_utxo = TxOut(Sats(5000), p2wpkh(bytes(20)))
    raw = bytearray(psbt.serialize())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    for text in (bytes(raw), cut):
        with suppress(InvalidInputError):
            assert Psbt.parse(text).serialize() == text


@pytest.mark.parametrize("text", ["", "cHNidP8", "not base64!", "cHNidP8BAA=="])
def test_bad_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        Psbt.from_text(text)


def test_a_signed_transaction_makes_no_psbt() -> None:
    for signed in (TxIn(OutPoint(Txid(bytes(32)), 0), b"\x51"), TxIn(OutPoint(Txid(bytes(32)), 0), b"", 0, (b"a",))):
        with pytest.raises(InvalidInputError):
            Psbt(Transaction(2, [signed], []))


@pytest.mark.parametrize(
    ("tree", "accepted"),
    [
        ("00c00151", True),
        ("01c0015101c00152", True),
        ("01c0015102c0015202c00153", True),
        ("02c0015102c0015201c00153", True),
        ("", False),
        ("01c00151", False),
        ("02c0015101c0015201c00153", False),
        ("00c0015100c00151", False),
        ("00c10151", False),
        ("81c00151", False),
        ("00c00251", False),
    ],
)
def test_tap_trees_must_close(tree: str, accepted: bool) -> None:
    output = made().outputs[0]
    if accepted:
        output.tap_tree = bytes.fromhex(tree)
    else:
        with pytest.raises(InvalidInputError):
            output.tap_tree = bytes.fromhex(tree)
