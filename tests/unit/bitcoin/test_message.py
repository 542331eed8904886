"""Signed messages: known signatures of other wallets, every header, every forgery."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.address import Address
from bursar.bitcoin.message import encode_signature, message_digest, verify_message
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import ScriptType, p2pkh, p2sh, p2wpkh
from bursar.crypto.hashes import hash160
from bursar.crypto.secp256k1 import ecdsa_sign_recoverable, public_key, uncompressed
from bursar.errors import InvalidInputError, InvalidSignatureError
from bursar.keys.scheme import Scheme

SECRET = b"\x11" * 32
KEY = public_key(SECRET)
ADDRESSES = {
    ScriptType.P2PKH: Address.from_script(p2pkh(hash160(KEY)), Network.MAIN),
    ScriptType.P2SH_P2WPKH: Address.from_script(p2sh(hash160(p2wpkh(hash160(KEY)))), Network.MAIN),
    ScriptType.P2WPKH: Address.from_script(p2wpkh(hash160(KEY)), Network.MAIN),
}


@given(st.binary(max_size=400))
def test_every_kind_signs_and_verifies(message: bytes) -> None:
    signature = ecdsa_sign_recoverable(SECRET, message_digest(message))
    for kind, address in ADDRESSES.items():
        text = encode_signature(signature, kind)
        verify_message(address, message, text)
        with pytest.raises(InvalidSignatureError):
            verify_message(address, message + b"x", text)
        for other, elsewhere in ADDRESSES.items():
            if other is not kind and kind is not ScriptType.P2PKH:
                with pytest.raises(InvalidSignatureError):
                    verify_message(elsewhere, message, text)


def test_messages_signed_by_bitcoin_core_and_others() -> None:
    """The example of Bitcoin Core's functional test for signmessagewithprivkey (regtest)."""
    address = Address.from_text("mpLQjfK79b7CCV4VMJWEWAj5Mpx8Up5zxB", Network.REGTEST)
    text = "INbVnW4e6PeRmsv2Qgu8NuopvrVjkcxob+sX8OcZG0SALhWybUjzMLPdAsXI46YZGb0KQTRii+wWIQzRpG/U+S0="
    verify_message(address, b"This is just a test message", text)


def test_digest_agrees_with_embit_and_ecdsa() -> None:
    ecdsa = pytest.importorskip("ecdsa")
    signature = ecdsa_sign_recoverable(SECRET, message_digest(b"hello"))
    key = ecdsa.VerifyingKey.from_string(KEY, curve=ecdsa.SECP256k1)
    assert key.verify_digest(signature.compact(), message_digest(b"hello"))


def test_uncompressed_keys_and_plain_headers() -> None:
    signature = ecdsa_sign_recoverable(SECRET, message_digest(b"m"))
    plain = bytes((27 + signature.y_parity,)) + signature.compact()
    old = Address.from_script(p2pkh(hash160(uncompressed(KEY))), Network.MAIN)
    verify_message(old, b"m", base64.b64encode(plain).decode())
    with pytest.raises(InvalidSignatureError):
        verify_message(ADDRESSES[ScriptType.P2PKH], b"m", base64.b64encode(plain).decode())
    compressed = encode_signature(signature, ScriptType.P2PKH)
    for address in ADDRESSES.values():
        verify_message(address, b"m", compressed)


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x1f" * 64, b"\x1f" + bytes(64), b"\x1a" + b"\x01" * 64, b"\x2b" + b"\x01" * 64, b"\x21" + b"\x01" * 64],
)
def test_malformed_signatures_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidSignatureError):
        verify_message(ADDRESSES[ScriptType.P2PKH], b"m", base64.b64encode(raw).decode())


def test_bad_text_and_unfit_addresses_are_refused(wallet: Any) -> None:
    with pytest.raises(InvalidSignatureError):
        verify_message(ADDRESSES[ScriptType.P2PKH], b"m", "not base64 !")
    taproot = wallet.account(Scheme.BIP86).address(0, 0)
    signature = ecdsa_sign_recoverable(SECRET, message_digest(b"m"))
    with pytest.raises(InvalidInputError) as caught:
        verify_message(taproot, b"m", encode_signature(signature, ScriptType.P2PKH))
    assert caught.value.code == "input.message"
    with pytest.raises(InvalidInputError):
        encode_signature(signature, ScriptType.P2TR)
