"""What was learnt from a server and proven: in memory, and in a file if one is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.nodes.electrum.cache import Cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from bursar.bitcoin.headers import Checkpoint, HeaderChain
    from bursar.bitcoin.network import Network
    from bursar.bitcoin.transaction import Transaction, Txid


@dataclass(frozen=True, slots=True)
class Known:
    """A script's status and the history it stands for."""

    status: str | None
    history: tuple[tuple[Txid, int], ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """Where a transaction stands in the block at ``height``, and the branch that shows it."""

    height: int
    position: int
    branch: tuple[bytes, ...]


class Memory:
    """Histories by script hash, transactions and proofs by id. What comes from the file is unproven until checked."""

    def __init__(self, cache: Path | None, network: Network, checkpoint: Checkpoint | None) -> None:
        self.scripts: dict[bytes, Known] = {}
        self.transactions: dict[Txid, Transaction] = {}
        self.proofs: dict[Txid, Proof] = {}
        start = network.genesis_hash if checkpoint is None else checkpoint.hash
        self._file = None if cache is None else Cache(cache, start)
        self._histories: dict[bytes, Known] = {}
        self._fresh: list[Transaction] = []
        self._shown: dict[Txid, Proof] = {}

    def close(self) -> None:
        """Let go of the file; idempotent."""
        if self._file is not None:
            self._file.close()

    def restore(self, take: Callable[[int, bytes], None]) -> None:
        """Hand over the headers in the file, if there are any."""
        headers = None if self._file is None else self._file.headers()
        if headers is not None:
            take(*headers)

    def load(self, keys: Iterable[bytes]) -> None:
        """Look for histories in the file."""
        if self._file is not None:
            for key, status, history in self._file.scripts([key for key in keys if key not in self.scripts]):
                self.scripts[key] = Known(status, history)

    def load_transactions(self, txids: Iterable[Txid]) -> None:
        """Look for transactions in the file."""
        if self._file is not None:
            self.transactions.update((tx.txid, tx) for tx in self._file.transactions(txids))

    def load_proofs(self, heights: Mapping[Txid, int]) -> dict[Txid, Proof]:
        """Proofs in the file for transactions at these heights."""
        if self._file is None:
            return {}
        found = self._file.proofs(heights)
        return {txid: Proof(*parts) for txid, parts in found.items() if parts[0] == heights[txid]}

    def learn(self, fresh: Mapping[bytes, Known]) -> None:
        """New histories, all of whose transactions are here and proven."""
        self.scripts.update(fresh)
        if self._file is not None:
            self._histories.update(fresh)

    def keep(self, tx: Transaction) -> None:
        """A transaction that hashes to its id."""
        self.transactions[tx.txid] = tx
        if self._file is not None:
            self._fresh.append(tx)

    def prove(self, txid: Txid, proof: Proof) -> None:
        """A proof that was checked."""
        self.proofs[txid] = proof
        if self._file is not None:
            self._shown[txid] = proof

    def forget_from(self, height: int) -> None:
        """Blocks from a height on were replaced: what they proved is open again."""
        for txid in [txid for txid, proof in self.proofs.items() if proof.height >= height]:
            del self.proofs[txid]

    def named(self, keys: Iterable[bytes]) -> set[Txid]:
        """The transactions in the histories of some scripts."""
        return {txid for key in keys for txid, _ in self.scripts[key].history}

    def save(self, chain: HeaderChain) -> None:
        """Write what is new to the file."""
        if self._file is None:
            return
        self._file.write(
            chain,
            self._fresh,
            [(txid, proof.height, proof.position, proof.branch) for txid, proof in self._shown.items()],
            [(key, known.status, known.history) for key, known in self._histories.items()],
        )
        self._fresh.clear()
        self._shown.clear()
        self._histories.clear()
