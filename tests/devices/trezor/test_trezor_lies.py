"""A simulated Trezor told to lie does: what a host must find out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bursar_devices.device import Lie
from bursar_devices.trezor import TrezorSimulator
from eth_keys.datatypes import Signature
from trezor_host import KINDS, MODELS, path, session_of
from trezorlib import btc, ethereum
from trezorlib.messages import InputScriptType

from bursar.bitcoin.transaction import Transaction
from bursar.crypto import secp256k1
from bursar.crypto.ecdsa import EcdsaSignature

Start = Callable[..., TrezorSimulator]
FIRST = "bc1qannfxke2tfd4l7vhepehpvt05y83v3qsf6nfkk"
ETHER = path("m/44h/60h/0h/0/0")


def first(session: Any) -> str:
    return str(btc.get_address(session, "Bitcoin", path("m/84h/0h/0h/0/0"), script_type=InputScriptType.SPENDWITNESS))


@pytest.mark.parametrize("model", MODELS)
def test_wrong_keys_and_addresses(model: str, trezor: Start) -> None:
    simulator = trezor(model)
    session = session_of(simulator)
    node = btc.get_public_node(session, path("m/84h/0h/0h"))
    ether = ethereum.get_address(session, ETHER)
    assert first(session) == FIRST
    simulator.lies = {Lie.WRONG_KEY}
    assert btc.get_public_node(session, path("m/84h/0h/0h")).xpub != node.xpub
    simulator.lies = {Lie.WRONG_ADDRESS}
    assert first(session) != FIRST
    assert ethereum.get_address(session, ETHER) != ether
    simulator.lies.clear()
    assert first(session) == FIRST


@pytest.mark.parametrize("lie", [Lie.WRONG_KEY, Lie.WRONG_SIGNATURE, Lie.HIGH_S])
@pytest.mark.parametrize("kind", ["p2pkh", "p2wpkh"])
def test_signatures_that_are_none(lie: Lie, kind: str, trezor: Start, spending: Any) -> None:
    simulator = trezor("T3T1")
    job = spending(session_of(simulator))
    job.coin(kind)
    job.pay(90_000)
    honest = job.sign()
    simulator.lies.add(lie)
    signatures, raw = job.sign()
    assert signatures != honest[0]
    if lie is Lie.HIGH_S:
        job.accepted(raw)  # consensus takes it; that nobody relays it is policy
    else:
        with pytest.raises(AssertionError):
            job.accepted(raw)
    signature = EcdsaSignature.from_der(signatures[0], allow_high_s=True)
    assert (signature.s > secp256k1.ORDER // 2) == (lie is Lie.HIGH_S)


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_transaction(kind: str, trezor: Start, spending: Any) -> None:
    job = spending(session_of(trezor("T1B1", lies=[Lie.CHANGED_TRANSACTION])))
    job.coin(kind)
    job.pay(90_000)
    _, raw = job.sign()
    assert Transaction.parse(raw).outputs[0].value != 90_000
    with pytest.raises(AssertionError):
        job.accepted(raw)


def test_an_old_reply(trezor: Start) -> None:
    simulator = trezor("T1B1")
    session = session_of(simulator)
    witness = InputScriptType.SPENDWITNESS
    where = [path(f"m/84h/0h/0h/0/{index}") for index in range(3)]
    truth = [btc.get_address(session, "Bitcoin", one, script_type=witness) for one in where]
    simulator.lies.add(Lie.OLD_REPLY)
    told = [btc.get_address(session, "Bitcoin", one, script_type=witness) for one in where]
    assert told == [truth[2], truth[0], truth[1]]


@pytest.mark.parametrize("lie", [Lie.WRONG_KEY, Lie.WRONG_SIGNATURE, Lie.HIGH_S])
def test_ethereum_signatures_that_are_none(lie: Lie, trezor: Start) -> None:
    simulator = trezor("T3T1")
    session = session_of(simulator)
    fields = {"n": ETHER, "nonce": 0, "gas_limit": 21_000, "to": "0x" + "11" * 20, "value": 1, "chain_id": 1}
    fees = {"max_gas_fee": 10**10, "max_priority_fee": 1}
    honest = ethereum.sign_tx_eip1559(session, **fields, **fees)
    simulator.lies.add(lie)
    v, r, s = ethereum.sign_tx_eip1559(session, **fields, **fees)
    if lie is Lie.HIGH_S:
        assert (r, 1 - v) == (honest[1], honest[0])
        assert int.from_bytes(s, "big") == secp256k1.ORDER - int.from_bytes(honest[2], "big")
    else:
        digest = b"\x01" * 32
        makers = {
            Signature(vrs=(one[0], *(int.from_bytes(part, "big") for part in one[1:])))
            .recover_public_key_from_msg_hash(digest)
            .to_address()
            for one in (honest, (v, r, s))
        }
        assert len(makers) == 2
