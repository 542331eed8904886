"""What an Esplora server says to each path (its HTTP API), from the sandbox's chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.address import Address
from bursar.bitcoin.headers.merkle import branch_of, levels_of
from bursar.bitcoin.network import Network
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid
from bursar.errors import BroadcastRejectedError, InvalidInputError
from bursar.nodes import exact_json
from bursar.nodes.sandbox.bitcoin.params import RpcError
from bursar.nodes.sandbox.bitcoin.rpc_package import submitpackage
from bursar.nodes.sandbox.bitcoin.rpc_tx import sendrawtransaction
from bursar.nodes.sandbox.esplora.histories import Histories
from bursar.nodes.sandbox.esplora.shapes import block_shape, status_shape, transaction_shape

if TYPE_CHECKING:
    from bursar.nodes.sandbox.bitcoin.chain import Known, RegtestChain
    from bursar.nodes.sandbox.bitcoin.index import Connected

PER_PAGE: Final = 25
MOST_WAITING: Final = 50
BLOCKS: Final = 10
_MISSING: Final = "Transaction not found"


@dataclass(frozen=True, slots=True)
class Reply:
    """A status and a body: text, bytes, or anything JSON."""

    body: Any
    status: int = 200


class Answers:
    """Answers GET and POST about one chain; call under its lock."""

    def __init__(self, chain: RegtestChain) -> None:
        self._chain = chain
        self._histories = Histories(chain)

    def get(self, path: Sequence[str]) -> Reply:
        """The answer to a GET."""
        handlers: dict[str, Callable[[Sequence[str]], Reply | None]] = {
            "blocks": self._blocks,
            "block-height": self._block_height,
            "block": self._block,
            "address": self._address,
            "scripthash": self._script_hash,
            "tx": self._transaction,
            "mempool": self._mempool,
            "fee-estimates": lambda rest: None if rest else Reply({}),  # regtest has no estimates
        }
        handler = handlers.get(path[0])
        answer = None if handler is None else handler(path[1:])
        return answer or Reply(f'endpoint does not exist "/{"/".join(path)}"', 404)

    def post(self, path: Sequence[str], body: bytes) -> Reply:
        """The answer to a POST."""
        try:
            if tuple(path) == ("tx",):
                return Reply(sendrawtransaction(self._chain, body.decode("ascii", "replace").strip()))
            if tuple(path) == ("txs", "package"):
                return Reply(submitpackage(self._chain, exact_json.loads(body)))
        except RpcError as error:
            code = exact_json.dumps({"code": error.rpc_code, "message": error.message})
            return Reply(f"sendrawtransaction RPC error: {code}", 400)
        except (BroadcastRejectedError, InvalidInputError) as error:
            return Reply(error.message, 400)
        return Reply("endpoint does not exist", 404)

    # blocks

    def _blocks(self, rest: Sequence[str]) -> Reply | None:
        index = self._chain.index
        if tuple(rest) == ("tip", "hash"):
            return Reply(self._chain.tip_hash)
        if tuple(rest) == ("tip", "height"):
            return Reply(str(self._chain.height))
        if len(rest) > 1:
            return None
        top = _number(rest[0]) if rest else self._chain.height
        if top > self._chain.height:
            return Reply("Block not found", 404)
        some = reversed(index.chain[max(top - BLOCKS + 1, 0) : top + 1])
        return Reply([block_shape(self._chain, self._chain.known[one.block.hash]) for one in some])

    def _block_height(self, rest: Sequence[str]) -> Reply | None:
        if len(rest) != 1:
            return None
        height = _number(rest[0])
        if height > self._chain.height:
            return Reply("Block not found", 404)
        return Reply(self._chain.index.chain[height].block.hash[::-1].hex())

    def _block(self, rest: Sequence[str]) -> Reply | None:
        if not rest:
            return None
        known = self._chain.known.get(_hash(rest[0]))
        active = known is not None and self._chain.is_active(known)
        what = tuple(rest[1:])
        if what == ("status",):
            if known is None or not active:
                return Reply({"in_best_chain": False, "height": None, "next_best": None})
            after = self._chain.index.chain[known.height + 1 : known.height + 2]
            following = after[0].block.hash[::-1].hex() if after else None
            return Reply({"in_best_chain": True, "height": known.height, "next_best": following})
        if known is None:
            return Reply("Block not found", 404)
        return self._block_part(known, what)

    def _block_part(self, known: Known, what: tuple[str, ...]) -> Reply | None:
        block = known.block
        if what == ():
            return Reply(block_shape(self._chain, known))
        if what == ("header",):
            return Reply(block.raw[:80].hex())
        if what == ("raw",):
            return Reply(block.raw)
        if what == ("txids",):
            return Reply([str(tx.txid) for tx in block.transactions])
        if what[0] == "txid" and len(what) == 2:
            at = _number(what[1])
            if at >= len(block.transactions):
                return Reply("tx index out of range", 404)
            return Reply(str(block.transactions[at].txid))
        if what[0] == "txs" and len(what) <= 2:
            start = _number(what[1]) if len(what) == 2 else 0
            if start >= len(block.transactions) or start % PER_PAGE:
                return Reply("start index out of range", 404)
            return Reply([self._shape(tx) for tx in block.transactions[start : start + PER_PAGE]])
        return None

    # scripts

    def _address(self, rest: Sequence[str]) -> Reply | None:
        if not rest:
            return None
        try:
            script = Address.from_text(rest[0], Network.REGTEST).script
        except InvalidInputError as error:
            return Reply(error.message, 400)
        return self._script(("address", rest[0]), script, rest[1:])

    def _script_hash(self, rest: Sequence[str]) -> Reply | None:
        if not rest:
            return None
        return self._script(("scripthash", rest[0]), self._histories.script(_hash(rest[0])[::-1]), rest[1:])

    def _script(self, named: tuple[str, str], script: bytes | None, rest: Sequence[str]) -> Reply | None:
        what = tuple(rest)
        confirmed = self._histories.confirmed(script)
        waiting = self._histories.waiting(script)
        if what == ():
            return Reply({named[0]: named[1], **self._stats(script, confirmed, waiting)})
        if what == ("txs",):
            return Reply([self._shape(tx) for tx in (*waiting[:MOST_WAITING], *confirmed[:PER_PAGE])])
        if what == ("txs", "mempool"):
            return Reply([self._shape(tx) for tx in waiting[:MOST_WAITING]])
        if what[:2] == ("txs", "chain") and len(what) <= 3:
            start = 0
            if len(what) == 3:
                last = Txid(_hash(what[2]))
                start = next((at + 1 for at, tx in enumerate(confirmed) if tx.txid == last), len(confirmed))
            return Reply([self._shape(tx) for tx in confirmed[start : start + PER_PAGE]])
        if what == ("utxo",):
            return Reply(self._unspent(script, waiting))
        return None

    def _stats(
        self, script: bytes | None, confirmed: Sequence[Transaction], waiting: Sequence[Transaction]
    ) -> dict[str, Any]:
        return {
            name: self._sums(script, part) for name, part in (("chain_stats", confirmed), ("mempool_stats", waiting))
        }

    def _sums(self, script: bytes | None, transactions: Sequence[Transaction]) -> dict[str, int]:
        funded = [int(out.value) for tx in transactions for out in tx.outputs if out.script == script]
        spent = [
            int(coin.value)
            for tx in transactions
            for coin in self._histories.spent(tx)
            if coin is not None and coin.script == script
        ]
        return {
            "tx_count": len(transactions),
            "funded_txo_count": len(funded),
            "funded_txo_sum": sum(funded),
            "spent_txo_count": len(spent),
            "spent_txo_sum": sum(spent),
        }

    def _unspent(self, script: bytes | None, waiting: Iterable[Transaction]) -> list[dict[str, Any]]:
        index, pool = self._chain.index, self._chain.mempool
        found: list[dict[str, Any]] = []
        for tx in waiting:
            for vout, output in enumerate(tx.outputs):
                if output.script == script and pool.spender(OutPoint(tx.txid, vout)) is None:
                    place = {"txid": str(tx.txid), "vout": vout}
                    found.append({**place, "status": status_shape(None), "value": int(output.value)})
        for outpoint in index.by_script.get(script or b"", ()):
            if pool.spender(outpoint) is None:
                coin = index.coins[outpoint]
                place = {"txid": str(outpoint.txid), "vout": outpoint.vout}
                found.append({**place, "status": status_shape(index.chain[coin.height]), "value": int(coin.value)})
        return found

    # transactions

    def _transaction(self, rest: Sequence[str]) -> Reply | None:
        if not rest:
            return None
        txid = Txid(_hash(rest[0]))
        what = tuple(rest[1:])
        place = self._chain.index.place(txid)
        entry = self._chain.mempool.entries.get(txid)
        connected = place[0] if place else None
        if what == ("status",):
            return Reply(status_shape(connected))
        tx = place[0].block.transactions[place[1]] if place else entry.tx if entry else None
        if tx is None:
            return Reply(_MISSING, 404)
        return self._transaction_part(tx, connected, place[1] if place else 0, what)

    def _transaction_part(
        self, tx: Transaction, connected: Connected | None, position: int, what: tuple[str, ...]
    ) -> Reply | None:
        if what == ():
            return Reply(self._shape(tx))
        if what == ("hex",):
            return Reply(tx.serialize().hex())
        if what == ("raw",):
            return Reply(tx.serialize())
        if what == ("merkle-proof",):
            if connected is None:
                return Reply("Transaction not found or is unconfirmed", 404)
            levels = levels_of([one.txid for one in connected.block.transactions])
            branch = [node[::-1].hex() for node in branch_of(levels, position)]
            return Reply({"block_height": connected.height, "merkle": branch, "pos": position})
        if what == ("outspends",):
            return Reply([self._outspend(tx, vout) for vout in range(len(tx.outputs))])
        if what[0] == "outspend" and len(what) == 2:
            return Reply(self._outspend(tx, _number(what[1])))
        return None

    def _outspend(self, tx: Transaction, vout: int) -> dict[str, Any]:
        spender = self._histories.spender(OutPoint(tx.txid, vout))
        if spender is None:
            return {"spent": False}
        vin = next(at for at, one in enumerate(spender.inputs) if one.outpoint == OutPoint(tx.txid, vout))
        place = self._chain.index.place(spender.txid)
        status = status_shape(place[0] if place else None)
        return {"spent": True, "txid": str(spender.txid), "vin": vin, "status": status}

    def _shape(self, tx: Transaction) -> dict[str, Any]:
        place = self._chain.index.place(tx.txid)
        return transaction_shape(tx, self._histories.spent(tx), place[0] if place else None)

    # memory pool

    def _mempool(self, rest: Sequence[str]) -> Reply | None:
        entries = list(self._chain.mempool)
        if not rest:
            sizes = [(Decimal(entry.fee * 1000 // entry.vsize) / 1000, entry.vsize) for entry in entries]
            histogram = [list(pair) for pair in sorted(sizes, reverse=True)]
            return Reply(
                {
                    "count": len(entries),
                    "vsize": sum(entry.vsize for entry in entries),
                    "total_fee": sum(entry.fee for entry in entries),
                    "fee_histogram": histogram,
                }
            )
        if tuple(rest) == ("txids",):
            return Reply([str(entry.txid) for entry in entries])
        if tuple(rest) == ("recent",):
            some = entries[-10:][::-1]
            return Reply(
                [
                    {
                        "txid": str(entry.txid),
                        "fee": entry.fee,
                        "vsize": entry.vsize,
                        "value": sum(int(output.value) for output in entry.tx.outputs),
                    }
                    for entry in some
                ]
            )
        return None


class BadPathError(InvalidInputError):
    """A number or hash in a path that is none."""


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadPathError("Invalid number")
    return int(text)


def _hash(text: str) -> bytes:
    """Internal order from display hex."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 32 or len(text) != 64:
        raise BadPathError("Invalid hex string")
    return raw[::-1]
