"""A simulated Ledger told to lie: each lie is well formed, is what its name says, and stops when it is taken back."""

from __future__ import annotations

import pytest
from bursar_devices.device import Lie
from embit import ec
from embit import psbt as embit_psbt
from eth_account import Account

from bursar.crypto.curve import HALF_ORDER
from bursar.crypto.ecdsa import EcdsaSignature

KINDS = ("pkh", "sh", "wpkh", "tr")


def verifies(psbt, index, part, key=None) -> bool:
    digest = embit_psbt.PSBT.parse(psbt.serialize()).sighash(index, 0 if len(part.pubkey) == 32 else 1)
    if len(part.pubkey) == 32:
        return ec.PublicKey.from_xonly(key or part.pubkey).schnorr_verify(ec.SchnorrSig.parse(part.signature), digest)
    der = EcdsaSignature.from_der(part.signature[:-1], allow_high_s=True).normalized().to_der()
    return ec.PublicKey.parse(key or part.pubkey).verify(ec.Signature.parse(der), digest)


@pytest.fixture
def sign(start, client, wallet):
    def begin(kind, *lies, human_change=None):
        device = start(lies=lies)
        talk = client(device)

        def again(psbt=None):
            psbt = psbt or wallet.psbt(kind)
            ((index, part),) = talk.sign_psbt(psbt.serialize(), wallet.policy(kind), None)
            return psbt, index, part

        return device, again

    return begin


@pytest.mark.parametrize("kind", KINDS)
def test_another_key(sign, wallet, kind):
    device, again = sign(kind, Lie.WRONG_KEY)
    psbt, index, part = again()
    assert verifies(psbt, index, part)
    assert not verifies(
        psbt, index, part, psbt.utxo(0).script[2:] if kind == "tr" else wallet.public(wallet.path(kind, 0, 0))
    )
    device.lies.clear()
    psbt, index, part = again()
    assert verifies(
        psbt, index, part, psbt.utxo(0).script[2:] if kind == "tr" else wallet.public(wallet.path(kind, 0, 0))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_signature(sign, kind):
    _, again = sign(kind, Lie.WRONG_SIGNATURE)
    assert not verifies(*again())


@pytest.mark.parametrize("kind", KINDS)
def test_another_transaction(sign, kind):
    device, again = sign(kind, Lie.CHANGED_TRANSACTION)
    psbt, index, part = again()
    assert not verifies(psbt, index, part)
    assert "Amount" in [page.title for page in device.pages]  # the human was shown the true one


@pytest.mark.parametrize("kind", ["pkh", "sh", "wpkh"])
def test_a_high_s(sign, kind):
    _, again = sign(kind, Lie.HIGH_S)
    psbt, index, part = again()
    assert EcdsaSignature.from_der(part.signature[:-1], allow_high_s=True).s > HALF_ORDER
    assert verifies(psbt, index, part)


@pytest.mark.parametrize("kind", KINDS)
def test_an_old_reply(sign, wallet, kind):
    device, again = sign(kind)
    _, _, first = again()
    device.lies.add(Lie.OLD_REPLY)
    later = wallet.psbt(kind, change=39_000_000)
    _, index, part = again(later)
    assert part == first
    assert not verifies(later, index, part)
    device.lies.clear()
    assert verifies(*again(later))


def test_old_addresses_and_messages(start, client, wallet):
    device = start()
    talk = client(device)
    peer = talk.transport_client
    first = talk.sign_message("first", "m/84'/1'/0'/0/0")
    talk.get_wallet_address(wallet.policy("wpkh"), None, 0, 0, False)
    device.lies.add(Lie.OLD_REPLY)
    assert talk.sign_message("second", "m/84'/1'/0'/0/0") == first
    with pytest.raises(RuntimeError, match="Invalid address"):  # the client derives it by itself
        talk.get_wallet_address(wallet.policy("wpkh"), None, 0, 1, False)
    assert peer.details == []


def test_a_wrong_address_is_shown_and_returned(start, client, wallet):
    device = start(lies=[Lie.WRONG_ADDRESS])
    talk = client(device)
    with pytest.raises(RuntimeError, match="Invalid address"):
        talk.get_wallet_address(wallet.policy("wpkh"), None, 0, 0, True)
    other = client(start()).get_wallet_address(wallet.policy("wpkh"), None, 0, 1, False)
    assert device.pages[1].text == other


PATH = bytes.fromhex("058000002c8000003c800000000000000000000000")
ADDRESS = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"


def ethereum(start, connect, *lies):
    device = start(app="Ethereum", lies=lies)
    peer = connect(device)

    def sign(nonce=5):
        from bursar.ethereum.address import Address
        from bursar.ethereum.transaction import UnsignedTransaction
        from bursar.ethereum.units import Wei

        tx = UnsignedTransaction(
            chain_id=1,
            nonce=nonce,
            to=Address(bytes(20)),
            value=Wei(1),
            gas_limit=21_000,
            max_fee_per_gas=Wei(2),
            max_priority_fee_per_gas=Wei(1),
        )
        raw = PATH + tx.signing_bytes()
        status, data = peer.exchange(bytes((0xE0, 4, 0, 0, len(raw))) + raw)
        assert status == 0x9000
        return tx, data

    return device, peer, sign


def recovered(tx, data) -> str:
    signature = EcdsaSignature(int.from_bytes(data[1:33], "big"), int.from_bytes(data[33:], "big"), data[0])
    signed = tx.sign_with(signature.normalized())
    return Account.recover_transaction(signed.serialize())


@pytest.mark.parametrize("lie", [Lie.WRONG_KEY, Lie.WRONG_SIGNATURE, Lie.CHANGED_TRANSACTION])
def test_ethereum_signatures_of_somebody_else(start, connect, lie):
    device, _, sign = ethereum(start, connect, lie)
    tx, data = sign()
    assert recovered(tx, data) != ADDRESS
    device.lies.clear()
    assert recovered(*sign()) == ADDRESS


def test_an_ethereum_high_s(start, connect):
    _, _, sign = ethereum(start, connect, Lie.HIGH_S)
    tx, data = sign()
    assert int.from_bytes(data[33:], "big") > HALF_ORDER
    assert recovered(tx, data) == ADDRESS


def test_old_ethereum_replies(start, connect):
    device, peer, sign = ethereum(start, connect)
    _, first = sign(5)
    address = bytes((0xE0, 2, 0, 0, 21)) + PATH
    peer.exchange(address)
    device.lies.add(Lie.OLD_REPLY)
    assert sign(6)[1] == first
    assert peer.exchange(address[:-1] + b"\x01")[1][67:107].decode() == ADDRESS[2:]


def test_a_wrong_ethereum_address(start, connect):
    _, peer, _ = ethereum(start, connect, Lie.WRONG_ADDRESS)
    assert peer.exchange(bytes((0xE0, 2, 0, 0, 21)) + PATH)[1][67:107].decode() != ADDRESS[2:]
