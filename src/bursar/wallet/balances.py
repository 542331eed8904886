"""Balances, computed: what is in blocks, what is on its way, what is held, what may be spent. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from bursar.bitcoin.transaction import Transaction

COINBASE_MATURITY = 100
OutPointKey = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Output:
    """An output that pays us; ``height`` is ``None`` while its transaction is in no block of our snapshot."""

    txid: str
    vout: int
    value: int
    script: bytes
    height: int | None
    coinbase: bool = False

    @property
    def key(self) -> OutPointKey:
        return self.txid, self.vout


@dataclass(frozen=True, slots=True)
class Figures:
    """The five figures of ``AssetBalance``, in base units."""

    confirmed: int
    pending: int
    immature: int
    reserved: int
    spendable: int


@dataclass(frozen=True, slots=True)
class CoinView:
    """An account's outputs sorted by what may be done with them."""

    mature: tuple[Output, ...]  # in blocks, old enough, not spent by a pending transaction
    immature: tuple[Output, ...]
    change: tuple[Output, ...]  # unconfirmed change of our own transfers, not spent again
    incoming: tuple[Output, ...]  # unconfirmed payments by others, not spent again
    figures: Figures


def is_mature(output: Output, tip_height: int) -> bool:
    """Whether the output may be spent in the block after ``tip_height``."""
    return not output.coinbase or (output.height is not None and tip_height + 1 - output.height >= COINBASE_MATURITY)


def view_coins(
    confirmed: Iterable[Output],
    pending: Iterable[Transaction],
    *,
    own_txids: Collection[str],
    scripts: Collection[bytes],
    held: Collection[OutPointKey],
    tip_height: int,
    frozen: Collection[OutPointKey] = (),
    frozen_scripts: Collection[bytes] = (),
) -> CoinView:
    """Sort an account's outputs as of ``tip_height``.

    ``pending`` are transactions beyond the snapshot (in the mempool, or in later blocks), at most one of those that
    exclude each other; ``own_txids`` those among them we made; ``held`` the coins reserved for some transfer. What is
    ``frozen``, or pays to one of ``frozen_scripts``, is neither reserved nor spendable.
    """
    known = {output.key: output for output in confirmed}
    later: dict[OutPointKey, Output] = {}
    spent: set[OutPointKey] = set()
    for tx in pending:
        txid = str(tx.txid)
        spent.update((str(item.outpoint.txid), item.outpoint.vout) for item in tx.inputs)
        for vout, output in enumerate(tx.outputs):
            if output.script in scripts:
                later[txid, vout] = Output(txid, vout, int(output.value), output.script, None)
    unspent = [output for key, output in known.items() if key not in spent]
    mature = tuple(output for output in unspent if is_mature(output, tip_height))
    immature = tuple(output for output in known.values() if not is_mature(output, tip_height))
    change = tuple(output for key, output in later.items() if output.txid in own_txids and key not in spent)
    incoming = tuple(output for key, output in later.items() if output.txid not in own_txids and key not in spent)
    usable = (*mature, *change)
    gone = sum(output.value for key, output in {**known, **later}.items() if key in spent)
    return CoinView(
        mature=mature,
        immature=immature,
        change=change,
        incoming=incoming,
        figures=Figures(
            confirmed=sum(output.value for output in known.values() if is_mature(output, tip_height)),
            pending=sum(output.value for output in later.values()) - gone,
            immature=sum(output.value for output in immature),
            reserved=sum(output.value for output in usable if output.key in held),
            spendable=sum(
                output.value
                for output in usable
                if output.key not in held and output.key not in frozen and output.script not in frozen_scripts
            ),
        ),
    )


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What one unconfirmed Ethereum transfer takes from ``sender`` at most, by contract (empty: ether and gas)."""

    sender: str
    sent: bool
    amounts: Mapping[str, int]


def holding_figures(amounts: Mapping[str, int], outgoing: Iterable[Outgoing], contract: str) -> Figures:
    """The figures of one asset of an Ethereum account; ``amounts`` is what each address holds of it in blocks."""
    pending = 0
    reserved = 0
    free = dict(amounts)
    for item in outgoing:
        amount = item.amounts.get(contract, 0)
        if item.sent:
            pending -= amount
        else:
            reserved += amount
        free[item.sender] = free.get(item.sender, 0) - amount
    return Figures(
        confirmed=sum(amounts.values()),
        pending=pending,
        immature=0,
        reserved=reserved,
        spendable=sum(max(0, amount) for amount in free.values()),
    )
