"""Silent payments in PSBTs: BIP-375's own cases, and proofs of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import p2wpkh
from bursar.bitcoin.silent_payments import PayingInput, SilentPaymentKeys, send_outputs
from bursar.bitcoin.silent_payments import psbt as silent_psbt
from bursar.bitcoin.silent_payments.psbt import check_silent_outputs, prove_silent_outputs, silent_outputs
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import hash160, sha256
from bursar.crypto.secp256k1 import public_key
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath

KEYS = SilentPaymentKeys(Network.REGTEST, Secret(bytes([8]) * 32), public_key(bytes([9]) * 32))
SENDER = bytes([5]) * 32


@pytest.fixture(scope="module")
def cases(official_vectors: Callable[[str], Path]) -> dict[str, list[dict[str, Any]]]:
    data: dict[str, list[dict[str, Any]]] = json.loads(official_vectors("bip/bip0375.json").read_text())
    return data


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the cases have it: their P2WPKH scripts hold the start of a key's SHA-256, which nobody could spend."""
    monkeypatch.setattr(silent_psbt, "_is_key_of", lambda key, wanted: wanted in (hash160(key), sha256(key)[:20]))


@pytest.mark.usefixtures("careless")
def test_wrong_psbts_are_refused(cases: dict[str, list[dict[str, Any]]]) -> None:
    for case in cases["invalid"]:
        with pytest.raises(InvalidInputError) as raised:
            check_silent_outputs(Psbt.from_text(case["psbt"]))
        assert raised.value.code.startswith("input.psbt."), case["description"]
        assert (raised.value.code == "input.psbt.silent-payment") != ("non-sp output" in case["description"])
    assert len(cases["invalid"]) == 22


OUT_OF_ORDER = "output 0 uses label=3 / output 1 uses label=1"  # numbered by output, not by the spend keys as specified


def valid(cases: dict[str, list[dict[str, Any]]]) -> list[Psbt]:
    """Those whose scripts are made, in the order specified, and that send from inputs that can."""
    made = [
        Psbt.from_text(case["psbt"])
        for case in cases["valid"]
        if "not set" not in case["description"] and "checks" not in case and OUT_OF_ORDER not in case["description"]
    ]
    assert len(made) == len(cases["valid"]) - 3 - 1 - 1 == 15
    return made


@pytest.mark.usefixtures("careless")
def test_right_psbts_are_accepted(cases: dict[str, list[dict[str, Any]]]) -> None:
    for psbt in valid(cases):
        check_silent_outputs(psbt)
        assert silent_outputs(psbt)


def test_a_key_that_is_not_the_outputs_is_refused(cases: dict[str, list[dict[str, Any]]]) -> None:
    refused = 0
    for psbt in valid(cases):
        try:
            check_silent_outputs(psbt)
        except InvalidInputError:
            refused += 1
    assert refused == 13


def question() -> tuple[Psbt, PayingInput]:
    script = p2wpkh(hash160(public_key(SENDER)))
    paying = PayingInput(OutPoint(Txid(bytes([1]) * 32), 0), script, Secret(SENDER))
    addresses = sorted([KEYS.address(), KEYS.address(4)], key=lambda one: one.scan + one.spend)
    outputs = [TxOut(Sats(500), one) for one in send_outputs([paying], addresses)]
    psbt = Psbt(Transaction(2, [TxIn(paying.outpoint, b"", 0)], outputs)).to_version(2)
    psbt.inputs[0].witness_utxo = TxOut(Sats(2000), script)
    psbt.inputs[0].bip32_derivations[public_key(SENDER)] = KeyOrigin(Fingerprint(bytes(4)), DerivationPath())
    return psbt, paying


def test_what_is_proven_is_accepted_and_nothing_else() -> None:
    psbt, paying = question()
    addresses = sorted([KEYS.address(), KEYS.address(4)], key=lambda one: one.scan + one.spend)
    check_silent_outputs(psbt)
    proven = prove_silent_outputs(psbt, [paying], dict(enumerate(addresses)))
    assert silent_outputs(proven) == {place: (one.scan, one.spend) for place, one in enumerate(addresses)}
    check_silent_outputs(Psbt.parse(proven.serialize()))
    with pytest.raises(InvalidInputError, match="does not pay the address"):
        prove_silent_outputs(psbt, [paying], dict(enumerate(reversed(addresses))))
    with pytest.raises(InvalidInputError, match="convert it"):
        prove_silent_outputs(psbt.to_version(0), [paying], {})
    with pytest.raises(InvalidInputError, match="not those of the psbt"):
        prove_silent_outputs(psbt, [], {})
    for key, value in list(proven.fields.items()):
        if key[0] in (7, 8):
            for false in (None, value[:-1], value[:-1] + bytes([value[-1] ^ 1])):
                other = proven.copy()
                if false is None:
                    del other.fields[key]
                else:
                    other.fields[key] = false
                with pytest.raises(InvalidInputError) as raised:
                    check_silent_outputs(other)
                assert raised.value.code == "input.psbt.silent-payment"
