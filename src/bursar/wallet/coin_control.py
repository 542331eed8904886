"""What a transfer says about its coins: which of them, chosen how, spent in which way. Bitcoin only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from bursar.errors import InvalidInputError
from bursar.wallet.canonical import field, open_record

Strategy = Literal["default", "minimum-weight", "oldest", "privacy", "consolidation"]

MOST_COINS = 5_000
MOST_DATA = 80
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class SpendWith:
    """With what the coins are spent, where their descriptor knows several ways; the default is what anybody can.

    ``signers`` are the master fingerprints (8 hex digits) of those that shall sign, ``None`` for any of them.
    ``preimages`` (hex) open hash locks. Ways behind a timelock are taken where no other is open, or, with ``locks``,
    wherever they are the cheapest.
    """

    signers: tuple[str, ...] | None = None
    preimages: tuple[str, ...] = ()
    locks: bool = False

    def __post_init__(self) -> None:
        if self.signers is not None:
            _texts(self.signers, "signers", 8)
            if not self.signers:
                raise InvalidInputError("name the signers that shall sign, or leave them open", code="input.transfer")
        _texts(self.preimages, "preimages", 64)
        if type(self.locks) is not bool:
            raise InvalidInputError("locks is true or false", code="input.transfer")

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "spend-with",
            "version": 1,
            "signers": None if self.signers is None else list(self.signers),
            "preimages": list(self.preimages),
            "locks": self.locks,
        }

    @classmethod
    def from_json(cls, data: object) -> SpendWith:
        record = open_record(data, "spend-with", 1)
        signers = field(record, "signers", (list, type(None)))
        return cls(
            signers=None if signers is None else tuple(signers),
            preimages=tuple(field(record, "preimages", list)),
            locks=field(record, "locks", bool),
        )


def _texts(values: object, name: str, digits: int) -> None:
    if type(values) is not tuple or not all(
        type(one) is str and len(one) == digits and _HEX.issuperset(one) for one in values
    ):
        raise InvalidInputError(f"{name} is a tuple of texts of {digits} hex digits each", code="input.transfer")


@dataclass(frozen=True, slots=True)
class CoinControl:
    """The part of a ``Transfer`` about coins; see there."""

    coins: tuple[str, ...] = ()
    coins_only: bool = False
    exclude: tuple[str, ...] = ()
    strategy: Strategy = "default"
    min_confirmations: int | None = None
    subtract_fee: bool = False
    data: bytes | None = None
    spend_with: SpendWith = SpendWith()

    def __post_init__(self) -> None:
        for name in ("coins", "exclude"):
            values = getattr(self, name)
            if type(values) is not tuple or not all(type(one) is str and 0 < len(one) <= 200 for one in values):
                raise InvalidInputError(f"{name} is a tuple of texts", code="input.transfer")
            if len(values) > MOST_COINS or len(set(values)) != len(values):
                raise InvalidInputError(
                    f"{name} names up to {MOST_COINS} coins, each once, not {len(values)}", code="input.transfer"
                )
        if self.coins_only and not self.coins:
            raise InvalidInputError("exactly the coins named are spent, and none is named", code="input.transfer")
        if self.strategy not in get_args(Strategy):
            known = ", ".join(get_args(Strategy))
            raise InvalidInputError(
                f"no strategy is called {str(self.strategy)[:30]!r}: {known}", code="input.transfer"
            )
        least = self.min_confirmations
        if least is not None and (type(least) is not int or not 0 <= least <= 1_000_000):
            raise InvalidInputError("min_confirmations is a number of blocks from 0 on", code="input.transfer")
        if self.data is not None and (type(self.data) is not bytes or not 0 < len(self.data) <= MOST_DATA):
            raise InvalidInputError(
                f"data is 1 to {MOST_DATA} bytes: nodes do not relay more", code="input.transfer.data"
            )
        if type(self.subtract_fee) is not bool or type(self.coins_only) is not bool:
            raise InvalidInputError("subtract_fee and coins_only are true or false", code="input.transfer")

    def to_json(self) -> dict[str, Any] | None:
        """``None`` where nothing is asked for: so a transfer without coin control is the same text as ever."""
        if self == CoinControl():
            return None
        return {
            "kind": "coin-control",
            "version": 1,
            "coins": list(self.coins),
            "coins_only": self.coins_only,
            "exclude": list(self.exclude),
            "strategy": self.strategy,
            "min_confirmations": self.min_confirmations,
            "subtract_fee": self.subtract_fee,
            "data": None if self.data is None else self.data.hex(),
            "spend_with": self.spend_with.to_json(),
        }

    @classmethod
    def from_json(cls, data: object) -> CoinControl:
        if data is None:
            return cls()
        record = open_record(data, "coin-control", 1)
        text = field(record, "data", (str, type(None)))
        try:
            payload = None if text is None else bytes.fromhex(text)
        except ValueError as error:
            raise InvalidInputError("field 'data' is not hex", code="input.json") from error
        return cls(
            coins=tuple(field(record, "coins", list)),
            coins_only=field(record, "coins_only", bool),
            exclude=tuple(field(record, "exclude", list)),
            strategy=field(record, "strategy", str),
            min_confirmations=field(record, "min_confirmations", (int, type(None))),
            subtract_fee=field(record, "subtract_fee", bool),
            data=payload,
            spend_with=SpendWith.from_json(record.get("spend_with")),
        )
