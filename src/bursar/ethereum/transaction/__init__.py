"""Ethereum transactions of types 0 (EIP-155), 1 (EIP-2930), 2 (EIP-1559), 3 (EIP-4844) and 4 (EIP-7702)."""

from __future__ import annotations

from bursar.ethereum.transaction.core import SignedTransaction, UnsignedTransaction
from bursar.ethereum.transaction.kinds import (
    ACCESS_LIST,
    BLOB,
    FEE_MARKET,
    LEGACY,
    MAX_GAS_LIMIT,
    MAX_NONCE,
    SET_CODE,
)

__all__ = [
    "ACCESS_LIST",
    "BLOB",
    "FEE_MARKET",
    "LEGACY",
    "MAX_GAS_LIMIT",
    "MAX_NONCE",
    "SET_CODE",
    "SignedTransaction",
    "UnsignedTransaction",
]
