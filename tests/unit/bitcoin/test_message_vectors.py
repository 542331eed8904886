"""BIP-322's own cases, basic and generated: verified, and made anew through PSBTs."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bursar.bitcoin.address import Address
from bursar.bitcoin.message import MessageFormat, verify_message
from bursar.bitcoin.message.proof import proof_hash, to_sign, to_spend
from bursar.bitcoin.message.spends import check_spend
from bursar.bitcoin.message.verification import _full, _funds, _simple
from bursar.bitcoin.network import Network
from bursar.bitcoin.sighash import SighashCache
from bursar.bitcoin.transaction import Transaction, TxIn, TxOut
from bursar.errors import BursarError, InvalidSignatureError

Vectors = Callable[[str], Path]


def load(official_vectors: Vectors, name: str) -> dict[str, list[dict[str, Any]]]:
    data: dict[str, list[dict[str, Any]]] = json.loads(official_vectors(f"bip/bip0322-{name}.json").read_text())
    return data


def address_of(case: dict[str, Any]) -> Address:
    return Address.from_text(case["address"], Network.MAIN)


def test_virtual_transactions(official_vectors: Vectors) -> None:
    cases = load(official_vectors, "basic")["tx_hashes"]
    for case in cases:
        message, script = case["message"].encode(), address_of(case).script
        assert proof_hash(message).hex() == case["message_hash"]
        assert str(to_spend(script, message).txid) == case["to_spend_tx_hash"]
        assert str(to_sign(script, message).txid) == case["to_sign_tx_hash"]
    assert len(cases) == 3


def valid(official_vectors: Vectors) -> Iterator[tuple[str, dict[str, Any], str]]:
    for name in ("basic", "generated"):
        for kind, cases in load(official_vectors, name).items():
            if kind in ("simple", "full", "proof_of_funds"):
                for case in cases:
                    for signature in case["bip322_signatures"]:
                        yield kind, case, signature


def test_every_valid_proof_is_accepted(official_vectors: Vectors) -> None:
    seen = []
    for kind, case, signature in valid(official_vectors):
        proof = verify_message(address_of(case), case["message"].encode(), signature)
        assert proof.format.name.lower() == {"proof_of_funds": "funds"}.get(kind, kind)
        assert (proof.locktime, proof.sequence) == (case.get("lock_time", 0), case.get("sequence", 0))
        claimed = [TxOut for coin in case.get("additional_inputs", ()) for one in coin]
        assert len(proof.coins) == len(claimed)
        wanted = {(one["value"], one["pk_script"]) for coin in case.get("additional_inputs", ()) for one in coin}
        assert {(int(output.value), output.script.hex()) for _, output in proof.coins} == wanted
        seen.append(case["message"])
    assert len(seen) == 6 + 4 + 10 + 3


def test_every_wrong_proof_is_refused(official_vectors: Vectors) -> None:
    cases = [case for name in ("basic", "generated") for case in load(official_vectors, name)["error"]]
    for case in cases:
        with pytest.raises(InvalidSignatureError):
            verify_message(address_of(case), case["message"].encode(), case["signature"])
    assert len(cases) == 8 + 28


def test_a_proof_of_funds_is_held_against_known_coins(official_vectors: Vectors) -> None:
    for case in load(official_vectors, "generated")["proof_of_funds"]:
        address, message, signature = address_of(case), case["message"].encode(), case["bip322_signatures"][0]
        free = verify_message(address, message, signature)
        assert free.format is MessageFormat.FUNDS
        assert not free.coins_checked
        known = dict(free.coins)
        assert verify_message(address, message, signature, coins=known).coins_checked
        outpoint, output = free.coins[0]
        with pytest.raises(InvalidSignatureError, match="another amount"):
            verify_message(address, message, signature, coins={**known, outpoint: TxOut(output.value, b"")})
        del known[outpoint]
        with pytest.raises(InvalidSignatureError, match="none of those known"):
            verify_message(address, message, signature, coins=known)


def transactions(official_vectors: Vectors) -> Iterator[tuple[Transaction, list[TxOut]]]:
    for kind, case, signature in valid(official_vectors):
        script, message = address_of(case).script, case["message"].encode()
        first = to_spend(script, message)
        raw = base64.b64decode(signature[3:] if signature[:3] in ("smp", "ful", "pof") else signature)
        if kind == "proof_of_funds":
            yield _funds(raw, first)
        else:
            yield (_full(raw) if kind == "full" else _simple(script, message, raw)), [first.outputs[0]]


def changed(tx: Transaction, place: int, chance: random.Random) -> Transaction:
    """One input with a bit, an item or a push of it changed."""
    inputs = list(tx.inputs)
    one = inputs[place]
    script_sig, witness = bytearray(one.script_sig), list(one.witness)
    if witness and (not script_sig or chance.random() < 0.7):
        where = chance.randrange(len(witness))
        item = bytearray(witness[where])
        if item and chance.random() < 0.8:
            item[chance.randrange(len(item))] ^= 1 << chance.randrange(8)
            witness[where] = bytes(item)
        elif chance.random() < 0.5:
            witness.insert(where, chance.choice([b"", b"\x01", bytes(item)]))
        else:
            del witness[where]
    else:
        script_sig[chance.randrange(len(script_sig))] ^= 1 << chance.randrange(8)
    inputs[place] = TxIn(one.outpoint, bytes(script_sig), one.sequence, tuple(witness))
    return Transaction(tx.version, inputs, tx.outputs, tx.locktime)


def test_consensus_accepts_whatever_is_accepted_here(
    official_vectors: Vectors, kernel_verify: Callable[[Transaction, Sequence[TxOut]], None]
) -> None:
    chance = random.Random(322)
    accepted = refused = 0
    for tx, spent in transactions(official_vectors):
        kernel_verify(tx, spent)
        for _ in range(25):
            place = chance.randrange(len(spent))
            other = changed(tx, place, chance)
            try:
                check_spend(other, place, spent[place], SighashCache(other, spent))
            except BursarError:
                refused += 1
            else:
                kernel_verify(other, spent)
                accepted += 1
    assert refused > 500
    assert accepted < 20
