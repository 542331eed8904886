"""JSON-RPC on transactions and the memory pool: looking up, testing, sending."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.transaction import OutPoint, Transaction, Txid
from bursar.bitcoin.units import FeeRate
from bursar.errors import BroadcastRejectedError
from bursar.nodes.exact_json import Btc
from bursar.nodes.sandbox.bitcoin import params
from bursar.nodes.sandbox.bitcoin.admission import MIN_RELAY
from bursar.nodes.sandbox.bitcoin.opcodes import unspendable, valid_operations
from bursar.nodes.sandbox.bitcoin.params import RpcError
from bursar.nodes.sandbox.bitcoin.replace import INCREMENTAL_RELAY
from bursar.nodes.sandbox.bitcoin.rules import MISSING
from bursar.nodes.sandbox.bitcoin.shapes import entry_shape, script_shape, transaction_shape
from bursar.nodes.sandbox.bitcoin.standard import package_fault

if TYPE_CHECKING:
    from bursar.nodes.sandbox.bitcoin.chain import Known, RegtestChain
    from bursar.nodes.sandbox.bitcoin.index import Unspent
    from bursar.nodes.sandbox.bitcoin.mempool import Entry

MAX_FEE_RATE: Final = "0.10"  # BTC/kvB, Core's default
_UNDECODABLE: Final = "TX decode failed. Make sure the tx has at least one input."
_NO_INDEX: Final = (
    "No such mempool transaction. Use -txindex or provide a block hash to enable blockchain transaction queries"
)
_UNKNOWN: Final = ". Use gettransaction for wallet transactions."
_TOO_DEAR: Final = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)"
_BURNT: Final = "Unspendable output exceeds maximum configured by user (maxburnamount)"


def getrawtransaction(chain: RegtestChain, txid: Any, verbosity: Any = 0, blockhash: Any = None) -> Any:
    """A transaction of the pool or any block: hex (0), an object (1), one with fee and spent outputs (2)."""
    wanted = params.txid(txid, "parameter 1")
    if wanted == chain.index.chain[0].block.transactions[0].txid:
        raise RpcError(
            params.ADDRESS_OR_KEY,
            "The genesis block coinbase is not considered an ordinary transaction and cannot be retrieved",
        )
    level = params.verbosity(verbosity)
    if blockhash is None:
        tx, known = _locate(chain, wanted)
    else:
        known = chain.known.get(params.hash_bytes(blockhash, "parameter 3"))
        if known is None:
            raise RpcError(params.ADDRESS_OR_KEY, "Block hash not found")
        tx = _in_block(known, wanted)
    if level <= 0:
        return tx.serialize().hex()
    active = known is not None and chain.is_active(known)
    shape: dict[str, Any] = {"in_active_chain": active} if blockhash is not None else {}
    spent: tuple[Unspent, ...] = ()
    if level > 1 and active:
        place = chain.index.place(wanted)
        spent = place[0].spent_by(place[1]) if place else ()
    shape |= transaction_shape(tx, spent, prevouts=True)
    if known is not None:
        shape["blockhash"] = known.block.hash[::-1].hex()
        shape["confirmations"] = chain.height - known.height + 1 if active else 0
        if active:
            shape["time"] = shape["blocktime"] = known.block.header.time
    return shape


def _locate(chain: RegtestChain, wanted: Txid) -> tuple[Transaction, Known | None]:
    entry = chain.mempool.entries.get(wanted)
    if entry is not None:
        return entry.tx, None
    if not chain.indexed:
        raise RpcError(params.ADDRESS_OR_KEY, _NO_INDEX + _UNKNOWN)
    place = chain.index.place(wanted)
    if place is None:
        raise RpcError(params.ADDRESS_OR_KEY, "No such mempool or blockchain transaction" + _UNKNOWN)
    block = place[0].block
    return block.transactions[place[1]], chain.known[block.hash]


def _in_block(known: Known, wanted: Txid) -> Transaction:
    for tx in known.block.transactions:
        if tx.txid == wanted:
            return tx
    raise RpcError(params.ADDRESS_OR_KEY, "No such transaction found in the provided block" + _UNKNOWN)


def decoderawtransaction(chain: RegtestChain, hexstring: Any, iswitness: Any = None) -> Any:  # noqa: ARG001
    """A serialised transaction as an object."""
    return transaction_shape(params.transaction(hexstring, "TX decode failed"), include_hex=False)


def gettxout(chain: RegtestChain, txid: Any, n: Any, include_mempool: Any = True) -> Any:
    """An unspent output, null when there is none."""
    outpoint = OutPoint(params.txid(txid, "txid"), params.whole(n))
    coin = chain.index.coins.get(outpoint)
    confirmations = 0 if coin is None else chain.height - coin.height + 1
    if params.flag(include_mempool):
        if chain.mempool.spender(outpoint) is not None:
            return None
        coin = chain.coin(outpoint)
    if coin is None:
        return None
    return {
        "bestblock": chain.tip_hash,
        "confirmations": confirmations,
        "value": Btc(coin.value),
        "scriptPubKey": script_shape(coin.script),
        "coinbase": coin.coinbase,
    }


def sendrawtransaction(
    chain: RegtestChain, hexstring: Any, maxfeerate: Any = MAX_FEE_RATE, maxburnamount: Any = "0"
) -> Any:
    """Take a transaction into the memory pool; its id."""
    tx = params.candidate(hexstring, _UNDECODABLE)
    refuse_burning(tx, params.amount(maxburnamount))
    rate = params.fee_rate(maxfeerate)
    if any(OutPoint(tx.txid, vout) in chain.index.coins for vout in range(len(tx.outputs))):
        raise RpcError(params.ALREADY, "Transaction outputs already in utxo set")
    if tx.txid in chain.mempool.entries:
        return str(tx.txid)
    try:
        if rate and chain.examine(tx).entry.fee > FeeRate(rate).fee(tx.vsize):
            raise RpcError(params.VERIFY, _TOO_DEAR)
        return str(chain.submit(tx))
    except BroadcastRejectedError as error:
        raise RpcError(int(error.node_code), error.message) from error


def refuse_burning(tx: Transaction, most: int) -> None:
    """Refuse outputs of more than so many satoshi that nobody can spend."""
    for output in tx.outputs:
        if output.value > most and (unspendable(output.script) or not valid_operations(output.script)):
            raise RpcError(params.VERIFY, _BURNT)


def testmempoolaccept(chain: RegtestChain, rawtxs: Any, maxfeerate: Any = MAX_FEE_RATE) -> Any:  # noqa: PT028
    """What the memory pool would say to some transactions, parents before children."""
    given = params.array(rawtxs)
    if not 1 <= len(given) <= 25:
        raise RpcError(params.PARAMETER, "Array must contain between 1 and 25 transactions.")
    rate = params.fee_rate(maxfeerate)
    transactions = [
        params.candidate(raw, f"TX decode failed: {str(raw)[:100]} Make sure the tx has at least one input.")
        for raw in given
    ]
    results: list[dict[str, Any]] = [{"txid": str(tx.txid), "wtxid": str(tx.wtxid)} for tx in transactions]
    alone = len(transactions) == 1
    fault = None if alone else package_fault(transactions)
    if fault is not None:
        return [result | {"package-error": fault} for result in results]
    entries: list[Entry] = []
    try:
        for tx in transactions:
            entry = chain.examine(tx, replacement=alone).entry
            if not alone:
                chain.mempool.add(entry)
            entries.append(entry)
    except BroadcastRejectedError as error:  # nothing is said of the others: they were not looked at to the end
        reason = "missing-inputs" if error.node_code == MISSING else error.reason
        results[len(entries)] |= {"allowed": False, "reject-reason": reason}
        return results
    finally:
        for entry in reversed([] if alone else entries):
            chain.mempool.remove(entry)
            chain.mempool.sequence -= 2
    for result, entry in zip(results, entries, strict=True):
        if rate and entry.fee > FeeRate(rate).fee(entry.vsize):
            result |= {"allowed": False, "reject-reason": "max-fee-exceeded"}
            break
        result |= {"allowed": True, "vsize": entry.vsize, "fees": _fees(entry)}
    return results


def _fees(entry: Entry) -> dict[str, Any]:
    return {
        "base": Btc(entry.fee),
        "effective-feerate": Btc(entry.fee * 1000 // entry.vsize),
        "effective-includes": [str(entry.wtxid)],
    }


def getmempoolinfo(chain: RegtestChain) -> Any:
    """State of the memory pool."""
    entries = list(chain.mempool)
    size = sum(entry.vsize for entry in entries)
    return {
        "loaded": True,
        "size": len(entries),
        "bytes": size,
        "usage": 4 * size,
        "total_fee": Btc(sum(entry.fee for entry in entries)),
        "maxmempool": 300_000_000,
        "mempoolminfee": Btc(MIN_RELAY.sat_per_kvb),
        "minrelaytxfee": Btc(MIN_RELAY.sat_per_kvb),
        "incrementalrelayfee": Btc(INCREMENTAL_RELAY.sat_per_kvb),
        "unbroadcastcount": 0,
        "fullrbf": True,
    }


def getrawmempool(chain: RegtestChain, verbose: Any = False, mempool_sequence: Any = False) -> Any:
    """The ids of all waiting transactions, or an object of each."""
    if params.flag(verbose):
        if params.flag(mempool_sequence):
            raise RpcError(params.PARAMETER, "Verbose results cannot contain mempool sequence values.")
        return {str(entry.txid): entry_shape(entry) for entry in chain.mempool}
    txids = [str(entry.txid) for entry in chain.mempool]
    if params.flag(mempool_sequence):
        return {"txids": txids, "mempool_sequence": chain.mempool.sequence}
    return txids


def _entry(chain: RegtestChain, txid: Any) -> Entry:
    entry = chain.mempool.entries.get(params.txid(txid, "txid"))
    if entry is None:
        raise RpcError(params.ADDRESS_OR_KEY, "Transaction not in mempool")
    return entry


def getmempoolentry(chain: RegtestChain, txid: Any) -> Any:
    """One waiting transaction."""
    return entry_shape(_entry(chain, txid))


def getmempoolancestors(chain: RegtestChain, txid: Any, verbose: Any = False) -> Any:
    """The waiting transactions one needs."""
    return _family(_entry(chain, txid).ancestors(), verbose)


def getmempooldescendants(chain: RegtestChain, txid: Any, verbose: Any = False) -> Any:
    """The waiting transactions that need one."""
    return _family(_entry(chain, txid).descendants(), verbose)


def _family(entries: dict[Txid, Entry], verbose: Any) -> Any:
    if params.flag(verbose):
        return {str(txid): entry_shape(entry) for txid, entry in entries.items()}
    return [str(txid) for txid in entries]


def gettxspendingprevout(chain: RegtestChain, outputs: Any) -> Any:
    """Which waiting transactions spend some outputs."""
    given = params.array(outputs)
    if not given:
        raise RpcError(params.PARAMETER, "Invalid parameter, outputs are missing")
    found: list[dict[str, Any]] = []
    for item in given:
        fields = params.mapping(item)
        outpoint = OutPoint(params.txid(fields.get("txid"), "txid"), params.whole(fields.get("vout")))
        if outpoint.vout < 0:
            raise RpcError(params.PARAMETER, "Invalid parameter, vout cannot be negative")
        spender = chain.mempool.spender(outpoint)
        shape: dict[str, Any] = {"txid": str(outpoint.txid), "vout": outpoint.vout}
        found.append(shape if spender is None else shape | {"spendingtxid": str(spender.txid)})
    return found


METHODS: Final = (
    getrawtransaction,
    decoderawtransaction,
    gettxout,
    sendrawtransaction,
    testmempoolaccept,
    getmempoolinfo,
    getrawmempool,
    getmempoolentry,
    getmempoolancestors,
    getmempooldescendants,
    gettxspendingprevout,
)
