"""What happened to each script, by the hash Electrum clients name it by, on the active chain and in the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bursar.bitcoin.transaction import OutPoint
from bursar.crypto.hashes import sha256
from bursar.nodes.sandbox.bitcoin.opcodes import unspendable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bursar.bitcoin.transaction import Transaction, Txid
    from bursar.nodes.sandbox.bitcoin.chain import RegtestChain
    from bursar.nodes.sandbox.bitcoin.index import Connected


class Event(NamedTuple):
    """A transaction in a script's history; ``height`` is 0 or -1 in the pool, the latter with unconfirmed parents."""

    height: int
    txid: str
    fee: int | None = None


class ScriptIndex:
    """Follows one chain; every method takes the chain's lock. ``refresh`` first, as nobody tells it of changes."""

    def __init__(self, chain: RegtestChain) -> None:
        self._chain = chain
        self._blocks: list[tuple[Connected, set[bytes]]] = [(chain.index.chain[0], set())]  # nobody can spend genesis
        self._confirmed: dict[bytes, list[Event]] = {}
        self._pool: dict[bytes, list[Event]] = {}
        self._scripts: dict[bytes, bytes] = {}
        self._hashes: dict[bytes, bytes] = {}
        self._sequence = -1
        self._touched: set[bytes] = set()
        self.refresh()

    def refresh(self) -> None:
        """Catch up with the chain and its pool."""
        with self._chain.lock:
            blocks = self._chain.index.chain
            moved = False
            while len(self._blocks) > len(blocks) or self._blocks[-1][0] is not blocks[len(self._blocks) - 1]:
                self._disconnect()
                moved = True
            for connected in blocks[len(self._blocks) :]:
                self._connect(connected)
                moved = True
            if moved or self._sequence != self._chain.mempool.sequence:
                self._read_pool()
                self._sequence = self._chain.mempool.sequence

    def take_touched(self) -> set[bytes]:
        """The script hashes whose history may have changed since this was last asked."""
        with self._chain.lock:
            touched, self._touched = self._touched, set()
            return touched

    def script(self, script_hash: bytes) -> bytes | None:
        """The script of a hash, if the chain or the pool ever paid it."""
        return self._scripts.get(script_hash)

    def history(self, script_hash: bytes) -> list[Event]:
        """Confirmed in the chain's order, then what waits."""
        with self._chain.lock:
            return [*self._confirmed.get(script_hash, ()), *self._pool.get(script_hash, ())]

    def waiting(self, script_hash: bytes) -> list[Event]:
        """What waits in the pool."""
        with self._chain.lock:
            return list(self._pool.get(script_hash, ()))

    def status(self, script_hash: bytes) -> str | None:
        """The protocol's digest of a history; nothing for an empty one."""
        history = self.history(script_hash)
        text = "".join([f"{event.txid}:{event.height}:" for event in history])
        return sha256(text.encode("ascii")).hex() if text else None

    def _hash(self, script: bytes) -> bytes:
        found = self._hashes.get(script)
        if found is None:
            found = self._hashes[script] = sha256(script)
            self._scripts[found] = script
        return found

    def _marks(self, tx: Transaction, spent: Iterable[bytes]) -> set[bytes]:
        paid = (output.script for output in tx.outputs if not unspendable(output.script))
        return {self._hash(script) for script in (*paid, *spent)}

    def _connect(self, connected: Connected) -> None:
        touched: set[bytes] = set()
        for position, tx in enumerate(connected.block.transactions):
            marks = self._marks(tx, (coin.script for coin in connected.spent_by(position)))
            event = Event(connected.height, str(tx.txid))
            for mark in marks:
                self._confirmed.setdefault(mark, []).append(event)
            touched |= marks
        self._blocks.append((connected, touched))
        self._touched |= touched

    def _disconnect(self) -> None:
        connected, touched = self._blocks.pop()
        for mark in touched:
            kept = [event for event in self._confirmed[mark] if event.height < connected.height]
            if kept:
                self._confirmed[mark] = kept
            else:
                del self._confirmed[mark]
        self._touched |= touched

    def _read_pool(self) -> None:
        before, self._pool = self._pool, {}
        for entry in self._chain.mempool:
            spent = (self._script_of(source.outpoint) for source in entry.tx.inputs)
            event = Event(-1 if entry.parents else 0, str(entry.txid), entry.fee)
            for mark in self._marks(entry.tx, spent):
                self._pool.setdefault(mark, []).append(event)
        for events in self._pool.values():
            events.sort(key=lambda event: (-event.height, event.txid))
        self._touched |= {
            mark for mark in before.keys() | self._pool.keys() if before.get(mark) != self._pool.get(mark)
        }

    def _script_of(self, outpoint: OutPoint) -> bytes:
        coin = self._chain.coin(outpoint)
        assert coin is not None, "the pool holds only transactions whose inputs exist"
        return coin.script

    def unspent(self, script_hash: bytes) -> list[tuple[Txid, int, int, int]]:
        """Outputs nobody spends, not even in the pool: txid, index, height (0 in the pool) and satoshi."""
        script = self._scripts.get(script_hash)
        if script is None:
            return []
        with self._chain.lock:
            chain = self._chain
            confirmed = [
                (outpoint.txid, outpoint.vout, coin.height, coin.value)
                for outpoint in chain.index.by_script.get(script, ())
                for coin in (chain.index.coins[outpoint],)
                if chain.mempool.spender(outpoint) is None
            ]
            return sorted(confirmed, key=lambda row: row[2]) + self._waiting_coins(script_hash, script)

    def _waiting_coins(self, script_hash: bytes, script: bytes) -> list[tuple[Txid, int, int, int]]:
        pool = self._chain.mempool
        wanted = {event.txid for event in self._pool.get(script_hash, ())}
        return [
            (entry.txid, vout, 0, int(output.value))
            for entry in (pool if wanted else ())
            if str(entry.txid) in wanted
            for vout, output in enumerate(entry.tx.outputs)
            if output.script == script and pool.spender(OutPoint(entry.txid, vout)) is None
        ]
