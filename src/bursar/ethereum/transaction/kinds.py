"""The types of transactions (EIP-2718) and the order of their fields (EIP-155, 2930, 1559, 4844, 7702)."""

from __future__ import annotations

from typing import Final

LEGACY: Final = 0
ACCESS_LIST: Final = 1
FEE_MARKET: Final = 2
BLOB: Final = 3
SET_CODE: Final = 4

TYPE_BYTE: Final = (b"", b"\x01", b"\x02", b"\x03", b"\x04")
MAX_NONCE: Final = (1 << 64) - 2  # EIP-2681
MAX_GAS_LIMIT: Final = (1 << 64) - 1
GAS_PER_BLOB: Final = 1 << 17  # EIP-4844
MAX_BLOBS: Final = 6  # in one transaction (EIP-7594)

LEGACY_FIELDS: Final = ("nonce", "gas_price", "gas_limit", "to", "value", "data")
_ACCESS_LIST_FIELDS: Final = ("chain_id", *LEGACY_FIELDS, "access_list")
_FEE_MARKET_FIELDS: Final = (
    "chain_id",
    "nonce",
    "max_priority_fee_per_gas",
    "max_fee_per_gas",
    *_ACCESS_LIST_FIELDS[3:],
)
TYPED_FIELDS: Final[dict[int, tuple[str, ...]]] = {
    ACCESS_LIST: _ACCESS_LIST_FIELDS,
    FEE_MARKET: _FEE_MARKET_FIELDS,
    BLOB: (*_FEE_MARKET_FIELDS, "max_fee_per_blob_gas", "blob_versioned_hashes"),
    SET_CODE: (*_FEE_MARKET_FIELDS, "authorization_list"),
}
INTEGERS: Final = (
    "chain_id",
    "nonce",
    "gas_limit",
    "gas_price",
    "max_fee_per_gas",
    "max_priority_fee_per_gas",
    "max_fee_per_blob_gas",
    "value",
)
