"""Whom the app believes: the keys that its maker signs descriptors with, and those of its test builds."""

from __future__ import annotations

from typing import Final

from bursar.crypto.hashes import sha256
from bursar.crypto.secp256k1 import ecdsa_verify_der
from bursar.errors import InvalidInputError

ASSETS: Final = bytes.fromhex(
    "045e6c1020c14dc46442fe89f97c0b68cdb15976dc24f24c316e7b30fe4e8cc76b"
    "1489150c21514ebf440ff5dea5393d83de5358cd098fce8fd0f81daa94979183"
)
TEST_ASSETS: Final = bytes.fromhex(
    "044cca8fad496aa5040a00a7eb2f5cc3b85376d88ba147a7d7054a99c640561887"
    "fe17a096e36c3b523b244f3e2ff7f840ae26c4e77ad3bc739af5de6f2d77a7b6"
)
COLLECTIONS: Final = bytes.fromhex(
    "04988da6b246f28e77c1bab675cb2a2744f7f5cec56ae6e03223337b5794cd6ae0"
    "7d48b30db9ccb40f5a02a11a3ab99d5f595a3d50a0e13023fd0d958792d79701"
)
TEST_COLLECTIONS: Final = bytes.fromhex(
    "043cfb5fb31905f4bd39d9d535a40c26aab51c5d7d3219b28ac942b980fb206cfb"
    "30b51cc2de2119ac038ebb0d7dd6541770204a3ced3a79e28b32fbb6726468c0"
)
PLUGINS: Final = bytes.fromhex(
    "04d8626e019e553e196956f1174dcdb89a1cdac4939008bc7977336d7824eee3a2"
    "62241a6273523b09b8d0ce0d39e860c94d025358dbdc2592c7c6480d39cebba3"
)
TEST_PLUGINS: Final = bytes.fromhex(
    "04c055bc4ecf055e2d85085d35127a3de6705c7f885055cd7071e87671bf191fe3"
    "3cc8f01abc2f287c819a148abe1b581df1b4940af5d4dc3a4e6b601917712b37"
)


def signed_by(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` (DER) is one of the SHA-256 of ``message``; a high s is taken, as the app does."""
    try:
        ecdsa_verify_der(key, sha256(message), signature, allow_high_s=True)
    except InvalidInputError:
        return False
    return True
