"""What a backup holds, as a value and as JSON of version 1: everything but the private keys and the chain's history."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.accounts import account_from_json
from bursar.bitcoin.labels import LabelRecord
from bursar.bitcoin.network import Network
from bursar.bitcoin.wallet_policy import WalletPolicy
from bursar.errors import BursarError, CorruptStoreError, InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.token import Token
from bursar.keys.origin import Fingerprint
from bursar.wallet.accounts import ethereum_account_from_json
from bursar.wallet.canonical import field as member
from bursar.wallet.canonical import open_record
from bursar.wallet.records import JournalHead

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bursar.wallet.accounts import Account

KIND: Final = "bursar-backup"
VERSION: Final = 1
WITNESSES: Final = 5
"""How many addresses of each branch are written into a backup, to be compared in a drill."""

_MOST_ACCOUNTS: Final = 10_000
_MOST_RULES: Final = 1 << 20
_HEAD: Final = re.compile(r"[0-9a-f]{64}")


def corrupt(reason: str) -> CorruptStoreError:
    """A backup that was opened and does not hold what it should."""
    return CorruptStoreError(f"the backup is damaged: {reason}: use another copy", code="store.backup")


@dataclass(frozen=True, slots=True)
class BackedUpAccount:
    """An account's public half, its first addresses, and how far each branch had been used.

    ``first`` has the first addresses of each branch, ``next_index`` the first index of each that was never handed out.
    """

    name: str
    account: Account
    first: tuple[tuple[str, ...], ...]
    signers: tuple[str, ...] = ()
    gap_limit: int = 20
    created: int = 0
    next_index: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "account": self.account.to_json(),
            "first": [list(one) for one in self.first],
            "signers": list(self.signers),
            "gap_limit": self.gap_limit,
            "created": self.created,
            "next_index": list(self.next_index),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> BackedUpAccount:
        public = member(data, "account", dict)
        ethereum = public.get("kind") in ("ethereum", "ethereum-address")
        account = ethereum_account_from_json(public) if ethereum else account_from_json(public)
        return cls(
            member(data, "name", str),
            account,
            tuple(_texts(one) for one in member(data, "first", list)),
            _texts(member(data, "signers", list)),
            member(data, "gap_limit", int),
            member(data, "created", int),
            tuple(_count(one) for one in member(data, "next_index", list)),
        )


@dataclass(frozen=True, slots=True)
class RegisteredPolicy:
    """A wallet policy (BIP-388) that the Ledger ``fingerprint`` registered, and its proof of it.

    A proof cannot be taken back on the device: a policy no longer wanted is ``retired``.
    """

    policy: WalletPolicy
    fingerprint: Fingerprint
    hmac: bytes = field(repr=False)
    retired: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "policy": self.policy.to_json(),
            "fingerprint": str(self.fingerprint),
            "hmac": self.hmac.hex(),
            "retired": self.retired,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RegisteredPolicy:
        proof = member(data, "hmac", str)
        if not _HEAD.fullmatch(proof):
            raise InvalidInputError("a Ledger's proof has 32 bytes", code="input.policy")
        return cls(
            WalletPolicy.from_json(member(data, "policy", dict)),
            Fingerprint.from_text(member(data, "fingerprint", str)),
            bytes.fromhex(proof),
            member(data, "retired", bool),
        )


@dataclass(frozen=True, slots=True)
class Bundle:
    """A backup's content. ``labels`` belong to networks; ``rules`` is the text of the policy file, if there was one.

    ``silent`` are records of silent payments as their keeper writes them, who judges them when they come back.

    ``journal`` is the journal's head when the backup was made: a journal that does not hold it was cut or rewritten.
    """

    created: int
    program: str
    accounts: tuple[BackedUpAccount, ...]
    journal: JournalHead
    labels: tuple[tuple[Network, LabelRecord], ...] = ()
    tokens: tuple[Token, ...] = ()
    policies: tuple[RegisteredPolicy, ...] = ()
    rules: str | None = None
    silent: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": KIND,
            "version": VERSION,
            "created": self.created,
            "program": self.program,
            "accounts": [one.to_json() for one in self.accounts],
            "labels": [[network.name, record.to_json()] for network, record in self.labels],
            "tokens": [[one.chain_id, str(one.contract), one.symbol, one.decimals] for one in self.tokens],
            "policies": [one.to_json() for one in self.policies],
            "rules": self.rules,
            "silent": list(self.silent),
            "journal": self.journal.to_json(),
        }

    @classmethod
    def from_json(cls, data: object) -> Bundle:
        """The reverse; ``CorruptStoreError`` (``store.backup``), or ``InvalidInputError`` for another version."""
        record = open_record(data, KIND, VERSION)
        try:
            accounts = _all(record, "accounts", BackedUpAccount.from_json)
            if len(accounts) > _MOST_ACCOUNTS or len({one.name for one in accounts}) != len(accounts):
                raise InvalidInputError("two accounts have one name, or there are too many")
            rules = record.get("rules")
            if rules is not None and (not isinstance(rules, str) or len(rules) > _MOST_RULES):
                raise InvalidInputError("the rules are not a text")
            return cls(
                member(record, "created", int),
                member(record, "program", str),
                accounts,
                JournalHead.from_json(record.get("journal")),
                tuple(_label(one) for one in member(record, "labels", list)),
                tuple(_token(one) for one in member(record, "tokens", list)),
                _all(record, "policies", RegisteredPolicy.from_json),
                rules,
                _all({"silent": [], **record}, "silent", dict),
            )
        except (BursarError, TypeError, ValueError) as error:
            raise corrupt(error.message if isinstance(error, BursarError) else "a field has a wrong type") from error


def _all(record: dict[str, Any], name: str, read: Callable[[dict[str, Any]], Any]) -> tuple[Any, ...]:
    found = member(record, name, list)
    if not all(isinstance(one, dict) for one in found):
        raise InvalidInputError(f"{name} does not hold objects")
    return tuple(read(one) for one in found)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise InvalidInputError("a list of texts is none")
    return tuple(value)


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 31:
        raise InvalidInputError("an index is out of range")
    return value


def _label(value: object) -> tuple[Network, LabelRecord]:
    network, record = _row(value, 2)
    return Network.from_text(network), LabelRecord.from_json(record)


def _token(value: object) -> Token:
    chain_id, contract, symbol, decimals = _row(value, 4)
    return Token(chain_id, Address.from_text(contract), symbol, decimals)


def _row(value: object, length: int) -> Sequence[Any]:
    if not isinstance(value, list) or len(value) != length:
        raise InvalidInputError("a row has a wrong length")
    return value
