"""Which of an account's outputs a transfer may spend, by what it says itself: named, excluded, old enough. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.bitcoin.address import Address
from bursar.bitcoin.transaction import OutPoint
from bursar.errors import ConflictError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.wallet.balances import OutPointKey, Output
    from bursar.wallet.bitcoin_view import BitcoinView
    from bursar.wallet.transfer import Transfer


@dataclass(frozen=True, slots=True)
class Candidates:
    """``named`` are spent in any case; ``first`` are chosen among; ``more`` too when that does not suffice."""

    named: tuple[Output, ...]
    first: tuple[Output, ...]
    more: tuple[Output, ...]


def candidates(view: BitcoinView, account: ScriptAccount, transfer: Transfer, *, tip_height: int) -> Candidates:
    """Sort the outputs of ``view`` for ``transfer``.

    ``InvalidInputError`` (``input.coin.fixed``, ``input.coin.frozen``) or ``ConflictError`` for a named coin that
    cannot be spent.
    """
    keys, scripts = _excluded(account, transfer.exclude)
    named = tuple(_named(view, text) for text in transfer.coins)
    for output in named:
        if output.key in keys or output.script in scripts:
            raise _unfit(output.key, "it is excluded too: take it off one of the lists")
    taken = {output.key for output in named}

    def left(outputs: Iterable[Output]) -> tuple[Output, ...]:
        return tuple(
            one
            for one in outputs
            if one.key not in taken and one.key not in keys and one.script not in scripts and one.key not in closed
        )

    closed = view.held.keys() | view.frozen
    least = transfer.min_confirmations
    if transfer.coins_only:
        return Candidates(named, (), ())
    if least is None:
        return Candidates(named, left(view.coins.mature), left(view.coins.change))
    if least == 0:
        return Candidates(named, left(view.coins.mature), left((*view.coins.change, *view.coins.incoming)))
    deep = (one for one in view.coins.mature if one.height is not None and tip_height + 1 - one.height >= least)
    return Candidates(named, left(deep), ())


def _named(view: BitcoinView, text: str) -> Output:
    outpoint = OutPoint.from_text(text)
    key = (str(outpoint.txid), outpoint.vout)
    coins = view.coins
    groups = (coins.mature, coins.change, coins.incoming, coins.immature)
    found = next((one for group in groups for one in group if one.key == key), None)
    if found is None:
        raise _unfit(key, "it is no unspent coin of this account: sync again, or choose another")
    if found in coins.immature:
        raise _unfit(key, "a coinbase output waits for 100 blocks")
    if key in view.held:
        raise ConflictError(f"coin {text} is reserved for transfer {view.held[key]}: finish or cancel that one first")
    if key in view.frozen:
        raise InvalidInputError(f"coin {text} is frozen: unfreeze it first", code="input.coin.frozen")
    return found


def _unfit(key: OutPointKey, reason: str) -> InvalidInputError:
    return InvalidInputError(f"coin {key[0]}:{key[1]} cannot be spent: {reason}", code="input.coin.fixed")


def _excluded(account: ScriptAccount, refs: tuple[str, ...]) -> tuple[set[OutPointKey], set[bytes]]:
    keys: set[OutPointKey] = set()
    scripts: set[bytes] = set()
    for ref in refs:
        if ":" in ref:
            outpoint = OutPoint.from_text(ref)
            keys.add((str(outpoint.txid), outpoint.vout))
        else:
            scripts.add(Address.from_text(ref, account.network).script)
    return keys, scripts
