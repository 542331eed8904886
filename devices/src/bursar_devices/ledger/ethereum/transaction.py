"""A transaction as it streams in: types 0, 1 and 2, read as far as the app reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bursar.crypto import rlp
from bursar.crypto.hashes import keccak256
from bursar.crypto.secp256k1 import EcdsaSignature
from bursar.errors import InvalidInputError
from bursar_devices.ledger.apdu import RefusalError, Status

_LEGACY: Final = ("nonce", "gas_price", "gas", "to", "value", "data", "chain_id", "r", "s")
_ACCESS_LIST: Final = ("chain_id", "nonce", "gas_price", "gas", "to", "value", "data", "access_list")
_FEE_MARKET: Final = ("chain_id", "nonce", "tip", "max_fee", "gas", "to", "value", "data", "access_list")
_FIELDS: Final = {0: _LEGACY, 1: _ACCESS_LIST, 2: _FEE_MARKET}
_LONGEST: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class StreamedTransaction:
    """What the app knows of a whole transaction."""

    type: int
    raw: bytes
    fields: dict[str, bytes]

    @property
    def chain_id(self) -> int:
        return int.from_bytes(self.fields["chain_id"], "big")

    @property
    def data(self) -> bytes:
        return self.fields["data"]

    @property
    def value(self) -> int:
        return int.from_bytes(self.fields["value"], "big")

    @property
    def max_fee(self) -> int:
        price = self.fields["max_fee"] if self.type == 2 else self.fields["gas_price"]
        return int.from_bytes(price, "big") * int.from_bytes(self.fields["gas"], "big")

    def digest(self, *, changed: bool = False) -> bytes:
        """What is signed; ``changed`` makes it another transaction."""
        return keccak256(self.raw[:-1] + bytes((self.raw[-1] ^ 1,)) if changed else self.raw)


class TransactionStream:
    """Takes the pieces of a transaction until its outer list is whole."""

    def __init__(self, path: tuple[int, ...]) -> None:
        self.path = path
        self._data = b""

    def feed(self, piece: bytes) -> None:
        """The next piece."""
        if not self._data and piece and piece[0] < 0x80 and piece[0] not in (1, 2):
            raise RefusalError(Status.TYPE_NOT_SUPPORTED)
        self._data += piece
        if len(self._data) > _LONGEST:
            raise RefusalError(Status.INCORRECT_DATA)

    def transaction(self) -> StreamedTransaction | None:
        """The transaction, or ``None`` while more must come."""
        kind = self._data[0] if self._data[:1] in (b"\x01", b"\x02") else 0
        body = self._data[1:] if kind else self._data
        size = _outer_size(body)
        if size is None or len(body) < size:
            return None
        if len(body) > size:
            raise RefusalError(Status.INCORRECT_DATA)
        try:
            items = rlp.decode(body)
        except InvalidInputError:
            raise RefusalError(Status.INCORRECT_DATA) from None
        names = _FIELDS[kind]
        if kind == 0 and len(items) == 6:
            return None
        if len(items) != len(names):
            raise RefusalError(Status.INCORRECT_DATA)
        fields = {name: item for name, item in zip(names, items, strict=True) if isinstance(item, bytes)}
        if len(fields) != len(names) - ("access_list" in names):
            raise RefusalError(Status.INCORRECT_DATA)
        return StreamedTransaction(kind, self._data, fields)


def _outer_size(body: bytes) -> int | None:
    """How long the outer list is, its head included; ``None`` while the head is not whole."""
    if not body:
        return None
    if body[0] < 0xC0:
        raise RefusalError(Status.INCORRECT_DATA)
    if body[0] < 0xF8:
        return 1 + body[0] - 0xC0
    width = body[0] - 0xF7
    if len(body) < 1 + width:
        return None
    return 1 + width + int.from_bytes(body[1 : 1 + width], "big")


def parity_byte(tx: StreamedTransaction, signature: EcdsaSignature) -> int:
    """v as the app writes it: the parity, or for legacy the low byte of EIP-155's v, of four bytes of chain id only."""
    assert signature.y_parity is not None
    if tx.type:
        return signature.y_parity
    chain_id = int.from_bytes(tx.fields["chain_id"][:4], "big")
    return (2 * chain_id + 35 + signature.y_parity) & 0xFF
