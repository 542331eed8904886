"""Bitcoin messages, addresses and public keys told to a Trezor, and answers that are none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from trezorlib import messages as m

from bursar.backends.trezor.addresses import show_address, show_ethereum_address
from bursar.backends.trezor.messages import sign_message, sign_personal_message
from bursar.backends.trezor.public_keys import public_key, root_fingerprint
from bursar.bitcoin.message import encode_signature, verify_message
from bursar.bitcoin.network import NETWORKS, Network
from bursar.bitcoin.script import ScriptType
from bursar.errors import InvalidInputError, SignerMisbehavedError, UnsupportedError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.checks import confirm_address, request_message

PATH = DerivationPath.from_text("m/84h/0h/0h/0/0")
ETHEREUM = DerivationPath.from_text("m/44h/60h/0h/0/0")
# from the vendor's own device tests (seed "all" twelve times)
XPUB = "xpub6DDUPHpUo4pcy43iJeZjbSVWGav1SMMmuWdMHiGtkK8rhKmfbomtkwW6GKs1GGAKehT6QRocrmda3WWxXawpjmwaUHfFRXuKrXSapdckEYF"
ADDRESS = "bc1qannfxke2tfd4l7vhepehpvt05y83v3qsf6nfkk"


def refused(exchange: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        next(exchange)


def unfit(exchange: Any, answer: Any) -> None:
    next(exchange)
    with pytest.raises(SignerMisbehavedError):
        exchange.send(answer)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("scheme", list(Scheme), ids=lambda one: one.name)
def test_addresses_are_shown(trezor: SimpleNamespace, network: Network, scheme: Scheme) -> None:
    account = trezor.account(scheme, 1, network)
    for branch, index in ((0, 0), (1, 1_000_000)):
        shown = confirm_address(trezor.signer(), account, index, branch=branch)
        assert shown == account.address(branch, index)


def test_the_vendors_known_values(trezor: SimpleNamespace) -> None:
    device = trezor.device()
    assert str(trezor.converse(root_fingerprint(m), device)) == "5c9e228d"
    assert str(trezor.converse(public_key(m, DerivationPath.from_text("m/84h/0h/0h")), device)) == XPUB
    show = show_address(m, PATH, ScriptType.P2WPKH, Network.MAIN, firmware=trezor.modern)
    assert trezor.converse(show, device) == ADDRESS


def test_an_address_is_asked_with_a_screen(trezor: SimpleNamespace) -> None:
    said = next(show_address(m, PATH, ScriptType.P2WPKH, Network.MAIN, firmware=trezor.modern))
    assert said.show_display is True
    assert next(show_ethereum_address(m, ETHEREUM)).show_display is True


def test_addresses_it_does_not_show(trezor: SimpleNamespace) -> None:
    from bursar.backends.trezor.abilities import Firmware

    options: dict[str, Any] = {"firmware": trezor.modern}
    refused(show_address(m, PATH, ScriptType.P2WPKH, Network.REGTEST, **options), InvalidInputError, "coin type is 1h")
    far = DerivationPath.from_text("m/84h/0h/0h/0/1000001")
    refused(show_address(m, far, ScriptType.P2WPKH, Network.MAIN, **options), InvalidInputError, "at most 1000000")
    assert next(show_address(m, far, ScriptType.P2WPKH, Network.MAIN, strict=False, **options)) is not None
    old = Firmware("T1B1", (1, 10, 3))
    taproot = DerivationPath.from_text("m/86h/0h/0h/0/0")
    refused(show_address(m, taproot, ScriptType.P2TR, Network.MAIN, firmware=old), UnsupportedError, "taproot")


def test_answers_that_are_no_address(trezor: SimpleNamespace) -> None:
    for answer in (m.Success(), m.Address(address="")):
        unfit(show_address(m, PATH, ScriptType.P2WPKH, Network.MAIN, firmware=trezor.modern), answer)
    for answer in (m.Success(), m.EthereumAddress(), m.EthereumAddress(address="")):
        unfit(show_ethereum_address(m, ETHEREUM), answer)


# --- messages ---


@pytest.mark.parametrize("scheme", [Scheme.BIP44, Scheme.BIP49, Scheme.BIP84], ids=lambda one: one.name)
def test_messages_verify(trezor: SimpleNamespace, scheme: Scheme) -> None:
    account = trezor.account(scheme)
    for index, message in enumerate((b"", b"hello", "grüezi".encode(), b"x" * 252, b"x" * 253, bytes(1024))):
        key = account.key(0, index)
        signature = request_message(trezor.signer(trezor.one), account.path(0, index), message, public_key=key)
        verify_message(account.address(0, index), message, encode_signature(signature, account.script_type))


def test_messages_it_does_not_sign(trezor: SimpleNamespace) -> None:
    options: dict[str, Any] = {"firmware": trezor.one}
    taproot = DerivationPath.from_text("m/86h/0h/0h/0/0")
    refused(sign_message(m, taproot, b"", **options), UnsupportedError, "taproot")
    refused(sign_message(m, PATH, bytes(1025), **options), UnsupportedError, "1025 bytes")
    refused(sign_message(m, ETHEREUM, b"", **options), InvalidInputError, "coin type")
    odd = DerivationPath.from_text("m/85h/0h/0h/0/0")
    refused(sign_message(m, odd, b"", strict=False, **options), InvalidInputError, "no script type")
    refused(sign_message(m, PATH, b"", network=Network.REGTEST, **options), InvalidInputError, "coin type is 1h")
    refused(sign_personal_message(m, PATH, b"", **options), InvalidInputError, "bitcoin keys")


@pytest.mark.parametrize(
    "signature",
    [b"", bytes(65), b"\x1a" + bytes(63) + b"\1", b"\x2b" + b"\1" * 64, b"\x21" + b"\1" * 64, b"\x1f" + bytes(64)],
    ids=range(6),
)
def test_answers_that_are_no_signature(trezor: SimpleNamespace, signature: bytes) -> None:
    unfit(sign_message(m, PATH, b"", firmware=trezor.modern), m.MessageSignature(address="x", signature=signature))
    unfit(sign_message(m, PATH, b"", firmware=trezor.modern), m.Success())
    reversed_ = signature[::-1]
    answer = m.EthereumMessageSignature(address="x", signature=reversed_[:-1] + b"\x1d" if reversed_ else b"")
    unfit(sign_personal_message(m, ETHEREUM, b"", firmware=trezor.modern), answer)


# --- public keys ---


def test_public_keys_anywhere(trezor: SimpleNamespace) -> None:
    signer = trezor.signer()
    for text in ("m", "m/0", "m/44h/60h/0h", "m/48h/0h/0h/2h", "m/84h/1h/0h/0/5"):
        key = signer.xpub(DerivationPath.from_text(text))
        assert isinstance(key, ExtendedPublicKey)
        assert key.testnet == text.startswith("m/84h/1h")


def test_two_master_keys_are_one_too_many(trezor: SimpleNamespace) -> None:
    device = trezor.device()

    def twist(reply: Any) -> Any:
        reply.root_fingerprint = 1
        return reply

    device.twist = twist
    with pytest.raises(SignerMisbehavedError, match="two master keys"):
        trezor.converse(root_fingerprint(m), device)


def test_old_firmware_tells_no_root(trezor: SimpleNamespace) -> None:
    device = trezor.device()

    def twist(reply: Any) -> Any:
        reply.root_fingerprint = None
        return reply

    device.twist = twist
    assert str(trezor.converse(root_fingerprint(m), device)) == "5c9e228d"
