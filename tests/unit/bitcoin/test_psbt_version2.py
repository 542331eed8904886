"""PSBT version 2: BIP-370's own cases, conversion without loss, its constructor, its locktimes and flags, combining."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from embit.psbt import PSBT as EmbitPsbt
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.psbt import (
    Psbt,
    add_input,
    add_output,
    close_construction,
    combine,
    create,
    note_signature,
    set_sequence,
    update_input,
)
from bursar.bitcoin.psbt import rules as r
from bursar.bitcoin.psbt.combining import identity
from bursar.bitcoin.psbt.points import check_points
from bursar.bitcoin.script import p2wpkh
from bursar.bitcoin.sighash import ALL, ANYONECANPAY, DEFAULT, NONE, SINGLE
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import sha256
from bursar.errors import InvalidInputError
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath

Vectors = Callable[[str], Path]
KEY = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
PAID = TxOut(Sats(1000), p2wpkh(bytes(20)))
SIGNATURE = b"\x30" * 70


def refused(code: str, call: Callable[..., object], *args: Any, **options: Any) -> str:
    with pytest.raises(InvalidInputError) as caught:
        call(*args, **options)
    assert caught.value.code == f"input.psbt.{code}", caught.value.message
    return caught.value.message


def outpoint(number: int) -> OutPoint:
    return OutPoint(Txid(sha256(b"%d" % number)), number)


def opened(**options: Any) -> Psbt:
    return create(modifiable_inputs=True, modifiable_outputs=True, **options)


def all_cases(locate: Vectors, number: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(locate(f"bip/bip{number}.json").read_text())["vectors"]
    return found


@pytest.mark.parametrize("number", ["0174", "0370", "0371"])
def test_row_54_converting_there_and_back_changes_nothing(number: str, official_vectors: Vectors) -> None:
    count = 0
    for case in all_cases(official_vectors, number):
        with suppress(InvalidInputError):
            psbt = Psbt.from_text(case["psbt"])
            other = psbt.to_version(2 - psbt.version)
            again = Psbt.parse(other.serialize())
            assert again == other
            assert again.tx == psbt.tx
            back = again.to_version(psbt.version)
            if psbt.version == 0:
                assert str(back) == case["psbt"]
                count += 1
            else:
                assert back.to_version(0) == other
                count += 1
            assert psbt.copy() == psbt
    assert count >= {"0174": 20, "0370": 20, "0371": 6}[number]


def test_row_53_locktimes_follow_bip_370(official_vectors: Vectors) -> None:
    found = []
    for case in all_cases(official_vectors, "0370"):
        if "computed to be" in case["section"]:
            wanted = int(case["section"].rstrip(":").rsplit(" ", 1)[1])
            assert Psbt.from_text(case["psbt"]).tx.locktime == wanted, case["case"]
            found.append(wanted)
        elif "cannot be computed" in case["section"]:
            refused("locktime", Psbt.from_text, case["psbt"])
    assert sorted(found) == [0, 0, 10000, 10000, 10000, 10000, 1657048460, 1657048460, 1657048460]


def test_row_53_embit_reads_the_same_transaction(official_vectors: Vectors) -> None:
    for case in all_cases(official_vectors, "0370"):
        if case["section"].startswith("The following are valid"):
            theirs = EmbitPsbt.parse(base64.b64decode(case["psbt"]))
            ours = Psbt.from_text(case["psbt"])
            assert [bytes(one.txid)[::-1] for one in theirs.inputs] == [
                bytes(one.outpoint.txid) for one in ours.tx.inputs
            ]
            assert [one.value for one in theirs.outputs] == [one.value for one in ours.tx.outputs]


def test_a_psbt_is_built_input_by_input() -> None:
    psbt = opened(locktime=7)
    assert (psbt.version, len(psbt.tx.inputs), len(psbt.tx.outputs)) == (2, 0, 0)
    first = add_input(psbt, outpoint(1), sequence=5)
    add_input(psbt, outpoint(2))
    add_output(psbt, PAID)
    assert (first.previous_txid, first.output_index, first.sequence) == (outpoint(1).txid, 1, 5)
    assert psbt.outputs[0].amount == 1000
    assert psbt.outputs[0].script == PAID.script
    made = Transaction(2, [TxIn(outpoint(1), b"", 5), TxIn(outpoint(2))], [PAID], 7)
    assert psbt.tx == made
    assert Psbt.parse(psbt.serialize()) == psbt
    assert Psbt(made).to_version(2).tx == made
    assert create([TxIn(outpoint(1), b"", 5), TxIn(outpoint(2))], [PAID], locktime=7, version=0) == Psbt(made)
    set_sequence(psbt, 0, 9)
    assert psbt.tx.inputs[0].sequence == 9
    refused("construction", set_sequence, psbt, 0, 1 << 32)
    assert "spent by it already" in refused("construction", add_input, psbt, outpoint(2))
    close_construction(psbt)
    assert r.GLOBAL_TX_MODIFIABLE not in psbt.fields
    refused("construction", add_input, psbt, outpoint(3))
    refused("construction", add_output, psbt, PAID)
    refused("construction", add_input, psbt.to_version(0), outpoint(3))
    refused("construction", create, tx_version=1, modifiable_inputs=True)
    refused("version", psbt.to_version, 1)
    with pytest.raises(AttributeError, match="construction"):
        first.sequence = 3  # type: ignore[misc]


def test_only_what_the_flags_allow_is_added() -> None:
    inputs = create(modifiable_inputs=True)
    add_input(inputs, outpoint(1))
    refused("construction", add_output, inputs, PAID)
    outputs = create(modifiable_outputs=True)
    add_output(outputs, PAID)
    refused("construction", add_input, outputs, outpoint(1))


def test_row_53_demands_on_the_locktime_must_agree_and_must_not_move_it_once_signed() -> None:
    psbt = opened(locktime=5)
    add_input(psbt, outpoint(1), required_height=1000)
    assert psbt.tx.locktime == 1000
    refused("locktime", add_input, psbt, outpoint(2), required_time=1_600_000_000)
    add_input(psbt, outpoint(2), required_time=1_600_000_000, required_height=900)
    assert psbt.tx.locktime == 1000
    for wrong in ({"required_height": 500_000_000}, {"required_time": 499_999_999}, {"required_height": 0}):
        refused("field", add_input, psbt, outpoint(3), **wrong)
    refused("construction", add_input, psbt, outpoint(3), required_time=1 << 32)
    psbt.inputs[0].partial_sigs[KEY] = SIGNATURE + bytes((ALL | ANYONECANPAY,))
    assert "move the locktime" in refused("construction", add_input, psbt, outpoint(3), required_height=1001)
    assert len(psbt.inputs) == 2
    add_input(psbt, outpoint(3), required_height=999)
    assert psbt.tx.locktime == 1000
    refused("construction", set_sequence, psbt, 0, 1)


@pytest.mark.parametrize(
    ("sighash", "before", "after"),
    [
        (ALL, 3, 0),
        (DEFAULT, 3, 0),
        (ALL | ANYONECANPAY, 3, 1),
        (NONE, 3, 2),
        (NONE | ANYONECANPAY, 3, 3),
        (SINGLE, 3, 4),
        (SINGLE | ANYONECANPAY, 3, 5),
        (ALL, 0xFF, 0xFC),
        (NONE | ANYONECANPAY, 4, 4),
    ],
)
def test_row_53_a_signature_ends_what_it_would_not_survive(sighash: int, before: int, after: int) -> None:
    psbt = opened()
    psbt.fields[r.GLOBAL_TX_MODIFIABLE] = bytes((before,))
    note_signature(psbt, sighash)
    assert psbt.fields[r.GLOBAL_TX_MODIFIABLE] == bytes((after,))
    bare = create()
    note_signature(bare, sighash)
    assert r.GLOBAL_TX_MODIFIABLE not in bare.fields


def changed(psbt: Psbt, change: Callable[[Psbt], object]) -> bytes:
    change(psbt)
    return psbt.serialize()


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("version", lambda p: p.fields.pop(r.GLOBAL_TX_VERSION)),
        ("version", lambda p: p.fields.pop(r.GLOBAL_INPUT_COUNT)),
        ("version", lambda p: p.fields.pop(r.GLOBAL_OUTPUT_COUNT)),
        ("version", lambda p: p.fields.update({r.GLOBAL_TX: bytes(10)})),
        ("version", lambda p: p.fields.update({r.GLOBAL_VERSION: b"\1\0\0\0"})),
        ("version", lambda p: p.fields.update({r.GLOBAL_VERSION: b"\3\0\0\0"})),
        ("version", lambda p: p.inputs[0].fields.pop(r.PREVIOUS_TXID)),
        ("version", lambda p: p.inputs[0].fields.pop(r.OUTPUT_INDEX)),
        ("version", lambda p: p.outputs[0].fields.pop(r.OUT_AMOUNT)),
        ("version", lambda p: p.outputs[0].fields.pop(r.OUT_SCRIPT)),
        ("field", lambda p: p.fields.update({r.GLOBAL_TX_VERSION: b"\2\0\0"})),
        ("field", lambda p: p.fields.update({r.GLOBAL_TX_MODIFIABLE: b"\2\0"})),
        ("field", lambda p: p.fields.update({r.GLOBAL_TX_MODIFIABLE: b""})),
        ("field", lambda p: p.fields.update({r.GLOBAL_INPUT_COUNT: b"\1\1"})),
        ("field", lambda p: p.inputs[0].fields.update({r.PREVIOUS_TXID: bytes(31)})),
        ("field", lambda p: p.inputs[0].fields.update({r.SEQUENCE: bytes(5)})),
        ("field", lambda p: p.inputs[0].fields.update({r.REQUIRED_TIME: bytes(4)})),
        ("field", lambda p: p.inputs[0].fields.update({r.REQUIRED_HEIGHT: bytes(4)})),
        ("field", lambda p: p.outputs[0].fields.update({r.OUT_AMOUNT: bytes(7)})),
    ],
)
def test_row_53_what_version_2_demands_and_forbids(code: str, change: Callable[[Psbt], object]) -> None:
    psbt = opened()
    add_input(psbt, outpoint(1))
    add_output(psbt, PAID)
    refused(code, Psbt.parse, changed(psbt, change))


@pytest.mark.parametrize("amount", [-1, 21_000_000 * 100_000_000 + 1, -(2**63)])
def test_row_08_amounts_out_of_range(amount: int) -> None:
    psbt = opened()
    add_output(psbt, PAID)
    psbt.outputs[0].fields[r.OUT_AMOUNT] = amount.to_bytes(8, "little", signed=True)
    with pytest.raises(InvalidInputError) as caught:
        Psbt.parse(psbt.serialize())
    assert caught.value.code == "input.amount.range"


@pytest.mark.parametrize("count", ["fdffff", "feffffffff", "ffffffffffffffffff", "fd0100", "02", "00"])
def test_row_48_49_counts_that_no_bytes_follow(count: str) -> None:
    psbt = opened()
    add_input(psbt, outpoint(1))
    add_output(psbt, PAID)
    for key in (r.GLOBAL_INPUT_COUNT, r.GLOBAL_OUTPUT_COUNT):
        lying = psbt.copy()
        lying.fields[key] = bytes.fromhex(count)
        with pytest.raises(InvalidInputError):
            Psbt.parse(lying.serialize())


@given(st.data())
def test_row_49_damaged_version_2_is_parsed_exactly_or_refused(data: st.DataObject) -> None:
    psbt = opened(locktime=3)
    add_input(psbt, outpoint(1), sequence=7, required_height=9)
    add_output(psbt, PAID)
    psbt.inputs[0].sha256_preimages[sha256(b"x")] = b"x"
    raw = bytearray(psbt.serialize())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(5, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    for text in (bytes(raw), cut):
        with suppress(InvalidInputError):
            read = Psbt.parse(text)
            assert read.serialize() == text
            assert read.to_version(2 - read.version).to_version(read.version).tx == read.tx


def two_sided() -> tuple[Psbt, Psbt]:
    psbt = opened(locktime=4)
    add_input(psbt, outpoint(1))
    add_input(psbt, outpoint(2), required_height=4)
    add_output(psbt, PAID)
    return psbt, psbt.copy()


def test_row_52_combining_version_2() -> None:
    mine, theirs = two_sided()
    mine.inputs[0].partial_sigs[KEY] = SIGNATURE + b"\x01"
    note_signature(mine, ALL)
    theirs.inputs[1].unknown[b"\xfcmine"] = b"kept"
    joined = combine([theirs, mine])
    assert joined.fields[r.GLOBAL_TX_MODIFIABLE] == b"\0"
    assert joined.inputs[0] == mine.inputs[0]
    assert joined.inputs[1] == theirs.inputs[1]
    assert combine([mine, theirs.to_version(0)]) == combine([mine, theirs])
    assert combine([theirs.to_version(0), mine]).version == 2
    set_sequence(theirs, 0, 3)
    assert identity(theirs) == identity(mine)
    assert "commits to another sequence" in refused("combine", combine, [theirs, mine])
    mine.inputs[0].partial_sigs.clear()
    assert combine([mine, theirs]).tx.inputs[0].sequence == 3
    set_sequence(mine, 0, 4)
    refused("combine", combine, [mine, theirs])
    other = opened(locktime=4)
    add_input(other, outpoint(1))
    refused("combine", combine, [mine, other])
    odd = mine.copy()
    odd.fields[r.GLOBAL_TX_MODIFIABLE] = b"\x40"
    refused("combine", combine, [mine, odd])


def test_an_updater_writes_nothing_that_contradicts() -> None:
    coin = Transaction(2, [TxIn(outpoint(9), b"", 1, (b"w",))], [PAID, TxOut(Sats(5), b"\x51")], 0)
    psbt = opened()
    add_input(psbt, OutPoint(coin.txid, 0))
    update_input(psbt, 0, previous=coin)
    assert psbt.inputs[0].witness_utxo == PAID
    before = psbt.copy()
    refused("utxo", update_input, psbt, 0, output=TxOut(Sats(7), PAID.script))
    refused("utxo", update_input, psbt, 0, previous=Transaction(1, coin.inputs, coin.outputs, 0))
    assert psbt == before


def test_row_51_unknown_and_proprietary_fields_stay_through_conversion() -> None:
    psbt = Psbt(Transaction(2, [TxIn(outpoint(1))], [PAID], 0))
    psbt.unknown[b"\xfc\x03abc\x00k"] = b"global"
    psbt.inputs[0].unknown[b"\xfd\xff\xff\x01"] = b"input"
    psbt.outputs[0].unknown[b"\xf0"] = b""
    there = psbt.to_version(2)
    assert dict(there.unknown) == dict(psbt.unknown)
    assert dict(there.inputs[0].unknown) == {b"\xfd\xff\xff\x01": b"input"}
    assert dict(there.outputs[0].unknown) == {b"\xf0": b""}
    assert Psbt.parse(there.serialize()).to_version(0).serialize() == psbt.serialize()


def test_preimages_are_those_of_their_hash() -> None:
    one = opened().copy()
    add_input(one, outpoint(1))
    fields = one.inputs[0]
    fields.sha256_preimages[sha256(b"secret")] = b"secret"
    assert fields.preimages() == {sha256(b"secret"): b"secret"}
    for mapping in (
        fields.sha256_preimages,
        fields.hash256_preimages,
        fields.hash160_preimages,
        fields.ripemd160_preimages,
    ):
        refused("field", mapping.__setitem__, bytes(32), b"secret")
        refused("field", mapping.__setitem__, bytes(20), b"secret")


ORIGIN = KeyOrigin(Fingerprint(b"\x01\x02\x03\x04"), DerivationPath.from_text("m/1"))
NO_POINT = b"\x02" + b"\xff" * 32


@pytest.mark.parametrize(
    "write",
    [
        lambda p, key: p.inputs[0].bip32_derivations.__setitem__(key, ORIGIN),
        lambda p, key: p.inputs[0].partial_sigs.__setitem__(key, SIGNATURE + b"\x01"),
        lambda p, key: p.inputs[0].tap_bip32_derivations.__setitem__(key[1:], ((), ORIGIN)),
        lambda p, key: p.inputs[0].tap_script_sigs.__setitem__(key[1:] + bytes(32), bytes(64)),
        lambda p, key: setattr(p.inputs[0], "tap_internal_key", key[1:]),
        lambda p, key: p.inputs[0].musig2_participants.__setitem__(KEY, (KEY, key)),
        lambda p, key: p.inputs[0].musig2_participants.__setitem__(key, (KEY,)),
        lambda p, key: p.inputs[0].musig2_nonces.__setitem__(KEY + key, bytes(66)),
        lambda p, key: p.outputs[0].bip32_derivations.__setitem__(key, ORIGIN),
        lambda p, key: p.outputs[0].tap_bip32_derivations.__setitem__(key[1:], ((), ORIGIN)),
        lambda p, key: setattr(p.outputs[0], "tap_internal_key", key[1:]),
        lambda p, key: p.outputs[0].musig2_participants.__setitem__(KEY, (key,)),
        lambda p, key: p.xpubs.__setitem__(bytes(4) + b"\x01" + bytes(40) + key, ORIGIN),
    ],
)
def test_row_50_keys_that_are_no_points_of_the_curve(write: Callable[[Psbt, bytes], None]) -> None:
    psbt = Psbt(Transaction(2, [TxIn(outpoint(1))], [PAID], 0))
    write(psbt, KEY)
    check_points(psbt)
    write(psbt, NO_POINT)
    refused("key", check_points, Psbt.parse(psbt.serialize()))
