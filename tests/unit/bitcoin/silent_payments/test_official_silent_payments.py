"""Every sending and receiving case of BIP-352."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bursar.bitcoin.network import Network
from bursar.bitcoin.script import ScriptType, classify, p2tr
from bursar.bitcoin.silent_payments import (
    PayingInput,
    Scanner,
    SilentPaymentAddress,
    SilentPaymentKeys,
    public_inputs,
    send_outputs,
)
from bursar.bitcoin.silent_payments.inputs import UNSPENDABLE_KEY, input_key
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.bitcoin.wire import read_stack
from bursar.crypto.hashes import sha256
from bursar.crypto.payment_points import shared_point
from bursar.crypto.secp256k1 import public_key, schnorr_sign
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError


@pytest.fixture(scope="module")
def cases(official_vectors: Callable[[str], Path]) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = json.loads(official_vectors("bip/bip0352.json").read_text())
    return data


def spent_script(vin: dict[str, Any]) -> bytes:
    return bytes.fromhex(vin["prevout"]["scriptPubKey"]["hex"])


def spending(vin: dict[str, Any]) -> TxIn:
    witness = bytes.fromhex(vin["txinwitness"])
    return TxIn(
        OutPoint(Txid.from_text(vin["txid"]), vin["vout"]),
        bytes.fromhex(vin["scriptSig"]),
        0xFFFFFFFF,
        read_stack(witness, 0)[0] if witness else (),
    )


def paying(vin: dict[str, Any]) -> PayingInput:
    one, script = spending(vin), spent_script(vin)
    kind = classify(script)
    unspendable = kind is ScriptType.P2TR and any(item[1:33] == UNSPENDABLE_KEY for item in one.witness)
    takes_part = input_key(script, one.script_sig, one.witness) is not None
    keyed = takes_part or kind in (ScriptType.P2PKH, ScriptType.P2WPKH)
    secret = Secret(bytes.fromhex(vin["private_key"])) if keyed and not unspendable else None
    return PayingInput(one.outpoint, script, secret, unspendable)


def test_sending(cases: list[dict[str, Any]]) -> None:
    counted = 0
    for case in cases:
        for sending in case["sending"]:
            given, expected = sending["given"], sending["expected"]
            recipients = []
            for one in given["recipients"]:
                address = SilentPaymentAddress.from_text(one["address"], Network.MAIN)
                assert str(address) == one["address"]
                assert (address.scan.hex(), address.spend.hex()) == (one["scan_pub_key"], one["spend_pub_key"])
                recipients += [address] * one.get("count", 1)
            inputs = [paying(vin) for vin in given["vin"]]
            counted += 1
            if expected["outputs"] == [[]]:
                with pytest.raises(InvalidInputError) as raised:
                    send_outputs(inputs, recipients)
                assert raised.value.code == "input.silent-payment"
                continue
            made = send_outputs(inputs, recipients)
            assert len(made) == len(recipients)
            assert {script[2:].hex() for script in made} in [set(one) for one in expected["outputs"]], case["comment"]
            assert set(made) == {p2tr(script[2:]) for script in made}
    assert counted == 28


def test_receiving(cases: list[dict[str, Any]]) -> None:
    message, aux = sha256(b"message"), sha256(b"random auxiliary data")
    counted = 0
    for case in cases:
        for receiving in case["receiving"]:
            given, expected = receiving["given"], receiving["expected"]
            material = given["key_material"]
            scan, spend = (bytes.fromhex(material[f"{name}_priv_key"]) for name in ("scan", "spend"))
            keys = SilentPaymentKeys(Network.MAIN, Secret(scan), public_key(spend))
            addresses = [keys.address()] + [
                keys.address(label) if label else keys.change_address() for label in given["labels"]
            ]
            assert [str(one) for one in addresses] == expected["addresses"]
            outputs = [TxOut(Sats(1000), p2tr(bytes.fromhex(key))) for key in given["outputs"]]
            tx = Transaction(2, [spending(vin) for vin in given["vin"]], outputs)
            spent = [spent_script(vin) for vin in given["vin"]]
            counted += 1
            inputs = public_inputs(tx, spent)
            scanner = Scanner(keys, labels=given["labels"])
            found = scanner.transaction(tx, spent)
            if inputs is None:
                assert not expected["outputs"]
                assert not found
                continue
            assert inputs.tweak.hex() == expected["tweak"]
            assert inputs.key.hex() == expected["input_pub_key_sum"]
            assert shared_point(inputs.tweak, scan).hex() == expected["shared_secret"]
            listed = [(number, bytes.fromhex(key)) for number, key in enumerate(given["outputs"])]
            assert scanner.outputs(inputs.tweak, listed) == found
            if "n_outputs" in expected:
                assert len(found) == expected["n_outputs"]
                continue
            assert sorted(one.key.hex() for one in found) == sorted(one["pub_key"] for one in expected["outputs"])
            wanted = {one["pub_key"]: one for one in expected["outputs"]}
            for one in found:
                assert listed[one.vout][1] == one.key
                assert one.tweak.expose().hex() == wanted[one.key.hex()]["priv_key_tweak"]
                secret = one.secret_key(Secret(spend))
                assert schnorr_sign(secret.expose(), message, aux).hex() == wanted[one.key.hex()]["signature"]
    assert counted == 29
