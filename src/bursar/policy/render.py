"""A review in a clerk's words: aligned, bounded, and with nothing in it that a terminal or the eye could misread."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from bursar.policy.amounts import format_units
from bursar.policy.history import asset_key
from bursar.policy.rules import BLIND_CODES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bursar.policy.history import AssetKey
    from bursar.policy.review import Asset, Called, Granted, Review

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")  # letters and symbols that show nothing
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
_LONGEST_ADDRESS = 128
_LONGEST_PAYEE = 256  # a script without an address, OP_RETURN with all the data that nodes relay
_LONGEST_TEXT = 240
_LONGEST_SYMBOL = 12
_MOST_MARKS = 2  # combining marks in a row that a living language needs
_LONGEST_ARGUMENT = 96
_MOST_ARGUMENTS = 12
_YEAR_9999 = 253_402_300_800
_INDENT = "  "


def plain_text(text: str, *, longest: int = _LONGEST_TEXT, ascii_only: bool = False) -> str:
    r"""``text`` on one line, bounded, with what hides or reorders characters written out as ``\u202e``.

    Escaped: control and format characters, line breaks, right-to-left letters, odd spaces, more than two combining
    marks in a row, and the backslash itself, so that an escape cannot be forged.
    """
    marks = 0
    parts: list[str] = []
    length = 0
    for place, character in enumerate(text):
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        hidden = (
            category in _HIDDEN
            or (category == "Zs" and character != " ")
            or character in _BLANK
            or marks > _MOST_MARKS
            or unicodedata.bidirectional(character) in _RIGHT_TO_LEFT
            or (ascii_only and not character.isascii())
        )
        part = _escape(character) if hidden else "\\\\" if character == "\\" else character
        length += len(part)
        if length > longest:
            parts.append(f"… ({len(text) - place} more)")
            break
        parts.append(part)
    return "".join(parts)


def amount_text(value: int, asset: Asset) -> str:
    """``value`` base units of ``asset`` with its symbol made safe: "0.5 BTC"."""
    symbol = plain_text(asset.symbol, longest=_LONGEST_SYMBOL, ascii_only=True) or "(no symbol)"
    return f"{format_units(value, asset.decimals)} {symbol}"


def _numbered(amount: int, token_id: int | None, asset: Asset) -> str:
    """An amount, or the number of the token."""
    if token_id is None:
        return amount_text(amount, asset)
    symbol = plain_text(asset.symbol, longest=_LONGEST_SYMBOL, ascii_only=True) or "(no symbol)"
    number = plain_text(str(token_id), longest=78)
    return f"{symbol} number {number}" if amount == 1 else f"{amount} of {symbol} number {number}"


def time_text(seconds: int) -> str:
    """Seconds since 1970 as a date and time in UTC."""
    if seconds >= _YEAR_9999:
        return "the end of time"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def review_text(review: Review, *, most: int = 100) -> str:
    """The whole review as lines of text; of more than ``most`` payments the rest is counted and summed, not hidden."""
    lines = ["Transfer to approve", *_rows(_heading(review)), ""]
    lines += ["Pays", *_payment_lines(review, most)]
    if review.allowances:
        lines += ["", "May be taken later, without asking again", *_allowance_lines(review, most)]
    if review.delegations:
        lines += ["", "Whose code accounts run from now on: it may do anything with them", *_delegation_lines(review)]
    if any(one.name is not None or not one.understood or one.calls for one in review.calls) and not _repeats(review):
        lines += ["", "Calls", *_call_lines(review, most)]
    lines += ["", "Costs", *_rows(_costs(review))]
    if review.change:
        lines += ["", "Comes back to this account", *_change_lines(review, most)]
    if review.warnings:
        lines += ["", f"Warnings ({len(review.warnings)})"]
        # where some are not shown, those are that a policy decides upon
        first = sorted(review.warnings, key=lambda one: one.code not in BLIND_CODES)
        shown = review.warnings if len(first) <= most else first[:most]
        lines += [f"{_INDENT}! {plain_text(warning.text)}" for warning in shown]
        lines += _unshown(len(review.warnings) - most, "warnings")
    if review.extra:
        lines += [
            "",
            "Details",
            *_rows([(_label(key), plain_text(str(review.extra[key]))) for key in sorted(review.extra)]),
        ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _heading(review: Review) -> Iterator[tuple[str, str]]:
    yield "From account", plain_text(review.account, longest=64)
    yield "On", f"{_chain_words(review.chain)}, {_network_words(review.network)}"
    if review.replaces is not None:
        yield "Replaces", plain_text(review.replaces, longest=_LONGEST_ADDRESS)


def _payment_lines(review: Review, most: int) -> Iterator[str]:
    if not review.payments:
        yield f"{_INDENT}nobody: {'only the network fee leaves' if review.max_fee else 'nothing leaves'} this account"
    shown = review.payments[:most]
    amounts = [_numbered(payment.amount, payment.token_id, payment.asset) for payment in shown]
    width = max(map(text_width, amounts), default=0)
    for payment, amount in zip(shown, amounts, strict=True):
        yield f"{_INDENT}{_pad(amount, width, right=True)}  to  {plain_text(payment.to, longest=_LONGEST_PAYEE)}"
        if payment.asset.contract is not None:
            contract = plain_text(payment.asset.contract, longest=_LONGEST_ADDRESS)
            yield f"{_INDENT}{' ' * width}      token contract {contract}"
        if payment.owner is not None:
            owner = plain_text(payment.owner, longest=_LONGEST_ADDRESS)
            yield f"{_INDENT}{' ' * width}      out of {owner}, not of this account"
        if payment.label:
            yield f'{_INDENT}{" " * width}      named "{plain_text(payment.label, longest=60)}"'
    yield from _unshown(len(review.payments) - most, "payments")
    if len(review.payments) > 1:
        totals = [amount_text(total, asset) for total, asset in _totals(review)]
        yield from (f"{_INDENT}{_pad(total, width, right=True)}  in all" for total in totals)


def _allowance_lines(review: Review, most: int) -> Iterator[str]:
    first = sorted(review.allowances, key=lambda one: not one.unlimited)
    for one in review.allowances if len(first) <= most else first[:most]:
        until = "" if one.until is None else f", until {time_text(one.until)}"
        yield f"{_INDENT}{_granted_words(one)}{until}"
        yield f"{_INDENT * 2}by  {plain_text(one.spender, longest=_LONGEST_PAYEE)}"
        if one.asset.contract is not None:
            yield f"{_INDENT * 2}token contract {plain_text(one.asset.contract, longest=_LONGEST_ADDRESS)}"
    yield from _unshown(len(review.allowances) - most, "allowances")


def _granted_words(one: Granted) -> str:
    symbol = plain_text(one.asset.symbol, longest=_LONGEST_SYMBOL, ascii_only=True) or "(no symbol)"
    if one.unlimited:
        return f"ALL {symbol}, now and later"
    if not one.amount:
        number = "" if one.token_id is None else f" number {one.token_id}"
        return f"no {symbol}{number} any more: this takes an allowance back"
    return _numbered(one.amount, one.token_id, one.asset)


def _delegation_lines(review: Review) -> Iterator[str]:
    for one in review.delegations:
        who, code = (plain_text(text, longest=_LONGEST_ADDRESS) for text in (one.authority, one.delegate))
        where = ", on EVERY chain" if one.any_chain else ""
        if set(one.delegate.lower()) <= {"0", "x"}:
            yield f"{_INDENT}{who}  runs no code of others any more{where}"
        else:
            yield f"{_INDENT}{who}  runs the code of  {code}{where}"


def _repeats(review: Review) -> bool:
    """Whether the calls are one plain transfer or approval, all of which stands above as a payment or an allowance."""
    if len(review.calls) != 1 or len(review.payments) + len(review.allowances) != 1 or review.delegations:
        return False
    call = review.calls[0]
    if review.payments:
        one = review.payments[0]
        usual, party, asset, amount, token_id = "transfer", one.to, one.asset, one.amount, one.token_id
    else:
        given = review.allowances[0]
        usual, party, asset, amount, token_id = "approve", given.spender, given.asset, given.amount, given.token_id
    plain = call.understood and not call.calls and not call.delegate and not call.value
    shown = [party, str(amount if token_id is None else token_id)]
    same = (call.name, call.to, [text for _, text in call.arguments]) == (usual, asset.contract, shown)
    return plain and same


def _call_lines(review: Review, most: int) -> Iterator[str]:
    rows = _call_rows(review.calls, review.fee_asset, 1)
    yield from islice(rows, most)
    yield from _unshown(sum(1 for _ in rows), "lines of calls")


def _call_rows(calls: Sequence[Called], coin: Asset, depth: int) -> Iterator[str]:
    indent = _INDENT * depth
    for one in calls:
        value = f", with {amount_text(one.value, coin)}" if one.value else ""
        if one.to is None:
            yield f"{indent}A NEW CONTRACT, whose code nobody here has read{value}"
            continue
        to = plain_text(one.to, longest=_LONGEST_ADDRESS)
        name = "UNKNOWN CODE RUN AS THE CALLER" if one.delegate and not one.understood else _call_name(one)
        yield f"{indent}{name}  on  {to}{value}"
        for label, text in one.arguments[:_MOST_ARGUMENTS]:
            yield f"{indent}{_INDENT}{plain_text(label, longest=32)}: {plain_text(text, longest=_LONGEST_ARGUMENT)}"
        yield from _call_rows(one.calls, coin, depth + 1)


def _call_name(one: Called) -> str:
    if one.name is None:
        return "a payment" if one.understood else "AN UNKNOWN FUNCTION"
    return plain_text(one.name, longest=64) + ("" if one.understood else " (effects unknown)")


def _costs(review: Review) -> Iterator[tuple[str, str]]:
    rate = plain_text(review.fee_rate, longest=60)
    yield "Network fee", f"{amount_text(review.fee, review.fee_asset)} ({rate})"
    if review.max_fee != review.fee:
        yield "At most", amount_text(review.max_fee, review.fee_asset)
    leaving = [amount_text(total, asset) for total, asset in _totals(review, review.max_fee)]
    if leaving:
        yield "Leaves the account", f"{' and '.join(leaving)}, fee included"


def _change_lines(review: Review, most: int) -> Iterator[str]:
    shown = review.change[:most]
    amounts = [amount_text(change.amount, review.fee_asset) for change in shown]
    width = max(map(text_width, amounts), default=0)
    for change, amount in zip(shown, amounts, strict=True):
        address = plain_text(change.address, longest=_LONGEST_ADDRESS)
        yield f"{_INDENT}{_pad(amount, width, right=True)}  on  {address} ({plain_text(change.path, longest=64)})"
    yield from _unshown(len(review.change) - most, "outputs")


def _totals(review: Review, fee: int | None = None) -> list[tuple[int, Asset]]:
    """What is paid by asset; with ``fee``, what leaves the account itself."""
    totals: dict[AssetKey, int] = {}
    assets: dict[AssetKey, Asset] = {}
    for payment in review.payments:
        if fee is not None and payment.owner is not None:
            continue
        key = asset_key(payment.asset)
        totals[key] = totals.get(key, 0) + payment.amount
        assets.setdefault(key, payment.asset)
    if fee:
        key = asset_key(review.fee_asset)
        totals[key] = totals.get(key, 0) + fee
        assets.setdefault(key, review.fee_asset)
    return [(total, assets[key]) for key, total in totals.items()]


def _unshown(count: int, what: str) -> Iterator[str]:
    if count > 0:
        yield f"{_INDENT}and {count} more {what} that are not shown here: do not approve what you have not read"


def _rows(rows: Sequence[tuple[str, str]] | Iterator[tuple[str, str]]) -> Iterator[str]:
    pairs = list(rows)
    width = max((text_width(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        yield f"{_INDENT}{_pad(name, width)}  {value}"


def _label(key: str) -> str:
    words = plain_text(key, longest=32).replace("_", " ")
    return words[:1].upper() + words[1:]


def _chain_words(chain: str) -> str:
    return {"bitcoin": "Bitcoin", "ethereum": "Ethereum"}.get(chain, plain_text(chain, longest=32))


def _network_words(network: str) -> str:
    if network in ("main", "eip155:1"):
        return "main network (real money)"
    words = {"regtest": "regtest (a private test chain)", "signet": "signet (test money)"}
    if network in words:
        return words[network]
    if network.startswith("testnet"):
        return f"{plain_text(network, longest=32)} (test money)"
    return plain_text(network.replace("eip155:", "chain "), longest=32)


def text_width(text: str) -> int:
    """How many terminal cells ``text`` takes."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _pad(text: str, width: int, *, right: bool = False) -> str:
    space = " " * max(0, width - text_width(text))
    return space + text if right else text + space


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
