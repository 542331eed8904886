"""Ethereum transactions signed by a Trezor: type 0 (EIP-155) and type 2 (EIP-1559), the data in pieces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bursar.backends.trezor.ethereum_paths import check_ethereum_path
from bursar.backends.trezor.exchange import Exchange, expect
from bursar.crypto.secp256k1 import EcdsaSignature
from bursar.errors import InvalidInputError, SignerMisbehavedError
from bursar.ethereum.transaction import FEE_MARKET, LEGACY

if TYPE_CHECKING:
    from bursar.backends.trezor.abilities import Firmware
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.keys.path import DerivationPath

CHUNK: Final = 1024
MOST_DATA: Final = 16_000_000
_LARGEST_FEE: Final = 30  # bytes of the gas limit and of a price together


@dataclass(frozen=True, slots=True)
class Definitions:
    """The vendor-signed definitions of a network and of a token, relayed as they are once they are verified."""

    network: bytes | None = None
    token: bytes | None = None


def sign_transaction(
    messages: Any,
    path: DerivationPath,
    tx: UnsignedTransaction,
    *,
    firmware: Firmware,
    definitions: Definitions | None = None,
    strict: bool = True,
) -> Exchange[EcdsaSignature]:
    """The signature of ``tx`` by the key at ``path``, its parity as 0 or 1 whatever form the device gives v.

    ``UnsupportedError``: types other than 0 and 2 (no firmware signs type 1: its ``tx_type`` is Wanchain's), more
    data or access list than it reads. ``InvalidInputError`` (``input.path``) for a path it would forbid.
    """
    check_ethereum_path(path, strict=strict)
    _check(tx, firmware)
    first, rest = tx.data[:CHUNK], memoryview(tx.data)[CHUNK:]
    reply = yield _request(messages, path, tx, first, definitions)
    while True:
        expect(reply, messages.EthereumTxRequest)
        if reply.signature_v is not None or reply.signature_r is not None or reply.signature_s is not None:
            if rest:
                raise _misbehaved(f"it signed before it had read the last {len(rest)} bytes of the data")
            return _signature(tx, reply)
        size = reply.data_length
        if not size or size > min(len(rest), CHUNK):
            raise _misbehaved(f"it asks for {size} bytes of data where {len(rest)} are left")
        chunk, rest = bytes(rest[:size]), rest[size:]
        reply = yield messages.EthereumTxAck(data_chunk=chunk)


def _check(tx: UnsignedTransaction, firmware: Firmware) -> None:
    if tx.type not in (LEGACY, FEE_MARKET):
        raise firmware.cannot(
            f"it signs no transactions of type {tx.type}, only 0 and 2: use type 2, which has an access list too",
            "sign_transaction",
        )
    if tx.type == FEE_MARKET and not firmware.fee_market:
        raise firmware.cannot("this firmware knows no transactions of type 2: update it", "sign_transaction")
    if len(tx.data) > MOST_DATA:
        raise firmware.cannot(f"{len(tx.data)} bytes of data are more than {MOST_DATA}", "sign_transaction")
    most = firmware.longest_access_list
    if most is not None and (
        len(tx.access_list) > most or any(len(entry.storage_keys) > most for entry in tx.access_list)
    ):
        raise firmware.cannot(f"the access list has more than {most} entries, or slots of one", "sign_transaction")
    prices = (tx.gas_price, tx.max_fee_per_gas, tx.max_priority_fee_per_gas)
    if any(price is not None and len(_bytes(price)) + len(_bytes(tx.gas_limit)) > _LARGEST_FEE for price in prices):
        raise firmware.cannot("the gas limit and the price of gas are larger than it computes with", "sign_transaction")


def _request(
    messages: Any, path: DerivationPath, tx: UnsignedTransaction, chunk: bytes, definitions: Definitions | None
) -> Any:
    common: dict[str, Any] = {
        "address_n": list(path.indexes),
        "nonce": _bytes(tx.nonce),
        "gas_limit": _bytes(tx.gas_limit),
        "to": "" if tx.to is None else str(tx.to),
        "value": _bytes(tx.value),
        "data_initial_chunk": chunk,
        "data_length": len(tx.data),
        "chain_id": tx.chain_id,
    }
    if definitions is not None:
        common["definitions"] = messages.EthereumDefinitions(
            encoded_network=definitions.network, encoded_token=definitions.token
        )
    if tx.type == LEGACY:
        return messages.EthereumSignTx(gas_price=_bytes(tx.max_gas_price), **common)
    return messages.EthereumSignTxEIP1559(
        max_gas_fee=_bytes(tx.max_gas_price),
        max_priority_fee=_bytes(tx.max_priority_fee_per_gas or 0),
        access_list=[
            messages.EthereumAccessList(address=str(entry.address), storage_keys=list(entry.storage_keys))
            for entry in tx.access_list
        ],
        **common,
    )


def _signature(tx: UnsignedTransaction, reply: Any) -> EcdsaSignature:
    v, r, s = reply.signature_v, reply.signature_r, reply.signature_s
    if v is None or r is None or s is None or len(r) > 32 or len(s) > 32:
        raise _misbehaved("its signature lacks a part or has one too long")
    # chain ids above (2^32 - 37) / 2 would not fit v's 32 bits: then it is the parity alone
    parity = v - (35 + 2 * tx.chain_id) if tx.type == LEGACY and v > 1 else v
    if parity not in (0, 1):
        raise _misbehaved(f"the v {v} of its signature is not one of chain {tx.chain_id}")
    try:
        return EcdsaSignature(int.from_bytes(r, "big"), int.from_bytes(s, "big"), parity)
    except InvalidInputError as error:
        raise _misbehaved(error.message) from error


def _bytes(value: int) -> bytes:
    """Big-endian without leading zeros, as RLP has it."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _misbehaved(reason: str) -> SignerMisbehavedError:
    return SignerMisbehavedError(f"the trezor misbehaved while signing: {reason}; do not trust it until you know why")
