"""When a transaction may replace others: BIP-125's rules 2 to 5 and the fee-rate rule, without signalling."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.units import FeeRate
from bursar.nodes.sandbox.bitcoin.mempool import Entry, Mempool, reach
from bursar.nodes.sandbox.bitcoin.rules import btc, reject

if TYPE_CHECKING:
    from bursar.bitcoin.transaction import Transaction, Txid

INCREMENTAL_RELAY: Final = FeeRate(1000)
MAX_REPLACED: Final = 100


def rate_text(fee: int, vsize: int) -> str:
    """A fee rate as Core's messages print it."""
    per_kvb = fee * 1000 // vsize
    return f"{per_kvb // 100_000_000}.{per_kvb % 100_000_000:08d} BTC/kvB"


def check_replacement(
    mempool: Mempool, tx: Transaction, fee: int, vsize: int, conflicts: Iterable[Entry]
) -> dict[Txid, Entry]:
    """Everything a replacement evicts: its direct ``conflicts`` and their descendants; rules in Core's order.

    Rule 1 (the replaced transaction must signal) is not asked: Bitcoin Core 28 turned ``mempoolfullrbf`` on.
    """
    direct = list(conflicts)
    for entry in direct:
        if fee * 1000 // vsize <= entry.fee * 1000 // entry.vsize:
            reject(
                "insufficient fee",
                f"rejecting replacement {tx.txid}; new feerate {rate_text(fee, vsize)} <= "
                f"old feerate {rate_text(entry.fee, entry.vsize)}",
            )
    count = 0
    for entry in direct:  # rule 5; a shared descendant counts twice, as in Core
        count += 1 + len(entry.descendants())
        if count > MAX_REPLACED:
            reject(
                "too many potential replacements",
                f"rejecting replacement {tx.txid}; too many potential replacements ({count} > {MAX_REPLACED})",
            )
    evicted = reach(direct, up=False)
    known_parents = {source.outpoint.txid for entry in evicted.values() for source in entry.tx.inputs}
    for index, source in enumerate(tx.inputs):  # rule 2
        parent = source.outpoint.txid
        if parent not in known_parents and parent in mempool.entries:
            reject("replacement-adds-unconfirmed", f"replacement {tx.txid} adds unconfirmed input, idx {index}")
    replaced_fees = sum(entry.fee for entry in evicted.values())
    if fee < replaced_fees:  # rule 3
        reject(
            "insufficient fee",
            f"rejecting replacement {tx.txid}, less fees than conflicting txs; {btc(fee)} < {btc(replaced_fees)}",
        )
    own_relay = INCREMENTAL_RELAY.fee(vsize)
    if fee - replaced_fees < own_relay:  # rule 4
        reject(
            "insufficient fee",
            f"rejecting replacement {tx.txid}, not enough additional fees to relay; "
            f"{btc(fee - replaced_fees)} < {btc(own_relay)}",
        )
    return evicted
