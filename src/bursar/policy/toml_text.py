"""Policy text (TOML 1.0) to rules: every key known, every amount with its unit, every error with its place."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from bursar.errors import InvalidInputError
from bursar.policy.address_text import check_address
from bursar.policy.amounts import (
    RESERVED_SYMBOLS,
    AssetScope,
    Token,
    asset_scope,
    parse_amount,
    parse_percentage,
    parse_rate,
    parse_window,
)
from bursar.policy.rules import (
    AllowAny,
    AllowCalls,
    AllowCreations,
    AllowDelegations,
    AllowList,
    Approval,
    DenyAny,
    DenyList,
    FeeCap,
    Limit,
    RollingLimit,
    Rule,
    Scope,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Table: TypeAlias = dict[str, Any]
_T = TypeVar("_T")

_LARGEST_TEXT = 1 << 20
_MOST_DOTS = 100  # in one line: the TOML reader takes a dotted key in time and memory that grow with its square
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_SYMBOL = re.compile(r"[A-Za-z][A-Za-z0-9]{0,15}", re.ASCII)
_ETHEREUM_NETWORK = re.compile(r"eip155:[1-9]\d{0,19}", re.ASCII)
_BITCOIN_NETWORKS = ("main", "testnet", "testnet4", "signet", "regtest")
_SCOPE_KEYS = ("chain", "network", "account")
_LARGEST_QUORUM = 100


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A policy text as read: its tokens by symbol and its rules in order."""

    tokens: Mapping[str, Token]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind of rule is written: its class, and the readers of its keys."""

    rule: Callable[..., Rule]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    asset: bool = False  # whether the scope may name an asset


_KINDS = {
    AllowAny.kind: _Kind(AllowAny, asset=True),
    AllowList.kind: _Kind(AllowList, required=("addresses",), asset=True),
    AllowCalls.kind: _Kind(AllowCalls, required=("contracts",)),
    AllowCreations.kind: _Kind(AllowCreations),
    AllowDelegations.kind: _Kind(AllowDelegations, required=("delegates",), optional=("any_chain",)),
    DenyAny.kind: _Kind(DenyAny, asset=True),
    DenyList.kind: _Kind(DenyList, required=("addresses",)),
    Limit.kind: _Kind(Limit, required=("max",)),
    RollingLimit.kind: _Kind(RollingLimit, required=("max", "window")),
    FeeCap.kind: _Kind(FeeCap, optional=("max", "percent", "rate")),
    Approval.kind: _Kind(Approval, required=("quorum",), optional=("above",), asset=True),
}


def read_policy(text: str) -> PolicyText:
    """Read a whole policy text. Raises ``InvalidInputError`` (code ``input.policy``) naming the place."""
    if len(text) > _LARGEST_TEXT:
        raise _error("policy", f"it is longer than {_LARGEST_TEXT} characters")
    if any(line.count(".") > _MOST_DOTS and not line.lstrip().startswith("#") for line in text.split("\n")):
        raise _error("policy", f"a line has more than {_MOST_DOTS} dots: break it")
    try:
        document: Table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _error("policy", f"it is no valid TOML: {error}") from error
    _check_keys("policy", document, required=("version",), optional=("token", "rule"))
    if document["version"] != 1 or isinstance(document["version"], bool):
        raise _error("policy", f'key "version": {document["version"]!r} is unknown, this program reads version 1')
    tokens: dict[str, Token] = {}
    for place, table in _tables(document, "token"):
        token = _read_token(place, table)
        if token.symbol in tokens:
            raise _error(place, f'key "symbol": {token.symbol!r} is taken by an earlier token')
        tokens[token.symbol] = token
    rules: dict[str, Rule] = {}
    for place, table in _tables(document, "rule"):
        rule = _read_rule(place, table, tokens)
        if rule.name in rules:
            raise _error(place, f'key "name": {rule.name!r} is taken by an earlier rule')
        rules[rule.name] = rule
    return PolicyText(tokens, tuple(rules.values()))


def _tables(document: Table, key: str) -> list[tuple[str, Table]]:
    tables = document.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise _error("policy", f'key "{key}": write each {key} under a line [[{key}]]')
    return [(_place(key, number, table), table) for number, table in enumerate(tables, 1)]


def _place(key: str, number: int, table: Table) -> str:
    name = table.get("name" if key == "rule" else "symbol")
    return (
        f'{key} {number} "{name}"'
        if isinstance(name, str) and name.isascii() and name.isprintable()
        else f"{key} {number}"
    )


def _read_token(place: str, table: Table) -> Token:
    _check_keys(place, table, required=("symbol", "network", "contract", "decimals"))
    symbol, network = _text(place, table, "symbol"), _text(place, table, "network")
    if _SYMBOL.fullmatch(symbol) is None:
        raise _error(place, 'key "symbol": use up to 16 letters and digits, a letter first')
    if symbol.lower() in RESERVED_SYMBOLS:
        raise _error(place, f'key "symbol": {symbol!r} is a unit of the chain\'s own coin, choose another word')
    if _ETHEREUM_NETWORK.fullmatch(network) is None:
        raise _error(place, f'key "network": {network!r} is no Ethereum network: write it as "eip155:1"')
    contract = _read(place, "contract", lambda: check_address(_text(place, table, "contract"), chain="ethereum"))
    decimals = table["decimals"]
    if not isinstance(decimals, int) or isinstance(decimals, bool) or not 0 <= decimals <= 77:
        raise _error(place, f'key "decimals": {decimals!r} is no whole number from 0 to 77')
    return Token(symbol, network, contract, decimals)


def _read_rule(place: str, table: Table, tokens: Mapping[str, Token]) -> Rule:
    kind = _KINDS.get(_text(place, table, "kind"))
    if kind is None:
        raise _error(place, f'key "kind": unknown kind {table["kind"]!r}: {_nearest(table["kind"], _KINDS)}')
    optional = (*_SCOPE_KEYS, *(("asset",) if kind.asset else ()), *kind.optional)
    _check_keys(place, table, required=("name", "kind", *kind.required), optional=optional)
    name = _text(place, table, "name")
    if _NAME.fullmatch(name) is None:
        raise _error(place, 'key "name": use up to 64 lower-case letters, digits and hyphens')
    scope = _read_scope(place, table, tokens)
    values = {key: _read_value(place, table, key, scope, tokens) for key in (*kind.required, *kind.optional)}
    if kind.rule is FeeCap and not any(values.values()):
        raise _error(place, 'a fee cap needs at least one of the keys "max", "percent" and "rate"')
    return kind.rule(name=name, scope=scope, **values)


def _read_scope(place: str, table: Table, tokens: Mapping[str, Token]) -> Scope:
    chain, network = _optional_text(place, table, "chain"), _optional_text(place, table, "network")
    if chain not in (None, "bitcoin", "ethereum"):
        raise _error(place, f'key "chain": {chain!r} is neither "bitcoin" nor "ethereum"')
    if network is not None:
        home = "bitcoin" if network in _BITCOIN_NETWORKS else "ethereum"
        if home == "ethereum" and _ETHEREUM_NETWORK.fullmatch(network) is None:
            known = ", ".join(_BITCOIN_NETWORKS)
            raise _error(
                place, f'key "network": unknown network {network!r}: write {known}, or "eip155:1" for Ethereum'
            )
        if chain not in (None, home):
            raise _error(place, f'key "network": {network!r} is no network of {chain}')
        chain = home
    account = _optional_text(place, table, "account")
    if account is not None and _ACCOUNT.fullmatch(account) is None:
        raise _error(
            place,
            f'key "account": no account can be called {account!a}: use letters, digits, dots and dashes',
        )
    name = _optional_text(place, table, "asset")
    asset = None if name is None else _read(place, "asset", lambda: asset_scope(name, tokens))
    scope = Scope(chain, network, account, asset)
    if asset is not None:
        _check_agreement(place, "asset", scope, asset)
    return scope


def _check_agreement(place: str, key: str, scope: Scope, asset: AssetScope) -> None:
    if scope.chain not in (None, asset.chain):
        raise _error(place, f'key "{key}": {asset.symbol} is not paid on {scope.chain}, this rule would never speak')
    if None not in (scope.network, asset.network) and scope.network != asset.network:
        raise _error(place, f'key "{key}": {asset.symbol} lives on {asset.network}, this rule would never speak')


def _read_value(place: str, table: Table, key: str, scope: Scope, tokens: Mapping[str, Token]) -> object:
    if key not in table:
        return None
    if key == "quorum":
        quorum = table[key]
        if not isinstance(quorum, int) or isinstance(quorum, bool) or not 1 <= quorum <= _LARGEST_QUORUM:
            raise _error(place, f'key "quorum": {quorum!r} is no whole number from 1 to {_LARGEST_QUORUM}')
        return quorum
    if key == "any_chain":
        if not isinstance(table[key], bool):
            raise _error(place, f'key "any_chain": {table[key]!r} is neither true nor false')
        return table[key]
    if key in ("addresses", "contracts", "delegates"):
        return _read_addresses(place, table[key], key, scope)
    text = _text(place, table, key)
    match key:
        case "window":
            return _read(place, key, lambda: parse_window(text))
        case "percent":
            return _read(place, key, lambda: parse_percentage(text))
        case "rate":
            rate = _read(place, key, lambda: parse_rate(text))
            if scope.chain not in (None, rate.chain):
                raise _error(place, f'key "rate": {text!r} is no fee rate on {scope.chain}')
            return rate
    amount = _read(place, key, lambda: parse_amount(text, tokens))
    _check_agreement(place, key, scope, amount.asset)
    if table["kind"] == FeeCap.kind and amount.asset.contract is not None:
        raise _error(place, f'key "max": a fee is paid in the chain\'s own coin, not in {amount.asset.symbol}')
    return amount


def _read_addresses(place: str, value: object, key: str, scope: Scope) -> frozenset[str]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise _error(place, f'key "{key}": write a list of at least one address, each in quotes')
    chain = scope.chain if key == "addresses" else "ethereum"
    network = scope.network if chain == "bitcoin" else None
    return _read(place, key, lambda: frozenset(check_address(item, chain=chain, network=network) for item in value))


def _read(place: str, key: str, reader: Callable[[], _T]) -> _T:
    try:
        return reader()
    except InvalidInputError as error:
        raise _error(place, f'key "{key}": {error.message}') from error


def _text(place: str, table: Table, key: str) -> str:
    value = _optional_text(place, table, key)
    if value is None:
        raise _error(place, f'key "{key}" is missing')
    return value


def _optional_text(place: str, table: Table, key: str) -> str | None:
    value = table.get(key)
    if value is not None and (not isinstance(value, str) or not value):
        raise _error(place, f'key "{key}": {value!r} is no text: write it in quotes')
    return value


def _check_keys(place: str, table: Table, *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    known = (*required, *optional)
    for key in table:
        if key not in known:
            raise _error(place, f"unknown key {key!r}: {_nearest(key, known)}")
    for key in required:
        if key not in table:
            raise _error(place, f'key "{key}" is missing')


def _nearest(word: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    near = get_close_matches(word[:64], list(known), n=1)
    return f'did you mean "{near[0]}"?' if near else "known are " + ", ".join(known)


def _error(place: str, problem: str) -> InvalidInputError:
    return InvalidInputError(f"{place}: {problem}", code="input.policy")
