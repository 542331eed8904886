"""Clear signing (ERC-7730) on the command line: what descriptors say of a call or a message, beside its review."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli import compose
from bursar.errors import BursarError, InvalidInputError

if TYPE_CHECKING:
    from bursar.cli.session import Session
    from bursar.ethereum.address import Address
    from bursar.ethereum.clear_signing import Call, Descriptors, Known, Rendering
    from bursar.ethereum.safe import SafeTransaction
    from bursar.ethereum.typed_data import TypedData
    from bursar.wallet.plan import Plan
    from bursar.wallet.wallet import Wallet

_MOST_BYTES = 64 << 20  # of all files together
_MOST_NAMED = 3  # broken files told by name
_MOST_ASKED = 20  # addresses whose names a node is asked for


def _remember(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    from bursar.cli.session import Session

    if value:
        ctx.ensure_object(Session).names_of_addresses = True


def names_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--names``; the session remembers it."""
    return click.option(
        "--names",
        is_flag=True,
        expose_value=False,
        callback=_remember,
        help="Ask the node what names (ENS) the addresses go by that descriptors show (ERC-7730).",
    )(function)


@dataclass(frozen=True, slots=True)
class ClearWords:
    """What descriptors say, or why they are not believed; one for each call, none where no descriptor is for it."""

    pages: tuple[Rendering | InvalidInputError, ...] = ()

    @property
    def text(self) -> str:
        """For people, below the review; empty where there is nothing to say."""
        return "".join(f"\n{paragraph}\n" for paragraph in map(_paragraph, self.pages))

    def to_json(self) -> list[dict[str, Any]]:
        return [_json(page) for page in self.pages]


def words_of_plan(session: Session, wallet: Wallet, plan: Plan) -> ClearWords:
    """Of the one call that a plan's transaction makes; nothing for Bitcoin."""
    from bursar.ethereum.address import Address
    from bursar.ethereum.clear_signing import Call
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.wallet.actions import NftTransfer

    if wallet.account(plan.account).chain != "ethereum" or plan.unsigned is None or plan.sender is None:
        return ClearWords()
    tx = UnsignedTransaction.parse(bytes.fromhex(plan.unsigned))
    if not tx.data:
        return ClearWords()
    action = plan.transfer.action
    given = {(tx.chain_id, Address.from_text(action.contract))} if isinstance(action, NftTransfer) else set()
    known = _known(session, wallet, tx.chain_id, collections={place: str(place[1]) for place in given})
    return _of_calls([Call.of(tx, sender=Address.from_text(plan.sender))], _book(session), known)


def words_of_typed_data(
    session: Session, wallet: Wallet, typed: TypedData, signer: Address, chain_id: int
) -> ClearWords:
    """Of a message to sign."""
    from bursar.ethereum.clear_signing import render_typed_data

    book, known = _book(session), _known(session, wallet, chain_id)
    return ClearWords(_pages(partial(render_typed_data, typed, book=book, known=known, signer=signer)))


def words_of_safe(session: Session, wallet: Wallet, tx: SafeTransaction) -> ClearWords:
    """Of what a Safe would do: its call, or each call of a batch; nothing for other code that runs as the Safe."""
    from bursar.ethereum.clear_signing import Call
    from bursar.ethereum.safe import Operation, decode_multi_send

    chain_id, sender = tx.safe.chain_id, tx.safe.address
    if tx.operation is Operation.CALL:
        made = [(tx.to, int(tx.value), tx.data)]
    else:
        try:
            batch = decode_multi_send(tx.data)
        except InvalidInputError:
            return ClearWords()
        made = [(one.to, int(one.value), one.data) for one in batch if one.operation is Operation.CALL]
    calls = [Call(chain_id=chain_id, to=to, value=value, data=data, sender=sender) for to, value, data in made]
    return _of_calls(calls, _book(session), _known(session, wallet, chain_id))


def _of_calls(calls: list[Call], book: Descriptors, known: Known) -> ClearWords:
    from bursar.ethereum.clear_signing import render_call

    return ClearWords(
        tuple(page for one in calls for page in _pages(partial(render_call, one, book=book, known=known)))
    )


def _pages(render: Callable[[], Rendering | None]) -> tuple[Rendering | InvalidInputError, ...]:
    try:
        found = render()
    except InvalidInputError as error:
        return (error,)
    return () if found is None else (found,)


def _paragraph(page: Rendering | InvalidInputError) -> str:
    if isinstance(page, InvalidInputError):
        return f"No words of a descriptor (ERC-7730): {page.message}"
    head = f"In the words of the author of the descriptor {page.source}, which the policy does not see (ERC-7730)"
    return "\n".join((head, *page.lines(indent="  ")))


def _json(page: Rendering | InvalidInputError) -> dict[str, Any]:
    if isinstance(page, InvalidInputError):
        return {"refused": {"code": page.code, "message": page.message}}
    return {
        "descriptor": page.source,
        "intent": page.intent,
        "sentence": page.sentence,
        "owner": page.owner,
        "contract_name": page.contract_name,
        "contract": None if page.contract is None else str(page.contract),
        "rows": [
            {
                "label": row.label,
                "value": row.value if isinstance(row.value, str) else _json(row.value),
                "exact": row.exact or None,
            }
            for row in page.rows
        ],
        "not_shown": [{"path": row.path, "value": row.value} for row in page.not_shown],
        "cautions": [{"code": one.code, "text": one.text} for one in page.cautions],
    }


def _book(session: Session) -> Descriptors:
    """The descriptors of the wallet's folder, and behind them our own; files that are none are told."""
    from bursar.ethereum.clear_signing import Descriptors, own_descriptors

    folder = session.home.clear_signing
    if not folder.is_dir():
        return own_descriptors()
    texts, left = _texts(folder)
    found = Descriptors.from_files(texts)
    left |= {name: error.message for name, error in found.refused.items()}
    if left:
        named = "; ".join(f"{name[:80]!a}, {reason}" for name, reason in sorted(left.items())[:_MOST_NAMED])
        more = f"; and {len(left) - _MOST_NAMED} more" if len(left) > _MOST_NAMED else ""
        session.output.aside(f"Left out, being no descriptors, in {folder}: {named}{more}.")
    return found.and_then(own_descriptors())


def _texts(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Texts of the files by their names below ``folder``, and why others were not read."""
    from bursar.ethereum.clear_signing.descriptor_json import MOST_BYTES
    from bursar.ethereum.clear_signing.descriptors import MOST_FILES

    texts: dict[str, str] = {}
    left: dict[str, str] = {}
    total = 0
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if len(texts) + len(left) >= MOST_FILES or total > _MOST_BYTES:
            left["the rest"] = f"more than {MOST_FILES} files, or {_MOST_BYTES >> 20} MB"
            break
        try:
            if not path.is_file():  # nothing that would block
                continue
            with path.open("rb") as file:
                raw = file.read(MOST_BYTES + 1)
            total += len(raw)
            texts[name] = raw.decode("utf-8")
        except (OSError, UnicodeDecodeError):
            left[name] = "it cannot be read as a text"
    return texts, left


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        yield from (Path(place, name) for name in sorted(names) if name.endswith(".json"))


def _known(
    session: Session,
    wallet: Wallet,
    chain_id: int,
    *,
    collections: Mapping[tuple[int, Address], str] | None = None,
) -> Known:
    from bursar.cli.ethereum_accounts import coin_symbol
    from bursar.ethereum.clear_signing import Known, KnownToken

    own = {
        address.address: f"account {record.name}"
        for record in wallet.accounts()
        if getattr(record.account, "chain_id", None) == chain_id
        for address in wallet.addresses(record.name)
    }
    chains = {one.id: (one.name, one.currency_symbol) for one in compose.chains(session).by_id.values()}
    chains.setdefault(chain_id, (f"chain {chain_id}", coin_symbol(session, chain_id)))
    return Known(
        tokens={(one.chain_id, one.contract): KnownToken(one.symbol, one.decimals) for one in wallet.tokens()},
        labels=_Names(lambda address: own.get(str(address))),
        ens=_asked(session, chain_id) if session.names_of_addresses else {},
        chains=chains,
        collections=collections or {},
    )


def _asked(session: Session, chain_id: int) -> _Names:
    """Names (ENS) that hold in both directions, asked for one by one as they are wanted; silent once that fails."""
    names = compose.names(session)
    left = _MOST_ASKED

    def ask(address: Address) -> str | None:
        nonlocal left
        if left <= 0:
            return None
        left -= 1
        try:
            found = names.name_of(address, chain_id=chain_id)
        except BursarError as error:
            left = 0
            session.output.aside(f"No names of addresses: {error.message}.")
            return None
        return None if found is None else str(found)

    return _Names(ask)


class _Names(Mapping["Address", str]):
    """Names of addresses that are looked for when they are wanted, each once."""

    def __init__(self, find: Callable[[Address], str | None]) -> None:
        self._find, self._found = find, dict[Any, str | None]()

    def __getitem__(self, address: Address) -> str:
        if address not in self._found:
            self._found[address] = self._find(address)
        found = self._found[address]
        if found is None:
            raise KeyError(address)
        return found

    def __iter__(self) -> Iterator[Address]:
        return iter(tuple(address for address, name in self._found.items() if name is not None))

    def __len__(self) -> int:
        return sum(name is not None for name in self._found.values())
