"""Message proofs (BIP-322) made by a signer of transactions, through the door, for every kind of script."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from bursar.bitcoin.coins import Coin, CoinKey
from bursar.bitcoin.descriptors import Descriptor
from bursar.bitcoin.finalize import finalize
from bursar.bitcoin.message import MessageFormat, encode_proof, message_psbt, signed_message, verify_message
from bursar.bitcoin.network import Network
from bursar.bitcoin.transaction import OutPoint
from bursar.errors import InvalidInputError, InvalidSignatureError
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.conformance.questions import Spend, previous_of
from bursar.signing.messages import request_proof

if TYPE_CHECKING:
    from bursar.backends.software import SoftwareSigner
    from bursar.bitcoin.account import BitcoinAccount
    from bursar.bitcoin.address import Address
    from bursar.bitcoin.psbt import Psbt

MESSAGE = "Señor, das ist mein Konto".encode()


def prove(signer: SoftwareSigner, psbt: Psbt, *, full: bool = False) -> str:
    return encode_proof(finalize(request_proof(signer, psbt, MESSAGE)), full=full)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_single_key_addresses(signer: SoftwareSigner, account: Callable[..., BitcoinAccount], scheme: Scheme) -> None:
    held = account(scheme)
    address = held.address(0, 3)
    psbt = message_psbt(held.spending(0, 3), MESSAGE)
    assert signed_message(psbt) == MESSAGE
    text = prove(signer, psbt)
    proof = verify_message(address, MESSAGE, text)
    native = scheme in (Scheme.BIP84, Scheme.BIP86)
    assert proof.format is (MessageFormat.SIMPLE if native else MessageFormat.FULL)
    full = prove(signer, psbt, full=True)
    assert verify_message(address, MESSAGE, full).format is MessageFormat.FULL
    for made in (text, full):
        with pytest.raises(InvalidSignatureError):
            verify_message(held.address(0, 4), MESSAGE, made)
        with pytest.raises(InvalidSignatureError):
            verify_message(address, b"", made)
    if native:
        assert verify_message(address, MESSAGE, text[3:]).format is MessageFormat.SIMPLE
    else:
        with pytest.raises(InvalidSignatureError, match="native segwit"):
            verify_message(address, MESSAGE, "smp" + text[3:])


def key(signer: SoftwareSigner, path: str) -> str:
    xpub = signer.xpub(DerivationPath.from_text(path))
    return f"[{signer.info.fingerprint}/{path[2:]}]{xpub}/<0;1>/*"


@pytest.mark.parametrize(
    ("template", "options"),
    [
        ("wsh(sortedmulti(2,{0},{1},{2}))", {}),
        ("sh(multi(2,{0},{1}))", {}),
        ("sh(wsh(multi(1,{0},{1})))", {}),
        ("wsh(and_v(v:pk({0}),older(144)))", {"version": 2, "sequence": 144}),
        ("wsh(and_v(v:pk({0}),after(800000)))", {"locktime": 800_000}),
        ("wsh(or_d(pk({0}),and_v(v:pk({1}),older(10))))", {}),
        ("tr(50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0,pk({0}))", {}),
        ("tr(50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0,{{pk({1}),multi_a(2,{0},{2})}})", {}),
    ],
)
def test_scripts(signer: SoftwareSigner, template: str, options: dict[str, Any]) -> None:
    keys = [key(signer, f"m/48h/1h/{number}h/2h") for number in range(3)]
    descriptor = Descriptor.parse(template.format(*keys))
    address = descriptor.address(Network.REGTEST, 0, 7)
    text = prove(signer, message_psbt(descriptor.spending(0, 7), MESSAGE, **options))
    proof = verify_message(address, MESSAGE, text)
    assert (proof.locktime, proof.sequence) == (options.get("locktime", 0), options.get("sequence", 0))
    if options:
        with pytest.raises(InvalidSignatureError):
            verify_message(descriptor.address(Network.REGTEST, 0, 8), MESSAGE, text)


def test_proof_of_funds(signer: SoftwareSigner, account: Callable[..., BitcoinAccount], ask: SimpleNamespace) -> None:
    coins = []
    for number, scheme in enumerate(Scheme):
        held = account(scheme)
        previous = previous_of(Spend(held, 0, number), number)
        coin_key = CoinKey(held.key(0, number), held.key_origin(0, number), held.script_type)
        coins.append(Coin(OutPoint(previous.txid, 1), previous.outputs[1], coin_key, 100, previous=previous))
    held = account(Scheme.BIP84)
    psbt = message_psbt(held.spending(0, 0), MESSAGE, coins=coins)
    text = prove(signer, psbt)
    known = {coin.outpoint: coin.output for coin in coins}
    proof = verify_message(held.address(0, 0), MESSAGE, text, coins=known)
    assert proof.format is MessageFormat.FUNDS
    assert proof.coins_checked
    assert dict(proof.coins) == known
    with pytest.raises(InvalidInputError, match="stands there twice"):
        message_psbt(held.spending(0, 0), MESSAGE, coins=[coins[0], coins[0]])


def test_what_is_no_message_is_not_signed_as_one(
    signer: SoftwareSigner, account: Callable[..., BitcoinAccount], ask: SimpleNamespace
) -> None:
    payment = ask.one()
    assert signed_message(payment) is None
    payment.fields[b"\x09"] = MESSAGE
    assert signed_message(payment) is None
    held = account(Scheme.BIP86)
    psbt = message_psbt(held.spending(0, 0), MESSAGE)
    for wrong in (payment, message_psbt(held.spending(0, 0), b"another")):
        with pytest.raises(InvalidInputError) as raised:
            request_proof(signer, wrong, MESSAGE)
        assert raised.value.code == "input.message"
    psbt.fields[b"\x09"] = b"another"
    assert signed_message(psbt) is None
    with pytest.raises(InvalidInputError, match="not a message"):
        encode_proof(payment)
    with pytest.raises(InvalidInputError) as raised:
        encode_proof(message_psbt(held.spending(0, 0), MESSAGE))
    assert raised.value.code == "input.psbt.unsigned"
    with pytest.raises(InvalidInputError, match="version 0 or 2"):
        message_psbt(held.spending(0, 0), MESSAGE, version=1)


def test_an_address_alone_makes_a_question_too(signer: SoftwareSigner, account: Callable[..., BitcoinAccount]) -> None:
    held = account(Scheme.BIP84)
    address: Address = held.address(0, 2)
    psbt = message_psbt(address, MESSAGE)
    psbt.inputs[0].bip32_derivations[held.key(0, 2)] = held.key_origin(0, 2)
    assert verify_message(address, MESSAGE, prove(signer, psbt)).format is MessageFormat.SIMPLE
