"""Reading an Electrum server's replies: every field is checked for its type before anything believes it."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any, Final, NoReturn, TypeVar

from bursar.bitcoin.transaction import Transaction, Txid
from bursar.bitcoin.units import COIN, FeeRate
from bursar.errors import ChainError, InvalidInputError

T = TypeVar("T")
MAX_HEIGHT: Final = 1 << 30


def nonsense(what: str) -> NoReturn:
    """Refuse a reply that cannot be right."""
    raise ChainError(f"the server's reply makes no sense: {what}", code="chain.reply")


def unproven(what: str) -> NoReturn:
    """Refuse a claim about the chain without the proof it needs."""
    raise ChainError(f"the server's claim is not proven: {what}; do not trust this server", code="chain.proof")


def field(reply: Any, name: str, kind: type[T]) -> T:
    """The field ``name`` of a reply that is an object, of exactly this type."""
    if not isinstance(reply, dict):
        nonsense(f"an object with {name} was expected")
    value = reply.get(name)
    if type(value) is not kind:
        nonsense(f"{name} is missing or not of the right type")
    return value


def number(reply: Any, name: str) -> int:
    """A whole number in field ``name``, not negative and no higher than any height or count can be."""
    value = field(reply, name, int)
    if not 0 <= value < MAX_HEIGHT:
        nonsense(f"{name} is out of range")
    return value


def raw_bytes(value: Any, what: str) -> bytes:
    """Bytes in hexadecimal."""
    if type(value) is not str:
        nonsense(f"{what} is not a text")
    try:
        return bytes.fromhex(value)
    except ValueError:
        nonsense(f"{what} is not hexadecimal")


def hashes(value: Any, what: str) -> list[bytes]:
    """A list of at most 64 hashes in display hex, in internal byte order."""
    if type(value) is not list or len(value) > 64:
        nonsense(f"{what} is not a list of hashes")
    found = [raw_bytes(item, what)[::-1] for item in value]
    if any(len(item) != 32 for item in found):
        nonsense(f"{what} is not a list of hashes")
    return found


def status(value: Any) -> str | None:
    """A script's status: 64 hexadecimal digits, or nothing."""
    if value is None:
        return None
    if len(raw_bytes(value, "a status")) != 32:
        nonsense("a status is not a hash")
    return str(value)


def history(value: Any) -> tuple[tuple[Txid, int], ...]:
    """A script's history: transaction ids, none twice, each with its height (0 or -1 while it waits)."""
    if type(value) is not list:
        nonsense("a history is not a list")
    events = []
    for item in value:
        height = field(item, "height", int)
        if not -1 <= height < MAX_HEIGHT:
            nonsense("a height is out of range")
        events.append((txid(field(item, "tx_hash", str)), height))
    if len({event[0] for event in events}) != len(events):
        nonsense("a history names a transaction twice")
    return tuple(events)


def txid(value: Any) -> Txid:
    """A transaction id."""
    raw = raw_bytes(value, "a txid")
    if len(raw) != 32:
        nonsense("a txid is not a hash")
    return Txid(raw[::-1])


def transaction(value: Any, wanted: Txid) -> Transaction:
    """The transaction that was asked for, by its hash."""
    try:
        tx = Transaction.parse(raw_bytes(value, "a transaction"))
    except InvalidInputError as error:
        nonsense(error.message)
    if tx.txid != wanted:
        unproven(f"transaction {wanted} was asked for and {tx.txid} came")
    return tx


def fee_rate(value: Any, what: str) -> FeeRate | None:
    """A fee rate in BTC/kvB, rounded up to 1 sat/kvB; nothing for a negative one, which says there is none."""
    try:
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or len(str(value)) > 64:
            raise ValueError
        rate = Decimal(value)
        if not rate.is_finite() or rate > 1:
            raise ValueError
        return None if rate < 0 else FeeRate(int((rate * COIN).to_integral_value(ROUND_CEILING)))
    except (ValueError, InvalidOperation):
        nonsense(f"{what} is not a fee rate below 1 BTC/kvB")
