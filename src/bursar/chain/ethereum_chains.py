"""Ethereum chains as data: id, coin, explorer, finality and fee model, from TOML read strictly (EIP-155 ids)."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, Self

from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.chain_id import check_chain_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

MOST_BYTES: Final = 16_384
MOST_PROVIDERS: Final = 20
_SHORT: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ().-]{0,62}[A-Za-z0-9)])?", re.ASCII)
_SYMBOL: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,9}", re.ASCII)
_URL: Final = re.compile(r"https://[a-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?", re.ASCII)
_PROVIDER: Final = re.compile(
    r"https://[^\s\"'<>\\]{3,500}|http://(?:localhost|127\.0\.0\.1|\[::1\])[^\s\"'<>\\]{0,500}", re.ASCII
)
_SHAPE: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset(("id", "name", "short_name", "testnet", "explorer", "eip1191", "providers")),
    "currency": frozenset(("name", "symbol", "decimals")),
    "finality": frozenset(("rule", "confirmations")),
    "fees": frozenset(("model", "eip1559", "l1_oracle")),
}


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.chain")


class FinalityRule(Enum):
    """What makes a block final enough to credit: a number of blocks on it, or a mark the chain's nodes give."""

    CONFIRMATIONS = "confirmations"
    SAFE = "safe"
    FINALIZED = "finalized"


class FeeModel(Enum):
    """Who is paid for what: gas alone, or data on the chain below as well.

    On an OP-stack chain the data fee comes on top and a contract says how much; Arbitrum puts it into the gas estimate.
    """

    GAS = "gas"
    OP_STACK = "op-stack"
    ARBITRUM = "arbitrum"


@dataclass(frozen=True, slots=True, kw_only=True)
class EthereumChain:
    """What a wallet has to know of a chain. ``l1_oracle`` is the contract that says an OP-stack chain's data fee.

    ``confirmations`` counts blocks, the one with the transaction included, where the rule is that; else it is 0.
    ``eip1191`` says that addresses have the checksum of EIP-1191 there, which includes the chain id.
    """

    id: int
    name: str
    short_name: str
    currency_name: str
    currency_symbol: str
    currency_decimals: int = 18
    testnet: bool
    explorer: str | None = None
    finality: FinalityRule
    confirmations: int = 0
    fee_model: FeeModel = FeeModel.GAS
    eip1559: bool
    l1_oracle: Address | None = None
    eip1191: bool = False
    providers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_chain_id(self.id)
        texts = (
            (self.name, _NAME, "name"),
            (self.short_name, _SHORT, "short_name"),
            (self.currency_name, _NAME, "the currency's name"),
            (self.currency_symbol, _SYMBOL, "the currency's symbol"),
        )
        for text, form, what in texts:
            if not isinstance(text, str) or not form.fullmatch(text):
                raise _invalid(f"chain {self.id}: {what} is plain ascii of bounded length, not {text!r:.60}")
        if type(self.currency_decimals) is not int or self.currency_decimals != 18:
            raise _invalid(
                f"chain {self.id}: the currency of an Ethereum chain has 18 decimals: one ether is 10^18 wei"
            )
        if any(type(one) is not bool for one in (self.testnet, self.eip1559, self.eip1191)):
            raise _invalid(f"chain {self.id}: testnet, eip1559 and eip1191 are true or false")
        if self.explorer is not None and not (isinstance(self.explorer, str) and _URL.fullmatch(self.explorer)):
            raise _invalid(f"chain {self.id}: an explorer is a url like https://explorer.example")
        self._check_finality()
        if not isinstance(self.fee_model, FeeModel) or (self.l1_oracle is None) == (
            self.fee_model is FeeModel.OP_STACK
        ):
            raise _invalid(f"chain {self.id}: an op-stack chain names its l1_oracle, and no other does")
        if len(self.providers) > MOST_PROVIDERS or len(set(self.providers)) != len(self.providers):
            raise _invalid(f"chain {self.id}: at most {MOST_PROVIDERS} different providers")
        if not all(isinstance(one, str) and _PROVIDER.fullmatch(one) for one in self.providers):
            # the text of a provider may hold a key
            raise _invalid(f"chain {self.id}: a provider is an https url, or http on this machine")

    def _check_finality(self) -> None:
        counted = self.finality is FinalityRule.CONFIRMATIONS
        if not isinstance(self.finality, FinalityRule) or type(self.confirmations) is not int:
            raise _invalid(f"chain {self.id}: finality has a rule, and confirmations are a whole number")
        if (counted and not 0 < self.confirmations <= 100_000) or (not counted and self.confirmations):
            raise _invalid(
                f"chain {self.id}: confirmations are 1 to 100000 where the rule counts them, and absent else"
            )

    def transaction_url(self, tx_hash: str) -> str | None:
        """Where the explorer shows a transaction (EIP-3091)."""
        return None if self.explorer is None else f"{self.explorer.rstrip('/')}/tx/{tx_hash}"

    def address_url(self, address: Address) -> str | None:
        """Where the explorer shows an account (EIP-3091)."""
        return None if self.explorer is None else f"{self.explorer.rstrip('/')}/address/{address}"

    def to_toml(self) -> str:
        """The text of a chain's file, which :meth:`from_toml` reads back to the same."""
        rows: list[tuple[str, object]] = [
            ("id", self.id),
            ("name", self.name),
            ("short_name", self.short_name),
            ("testnet", self.testnet),
            ("explorer", self.explorer),
            ("eip1191", self.eip1191 or None),
            ("providers", list(self.providers) or None),
            ("[currency]", ""),
            ("name", self.currency_name),
            ("symbol", self.currency_symbol),
            ("decimals", self.currency_decimals),
            ("[finality]", ""),
            ("rule", self.finality.value),
            ("confirmations", self.confirmations or None),
            ("[fees]", ""),
            ("model", self.fee_model.value),
            ("eip1559", self.eip1559),
            ("l1_oracle", None if self.l1_oracle is None else str(self.l1_oracle)),
        ]
        lines = [
            f"\n{name}" if name[0] == "[" else f"{name} = {json.dumps(value)}"
            for name, value in rows
            if value is not None
        ]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """From the text of a chain's file; ``input.chain`` for a member that is unknown, missing or of another type."""
        try:
            found = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise _invalid(f"a chain's file is TOML: {str(error)[:120]}") from error
        tables = {name: found.pop(name, None) for name in _SHAPE if name}
        for name, table in tables.items():
            if not isinstance(table, dict):
                raise _invalid(f"a chain's file has a table [{name}]")
        for name, table in {"": found, **tables}.items():
            unknown = sorted(table.keys() - _SHAPE[name])
            if unknown:
                raise _invalid(f"{unknown[0]!r:.40} has no meaning in a chain's file{name and f', table [{name}]'}")
        currency, finality, fees = tables["currency"], tables["finality"], tables["fees"]
        for need, table in (
            (("id", "name", "short_name", "testnet"), found),
            (("name", "symbol", "decimals"), currency),
            (("rule",), finality),
            (("model", "eip1559"), fees),
        ):
            missing = [name for name in need if name not in table]
            if missing:
                raise _invalid(f"a chain's file says its {missing[0]}")
        if not isinstance(found.get("providers", []), list):
            raise _invalid("the providers of a chain are a list of urls")
        oracle = fees.get("l1_oracle")
        if oracle is not None and not isinstance(oracle, str):
            raise _invalid("the l1_oracle of a chain is an address")
        return cls(
            id=check_chain_id(found["id"]),
            name=found["name"],
            short_name=found["short_name"],
            currency_name=currency["name"],
            currency_symbol=currency["symbol"],
            currency_decimals=currency["decimals"],
            testnet=found["testnet"],
            explorer=found.get("explorer"),
            finality=_member(FinalityRule, finality["rule"], "rule"),
            confirmations=finality.get("confirmations", 0),
            fee_model=_member(FeeModel, fees["model"], "model"),
            eip1559=fees["eip1559"],
            l1_oracle=None if oracle is None else Address.from_text(oracle),
            eip1191=found.get("eip1191", False),
            providers=tuple(found.get("providers", [])),
        )


@dataclass(frozen=True, slots=True)
class EthereumChains:
    """Chains by their id. A file of a user's may not say anything else of a built-in chain but its providers."""

    by_id: Mapping[int, EthereumChain]

    @classmethod
    def built_in(cls) -> Self:
        """The chains this package knows."""
        return cls(_built_in())

    @classmethod
    def with_files(cls, folder: Path) -> Self:
        """The built-in chains and those of the files ``*.toml`` in ``folder``; ``input.chain`` names a bad file."""
        added = []
        for path in sorted(folder.glob("*.toml")):
            try:
                with path.open("rb") as file:
                    raw = file.read(MOST_BYTES + 1)
                if len(raw) > MOST_BYTES:
                    raise _invalid(f"it is longer than {MOST_BYTES} bytes")
                added.append(EthereumChain.from_toml(raw.decode("utf-8")))
            except (InvalidInputError, UnicodeDecodeError, OSError) as error:
                words = error.message if isinstance(error, InvalidInputError) else f"it cannot be read, {error}"
                raise _invalid(f"{path}: {words}") from error
        return cls.built_in().adding(added)

    def adding(self, chains: Iterable[EthereumChain]) -> Self:
        """With ``chains``; one that contradicts a known one, or takes its name, is refused."""
        known = dict(self.by_id)
        for one in chains:
            earlier = known.get(one.id)
            if earlier is not None and _without_providers(earlier) != _without_providers(one):
                raise _invalid(
                    f"chain {one.id} is {earlier.name} and described otherwise here: keep its providers only"
                )
            if any(other.short_name == one.short_name for other in known.values() if other.id != one.id):
                raise _invalid(f"chain {one.id}: another chain is called {one.short_name} already")
            known[one.id] = one
        return type(self)(dict(sorted(known.items())))

    def chain(self, which: int | str) -> EthereumChain:
        """The chain with this id or short name; ``input.chain`` if there is none."""
        for one in self.by_id.values():
            if which in (one.id, one.short_name):
                return one
        names = ", ".join(one.short_name for one in self.by_id.values())
        raise _invalid(f"no chain is called {which!r:.40}: known are {names}; others are added by a file")


@cache
def _built_in() -> Mapping[int, EthereumChain]:
    folder = files("bursar.chain") / "chains"
    found = [EthereumChain.from_toml(one.read_text("utf-8")) for one in folder.iterdir() if one.name.endswith(".toml")]
    return {one.id: one for one in sorted(found, key=lambda one: one.id)}


def _without_providers(chain: EthereumChain) -> tuple[Any, ...]:
    names = (name for name in EthereumChain.__dataclass_fields__ if name != "providers")
    return tuple(getattr(chain, name) for name in names)


def _member(kind: Any, value: object, what: str) -> Any:
    known = [one.value for one in kind]
    if value not in known:
        raise _invalid(f"the {what} of a chain is {', '.join(known)}, not {value!r:.40}")
    return kind(value)
