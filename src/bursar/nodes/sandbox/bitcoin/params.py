"""What a JSON-RPC caller passed, checked as Bitcoin Core checks it, and the error that answers it."""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import Any, Final

from bursar.bitcoin.parts import read_inputs
from bursar.bitcoin.transaction import Transaction, Txid
from bursar.bitcoin.units import Sats
from bursar.bitcoin.wire import read_compact_size
from bursar.errors import BursarError, InvalidInputError
from bursar.nodes import exact_json

MISC: Final = -1
TYPE: Final = -3
ADDRESS_OR_KEY: Final = -5
PARAMETER: Final = -8
DECODE: Final = -22
VERIFY: Final = -25
ALREADY: Final = -27
INVALID_REQUEST: Final = -32600
NO_METHOD: Final = -32601
INTERNAL: Final = -32603
PARSE: Final = -32700


class RpcError(BursarError):
    """An answer to a JSON-RPC caller, with Bitcoin Core's error code; it never leaves the server."""

    default_code = "sandbox.rpc"

    def __init__(self, rpc_code: int, message: str) -> None:
        super().__init__(message)
        self.rpc_code = rpc_code


def kind(value: Any) -> str:
    """The JSON type of a value, in Core's word."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | Decimal):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _expect(value: Any, wanted: str) -> None:
    if kind(value) != wanted:
        raise RpcError(TYPE, f"JSON value of type {kind(value)} is not of expected type {wanted}")


def text(value: Any) -> str:
    """A string."""
    _expect(value, "string")
    return str(value)


def flag(value: Any) -> bool:
    """A boolean."""
    _expect(value, "bool")
    return bool(value)


def whole(value: Any) -> int:
    """A whole number of 32 bits with sign."""
    _expect(value, "number")
    if not isinstance(value, int) or not -(1 << 31) <= value < 1 << 31:
        raise RpcError(MISC, "JSON integer out of range")
    return value


def array(value: Any) -> list[Any]:
    """A list."""
    _expect(value, "array")
    return list(value)


def mapping(value: Any) -> dict[str, Any]:
    """An object."""
    _expect(value, "object")
    return dict(value)


def verbosity(value: Any) -> int:
    """A level, or a boolean standing for 1 or 0."""
    return int(value) if isinstance(value, bool) else whole(value)


def hex_bytes(value: Any, name: str) -> bytes:
    """Bytes in hexadecimal."""
    given = text(value)
    try:
        if not given.isascii() or not given.isalnum():
            raise ValueError
        return bytes.fromhex(given)
    except ValueError:
        raise RpcError(PARAMETER, f"{name} must be hexadecimal string (not '{given[:100]}')") from None


def hash_bytes(value: Any, name: str) -> bytes:
    """A hash in display hex, given back in internal byte order."""
    given = text(value)
    if len(given) != 64:
        raise RpcError(PARAMETER, f"{name} must be of length 64 (not {len(given)}, for '{given[:100]}')")
    return hex_bytes(given, name)[::-1]


def txid(value: Any, name: str) -> Txid:
    """A transaction id."""
    return Txid(hash_bytes(value, name))


def amount(value: Any) -> int:
    """A BTC amount, number or string, in satoshi."""
    if kind(value) not in ("number", "string"):
        raise RpcError(TYPE, "Amount is not a number or string")
    try:
        return exact_json.satoshi(value)
    except InvalidInputError as error:
        out_of_range = error.code == "input.amount.range"
        raise RpcError(TYPE, "Amount out of range" if out_of_range else "Invalid amount") from error


def fee_rate(value: Any) -> int:
    """A fee rate in BTC/kvB, in satoshi per kvB."""
    rate = amount(value)
    if rate >= 100_000_000:
        raise RpcError(PARAMETER, "Fee rates larger than or equal to 1BTC/kvB are not accepted")
    return rate


def transaction(value: Any, refusal: str) -> Transaction:
    """A serialised transaction in hex."""
    try:
        tx = Transaction.parse(bytes.fromhex(text(value)))
    except ValueError as error:  # not hex, or InvalidInputError
        raise RpcError(DECODE, refusal) from error
    if not tx.inputs:
        raise RpcError(DECODE, refusal)
    return tx


def candidate(value: Any, refusal: str) -> Transaction:
    """A serialised transaction whose output amounts may be anything: the pool's rules judge them, as unsigned."""
    try:
        return transaction(value, refusal)
    except RpcError as error:
        if not isinstance(error.__cause__, InvalidInputError) or error.__cause__.code != "input.amount.range":
            raise
    raw = bytes.fromhex(text(value))
    mended, amounts = bytearray(raw), []
    try:
        _, at = read_inputs(raw, 6 if raw[4] == 0 else 4)
        count, at = read_compact_size(raw, at)
        for _ in range(count):
            amounts.append(int.from_bytes(raw[at : at + 8], "little"))
            mended[at : at + 8] = bytes(8)
            size, at = read_compact_size(raw, at + 8)
            at += size
    except (IndexError, struct.error, InvalidInputError) as error:
        raise RpcError(DECODE, refusal) from error
    tx = transaction(mended.hex(), refusal)
    outputs = [
        output._replace(value=int.__new__(Sats, given)) for output, given in zip(tx.outputs, amounts, strict=True)
    ]
    return Transaction(tx.version, tx.inputs, outputs, tx.locktime)
