"""Finding single transactions on a node, with or without its index of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.chain.protocols import ChainTransaction
from bursar.nodes import reply as read
from bursar.nodes.bitcoind.blocks import NOT_FOUND, BlockReader, forget_oldest
from bursar.nodes.bitcoind_rpc import Refusal, RpcClient

if TYPE_CHECKING:
    from bursar.bitcoin.transaction import Txid

OUTPUTS_TRIED: Final = 16


class Lookup:
    """Remembers the blocks of the transactions seen, for nodes without ``txindex``."""

    def __init__(self, rpc: RpcClient, blocks: BlockReader) -> None:
        self._rpc = rpc
        self._blocks = blocks
        self._places: dict[Txid, str] = {}

    def remember(self, item: ChainTransaction) -> None:
        """Where a confirmed transaction was seen."""
        if item.block is not None:
            self._places[item.tx.txid] = item.block.hash
            forget_oldest(self._places)

    def transaction(self, txid: Txid) -> ChainTransaction | None:
        """A transaction as the node sees it, ``None`` when it cannot be found."""
        reply = self._rpc.ask("getrawtransaction", str(txid), 1)
        if not isinstance(reply, Refusal):
            tx = read.transaction(read.field(reply, "hex", str), txid)
            block_hash = reply.get("blockhash")
            if block_hash is None:
                return ChainTransaction(tx, None)
            header = self._rpc.call("getblockheader", read.hash_text(block_hash, "blockhash"))
            active = read.field(header, "confirmations", int) > 0
            return ChainTransaction(tx, read.block_ref(header)) if active else None
        if reply.code != NOT_FOUND:
            raise self._rpc.translate("getrawtransaction", reply)
        place = self._places.get(txid) or self._place_of(txid)
        return None if place is None else self._in_block(txid, place)

    def _place_of(self, txid: Txid) -> str | None:
        """The hash of the block of a transaction that still has an unspent output among its first."""
        tried = [(str(txid), vout, False) for vout in range(OUTPUTS_TRIED)]
        for reply in self._rpc.batch("gettxout", tried):
            if isinstance(reply, dict):
                tip = self._blocks.header(read.hash_text(read.field(reply, "bestblock", str), "bestblock"))
                return self._blocks.hash_at(tip.height - read.number(reply, "confirmations") + 1)
        return None

    def _in_block(self, txid: Txid, block_hash: str) -> ChainTransaction | None:
        reply = self._rpc.ask("getrawtransaction", str(txid), 0, block_hash)
        header = self._rpc.ask("getblockheader", block_hash)
        for method, answer in (("getrawtransaction", reply), ("getblockheader", header)):
            if isinstance(answer, Refusal):
                if answer.code != NOT_FOUND:
                    raise self._rpc.translate(method, answer)
                return None
        if read.field(header, "confirmations", int) < 0:
            self._places.pop(txid, None)
            return None
        return ChainTransaction(read.transaction(reply, txid), read.block_ref(header))
