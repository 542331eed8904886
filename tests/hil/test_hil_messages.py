"""Messages signed and addresses confirmed on a device, through every face."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bursar_devices.humans import approve_message, confirm_address
from hil_faces import ETHEREUM, SCHEMES, Face

from bursar.bitcoin.address import Address as BitcoinAddress
from bursar.bitcoin.message import verify_message
from bursar.bitcoin.network import Network
from bursar.ethereum.address import Address
from bursar.ethereum.message import verify_message as verify_personal

TEXT = "I own this address"
Attend = Callable[..., Any]


@pytest.mark.parametrize("kind", ["p2pkh", "p2sh-p2wpkh", "p2wpkh"])
@pytest.mark.needs("bitcoin", "messages")
def test_a_bitcoin_message(face: Face, kind: str, number: int, attend: Attend) -> None:
    face.add_account(kind, number)
    with attend(approve_message(TEXT)):
        address, signature = face.sign_message(kind, 4, TEXT)
    verify_message(BitcoinAddress.from_text(address, Network.REGTEST), TEXT.encode(), signature)


@pytest.mark.needs("ethereum", "personal-messages")
def test_a_personal_message(face: Face, number: int, attend: Attend) -> None:
    from eth_account import Account
    from eth_account.messages import encode_defunct

    face.add_account(ETHEREUM, number)
    with attend(approve_message(TEXT)):
        address, signature = face.sign_message(ETHEREUM, 1, TEXT)
    verify_personal(Address.from_text(address), TEXT.encode(), signature)
    assert Account.recover_message(encode_defunct(text=TEXT), signature=signature) == address


@pytest.mark.parametrize("kind", SCHEMES)
@pytest.mark.needs("bitcoin", "addresses")
def test_a_receiving_address(face: Face, kind: str, number: int, attend: Attend) -> None:
    """Handed out by the wallet, shown by the device; the human holds one to the other."""
    _confirmed(face, kind, number, attend)


@pytest.mark.needs("ethereum", "addresses")
def test_an_ether_address(face: Face, number: int, attend: Attend) -> None:
    _confirmed(face, ETHEREUM, number, attend)


def _confirmed(face: Face, kind: str, number: int, attend: Attend) -> None:
    face.add_account(kind, number)
    address = face.new_address(kind)
    with attend(confirm_address(address)):
        assert face.confirm(kind, 0) == address
