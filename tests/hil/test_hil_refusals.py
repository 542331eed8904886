"""What a human refuses on the device, and what a device in the wrong state cannot be asked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from bursar_devices import humans
from bursar_devices.device import selector_of
from bursar_devices.prompting import BenchPrompt
from hil_faces import ETHEREUM, Face, account_of, node_for

from bursar.bitcoin.address import Address as BitcoinAddress
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import p2wpkh
from bursar.errors import SignerError, SignerUnavailableError, UnsupportedError, UserCancelledError
from bursar.ethereum.address import Address as EthereumAddress
from bursar.keys.path import DerivationPath
from bursar.signing.checks import confirm_address, request_signatures
from bursar.signing.conformance.questions import Spend, question
from bursar.signing.protocols import PsbtSigner
from bursar.signing.registry import Registry

PAYEE = str(BitcoinAddress.from_script(p2wpkh(bytes(range(20))), Network.REGTEST))
OTHER = str(EthereumAddress(bytes(range(0xC0, 0xD4))))
Attend = Callable[..., Any]
REFUSALS = {
    "at the first page": humans.reject,
    "at the amount": humans.reject_at_amount,
    "at the end": humans.reject_at_end,
}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.needs("bitcoin", "p2wpkh")
def test_a_refused_bitcoin_transfer(face: Face, refusal: str, number: int, sandbox: Any, attend: Attend) -> None:
    """Nothing is signed, no coin stays reserved, and the same payment goes through when it is approved."""
    face.add_account("p2wpkh", number)
    sandbox.fund_bitcoin(face.new_address("p2wpkh"), 50_000)
    with attend(REFUSALS[refusal]()), pytest.raises(UserCancelledError):
        face.pay("p2wpkh", PAYEE, 30_000, "BTC")
    face.release("p2wpkh")
    with attend(humans.approve_transfer(PAYEE, 30_000)):
        txid = face.pay("p2wpkh", PAYEE, 30_000, "BTC")
    with contextlib.closing(node_for(sandbox, "p2wpkh")) as node:
        from bursar.bitcoin.transaction import Txid

        assert node.transaction(Txid.from_text(txid)) is not None


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.needs("ethereum")
def test_a_refused_ether_transfer(face: Face, refusal: str, number: int, sandbox: Any, attend: Attend) -> None:
    face.add_account(ETHEREUM, number)
    sandbox.fund_ether(face.new_address(ETHEREUM), 10**18)
    with attend(REFUSALS[refusal]()), pytest.raises(UserCancelledError):
        face.pay(ETHEREUM, OTHER, 10**17, "ETH")


@pytest.mark.needs("bitcoin", "addresses", "messages")
def test_refused_addresses_and_messages(signer: Any, number: int, sandbox: Any, attend: Attend) -> None:
    """A refusal ends one request, not the conversation."""
    account = account_of(signer, "p2wpkh", number, sandbox)
    with attend(humans.reject()):
        with pytest.raises(UserCancelledError):
            confirm_address(signer, account, 0)
        with pytest.raises(UserCancelledError):
            signer.sign_message(account.path(0, 0), b"hello")
    with attend(humans.confirm_address(str(account.address(0, 1)))):
        confirm_address(signer, account, 1)


@pytest.mark.needs("bitcoin", "p2wpkh")
def test_a_device_that_was_closed(signer: Any, number: int, sandbox: Any) -> None:
    account = account_of(signer, "p2wpkh", number, sandbox)
    signer.close()
    with pytest.raises(SignerUnavailableError):
        request_signatures(signer, question([Spend(account)]))


@pytest.mark.needs("app-choice")
@pytest.mark.parametrize("app", ["Bitcoin", "Ethereum", "BOLOS"])
def test_the_wrong_app(make_device: Any, app: str, number: int, sandbox: Any, attend: Attend) -> None:
    """Another network's app, another chain's, none: refused before a page is shown, and the message says which."""
    with contextlib.closing(Registry.installed().open(selector_of(make_device()), BenchPrompt())) as right:
        account = account_of(right, "p2wpkh", number, sandbox)
    device = make_device(app=app)
    device.human = humans.approve()
    with pytest.raises(SignerError) as caught:
        ask(device, account)
    assert "app" in caught.value.message
    assert device.pages == []


def ask(device: Any, account: Any) -> None:
    """What the wallet does: open it, and look whether it signs what is asked."""
    with contextlib.closing(opened(device)) as signer:
        if not isinstance(signer, PsbtSigner):
            raise UnsupportedError("this signer does not sign bitcoin transactions with this app")
        request_signatures(signer, question([Spend(account)]), account=account)


def opened(device: Any) -> Any:
    return Registry.installed().open(selector_of(device), BenchPrompt())


@pytest.mark.needs("bitcoin", "p2wpkh")
def test_nobody_is_there(make_device: Any) -> None:
    """A device that went away between being named and being opened, and one that was never there."""
    device = make_device()
    registry = Registry.installed()
    info = registry.find(selector_of(device))
    device.close()
    with pytest.raises(SignerError):
        registry.backend(info.backend).open(info, BenchPrompt())
    with pytest.raises(SignerError):
        registry.open(selector_of(device), BenchPrompt())


@pytest.mark.needs("bitcoin", "p2wpkh")
def test_another_device_at_the_same_place(make_device: Any) -> None:
    """``info.fingerprint`` pins the keys: a device with others is refused when it is opened."""
    from dataclasses import replace

    from bursar.keys.origin import Fingerprint

    device = make_device()
    registry = Registry.installed()
    info = replace(registry.find(selector_of(device)), fingerprint=Fingerprint(b"\1\2\3\4"))
    with pytest.raises(SignerError) as caught:
        registry.backend(info.backend).open(info, BenchPrompt())
    assert caught.value.code == "signer.fingerprint"
    with contextlib.closing(opened(device)) as signer:
        assert signer.xpub(DerivationPath.from_text("m/84h/1h/0h")).depth == 3
