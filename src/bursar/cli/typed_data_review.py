"""Typed data (EIP-712) before it is signed: every field in words, and what it gives away."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bursar.ethereum.address import Address
from bursar.ethereum.typed_data_effects import SignedAllowance, TypedDataEffects, leaves, typed_data_effects
from bursar.policy.render import plain_text, review_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bursar.ethereum.token import Token
    from bursar.ethereum.typed_data import TypedData
    from bursar.policy.review import Review

_LONGEST = 400
_MOST_FIELDS = 2000  # shown; the rest is counted
_WIDEST = 48  # column of the places
_YEAR_9999 = 253_402_300_800


def read_typed_data(file: str) -> TypedData:
    """The typed data in a file, '-' for standard input."""
    from bursar.cli.message_proofs import LARGEST_MESSAGE, read_text
    from bursar.ethereum.typed_data import TypedData

    if file == "-":
        return TypedData.from_json(read_text("-"))
    with Path(file).open("rb") as opened:
        return TypedData.from_json(opened.read(LARGEST_MESSAGE + 1))


def typed_data_text(
    typed: TypedData, account: str, signer: Address, tokens: Mapping[Address, Token], review: Review, *, clear: str = ""
) -> str:
    """What is signed, whole: domain, primary type, each field, and in words what it lets others do.

    ``clear`` are the words of a descriptor, which stand last.
    ``review`` is what the policy decides upon (``policy.typed_data``): its warnings, and the calls where there are any.
    """
    fields = leaves(typed)
    rows = [(place, kind, _value(value)) for place, kind, value in islice(fields, _MOST_FIELDS)]
    further = sum(1 for _ in fields)
    width = min(_WIDEST, max(len(place) for place, _, _ in rows))
    lines = ["Typed data to sign (EIP-712)", f"  With     {plain_text(account, longest=64)}, {signer}"]
    lines += [f"  For      {_domain(typed)}", f"  As       {typed.primary_type}", "", "Every field of it"]
    lines += [f"  {place.ljust(width)}  {value}  ({kind})" for place, kind, value in rows]
    if further:
        lines.append(f"  and {further} more fields that are not shown here: do not sign what you have not read")
    lines += ["", f"Domain hash   0x{typed.domain_separator.hex()}", f"Message hash  0x{typed.message_hash.hex()}"]
    effects = typed_data_effects(typed)
    given = [*_allowances(effects, tokens), *_payments(effects, tokens)]
    if given:
        lines += ["", "Whoever holds the signature can make this happen, without asking again", *given]
    if review.calls:
        lines += ["", review_text(review).rstrip()]
    elif review.warnings:
        lines += ["", f"Warnings ({len(review.warnings)})"]
        lines += [f"  ! {plain_text(one.text)}" for one in review.warnings]
    return "\n".join(lines) + "\n" + clear


def _domain(typed: TypedData) -> str:
    domain = typed.domain
    named = [plain_text(str(domain[name]), longest=80) for name in ("name", "version") if name in domain]
    words = [" ".join(named) or "a domain without a name"]
    if typed.verifying_contract is not None:
        words.append(f"contract {typed.verifying_contract}")
    words.append("any chain" if typed.chain_id is None else f"chain {typed.chain_id}")
    return ", ".join(words)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case str():
            return f'"{plain_text(value, longest=_LONGEST)}"'
        case bytes():
            shown = value[: _LONGEST // 2].hex()
            return f"0x{shown}" + (f"… ({len(value)} bytes)" if len(value) > _LONGEST // 2 else "")
        case int() | Address():
            return str(value)
        case _:
            return "an empty array"


def _amount(amount: int, contract: Address | None, tokens: Mapping[Address, Token]) -> str:
    token = tokens.get(contract) if contract is not None else None
    if token is not None:
        return f"{token.format_amount(amount)} (token contract {contract})"
    return f"{amount} base units of the unregistered token {contract or 'that the domain does not name'}"


def _allowances(effects: TypedDataEffects, tokens: Mapping[Address, Token]) -> Iterator[str]:
    for one in effects.allowances:
        yield f"  {one.spender} may take {_what(one, tokens)}{_times(one)}"


def _what(one: SignedAllowance, tokens: Mapping[Address, Token]) -> str:
    if one.token_id is not None:
        return f"the token number {one.token_id} of {one.contract}"
    if one.unlimited:
        token = tokens.get(one.contract) if one.contract is not None else None
        return f"ALL tokens of {token.symbol + ' ' if token else ''}{one.contract}, now and later"
    return _amount(one.amount, one.contract, tokens) if one.amount else f"no more tokens of {one.contract}"


def _times(one: SignedAllowance) -> str:
    words = f", until {_time(one.until)}" if one.until is not None else ""
    return words + (f", if it is used by {_time(one.deadline)}" if one.deadline is not None else "")


def _payments(effects: TypedDataEffects, tokens: Mapping[Address, Token]) -> Iterator[str]:
    for one in effects.movements:
        yield f"  {one.recipient} is paid {_amount(one.amount, one.contract, tokens)} of {one.owner}"


def _time(seconds: int) -> str:
    if seconds >= _YEAR_9999:
        return "the end of time"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
