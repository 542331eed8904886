"""Which Ledger it is, by its USB product id or by the target id its dashboard tells."""

from __future__ import annotations

from typing import Final

VENDOR_ID: Final = 0x2C97
USAGE_PAGE: Final = 0xFFA0
EMULATOR: Final = "Ledger emulator"

_BY_PRODUCT: Final = {
    0x10: "Ledger Nano S",
    0x40: "Ledger Nano X",
    0x50: "Ledger Nano S Plus",
    0x60: "Ledger Stax",
    0x70: "Ledger Flex",
    0x80: "Ledger Nano Gen5",
}
_FIRST_PRODUCTS: Final = {0x0000: "Ledger Blue", 0x0001: "Ledger Nano S", 0x0004: "Ledger Nano X"}
_BY_TARGET: Final = {
    0x31000: "Ledger Blue",
    0x31100: "Ledger Nano S",
    0x33000: "Ledger Nano X",
    0x33100: "Ledger Nano S Plus",
    0x33200: "Ledger Stax",
    0x33300: "Ledger Flex",
    0x33400: "Ledger Nano Gen5",
}


def model_of_product(product_id: int) -> str:
    """The model by USB product id; its high byte counts, the low one says which interfaces there are."""
    known = _FIRST_PRODUCTS.get(product_id) or _BY_PRODUCT.get(product_id >> 8)
    return known or f"unknown Ledger ({product_id:04x})"


def model_of_target(target_id: int) -> str:
    """The model by target id, of which the last three digits are a revision."""
    return _BY_TARGET.get(target_id >> 12) or f"unknown Ledger (target {target_id:08x})"
