"""Chain ids: always present, never zero (EIP-155), bounded (EIP-2294)."""

from __future__ import annotations

from bursar.errors import InvalidInputError

MAX_CHAIN_ID = ((1 << 64) - 1) // 2 - 36


def chain_id_error(message: str) -> InvalidInputError:
    """The error for a chain id that cannot be used."""
    return InvalidInputError(message, code="input.chain-id")


def check_chain_id(chain_id: object) -> int:
    """``chain_id`` when it is an integer from 1 to the limit of EIP-2294; InvalidInputError otherwise."""
    if chain_id is None:
        raise chain_id_error("a chain id is required: without it the transaction is valid on every chain (EIP-155)")
    if type(chain_id) is not int:
        raise chain_id_error(f"a chain id is an integer, not {type(chain_id).__name__}")
    if chain_id == 0:
        raise chain_id_error("chain id 0 names no chain: give the chain's own id (EIP-155)")
    if not 0 < chain_id <= MAX_CHAIN_ID:
        raise chain_id_error(f"a chain id is between 1 and {MAX_CHAIN_ID} (EIP-2294)")
    return chain_id
