"""``config.toml``: which chains are used and where their nodes are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from bursar.bitcoin.network import Network
from bursar.bitcoin.units import FeeRate
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError

TEMPLATE = """\
# Bursar's settings. Every command reads this file; none writes it after `bursar init`.

network = "{network}"    # Bitcoin network of new accounts: main, testnet, testnet4, signet, regtest
chain_id = {chain_id}    # Ethereum chain of new accounts

# Nodes, one table for each chain. A sandbox started in this folder (`bursar sandbox up`) needs no table.
#
# [bitcoin.main]
# url = "http://127.0.0.1:8332"
# cookie = "~/.bitcoin/.cookie"        # or: user = "…" and password = "…"
#
# Instead of Bitcoin Core, a server of the Electrum protocol or of Esplora's:
# url = "ssl://electrum.example:50002" # tcp:// without encryption
# certificate = "first-use"            # or its SHA-256; without it, one that an authority signed
# url = "https://esplora.example/api"
# kind = "esplora"
#
# Who else is asked for fee rates: what is far off the others is not followed.
# [[bitcoin.main.fees]]
# url = "https://esplora.example/api"
# kind = "esplora"
# [[bitcoin.main.fees]]
# rate = "12sat/vb"
#
# [ethereum.1]
# url = "http://127.0.0.1:8545"
#
# Several of one chain: an answer counts where so many of them give it. Whoever differs is named on the screen.
# [ethereum.8453]
# quorum = 2                           # of three; more than half of them where it is left out
# [[ethereum.8453.providers]]
# url = "https://base.example/key"
# name = "first"                       # how it is called on the screen; its host where left out
#
# Where these are the keys of others, no command hands a secret out (`bursar keys`), unless it is allowed here:
#
# [custody]
# allow_export = false
"""


FIRST_USE = "first-use"
_LONGEST_NAME = 60
_SCHEMES = {
    "bitcoind": ("http://", "https://"),
    "electrum": ("ssl://", "tcp://"),
    "esplora": ("http://", "https://"),
}


@dataclass(frozen=True, slots=True)
class BitcoinNode:
    """A source of Bitcoin chain data: ``kind`` is ``bitcoind``, ``electrum`` or ``esplora``.

    A cookie file or a user with a password for Bitcoin Core; ``certificate`` is the SHA-256 of the server's (hex), or
    ``first-use``, to keep the one it shows first.
    """

    url: str
    cookie: Path | None = None
    user: str | None = None
    password: Secret | None = None
    kind: str = "bitcoind"
    certificate: str | None = None
    proxy: str | None = None
    fees: tuple[BitcoinNode | FeeRate, ...] = ()
    """Who else is asked for fee rates: other sources, and fixed rates."""


@dataclass(frozen=True, slots=True)
class EthereumProvider:
    """An Ethereum JSON-RPC endpoint; ``name`` is what people are told, since a url may hold a key."""

    name: str
    url: str = field(repr=False)

    @classmethod
    def at(cls, url: str) -> EthereumProvider:
        """Called by its host and port."""
        from urllib.parse import urlsplit

        return cls(urlsplit(url).netloc.rpartition("@")[2][:_LONGEST_NAME], url)


@dataclass(frozen=True, slots=True)
class EthereumNode:
    """The endpoints of one chain, and how many have to say the same.

    Without ``providers`` those of the chain's file count; without ``quorum`` more than half of them have to agree.
    """

    providers: tuple[EthereumProvider, ...] = ()
    quorum: int | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """The file, read and checked."""

    network: Network
    chain_id: int
    bitcoin: Mapping[Network, BitcoinNode] = field(default_factory=dict[Network, BitcoinNode])
    ethereum: Mapping[int, EthereumNode] = field(default_factory=dict[int, EthereumNode])
    allow_export: bool = True
    """Whether secrets may leave their keystores; false where a table ``[custody]`` does not allow it."""


def render(*, network: Network, chain_id: int) -> str:
    """The text ``init`` writes."""
    return TEMPLATE.format(network=network.name, chain_id=chain_id)


def read(path: Path) -> Config:
    """Read ``config.toml``; unknown keys and wrong types are errors, so that a typing mistake is not a default."""
    import tomllib

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _problem(path, str(error)) from error
    top = _Table(path, "", document)
    network = _network(path, top.text("network"))
    chain_id = top.number("chain_id")
    bitcoin = {_network(path, name): _bitcoin_node(table) for name, table in top.tables("bitcoin")}
    ethereum = {_chain_id(path, name): _ethereum_node(table) for name, table in top.tables("ethereum")}
    allow_export = _custody(top.optional_table("custody"))
    top.finish()
    return Config(network, chain_id, bitcoin, ethereum, allow_export)


def _custody(table: _Table | None) -> bool:
    if table is None:
        return True
    allow_export = table.flag("allow_export")
    table.finish()
    return allow_export


def _fee_source(table: _Table) -> BitcoinNode | FeeRate:
    rate = table.optional_text("rate")
    if rate is None:
        return _bitcoin_node(table)
    table.finish()
    try:
        return FeeRate.from_text(rate)
    except InvalidInputError as error:
        raise table.problem(error.message) from error


def _bitcoin_node(table: _Table) -> BitcoinNode:
    fees = tuple(_fee_source(one) for one in table.optional_tables("fees"))
    url, cookie = table.text("url"), table.optional_text("cookie")
    user, password = table.optional_text("user"), table.optional_text("password")
    kind = table.optional_text("kind") or ("electrum" if url.startswith(_SCHEMES["electrum"]) else "bitcoind")
    certificate, proxy = table.optional_text("certificate"), table.optional_text("proxy")
    table.finish()
    if kind not in _SCHEMES:
        raise table.problem(f"kind {kind!r} is none of {', '.join(_SCHEMES)}")
    if not url.startswith(_SCHEMES[kind]):
        raise table.problem(f"the url {url!r} of a {kind} must begin with {' or '.join(_SCHEMES[kind])}")
    if kind != "bitcoind" and (cookie or user):
        raise table.problem(f"a server of kind {kind} takes no cookie and no user")
    if certificate is not None and not url.startswith(("ssl://", "https://")):
        raise table.problem("a certificate belongs to an encrypted connection: ssl:// or https://")
    if proxy is not None and kind != "electrum":
        raise table.problem("a proxy is for servers of the Electrum protocol only")
    if (user is None) != (password is None) or (cookie is not None and user is not None):
        raise table.problem("give a cookie file, or a user and a password")
    return BitcoinNode(
        url,
        Path(cookie).expanduser() if cookie else None,
        user,
        None if password is None else Secret.from_text(password),
        kind,
        certificate,
        proxy,
        fees,
    )


def _ethereum_node(table: _Table) -> EthereumNode:
    several = table.optional_tables("providers")
    if several:
        providers = tuple(_provider(one) for one in several)
    else:
        url = table.optional_url("url")
        providers = () if url is None else (EthereumProvider.at(url),)
    quorum = table.optional_number("quorum")
    table.finish()
    if not providers and quorum is None:
        raise table.problem("url is missing, or tables of [[providers]] with one each")
    for what in ("name", "url"):
        if len({getattr(one, what) for one in providers}) != len(providers):
            raise table.problem(f"two providers have the same {what}: one that is asked twice would count twice")
    if quorum is not None and providers and quorum > len(providers):
        raise table.problem(f"quorum {quorum} is more than the {len(providers)} providers there are")
    return EthereumNode(providers, quorum)


def _provider(table: _Table) -> EthereumProvider:
    url, name = table.url("url"), table.optional_text("name")
    table.finish()
    if name is None:
        return EthereumProvider.at(url)
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise table.problem(f"a name is 1 to {_LONGEST_NAME} printable characters")
    return EthereumProvider(name, url)


def _network(path: Path, name: str) -> Network:
    try:
        return Network.from_text(name)
    except InvalidInputError as error:
        raise _problem(path, error.message) from error


def _chain_id(path: Path, name: str) -> int:
    if not (name.isascii() and name.isdigit()) or int(name) == 0:
        raise _problem(path, f"[ethereum.{name}]: write the chain id as a number, as in [ethereum.1]")
    return int(name)


def _problem(path: Path, text: str) -> InvalidInputError:
    return InvalidInputError(f"{path}: {text}", code="input.config")


class _Table:
    """One TOML table whose keys are taken one by one; ``finish`` complains about what nobody took."""

    def __init__(self, path: Path, name: str, values: Mapping[str, object]) -> None:
        self._path, self._name, self._left = path, name, dict(values)

    def problem(self, text: str) -> InvalidInputError:
        return _problem(self._path, f"[{self._name}]: {text}" if self._name else text)

    def optional_text(self, key: str) -> str | None:
        value = self._left.pop(key, None)
        if value is not None and not isinstance(value, str):
            raise self.problem(f"{key} must be a text in quotes")
        return value

    def text(self, key: str) -> str:
        value = self.optional_text(key)
        if value is None:
            raise self.problem(f"{key} is missing")
        return value

    def url(self, key: str) -> str:
        value = self.optional_url(key)
        if value is None:
            raise self.problem(f"{key} is missing")
        return value

    def optional_url(self, key: str) -> str | None:
        value = self.optional_text(key)
        if value is not None and not value.startswith(("http://", "https://")):
            raise self.problem(f"{key} {value!r} must begin with http:// or https://")
        return value

    def optional_number(self, key: str) -> int | None:
        return self.number(key) if key in self._left else None

    def number(self, key: str) -> int:
        value = self._left.pop(key, None)
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise self.problem(f"{key} must be a whole number above zero")
        return value

    def flag(self, key: str) -> bool:
        value = self._left.pop(key, False)
        if not isinstance(value, bool):
            raise self.problem(f"{key} must be true or false")
        return value

    def optional_table(self, key: str) -> _Table | None:
        value = self._left.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.problem(f"{key} must be a table, as in [{key}]")
        return _Table(self._path, key, value)

    def tables(self, key: str) -> list[tuple[str, _Table]]:
        value = cast("Mapping[str, object]", self._left.pop(key, {}))
        if not isinstance(value, dict) or not all(isinstance(inner, dict) for inner in value.values()):
            raise self.problem(f"{key} must hold tables, as in [{key}.…]")
        tables = cast("dict[str, dict[str, object]]", value)
        return [(name, _Table(self._path, f"{key}.{name}", inner)) for name, inner in tables.items()]

    def optional_tables(self, key: str) -> list[_Table]:
        value = self._left.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self.problem(f"{key} must hold tables, as in [[{self._name}.{key}]]")
        return [_Table(self._path, f"{self._name}.{key}", one) for one in value]

    def finish(self) -> None:
        if self._left:
            raise self.problem(f"unknown: {', '.join(sorted(self._left))}")
