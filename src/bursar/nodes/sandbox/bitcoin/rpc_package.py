"""JSON-RPC on packages: a child and its unconfirmed parents, sent at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.units import FeeRate
from bursar.nodes.exact_json import Btc
from bursar.nodes.sandbox.bitcoin import params
from bursar.nodes.sandbox.bitcoin.admission import MAX_PACKAGE
from bursar.nodes.sandbox.bitcoin.packages import Verdict, is_child_with_parents, submit_package
from bursar.nodes.sandbox.bitcoin.params import RpcError
from bursar.nodes.sandbox.bitcoin.rpc_tx import MAX_FEE_RATE, refuse_burning

if TYPE_CHECKING:
    from bursar.bitcoin.transaction import Transaction
    from bursar.nodes.sandbox.bitcoin.chain import RegtestChain

_TOPOLOGY: Final = "package topology disallowed. not child-with-parents or parents depend on each other."


def submitpackage(
    chain: RegtestChain,
    package: Any,
    maxfeerate: Any = MAX_FEE_RATE,
    maxburnamount: Any = "0",
) -> Any:
    """Take a child and its parents into the memory pool, the child paying for parents that pay too little."""
    given = params.array(package)
    if not 2 <= len(given) <= MAX_PACKAGE:
        raise RpcError(params.PARAMETER, f"Array must contain between 2 and {MAX_PACKAGE} transactions.")
    rate = params.fee_rate(maxfeerate)
    burn = params.amount(maxburnamount)
    transactions: list[Transaction] = []
    for raw in given:
        refusal = f"TX decode failed: {str(raw)[:100]} Make sure the tx has at least one input."
        tx = params.candidate(raw, refusal)
        refuse_burning(tx, burn)
        transactions.append(tx)
    if not is_child_with_parents(transactions):
        raise RpcError(params.VERIFY, _TOPOLOGY)
    outcome = submit_package(chain, transactions, most=FeeRate(rate) if rate else None)
    results = {
        str(tx.wtxid): {"txid": str(tx.txid), **_shape(outcome.verdicts[tx.wtxid])}
        for tx in transactions
        if tx.wtxid in outcome.verdicts
    }
    return {
        "package_msg": outcome.message,
        "tx-results": results,
        "replaced-transactions": [str(txid) for txid in sorted(outcome.replaced)],
    }


def _shape(verdict: Verdict) -> dict[str, Any]:
    if verdict.other is not None:
        return {"other-wtxid": str(verdict.other)}
    entry = verdict.entry
    if entry is None:
        return {"error": verdict.error}
    fees: dict[str, Any] = {"base": Btc(entry.fee)}
    if verdict.together:
        fee = sum(one.fee for one in verdict.together)
        size = sum(one.vsize for one in verdict.together)
        fees["effective-feerate"] = Btc(fee * 1000 // size)
        fees["effective-includes"] = [str(one.wtxid) for one in verdict.together]
    return {"vsize": entry.vsize, "fees": fees}


METHODS: Final = (submitpackage,)
