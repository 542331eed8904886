"""What to do next where a refusal is nobody's mistake: words for people, after the error or the policy's sentence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bursar.policy.review import (
    ALLOWANCE_TO_ACCOUNT,
    CREATION,
    DOMAIN_MISMATCH,
    SAFE_CHANGE,
    UNLIMITED_ALLOWANCE,
)
from bursar.policy.verdict import Deny

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bursar.policy.history import History
    from bursar.policy.review import Asset, Review
    from bursar.policy.verdict import Verdict

_HEAD = "No rule allows {what}.\nWhoever answers for the policy may add to {policy}{limits}:\n"
_LIMITS = ", with a limit of their choice in place of 100"
_REGISTER = "Nobody registered the token {contract}: see 'bursar eth token show', then register it.\n"
_BLIND = (
    "this call",
    "What nobody could read here can do whatever the contracts named can do for the account:\n"
    "allow it only for contracts you know.\n",
)
_KNOWN = {
    UNLIMITED_ALLOWANCE: (
        "an unlimited allowance",
        "An allowance of an amount needs no such rule, and leaves the rest of the tokens alone.\n",
    ),
    ALLOWANCE_TO_ACCOUNT: (
        "an allowance to an address without code",
        "Contracts that take tokens have code; here somebody holds the key. Compare the address first.\n",
    ),
    SAFE_CHANGE: ("a change of who rules the Safe", "Whoever rules a Safe can pay everything out of it.\n"),
}
_MOST = 20  # pieces of advice
_SYMBOL = re.compile(r"[A-Za-z][A-Za-z0-9]{0,15}", re.ASCII)


def after_verdict(verdict: Verdict, review: Review, policy: Path, past: History) -> str:
    """A paragraph with the rules that would allow what no rule speaks of; else nothing.

    Those are payments of tokens the policy does not know, allowances, calls, creations and delegations. Each rule is
    tried: what would change nothing is not advised, and nothing against a rule that refuses.
    """
    from bursar.errors import InvalidInputError
    from bursar.policy.policy import DEFAULT_DENY, RulePolicy

    if not isinstance(verdict, Deny) or verdict.rule != DEFAULT_DENY:
        return ""
    before, notes, added, text = verdict, list[str](), list[_Piece](), policy.read_text(encoding="utf-8")
    for piece in _pieces(review, text, past):
        if piece.note and not piece.toml:
            notes.append(piece.note)
            continue
        longer = f"{text}\n{piece.toml}"
        try:
            now = RulePolicy.from_toml(longer).decide(review, past)
        except InvalidInputError:
            continue
        if now == before:
            continue
        added.append(piece)
        text = longer
        if not isinstance(now, Deny) or now.rule != DEFAULT_DENY:
            break
        before = now
    if not added:
        return "".join(f"\n{note}" for note in notes)
    what = " and ".join(dict.fromkeys(one.what for one in added))
    limits = _LIMITS if any("100 " in one.toml for one in added) else ""
    rules = "\n".join(_indented(one.toml) for one in added)
    notes += dict.fromkeys(one.note for one in added if one.note)
    return "".join(f"\n{part}" for part in (_HEAD.format(what=what, policy=policy, limits=limits), rules, *notes))


class _Piece:
    """Some tables of a policy text, what they allow, and what to say besides."""

    def __init__(self, what: str, toml: str, note: str = "") -> None:
        self.what, self.toml, self.note = what, toml, note


def _pieces(review: Review, text: str, past: History) -> Iterator[_Piece]:
    """In the order in which a policy asks for them."""
    book = _Book(text)
    for payment in review.payments[:_MOST]:
        if payment.asset.contract is not None and not book.knows(payment.asset):
            yield book.token(payment.asset, payment.token_id, "paying {symbol}", to=None)
    for granted in review.allowances[:_MOST]:
        if granted.amount:
            words = f"{granted.spender} to take {{symbol}}"
            yield book.token(granted.asset, granted.token_id, words, to=granted.spender)
    yield from _blind(review, book, past)
    for one in review.delegations[:_MOST]:
        every = "any_chain = true\n" if one.any_chain else ""
        toml = book.rule("delegations", "allow-delegations", f'delegates = ["{one.delegate}"]\n{every}')
        note = f"Whoever wrote the code of {one.delegate} can then do anything with the account.\n"
        yield _Piece(f"running the code of {one.delegate}", toml, note)


def _blind(review: Review, book: _Book, past: History) -> Iterator[_Piece]:
    from bursar.ethereum.address import Address
    from bursar.policy.rules import Question

    asked = Question(review, past)
    if asked.blind is None or asked.blind.code == DOMAIN_MISMATCH:
        return
    if asked.blind.code == CREATION:
        toml = book.rule("creations", "allow-creations", f'account = "{review.account}"\n')
        yield _Piece("creating a contract", toml)
        return
    if not all(asked.called):
        return  # a contract that nobody names
    named = ", ".join(f'"{Address.from_text(one, allow_lowercase=True)}"' for one in sorted(asked.called))
    toml = book.rule("calls", "allow-calls", f"contracts = [{named}]\n")
    what, note = _KNOWN.get(asked.blind.code, _BLIND)
    yield _Piece(what, toml, note)


class _Book:
    """A policy text: its tokens, and names of rules that are free."""

    def __init__(self, text: str) -> None:
        import tomllib

        found = tomllib.loads(text)
        self._tokens = {
            (str(one.get("network")), str(one.get("contract", "")).lower()): str(one.get("symbol"))
            for one in found.get("token", [])
        }
        self._names = {str(one.get("name")) for one in found.get("rule", [])}

    def knows(self, asset: Asset) -> bool:
        return (asset.network, (asset.contract or "").lower()) in self._tokens

    def token(self, asset: Asset, token_id: int | None, what: str, *, to: str | None) -> _Piece:
        """A rule for a token, and its table where there is none; without ``to``, for paying anyone."""
        from bursar.policy.ethereum_effects import UNREGISTERED

        key = (asset.network, (asset.contract or "").lower())
        symbol, table = self._tokens.get(key), ""
        if symbol is None:
            symbol = asset.symbol if token_id is None else f"NFT{(asset.contract or '')[2:8].upper()}"
            if symbol == UNREGISTERED or _SYMBOL.fullmatch(symbol) is None:
                return _Piece(what, "", _REGISTER.format(contract=asset.contract))
            self._tokens[key] = symbol
            table = (
                f'[[token]]\nsymbol = "{symbol}"\nnetwork = "{asset.network}"\ncontract = "{asset.contract}"\n'
                f"decimals = {asset.decimals}\n\n"
            )
        name, scope = symbol.lower(), f'asset = "{symbol}"\n'
        if to is None:
            rule = self.rule(f"{name}-to-anyone", "allow-any", scope)
        else:
            rule = self.rule(f"{name}-allowances", "allow-list", f'{scope}addresses = ["{to}"]\n')
        limit = self.rule(f"{name}-per-transfer", "limit", f'max = "100 {symbol}"\n') if table else ""
        return _Piece(what.format(symbol=symbol), table + rule + ("\n" + limit if limit else ""))

    def rule(self, name: str, kind: str, more: str) -> str:
        """The text of a rule with a name that no other has."""
        free = next(
            one for one in (name, *(f"{name}-{number}" for number in range(2, 10_000))) if one not in self._names
        )
        self._names.add(free)
        return f'[[rule]]\nname = "{free}"\nkind = "{kind}"\n{more}'


def _indented(toml: str) -> str:
    return "".join(f"  {line}\n" if line else "\n" for line in toml.splitlines())
