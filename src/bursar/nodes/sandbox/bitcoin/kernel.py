"""Bitcoin Core's own consensus engine, through py-bitcoinkernel; the only file that names ``pbk``."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from bursar.errors import CorruptStoreError, InvalidInputError, MissingExtraError

RULE: Final = "input.block.consensus"
_WHY: Final = {
    0: "block is invalid for a reason the kernel does not name",
    1: "breaks a consensus rule",
    2: "is known to be invalid",
    3: "has an invalid header (proof of work, version or time)",
    4: "does not match the data its header commits to",
    5: "builds on an unknown block",
    6: "builds on an invalid block",
    7: "is dated too far in the future",
    8: "has too little work",
}


def load() -> ModuleType:
    """The binding; ``MissingExtraError`` when it is not installed."""
    try:
        import pbk
    except ImportError as error:
        raise MissingExtraError(
            f"the bitcoin sandbox needs py-bitcoinkernel ({error}): install bursar[sandbox]", extra="sandbox"
        ) from error
    module: ModuleType = pbk
    return module


class Kernel:
    """A chainstate manager over one folder; ``submit`` is the only way in.

    The folder is a cache: blocks fed again after a restart are skipped, and a folder the kernel cannot open is emptied.
    """

    def __init__(self, folder: Path, *, in_memory: bool) -> None:
        self._pbk = load()
        self._folder = folder
        self._in_memory = in_memory
        self._verdicts: list[tuple[int, int]] = []
        self._manager: Any = None
        self._open()

    def _open(self) -> None:
        try:
            self._create()
        except RuntimeError:  # what the binding raises for a folder it cannot use, as after a crash
            self.wipe()

    def wipe(self) -> None:
        """Forget every block: start from genesis again."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        try:
            self._create()
        except RuntimeError as error:
            raise CorruptStoreError(f"libbitcoinkernel cannot use the folder {self._folder}: {error}") from error

    def _create(self) -> None:
        pbk = self._pbk
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        callbacks = pbk.ValidationInterfaceCallbacks(block_checked=self._checked)
        context = pbk.make_context(pbk.ChainType.REGTEST, callbacks)
        options = pbk.ChainstateManagerOptions(context, str(self._folder), str(self._folder / "blocks"))
        options.set_worker_threads_num(0)
        if self._in_memory:
            options.update_block_tree_db_in_memory(True)
            options.update_chainstate_db_in_memory(True)
        self._manager = pbk.ChainstateManager(options)
        self._chain = self._manager.get_active_chain()

    def _checked(self, _user: object, _block: object, state: Any) -> None:
        self._verdicts.append((int(state.validation_mode), int(state.block_validation_result)))

    def close(self) -> None:
        """Flush and let go of the folder; idempotent."""
        manager, self._manager = self._manager, None
        self._chain = None
        if manager is not None:
            manager.__exit__(None, None, None)

    @property
    def height(self) -> int:
        """Of the active chain's tip; genesis is 0."""
        height: int = self._chain.height
        return height

    def hash_at(self, height: int) -> bytes:
        """The hash (internal byte order) of the active chain's block at ``height``."""
        return bytes(self._chain.block_tree_entries[height].block_hash)

    def knows(self, block_hash: bytes) -> bool:
        """Whether the block was submitted before, whatever became of it."""
        return self._pbk.BlockHash(block_hash) in self._manager.block_tree_entries

    def submit(self, raw: bytes) -> None:
        """Have a serialised block validated and, when its chain has the most work, connected.

        Raises ``InvalidInputError``: ``input.block`` for what cannot be parsed, ``input.block.consensus`` for what
        breaks a rule. A valid block of a weaker branch is kept; its inputs are checked only when that branch becomes
        the strongest.
        """
        pbk = self._pbk
        try:
            block = pbk.Block(raw)
        except RuntimeError as error:
            raise InvalidInputError("block cannot be parsed: give all of it", code="input.block") from error
        self._verdicts.clear()
        try:
            self._manager.process_block(block)
        except pbk.ProcessBlockException as error:
            raise InvalidInputError(f"block {block.block_hash} {self._reason()}", code=RULE) from error
        if self._reason_code() is not None:
            raise InvalidInputError(f"block {block.block_hash} {self._reason()}", code=RULE)

    def _reason_code(self) -> int | None:
        failed = [result for mode, result in self._verdicts if mode != 0]
        return failed[-1] if failed else None

    def _reason(self) -> str:
        return _WHY.get(self._reason_code() or 0, _WHY[0])


def failing_input(raw: bytes, spent: Sequence[tuple[int, bytes]]) -> int | None:
    """The first input of a serialised transaction whose script fails under every consensus flag, ``None`` if all pass.

    ``spent`` holds the amount in satoshi and the output script each input spends, in input order.
    """
    pbk = load()
    tx = pbk.Transaction(raw)
    scripts = [pbk.ScriptPubkey(script) for _, script in spent]
    outputs = [pbk.TransactionOutput(script, amount) for script, (amount, _) in zip(scripts, spent, strict=True)]
    shared = pbk.script.PrecomputedTransactionData(tx, outputs)
    flags = pbk.ScriptVerificationFlags.ALL
    for index, (script, (amount, _)) in enumerate(zip(scripts, spent, strict=True)):
        if not script.verify(amount, tx, shared, index, flags):
            return index
    return None
