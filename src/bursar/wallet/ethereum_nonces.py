"""The ledger of nonces by chain, sender and number: who holds which, and the gaps that everything after waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.wallet.nonce_records import HeldNonce, NonceGap, NonceRecord
from bursar.wallet.records import TransferState
from bursar.wallet.settling import by_root
from bursar.wallet.store.accounts import address_rows
from bursar.wallet.store.reservations import (
    held_nonce_roots,
    held_states,
    highest_held_nonce,
    next_nonce,
    nonce_floor,
    nonce_owner,
)
from bursar.wallet.store.transfers import variants_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from bursar.chain.protocols import EthereumBackend
    from bursar.wallet.ethereum_intents import Intent
    from bursar.wallet.store.accounts import AccountRow
    from bursar.wallet.store.transfers import TransferRow

MOST_SHOWN = 2000  # nonces of one sender
_TAKEN = (TransferState.SENT, TransferState.CONFIRMED)
_TAKEN_TEXTS = {state.value for state in _TAKEN}
_ADVICE = {
    "free": "fill it",
    "unsigned": "sign and send its transfer, or cancel it",
    "unsent": "send its transfer again, or fill it",
    "dropped": "send its transfer again, or fill it",
}


def nonce_records(
    connection: Connection,
    row: AccountRow,
    chain_id: int,
    counts: Mapping[str, tuple[int, int]],
    backend: EthereumBackend | None,
) -> tuple[NonceRecord, ...]:
    """See ``Wallet.nonces``; ``counts`` are what the node says: mined and pending, by sender."""
    found: list[NonceRecord] = []
    for sender in senders(connection, row, chain_id):
        floor = nonce_floor(connection, chain_id, sender)
        mined, pending = counts.get(sender, (None, None))
        start = (floor or 0) if mined is None else mined
        held = _held(connection, chain_id, sender, least=start)
        gaps = _gaps(held, start, backend)
        found.append(
            NonceRecord(
                sender=sender,
                next=next_nonce(connection, chain_id, sender, least=max(floor or 0, mined or 0, pending or 0)),
                floor=floor,
                mined=mined,
                pending=pending,
                held=tuple(_newest(nonce, variants) for nonce, variants in held.items()),
                gaps=gaps,
                alarm=_alarm(sender, held, gaps),
            )
        )
    return tuple(found)


def senders(connection: Connection, row: AccountRow, chain_id: int) -> list[str]:
    """The addresses that may pay, and those that ever did."""
    return [
        one.address
        for one in address_rows(connection, row.id)
        if one.position == 0
        or one.issued
        or one.used
        or highest_held_nonce(connection, chain_id, one.address) is not None
    ]


def sender_of_gap(
    connection: Connection, row: AccountRow, chain_id: int, nonce: int, *, mined: Mapping[str, int]
) -> str:
    """The one address of the account that lacks ``nonce``; ``InvalidInputError`` (``input.nonce``) otherwise.

    ``mined`` is what the node says of each sender: gaps count from there, as in ``nonce_records``.
    """
    found = []
    for sender in senders(connection, row, chain_id):
        start = mined.get(sender, 0)
        held = _held(connection, chain_id, sender, least=start)
        if any(one.nonce == nonce for one in _gaps(held, start, None)):
            found.append(sender)
    if len(found) != 1:
        problem = f"no address of account {row.name!r} has a gap at nonce {nonce}: nothing sent waits for it"
        if found:
            problem = f"{len(found)} addresses of account {row.name!r} have a gap at nonce {nonce}: name the sender"
        raise InvalidInputError(problem, code="input.nonce")
    return found[0]


def check_gap(connection: Connection, chain_id: int, sender: str, nonce: int, *, latest: int) -> None:
    """``InvalidInputError`` (``input.nonce``) unless ``nonce`` is free, not mined, and below one that is held."""
    highest = highest_held_nonce(connection, chain_id, sender)
    owner = nonce_owner(connection, chain_id, sender, nonce)
    if nonce < latest:
        problem = "is in a block already"
    elif owner is not None:
        problem = f"belongs to transfer {owner}"
    elif highest is None or nonce > highest:
        problem = "is no gap: nothing waits for it"
    else:
        return
    raise InvalidInputError(f"nonce {nonce} of {sender} {problem}", code="input.nonce")


def own_nonces(connection: Connection, chain_id: int, sender: Address, intent: Intent) -> tuple[int, ...]:
    """The nonces that the sender's own authorizations use up besides the transaction's (EIP-7702), if they are free."""
    found = [one.authorization.nonce for one in intent.authorizations if one.authority == sender]
    for nonce in found:
        owner = nonce_owner(connection, chain_id, str(sender), nonce)
        if owner is not None:
            raise InvalidInputError(
                f"the authorization uses up nonce {nonce} of {sender}, which belongs to transfer {owner}: wait for it",
                code="input.nonce",
            )
    return tuple(found)


def waiting_below(connection: Connection, chain_id: int, sender: str, *, least: int, nonce: int) -> str | None:
    """Why a transaction at ``nonce`` is going to wait although it is sent: a gap below it, in words."""
    states = held_states(connection, chain_id, sender, least=least)
    sent = [number for number, found in states.items() if found & _TAKEN_TEXTS]
    for number in range(least, min(nonce, least + MOST_SHOWN)):
        found = states.get(number, set())
        if not found or (number < max(sent, default=0) and not found & _TAKEN_TEXTS):
            return f"nonce {number} is not used by any transaction that was sent: this one waits until it is"
    return None


def _held(connection: Connection, chain_id: int, sender: str, *, least: int) -> dict[int, list[TransferRow]]:
    roots = dict(list(held_nonce_roots(connection, chain_id, sender, least=least).items())[:MOST_SHOWN])
    variants = by_root(variants_of(connection, list(roots.values())))
    return {nonce: variants[root] for nonce, root in roots.items()}


def _newest(nonce: int, variants: Sequence[TransferRow]) -> HeldNonce:
    best = next((one for one in variants if one.state is TransferState.CONFIRMED), None)
    best = best or next((one for one in variants if one.state is TransferState.SENT), variants[-1])
    return HeldNonce(nonce, best.id, best.state, best.txid)


def _gaps(
    held: Mapping[int, Sequence[TransferRow]], start: int, backend: EthereumBackend | None
) -> tuple[NonceGap, ...]:
    sent = [nonce for nonce, variants in held.items() if any(one.state in _TAKEN for one in variants)]
    found: list[NonceGap] = []
    for nonce in range(start, max(sent, default=start)):
        variants = held.get(nonce, ())
        reason = _reason(variants, backend)
        if reason is not None:
            found.append(NonceGap(nonce, reason, variants[-1].id if variants else None))
        if len(found) == MOST_SHOWN:
            break
    return tuple(found)


def _reason(variants: Sequence[TransferRow], backend: EthereumBackend | None) -> str | None:
    if not variants:
        return "free"
    states = {one.state for one in variants}
    if TransferState.CONFIRMED in states or states & {TransferState.SUPERSEDED, TransferState.FAILED}:
        return None
    if TransferState.SENT in states:
        taken = [one.txid for one in variants if one.state is TransferState.SENT and one.txid is not None]
        if backend is not None and all(backend.transaction(txid) is None for txid in taken):
            return "dropped"
        return None
    return "unsent" if TransferState.SIGNED in states else "unsigned"


def _alarm(sender: str, held: Mapping[int, object], gaps: Sequence[NonceGap]) -> str | None:
    if not gaps:
        return None
    first = gaps[0]
    waiting = sum(nonce > first.nonce for nonce in held)
    return f"nonce {first.nonce} of {sender} is missing, {waiting} after it wait: {_ADVICE[first.reason]}"


def count_of(backend: EthereumBackend, sender: str) -> tuple[int, int]:
    """What the node says: transactions in blocks, and with those that wait."""
    address = Address.from_text(sender)
    return backend.nonce(address), backend.nonce(address, pending=True)
