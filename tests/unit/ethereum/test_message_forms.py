"""Messages for validators (EIP-191 0x00) and compact signatures (EIP-2098): the EIP's examples, eth-account."""

from __future__ import annotations

import pytest
from eth_account import Account
from eth_account.messages import encode_intended_validator
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.crypto.secp256k1 import ORDER, EcdsaSignature, ecdsa_sign_recoverable, public_key
from bursar.errors import InvalidSignatureError
from bursar.ethereum.address import Address
from bursar.ethereum.message import (
    decode_compact_signature,
    encode_compact_signature,
    encode_signature,
    personal_digest,
    recover_signer,
    validator_digest,
    verify_message,
    verify_validator_message,
)

KEY = bytes.fromhex("1234567890" * 6 + "1234")
SIGNER = Address.from_public_key(public_key(KEY))
VALIDATOR = Address(b"\x35" * 20)


@pytest.mark.parametrize(
    ("message", "compact"),
    [
        (
            b"Hello World",
            "0x68a020a209d3d56c46f38cc50a33f704f4a9a10a59377f8dd762ac66910e9b90"
            "7e865ad05c4035ab5792787d4a0297a43617ae897930a6fe4d822b8faea52064",
        ),
        (
            b"It's a small(er) world",
            "0x9328da16089fcba9bececa81663203989f2df5fe1faa6291a45381c81bd17f76"
            "939c6d6b623b42da56557e5e734a43dc83345ddfadec52cbe24d0cc64f550793",
        ),
    ],
)
def test_the_examples_of_eip_2098(message: bytes, compact: str) -> None:
    signature = ecdsa_sign_recoverable(KEY, personal_digest(message))
    assert encode_compact_signature(signature) == compact
    assert decode_compact_signature(compact) == signature
    verify_message(SIGNER, message, encode_signature(decode_compact_signature(compact)))
    assert recover_signer(personal_digest(message), encode_signature(signature)) == SIGNER


def test_s1_compact_signatures_of_another_form_are_refused() -> None:
    signature = ecdsa_sign_recoverable(KEY, personal_digest(b"x"))
    text = encode_compact_signature(signature)
    for wrong in (text[2:], text[:-2], text + "00", "0x" + "00" * 64, "0x" + "ff" * 64, "0x" + "zz" * 64):
        with pytest.raises(InvalidSignatureError):
            decode_compact_signature(wrong)
    for other in (EcdsaSignature(1, 1), EcdsaSignature(1, ORDER - 1, 0)):
        with pytest.raises(InvalidSignatureError):
            encode_compact_signature(other)


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=100))
def test_eth_account_signs_the_same_for_a_validator(data: bytes) -> None:
    theirs = Account.sign_message(encode_intended_validator(str(VALIDATOR), data), KEY)
    ours = ecdsa_sign_recoverable(KEY, validator_digest(VALIDATOR, data))
    assert encode_signature(ours) == "0x" + bytes(theirs.signature).hex()
    verify_validator_message(SIGNER, VALIDATOR, data, encode_signature(ours))
    with pytest.raises(InvalidSignatureError, match="signed by"):
        verify_validator_message(SIGNER, SIGNER, data, encode_signature(ours))
