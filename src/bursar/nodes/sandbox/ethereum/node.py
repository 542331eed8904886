"""The sandbox's Ethereum node: one chain, one pool, one file; blocks come when they are asked for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from bursar.errors import ConflictError
from bursar.nodes.sandbox.ethereum.chain import GAS_LIMIT, EvmChain
from bursar.nodes.sandbox.ethereum.faucet import FAUCET_ADDRESS, FAUCET_WEI
from bursar.nodes.sandbox.ethereum.pool import TransactionPool, Waiting
from bursar.nodes.sandbox.ethereum.store import ChainStore
from bursar.nodes.sandbox.ethereum.words import RpcError

MOST_BLOCKS = 10_000


class EvmNode:
    """State shared by the methods of the JSON-RPC interface; the caller holds a lock."""

    def __init__(self, path: Path | None, *, chain_id: int, automine: bool = False) -> None:
        self.chain_id = chain_id
        self.automine = automine
        self._time_offset = 0
        self._store = ChainStore(path)
        kept = self._store.setting("chain_id")
        if kept is not None and kept != str(chain_id):
            self._store.close()
            raise ConflictError(f"the folder holds a chain with id {kept}, not {chain_id}: use another folder")
        alloc = {FAUCET_ADDRESS.value: FAUCET_WEI}
        self.chain = EvmChain(self._store, chain_id=chain_id, genesis_time=int(time.time()), alloc=alloc)
        self.pool = TransactionPool(self.chain, chain_id=chain_id, gas_limit=GAS_LIMIT)
        if kept is None:
            self._store.set_setting("chain_id", str(chain_id))
        for raw in self._store.waiting():
            self._readmit(raw)
        self._commit()

    def _readmit(self, raw: bytes) -> None:
        try:
            self.pool.add(raw)
        except RpcError:
            return

    def _commit(self) -> None:
        self._store.commit(self.pool.raws())

    def send(self, raw: bytes) -> bytes:
        """Admit a raw transaction, mine it at once when automining, and give its hash."""
        tx_hash = self.pool.add(raw)
        self._commit()
        if self.automine:
            self.mine(1)
        return tx_hash

    def mine(self, count: int) -> None:
        """Mine ``count`` blocks; each takes what waits in the pool and can be executed."""
        if not 0 <= count <= MOST_BLOCKS:
            raise RpcError(f"mine 0 to {MOST_BLOCKS} blocks at a time", code=-32602)
        for _ in range(count):
            self.chain.begin(timestamp=int(time.time()) + self._time_offset)
            if len(self.pool):
                prices = {"base_fee": self.chain.next_base_fee, "blob_fee": self.chain.next_blob_fee}
                self.pool.fill(**prices, gas=GAS_LIMIT, include=self._include)
            self.chain.seal()
            self.pool.drop_used()
            self._commit()

    def rewind(self, depth: int) -> None:
        """Drop the last ``depth`` blocks with their transactions; blocks mined after that are others."""
        head = int(self.chain.head.block_number)
        if not 0 <= depth <= head:
            raise RpcError(f"the chain has {head} blocks to drop, not {depth}", code=-32602)
        self.increase_time(1)
        self.chain.rewind(head - depth)
        self.pool.drop_used()
        self._commit()

    def increase_time(self, seconds: int) -> int:
        """Move the next block's time ``seconds`` past the last one's or the clock; gives the offset."""
        ahead = int(self.chain.head.timestamp) - int(time.time())
        self._time_offset = max(self._time_offset, ahead) + seconds
        return self._time_offset

    def _include(self, one: Waiting) -> int | None:
        return self.chain.include(one.tx.serialize())

    def state(self, number: int | None, *, pending: bool = False) -> Any:
        """The state after a block, or with the pool's transactions executed on the last one."""
        if pending and len(self.pool):
            return self.chain.state_with([one.tx.serialize() for one in self.pool.executable()])
        return self.chain.state(number)

    def close(self) -> None:
        """Close the file."""
        self._store.close()
