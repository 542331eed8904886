"""Reading a node's replies: every field is checked for its type before anything believes it."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

from bursar.bitcoin.transaction import Transaction, Txid
from bursar.bitcoin.units import COIN, FeeRate
from bursar.chain.protocols import BlockRef
from bursar.errors import ChainError, InvalidInputError
from bursar.nodes import exact_json

T = TypeVar("T")


def nonsense(what: str) -> NoReturn:
    """Refuse a reply that cannot be right."""
    raise ChainError(f"the node's reply makes no sense: {what}", code="chain.reply")


def field(reply: Any, name: str, kind: type[T]) -> T:
    """The field ``name`` of a reply that is an object, of exactly this type."""
    if not isinstance(reply, dict):
        nonsense(f"an object with {name} was expected")
    value = reply.get(name)
    if type(value) is not kind:
        nonsense(f"{name} is missing or not of the right type")
    return value


def rows(reply: Any, name: str) -> list[Any]:
    """The list in field ``name``."""
    return field(reply, name, list)


def number(reply: Any, name: str) -> int:
    """A whole number in field ``name``, not negative."""
    value = field(reply, name, int)
    if value < 0:
        nonsense(f"{name} is negative")
    return value


def text(value: Any, what: str) -> str:
    """A text."""
    if not isinstance(value, str):
        nonsense(f"{what} is not a text")
    return value


def hash_text(value: Any, what: str) -> str:
    """A block hash in display hex."""
    checked = text(value, what)
    try:
        if len(checked) != 64 or len(bytes.fromhex(checked)) != 32:
            raise ValueError
    except ValueError:
        nonsense(f"{what} is not a hash")
    return checked.lower()


def txid(value: Any) -> Txid:
    """A transaction id."""
    try:
        return Txid.from_text(text(value, "a txid"))
    except InvalidInputError as error:
        nonsense(error.message)


def raw_bytes(value: Any, what: str) -> bytes:
    """Bytes in hexadecimal."""
    try:
        return bytes.fromhex(text(value, what))
    except ValueError:
        nonsense(f"{what} is not hexadecimal")


def transaction(value: Any, wanted: Txid | None = None) -> Transaction:
    """A serialised transaction in hex, and the one that was asked for."""
    try:
        tx = Transaction.parse(raw_bytes(value, "a transaction"))
    except InvalidInputError as error:
        nonsense(error.message)
    if wanted is not None and tx.txid != wanted:
        nonsense(f"transaction {wanted} was asked for and {tx.txid} came")
    return tx


def amount(reply: Any, name: str) -> int:
    """An amount in BTC, in satoshi."""
    if not isinstance(reply, dict):
        nonsense(f"an object with {name} was expected")
    try:
        return exact_json.satoshi(reply.get(name))
    except InvalidInputError as error:
        nonsense(f"{name}: {error.message}")


def fee_rate(reply: Any, name: str) -> FeeRate:
    """A fee rate in BTC/kvB."""
    rate = amount(reply, name)
    if rate > COIN:
        nonsense(f"{name} is over 1 BTC/kvB")
    return FeeRate(rate)


def block_ref(reply: Any) -> BlockRef:
    """A block by the fields every header has."""
    return BlockRef(number(reply, "height"), hash_text(field(reply, "hash", str), "hash"), number(reply, "time"))
