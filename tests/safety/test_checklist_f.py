"""Checklist F, PSBTs from outside (rows 46 to 58): read strictly, combined without guessing, held to the question."""

from __future__ import annotations

import json
import resource
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from time import process_time
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.bitcoin.finalize import combine, extract, finalize
from bursar.bitcoin.psbt import InputDigests, Psbt, create, note_signature, set_sequence
from bursar.bitcoin.psbt import rules as r
from bursar.bitcoin.psbt.construction import add_input, add_output
from bursar.bitcoin.sighash import ALL, ANYONECANPAY, NONE, SINGLE
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.bitcoin.wire import compact_size
from bursar.crypto.secp256k1 import ORDER, EcdsaSignature, ecdsa_sign_der, public_key, schnorr_sign
from bursar.errors import InvalidInputError, SignerMisbehavedError
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import Scheme
from bursar.signing.checks import request_signatures
from bursar.signing.remarks import remarks

Refused = Callable[..., str]
ORIGIN = KeyOrigin.from_text("01020304/1")
NO_POINT = b"\x02" + b"\xff" * 32
KEY = public_key(b"\x05" * 32)


def unreadable(data: bytes, *, code: str = "input.psbt") -> str:
    """Refused by the parser with a typed error, at once and without taking memory for what was only promised."""
    tracemalloc.start()
    before = process_time()
    try:
        with pytest.raises(InvalidInputError) as caught:
            Psbt.parse(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.code.startswith(code), caught.value.code
    assert peak < 4 * len(data) + 200_000
    assert process_time() - before < 2
    return caught.value.message


def pair(key: bytes, value: bytes) -> bytes:
    return compact_size(len(key)) + key + compact_size(len(value)) + value


def raw_psbt(ask: SimpleNamespace, version: int = 0) -> tuple[Psbt, bytes]:
    psbt = ask.one().to_version(version)
    return psbt, psbt.serialize()


@pytest.mark.parametrize("version", [0, 2])
def test_row_46_a_key_twice_in_one_map(ask: SimpleNamespace, version: int) -> None:
    psbt, _ = raw_psbt(ask, version)
    maps = [psbt, *psbt.inputs, *psbt.outputs]
    for twice in maps:
        parts = [b"psbt\xff"]
        for one in maps:
            fields = list(one.fields.items())
            if one is twice:
                fields += [fields[0]] if fields else [(b"\xf0", b""), (b"\xf0", b"other")]
            parts += [*(pair(*field) for field in fields), b"\x00"]
        unreadable(b"".join(parts))


def test_row_46_the_same_unknown_key_with_another_value_is_twice_too(ask: SimpleNamespace) -> None:
    psbt, raw = raw_psbt(ask)
    psbt.inputs[0].unknown[b"\xfc\x01a"] = b"one"
    raw = psbt.serialize()
    known = pair(b"\xfc\x01a", b"one")
    assert raw.count(known) == 1
    unreadable(raw.replace(known, known + pair(b"\xfc\x01a", b"two")))


def test_row_47_a_transaction_that_is_signed_already(ask: SimpleNamespace) -> None:
    psbt = ask.one()
    one = psbt.tx.inputs[0]
    unsigned = psbt.tx.serialize(witness=False)
    for spent in (TxIn(one.outpoint, b"\x51", one.sequence), TxIn(one.outpoint, b"", one.sequence, (b"\x01",))):
        signed = Transaction(2, [spent], psbt.tx.outputs, 0)
        with pytest.raises(InvalidInputError):
            Psbt(signed)
        for raw in (signed.serialize(), signed.serialize(witness=False)):
            if raw != unsigned:
                unreadable(psbt.serialize().replace(pair(b"\x00", unsigned), pair(b"\x00", raw)), code="input")


@pytest.mark.parametrize("version", [0, 2])
def test_row_48_another_number_of_maps(ask: SimpleNamespace, version: int) -> None:
    psbt, raw = raw_psbt(ask, version)
    unreadable(raw + b"\x00")
    unreadable(raw[:-1])
    fewer = b"psbt\xff" + r.write_map(psbt.fields) + r.write_map(psbt.inputs[0].fields) + r.write_map({})
    unreadable(fewer)
    if version == 2:
        for field in (r.GLOBAL_INPUT_COUNT, r.GLOBAL_OUTPUT_COUNT):
            for count in (b"\x00", b"\x03", b"\xfd\xff\xff", b"\xfe\xff\xff\xff\xff", b"\xff" * 9):
                lying = psbt.copy()
                lying.fields[field] = count
                unreadable(lying.serialize())


def test_row_49_every_truncation_and_trailing_bytes(ask: SimpleNamespace) -> None:
    for version in (0, 2):
        _, raw = raw_psbt(ask, version)
        for size in range(len(raw)):
            with pytest.raises(InvalidInputError):
                Psbt.parse(raw[:size])
        for tail in (b"\x00", b"\xff", b"psbt\xff"):
            unreadable(raw + tail)


def test_row_49_sizes_that_promise_more_than_there_is() -> None:
    """No allocation for a count or a length before its bytes are there; long forms of short sizes are refused."""
    huge = (b"\xfe\xff\xff\xff\xff", b"\xff" + b"\xff" * 8, b"\xfe\xff\xff\xff\x7f", b"\xfd\xff\xff")
    outpoint = bytes(36)
    for size in huge:
        unreadable(b"psbt\xff" + size)
        unreadable(b"psbt\xff\x01\x00" + size)
        for tx in (
            b"\x02\x00\x00\x00" + size,
            b"\x02\x00\x00\x00\x01" + outpoint + size,
            b"\x02\x00\x00\x00\x01" + outpoint + b"\x00" + bytes(4) + size,
            b"\x02\x00\x00\x00\x01" + outpoint + b"\x00" + bytes(4) + b"\x01" + bytes(8) + size,
        ):
            unreadable(b"psbt\xff" + pair(b"\x00", tx) + b"\x00", code="input")
            with pytest.raises(InvalidInputError):
                Transaction.parse(tx)
    for longer in (b"\xfd\x01\x00", b"\xfe\x01\x00\x00\x00", b"\xff\x01" + bytes(7)):
        unreadable(b"psbt\xff" + longer + b"\x00" + b"\x00" + b"\x00", code="input")


def test_row_49_a_hundred_thousand_maps_and_fields_cost_what_they_weigh() -> None:
    psbt = Psbt(Transaction(2, [TxIn(OutPoint(Txid(bytes(32)), n)) for n in range(3_000)], [TxOut(Sats(1), b"\x51")]))
    for number in range(10_000):
        psbt.inputs[0].unknown[b"\xfc" + number.to_bytes(4, "big")] = b""
    raw = psbt.serialize()
    before, most = process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert Psbt.parse(raw).serialize() == raw
    assert process_time() - before < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < 200_000


WRONG_FIELDS = [
    (b"\x02" + KEY[:-1], b"\x30" * 71),
    (b"\x02" + KEY + b"\x00", b"\x30" * 71),
    (b"\x02" + b"\x05" + KEY[1:], b"\x30" * 71),
    (b"\x02" + KEY, b""),
    (b"\x06" + KEY[:32], bytes(4)),
    (b"\x06" + KEY, b""),
    (b"\x06" + KEY, bytes(3)),
    (b"\x06" + KEY, bytes(7)),
    (b"\x00\x00", b""),
    (b"\x01", b""),
    (b"\x01\x00", bytes(9)),
    (b"\x03", bytes(3)),
    (b"\x03\x00", bytes(4)),
    (b"\x04\x00", b"\x51"),
    (b"\x05\x00", b"\x51"),
    (b"\x08", b"\xff" * 9),
    (b"\x13", bytes(63)),
    (b"\x13", bytes(66)),
    (b"\x14" + bytes(63), bytes(64)),
    (b"\x14" + bytes(64), bytes(63)),
    (b"\x15" + bytes(32), b"\x51\xc0"),
    (b"\x15" + bytes(33), b""),
    (b"\x16" + bytes(31), bytes(5)),
    (b"\x16" + bytes(32), b""),
    (b"\x16" + bytes(32), b"\x01" + bytes(4)),
    (b"\x17", bytes(31)),
    (b"\x17", bytes(33)),
    (b"\x18", bytes(31)),
    (b"\x1a" + KEY, KEY[:-1]),
    (b"\x1b" + KEY * 2, bytes(65)),
    (b"\x1c" + KEY * 2, bytes(31)),
]


@pytest.mark.parametrize(
    "field", WRONG_FIELDS, ids=lambda field: f"{field[0][:1].hex()}-{len(field[0])}-{len(field[1])}"
)
def test_row_50_keys_and_values_of_another_size(ask: SimpleNamespace, field: tuple[bytes, bytes]) -> None:
    psbt = ask.one()
    psbt.inputs[0].fields.pop(field[0], None)
    psbt.inputs[0].fields[field[0]] = field[1]
    raw = psbt.serialize()
    with pytest.raises(InvalidInputError) as caught:
        Psbt.parse(raw)
    assert caught.value.code.startswith("input.psbt") or caught.value.code.startswith("input.transaction"), caught.value


def test_row_50_keys_that_are_no_points(ask: SimpleNamespace, refused: Refused, account: Any) -> None:
    for scheme in (Scheme.BIP84, Scheme.BIP86):
        psbt = ask.one(scheme)
        if scheme is Scheme.BIP86:
            psbt.inputs[0].tap_bip32_derivations[NO_POINT[1:]] = ((), ORIGIN)
        else:
            psbt.inputs[0].bip32_derivations[NO_POINT] = ORIGIN
        refused(Psbt.parse(psbt.serialize()), "key", account=account(scheme))
    psbt = ask.one()
    psbt.outputs[0].bip32_derivations[NO_POINT] = ORIGIN
    refused(psbt, "key")


def test_row_51_what_nobody_knows_is_kept_and_never_let_through(
    ask: SimpleNamespace, signer: Any, account: Any
) -> None:
    psbt = ask.one()
    strange = {b"\xfc\x03abc\x00k": b"value", b"\xf0": b"", b"\xfd\xff\xff\x01": b"\x00" * 40}
    for one in (psbt, psbt.inputs[0], psbt.outputs[0]):
        one.fields.update(strange)
    raw = psbt.serialize()
    assert Psbt.parse(raw).serialize() == raw
    assert Psbt.parse(raw).to_version(2).to_version(0).serialize() == raw
    signed = request_signatures(signer, Psbt.parse(raw), account=account())
    for one in (signed, signed.inputs[0], signed.outputs[0], combine([psbt, signed]).inputs[0]):
        assert {key: one.fields[key] for key in strange} == strange
    final = finalize(signed)
    assert {key: final.inputs[0].fields.get(key) for key in strange} == strange
    for where in ("", "inputs", "outputs"):

        def adding(asked: Psbt, where: str = where) -> Psbt:
            answer: Psbt = signer.sign_psbt(asked)
            place: Any = getattr(answer, where)[0] if where else answer
            place.fields[b"\xfc\x05story"] = b"of mine"
            return answer

        with pytest.raises(SignerMisbehavedError):
            request_signatures(SimpleNamespace(info=signer.info, sign_psbt=adding), psbt)


def test_row_52_what_does_not_belong_together_is_not_combined(ask: SimpleNamespace, line: Any, tmp_path: Any) -> None:
    mine = ask.one()
    for other in (ask.one(salt=1), ask.one(fee=501), ask.question([ask.spend(), ask.spend(index=1)])):
        for order in ([mine, other], [other, mine]):
            with pytest.raises(InvalidInputError) as caught:
                combine(order)
            assert caught.value.code == "input.psbt.combine"
    for key in (b"\x02" + KEY, b"\xfc\x01a", b"\x03"):
        left, right = mine.copy(), mine.copy()
        left.inputs[0].fields[key], right.inputs[0].fields[key] = b"\x01\x00\x00\x00", b"\x02\x00\x00\x00"
        for order in ([left, right], [right, left]):
            with pytest.raises(InvalidInputError, match="disagree"):
                combine(order)
    files = []
    for number, psbt in enumerate((mine, ask.one(fee=501))):
        files.append(tmp_path / f"{number}.psbt")
        files[-1].write_text(str(psbt))
    result = line.run("psbt", "combine", *map(str, files))
    assert isinstance(result.exception, InvalidInputError)
    assert result.stdout == ""


def opened(**options: Any) -> Psbt:
    psbt = create(modifiable_inputs=True, modifiable_outputs=True, **options)
    add_input(psbt, OutPoint(Txid(b"\x01" * 32), 0))
    add_output(psbt, TxOut(Sats(1_000), b"\x00\x14" + bytes(20)))
    return psbt


def test_row_53_version_2_is_whole_and_not_mixed_with_version_0() -> None:
    for field in (r.GLOBAL_TX_VERSION, r.GLOBAL_INPUT_COUNT, r.GLOBAL_OUTPUT_COUNT):
        psbt = opened()
        del psbt.fields[field]
        unreadable(psbt.serialize(), code="input.psbt.version")
    mixed = opened()
    mixed.fields[r.GLOBAL_TX] = opened().tx.serialize()
    unreadable(mixed.serialize(), code="input.psbt.version")
    old = opened().to_version(0)
    for field, value in ((r.GLOBAL_TX_VERSION, b"\x02\0\0\0"), (r.GLOBAL_INPUT_COUNT, b"\x01")):
        wrong = old.copy()
        wrong.fields[field] = value
        unreadable(wrong.serialize(), code="input.psbt.version")
    for field in (r.PREVIOUS_TXID, r.OUTPUT_INDEX):
        psbt = opened()
        del psbt.inputs[0].fields[field]
        unreadable(psbt.serialize(), code="input.psbt.version")
    for field in (r.OUT_AMOUNT, r.OUT_SCRIPT):
        psbt = opened()
        del psbt.outputs[0].fields[field]
        unreadable(psbt.serialize(), code="input.psbt.version")


def test_row_53_locktimes_and_flags(official_vectors: Callable[[str], Any]) -> None:
    cases = json.loads(official_vectors("bip/bip0370.json").read_text())["vectors"]
    found = []
    for case in cases:
        if "computed to be" in case["section"]:
            found.append(Psbt.from_text(case["psbt"]).tx.locktime)
        elif "cannot be computed" in case["section"]:
            with pytest.raises(InvalidInputError):
                Psbt.from_text(case["psbt"])
            found.append(None)
    assert found.count(0) == 2
    assert found.count(10_000) == 4
    assert found.count(1_657_048_460) >= 2
    assert found.count(None) == 1
    ends = {ALL: 0, ALL | ANYONECANPAY: 1, NONE: 2, NONE | ANYONECANPAY: 3, SINGLE: 4, SINGLE | ANYONECANPAY: 5}
    for sighash, flags in ends.items():
        psbt = opened()
        note_signature(psbt, sighash)
        assert psbt.fields[r.GLOBAL_TX_MODIFIABLE] == bytes((flags,))


def test_row_53_a_signed_psbt_is_closed(ask: SimpleNamespace, signer: Any, account: Any) -> None:
    psbt = ask.one().to_version(2)
    psbt.fields[r.GLOBAL_TX_MODIFIABLE] = b"\x03"
    signed = request_signatures(signer, psbt, account=account())
    assert signed.fields[r.GLOBAL_TX_MODIFIABLE] == b"\x00"
    for change in (
        lambda: add_input(signed, OutPoint(Txid(bytes(32)), 0)),
        lambda: add_output(signed, TxOut(Sats(1_000), b"\x51")),
        lambda: set_sequence(signed, 0, 1),
    ):
        with pytest.raises(InvalidInputError):
            change()


def test_row_54_there_and_back_is_the_same(official_vectors: Callable[[str], Any], ask: SimpleNamespace) -> None:
    count = 0
    for number in ("0174", "0371"):
        for case in json.loads(official_vectors(f"bip/bip{number}.json").read_text())["vectors"]:
            with suppress(InvalidInputError):
                psbt = Psbt.from_text(case["psbt"])
                assert str(Psbt.parse(psbt.to_version(2).serialize()).to_version(0)) == case["psbt"]
                count += 1
    assert count >= 26
    for scheme in Scheme:
        psbt = ask.one(scheme)
        assert psbt.to_version(2).to_version(0).serialize() == psbt.serialize()
        assert psbt.to_version(2).tx == psbt.tx


def test_row_55_nothing_is_final_before_it_is_signed(party: Any, line: Any, tmp_path: Any) -> None:
    account = party.account("wsh(sortedmulti(2,@A,@B,@C))")
    psbt = party.question(account)
    one = request_signatures(party.signers["A"], psbt, account=account)
    for few in (psbt, one):
        with pytest.raises(InvalidInputError) as caught:
            finalize(few)
        assert caught.value.code == "input.psbt.unsigned"
        with pytest.raises(InvalidInputError):
            extract(few)
    both = request_signatures(party.signers["C"], one, account=account)
    keys = [*both.inputs[0].partial_sigs]
    swapped = both.copy()
    sigs = swapped.inputs[0].partial_sigs
    sigs[keys[0]], sigs[keys[1]] = sigs[keys[1]], sigs[keys[0]]
    with pytest.raises(InvalidInputError):
        finalize(swapped)
    final = finalize(both)
    for number, kept in enumerate(final.inputs):
        assert kept.final_witness is not None
        assert kept.non_witness_utxo == both.inputs[number].non_witness_utxo
        assert kept.witness_utxo == both.inputs[number].witness_utxo
        assert {key[0] for key in kept.fields} == {0x00, 0x01, 0x08}
    file = tmp_path / "half.psbt"
    file.write_text(str(one))
    result = line.run("psbt", "finalize", str(file))
    assert isinstance(result.exception, InvalidInputError)
    assert "1 of 2 signatures" in result.exception.message


def test_row_56_signed_means_one_valid_signature_more(ask: SimpleNamespace, signer: Any, account: Any) -> None:
    psbt = ask.question([ask.spend(), ask.spend(index=1)], change=account())
    half = psbt.copy()
    half.inputs[0].fields.update(signer.sign_psbt(psbt).inputs[0].fields)

    def turned(asked: Psbt) -> Psbt:
        for one in asked.inputs:
            fields = dict(reversed(one.fields.items()))
            one.fields.clear()
            one.fields.update(fields)
        return asked

    for question in (psbt, half):
        for answer in (turned, Psbt.copy, lambda asked: asked, lambda asked: Psbt.parse(asked.serialize())):
            echo = SimpleNamespace(info=signer.info, sign_psbt=answer)
            with pytest.raises(SignerMisbehavedError, match="added no signature"):
                request_signatures(echo, question, account=account())


def high(answer: Psbt) -> None:
    for key, value in list(answer.inputs[0].partial_sigs.items()):
        found = EcdsaSignature.from_der(value[:-1])
        answer.inputs[0].fields[b"\x02" + key] = _der(found.r, ORDER - found.s) + value[-1:]


def _der(one: int, other: int) -> bytes:
    def number(value: int) -> bytes:
        data = value.to_bytes(33, "big").lstrip(b"\0") or b"\0"
        data = b"\0" + data if data[0] & 0x80 else data
        return b"\x02" + bytes((len(data),)) + data

    body = number(one) + number(other)
    return b"\x30" + bytes((len(body),)) + body


def padded(answer: Psbt) -> None:
    for key, value in list(answer.inputs[0].partial_sigs.items()):
        size = value[3]
        number = b"\x00" + value[4 : 4 + size]
        der = b"\x30" + bytes((value[1] + 1, 2, size + 1)) + number + value[4 + size : -1]
        answer.inputs[0].fields[b"\x02" + key] = der + value[-1:]


def compact(answer: Psbt) -> None:
    for key, value in list(answer.inputs[0].partial_sigs.items()):
        answer.inputs[0].fields[b"\x02" + key] = EcdsaSignature.from_der(value[:-1]).compact() + value[-1:]


def crossed(answer: Psbt) -> None:
    """Each valid, for the other input."""
    one, two = answer.inputs
    (key, first), (other, second) = *one.partial_sigs.items(), *two.partial_sigs.items()
    one.fields[b"\x02" + key] = second
    two.fields[b"\x02" + other] = first


def by_another(answer: Psbt) -> None:
    digest = InputDigests(answer).digest(0).digest
    answer.inputs[0].partial_sigs[KEY] = ecdsa_sign_der(b"\x05" * 32, digest) + b"\x01"


def by_another_in_place(answer: Psbt) -> None:
    digest = InputDigests(answer).digest(0).digest
    for key in list(answer.inputs[0].partial_sigs):
        answer.inputs[0].fields[b"\x02" + key] = ecdsa_sign_der(b"\x05" * 32, digest) + b"\x01"


def more_outputs(answer: Psbt) -> Psbt:
    tx = Transaction(2, answer.tx.inputs, (*answer.tx.outputs, TxOut(Sats(0), b"\x6a")), answer.tx.locktime)
    return moved(answer, tx)


def other_payee(answer: Psbt) -> Psbt:
    outputs = (TxOut(answer.tx.outputs[0].value, b"\x00\x14" + bytes(20)), *answer.tx.outputs[1:])
    return moved(answer, Transaction(2, answer.tx.inputs, outputs, answer.tx.locktime))


def moved(answer: Psbt, tx: Transaction) -> Psbt:
    made = Psbt(tx)
    for new, old in zip(made.inputs, answer.inputs, strict=True):
        new.fields.update(old.fields)
    return made


LIES = [high, padded, compact, crossed, by_another, by_another_in_place, more_outputs, other_payee]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_row_57_answers_that_are_not_to_the_question(
    ask: SimpleNamespace, signer: Any, account: Any, lie: Callable[[Psbt], Psbt | None]
) -> None:
    def sign(asked: Psbt) -> Psbt:
        answer: Psbt = signer.sign_psbt(asked)
        return lie(answer) or answer

    psbt = ask.question([ask.spend(), ask.spend(index=1)])
    before = psbt.serialize()
    with pytest.raises(SignerMisbehavedError):
        request_signatures(SimpleNamespace(info=signer.info, sign_psbt=sign), psbt)
    assert psbt.serialize() == before


def test_row_57_of_taproot(ask: SimpleNamespace, signer: Any, account: Any) -> None:
    psbt = ask.question([ask.spend(Scheme.BIP86), ask.spend(Scheme.BIP86, index=1)])
    good = signer.sign_psbt(psbt)
    digest = InputDigests(psbt).digest(0).digest
    one, two = (bytes(each.tap_key_sig) for each in good.inputs)
    other = schnorr_sign(b"\x05" * 32, digest)
    for lie in (two, other, bytes(64), one[:32] + bytes(32), one[:63] + bytes((one[63] ^ 1,)), bytes(32) + one[32:]):
        wrong = good.copy()
        wrong.inputs[0].fields[b"\x13"] = lie
        device = SimpleNamespace(info=signer.info, sign_psbt=lambda _asked, wrong=wrong: wrong)
        with pytest.raises(SignerMisbehavedError):
            request_signatures(device, psbt)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"version": 0}, "version"),
        ({"version": 3}, "version"),
        ({"version": 0xFFFFFFFF}, "version"),
        ({"locktime": 900_000}, "locktime"),
        ({"locktime": 4_000_000_000}, "locktime"),
    ],
)
def test_row_58_what_is_odd_about_a_transaction_is_said(
    ask: SimpleNamespace, rebuilt: Callable[..., Psbt], changes: dict[str, int], code: str, line: Any, tmp_path: Any
) -> None:
    psbt = rebuilt(ask.one(), **changes)
    assert [one.code for one in remarks(psbt, tip_height=800_000)] == [code]
    assert not remarks(ask.one(), tip_height=800_000)
    aging = rebuilt(ask.one(), inputs=[TxIn(psbt.tx.inputs[0].outpoint, b"", 144)])
    assert [one.code for one in remarks(aging, tip_height=800_000)] == ["sequence"]
    file = tmp_path / "odd.psbt"
    file.write_text(str(psbt))
    line.run("psbt", "sign", str(file), "--account", "savings", answers=["n"])
    (text,) = [heard for heard in line.answers.heard if "Transfer to approve" in heard]
    assert remarks(psbt)[0].text in text
