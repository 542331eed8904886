"""``bursar chain``: the Ethereum chains this wallet knows, and the providers that are asked about each."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.lazy import group, pass_session
from bursar.errors import ChainError, ChainUnavailableError, InvalidInputError, WrongChainError

if TYPE_CHECKING:
    from bursar.chain.ethereum_chains import EthereumChain, EthereumChains
    from bursar.cli.config import EthereumNode
    from bursar.cli.session import Session

_FEES = {"gas": "gas", "op-stack": "gas, and data by the chain's oracle", "arbitrum": "gas, data included"}


@group(
    "chain",
    examples=(
        "bursar chain list",
        "bursar chain add base --provider https://base.example/key",
        "bursar chain add rootstock.toml",
        "bursar chain show base --ask",
    ),
)
def chain() -> None:
    """Ethereum chains: what is known of each, and whom to ask about it.

    Nine chains are built in, none with a provider: whoever runs one learns your addresses, so you choose.
    """


@chain.command(
    "add",
    examples=(
        "bursar chain add base --provider https://base.example/key",
        "bursar chain add eth --provider https://a.example --provider https://b.example --provider https://c.example",
        "bursar chain add rootstock.toml --provider https://rsk.example",
    ),
)
@click.argument("chain", metavar="CHAIN|FILE")
@click.option("--provider", "providers", multiple=True, metavar="URL", help="Whom to ask (JSON-RPC); may be repeated.")
@click.option("--offline", is_flag=True, help="Do not ask the providers whether they serve this chain.")
@pass_session
def add(session: Session, chain: str, providers: tuple[str, ...], offline: bool) -> None:
    """Add providers to a known CHAIN (its name or id), or a chain described by FILE ('-': standard input).

    With several providers an answer counts where more than half of them give it; whoever differs is named. Another
    number is set as quorum in config.toml. Every provider is asked for its chain first.
    """
    from bursar.chain.ethereum_chains import EthereumChain

    session.home.require()
    known = compose.chains(session)
    found = _known(known, chain)
    if found is None:
        text = _read(known, chain)
        found = EthereumChain.from_toml(text)
        kept = _file(session, found.id)
        if kept is not None:
            raise InvalidInputError(f"chain {found.id} is there already: edit {kept}", code="input.chain")
        known = known.adding([found])
    elif not providers:
        raise InvalidInputError(
            f"{found.name} is known: say whom to ask about it, with --provider URL", code="input.usage"
        )
    set_here = compose.settings(session).ethereum.get(found.id)
    if providers and set_here is not None and set_here.providers:
        raise InvalidInputError(
            f"config.toml names the providers of chain {found.id} in [ethereum.{found.id}], and only they are asked: "
            "add yours there",
            code="input.config",
        )
    added = replace(found, providers=(*found.providers, *providers))
    known.adding([added])
    if not offline:
        _check(session, added)
    path = _file(session, added.id) or session.home.chains / f"{added.short_name}.toml"
    _write(path, added.to_toml())
    count = len(added.providers)

    def words() -> None:
        click.echo(f"{added.name} (chain {added.id}): {_count(count)}, in {path}")
        if count > 1:
            click.echo(
                f"{count // 2 + 1} of the {count} have to say the same. For another number write into config.toml:\n"
                f"  [ethereum.{added.id}]\n  quorum = {count}"
            )
        if not count:
            click.echo(f"\nNext: bursar chain add {added.short_name} --provider URL")
        else:
            click.echo(f"\nNext: bursar account add NAME --chain ethereum --chain-id {added.short_name}")

    session.output.answer({"chain": _document(session, added), "file": str(path)}, words)


@chain.command("list", examples=("bursar chain list", "bursar chain list --json | jq '.chains[].id'"))
@pass_session
def list_chains(session: Session) -> None:
    """List the chains that are known."""
    known = compose.chains(session)
    rows = []
    for one in known.by_id.values():
        node = _node(session, known, one.id)
        asked = "" if node is None else _quorum(node)
        source = "file" if _file(session, one.id) is not None else "built in"
        rows.append((str(one.id), one.short_name, _name(one), one.currency_symbol, _final(one), asked, source))
    for chain_id, (node, source) in _undescribed(session, known).items():
        rows.append((str(chain_id), "", "", "", "", _quorum(node), source))

    def words() -> None:
        columns = ("id", "short name", "name", "coin", "final when", "providers", "from")
        session.output.table(columns, rows, numbers=("id",))

    document = {
        "chains": [_document(session, one) for one in known.by_id.values()],
        "undescribed": [_plain_document(one, node) for one, (node, _) in _undescribed(session, known).items()],
    }
    session.output.answer(document, words)


@chain.command("show", examples=("bursar chain show base", "bursar chain show 8453 --ask"))
@click.argument("chain")
@click.option("--ask", is_flag=True, help="Ask each provider for its chain and its last block.")
@pass_session
def show(session: Session, chain: str, ask: bool) -> None:
    """Show what is known of CHAIN (its name or id), and who is asked about it."""
    known = compose.chains(session)
    undescribed = {str(one): (one, asked) for one, (asked, _) in _undescribed(session, known).items()}
    node: EthereumNode | None
    if chain in undescribed:
        found, (chain_id, node) = None, undescribed[chain]
        document = _plain_document(chain_id, node)
    else:
        found = _known(known, chain) or known.chain(chain)
        chain_id, document = found.id, _document(session, found)
        node = _node(session, known, found.id)
    asked = _answers(session, chain_id, node) if ask and node is not None else []
    answers = [(name, height, None if error is None else error.message) for name, height, error in asked]
    if ask:
        document["answers"] = [{"provider": name, "height": height, "error": error} for name, height, error in answers]

    def words() -> None:
        rows = (
            [("chain", f"id {chain_id}, not described here: its coin is called ETH")] if found is None else _rows(found)
        )
        if node is None:
            name = chain if found is None else found.short_name
            rows.append(("providers", f"none: bursar chain add {name} --provider URL"))
        else:
            rows.append(("providers", ", ".join(one.name for one in node.providers)))
            if len(node.providers) > 1:
                rows.append(("have to agree", _quorum(node)))
        for label, text in rows:
            click.echo(f"{label:<16}{text}")
        if answers:
            click.echo("")
            lines = [(name, "" if height is None else str(height), error or "ok") for name, height, error in answers]
            session.output.table(("provider", "block", "says"), lines, numbers=("block",))

    if node is not None and ask:
        from bursar.cli.ethereum_sources import quorum_of

        missing = sum(error is not None for _, _, error in answers)
        if len(answers) - missing < quorum_of(node):
            if not session.json:
                words()
            raise ChainUnavailableError(
                f"{len(answers) - missing} of {_count(len(answers))} answered for chain {chain_id}, "
                f"{quorum_of(node)} have to: {'; '.join(f'{name}: {error}' for name, _, error in answers if error)}"
            )
    session.output.answer({"chain": document}, words)


def _rows(found: EthereumChain) -> list[tuple[str, str]]:
    rows = [
        ("chain", f"{_name(found)}, id {found.id}, called {found.short_name}"),
        ("coin", f"{found.currency_name} ({found.currency_symbol})"),
        ("final when", _final(found)),
        ("fees", _FEES[found.fee_model.value] + ("" if found.eip1559 else "; no base fee (before EIP-1559)")),
        ("explorer", found.explorer or "none"),
    ]
    return [*rows, ("checksums", "of EIP-1191: they include the chain id")] if found.eip1191 else rows


def _undescribed(session: Session, known: EthereumChains) -> dict[int, tuple[EthereumNode, str]]:
    """The chains that only the settings name, and the running sandbox's."""
    from bursar.cli.config import EthereumNode, EthereumProvider

    if not session.home.config.is_file():
        return {}
    found = {
        one: (node, "config.toml")
        for one, node in compose.settings(session).ethereum.items()
        if one not in known.by_id and node.providers
    }
    running = compose.sandbox(session)
    if running is not None and running.ethereum_url is not None and running.ethereum_chain_id not in (None, *found):
        assert running.ethereum_chain_id is not None
        found[running.ethereum_chain_id] = (
            EthereumNode((EthereumProvider("sandbox", running.ethereum_url),)),
            "sandbox",
        )
    return found


def _plain_document(chain_id: int, node: EthereumNode) -> dict[str, object]:
    from bursar.cli.ethereum_sources import quorum_of

    return {"id": chain_id, "providers": [one.name for one in node.providers], "quorum": quorum_of(node)}


def _known(known: EthereumChains, which: str) -> EthereumChain | None:
    ids = {str(one.id): one for one in known.by_id.values()} | {one.short_name: one for one in known.by_id.values()}
    return ids.get(which)


def _read(known: EthereumChains, name: str) -> str:
    from bursar.chain.ethereum_chains import MOST_BYTES

    if name == "-":
        raw = sys.stdin.buffer.read(MOST_BYTES + 1)
    elif Path(name).is_file():
        with Path(name).open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    else:
        names = ", ".join(one.short_name for one in known.by_id.values())
        raise InvalidInputError(
            f"{name!r:.60} is neither a known chain ({names}) nor a file that describes one", code="input.chain"
        )
    if len(raw) > MOST_BYTES:
        raise InvalidInputError(f"{name} is longer than {MOST_BYTES} bytes", code="input.chain")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{name} is no text", code="input.chain") from error


def _file(session: Session, chain_id: int) -> Path | None:
    """The file in the wallet's folder that describes this chain."""
    from bursar.chain.ethereum_chains import EthereumChain

    for path in sorted(session.home.chains.glob("*.toml")):
        if EthereumChain.from_toml(path.read_text("utf-8")).id == chain_id:
            return path
    return None


def _write(path: Path, text: str) -> None:
    from bursar.cli.home import write_private

    path.parent.mkdir(mode=0o700, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    write_private(fresh, text)
    fresh.replace(path)


def _node(session: Session, known: EthereumChains, chain_id: int) -> EthereumNode | None:
    from bursar.cli.ethereum_sources import providers_of

    if not session.home.config.is_file():
        return None
    return providers_of(compose.settings(session), known, chain_id)


def _check(session: Session, added: EthereumChain) -> None:
    """Every provider, set in the settings or not, must serve the chain it is named for."""
    from bursar.cli.ethereum_sources import node_of_file

    if not added.providers:
        return
    for name, _, error in _answers(session, added.id, node_of_file(added)):
        if isinstance(error, WrongChainError):
            raise WrongChainError(f"{name} was not added: {error.message}") from error
        if error is not None:
            raise ChainUnavailableError(
                f"{name} was not added: {error.message}; take another, or add it unasked with --offline",
            ) from error


def _answers(
    session: Session, chain_id: int, node: EthereumNode | None
) -> list[tuple[str, int | None, ChainError | None]]:
    """What each provider says: its name, its last block, or what is wrong."""
    from bursar.nodes.ethrpc import EthRpcBackend

    found: list[tuple[str, int | None, ChainError | None]] = []
    for one in () if node is None else node.providers:
        with (
            session.output.progress(f"asking {one.name}"),
            closing(EthRpcBackend(one.url, chain_id=chain_id, timeout=10)) as backend,
        ):
            try:
                found.append((one.name, backend.check_chain().height, None))
            except ChainError as error:
                found.append((one.name, None, error))
    return found


def _document(session: Session, one: EthereumChain) -> dict[str, object]:
    from bursar.cli.ethereum_sources import quorum_of

    node = _node(session, compose.chains(session), one.id)
    return {
        "id": one.id,
        "name": one.name,
        "short_name": one.short_name,
        "testnet": one.testnet,
        "currency": {"name": one.currency_name, "symbol": one.currency_symbol, "decimals": one.currency_decimals},
        "finality": one.finality.value,
        "confirmations": one.confirmations or None,
        "fee_model": one.fee_model.value,
        "eip1559": one.eip1559,
        "eip1191": one.eip1191,
        "explorer": one.explorer,
        "providers": [] if node is None else [provider.name for provider in node.providers],
        "quorum": None if node is None else quorum_of(node),
    }


def _quorum(node: EthereumNode) -> str:
    from bursar.cli.ethereum_sources import quorum_of

    count = len(node.providers)
    return str(count) if count == 1 else f"{quorum_of(node)} of {count}"


def _name(one: EthereumChain) -> str:
    return f"{one.name} (test)" if one.testnet else one.name


def _final(one: EthereumChain) -> str:
    return f"{one.confirmations} blocks deep" if one.confirmations else one.finality.value


def _count(number: int) -> str:
    return "no provider" if not number else f"{number} provider{'' if number == 1 else 's'}"
