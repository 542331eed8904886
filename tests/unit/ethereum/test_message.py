"""Personal messages (EIP-191): eth-account as a second implementation, every other signature refused."""

from __future__ import annotations

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.crypto.secp256k1 import ORDER, EcdsaSignature, ecdsa_sign_recoverable, public_key
from bursar.errors import InvalidSignatureError
from bursar.ethereum.address import Address
from bursar.ethereum.message import decode_signature, encode_signature, personal_digest, verify_message

KEY = b"\x46" * 32
SIGNER = Address.from_public_key(public_key(KEY))


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_eth_account_makes_the_same_signature(message: bytes) -> None:
    ours = encode_signature(ecdsa_sign_recoverable(KEY, personal_digest(message)))
    theirs = Account.sign_message(encode_defunct(message), KEY)
    assert ours == "0x" + bytes(theirs.signature).hex()
    assert personal_digest(message) == bytes(theirs.message_hash)
    verify_message(SIGNER, message, ours)
    assert Account.recover_message(encode_defunct(message), signature=ours) == str(SIGNER)


def signature_text(message: bytes = b"hello") -> str:
    return encode_signature(ecdsa_sign_recoverable(KEY, personal_digest(message)))


def test_v_may_be_written_from_zero() -> None:
    text = signature_text()
    verify_message(SIGNER, b"hello", text[:-2] + f"{int(text[-2:], 16) - 27:02x}")


def test_another_message_signer_or_parity_does_not_verify() -> None:
    text = signature_text()
    for address, message in ((SIGNER, b"hello!"), (Address(bytes(20)), b"hello")):
        with pytest.raises(InvalidSignatureError):
            verify_message(address, message, text)
    with pytest.raises(InvalidSignatureError):
        verify_message(SIGNER, b"hello", text[:-2] + ("1b" if text.endswith("1c") else "1c"))


def test_a_high_s_is_refused() -> None:
    signature = ecdsa_sign_recoverable(KEY, personal_digest(b"hello"))
    high = EcdsaSignature(signature.r, ORDER - signature.s, 1 - (signature.y_parity or 0))
    with pytest.raises(InvalidSignatureError, match="upper half"):
        verify_message(SIGNER, b"hello", encode_signature(high))


@pytest.mark.parametrize(
    "text",
    ["", "0x", signature_text()[2:], signature_text()[:-2], signature_text() + "00", signature_text()[:-2] + "1d",
     signature_text()[:-2] + "25", "0x" + "00" * 65, "0x" + "ff" * 65, "0x" + "zz" * 65, "0x" + "１" * 130],
)  # fmt: skip
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidSignatureError):
        verify_message(SIGNER, b"hello", text)


def test_round_trip_and_missing_parity() -> None:
    signature = ecdsa_sign_recoverable(KEY, personal_digest(b""))
    assert decode_signature(encode_signature(signature)) == signature
    with pytest.raises(InvalidSignatureError):
        encode_signature(EcdsaSignature(1, 1))
