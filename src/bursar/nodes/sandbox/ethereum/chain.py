"""An Ethereum chain of our own over py-evm (Prague rules, no consensus layer); the only file that imports it."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bursar.errors import MissingExtraError
from bursar.nodes.sandbox.ethereum.trace import call_frame, traced
from bursar.nodes.sandbox.ethereum.words import RpcError, reverted

if TYPE_CHECKING:
    from bursar.nodes.sandbox.ethereum.store import ChainStore

GAS_LIMIT = 30_000_000
_CALL_STIPEND = 2_300
_REFUNDED_PART = 5  # EIP-3529
_ATTEMPTS = 4


def check_library() -> None:
    """MissingExtraError unless py-evm is installed."""
    if importlib.util.find_spec("eth") is None:
        raise MissingExtraError(
            "the embedded ethereum chain needs py-evm: pip install 'bursar[sandbox]'", extra="sandbox"
        )


@dataclass(frozen=True, slots=True)
class Message:
    """A call that is executed and forgotten; ``to`` is ``None`` for init code.

    An authorization (EIP-7702) is chain id, delegate, nonce, parity, r and s.
    """

    sender: bytes
    to: bytes | None
    data: bytes
    value: int
    gas: int | None
    authorizations: tuple[tuple[int, bytes, int, int, int, int], ...] = ()
    access_list: tuple[tuple[bytes, tuple[int, ...]], ...] = ()
    blob_hashes: tuple[bytes, ...] = ()


class EvmChain:
    """Blocks, state and execution. Not safe for several threads: the caller holds a lock."""

    def __init__(self, store: ChainStore, *, chain_id: int, genesis_time: int, alloc: Mapping[bytes, int]) -> None:
        from eth.chains.base import MiningChain
        from eth.constants import BLANK_ROOT_HASH, POST_MERGE_DIFFICULTY, POST_MERGE_MIX_HASH, POST_MERGE_NONCE
        from eth.db.atomic import AtomicDB
        from eth.db.schema import SchemaV1
        from eth.vm.forks.prague import PragueVM
        from eth.vm.forks.prague.computation import PragueComputation
        from eth.vm.forks.prague.state import PragueState

        number = chain_id

        class SandboxState(PragueState):  # type: ignore[misc, unused-ignore]
            computation_class: Any = traced(PragueComputation)
            touched: Any = None  # addresses and their slots, where somebody asks for an access list

            def mark_address_warm(self, address: Any) -> None:
                if self.touched is not None:
                    self.touched.setdefault(bytes(address), set())
                super().mark_address_warm(address)

            def mark_storage_warm(self, address: Any, slot: int) -> None:
                if self.touched is not None:
                    self.touched.setdefault(bytes(address), set()).add(slot)
                super().mark_storage_warm(address, slot)

        class SandboxVM(PragueVM):  # type: ignore[misc, unused-ignore]
            _state_class: Any = SandboxState

        class SandboxChain(MiningChain):  # type: ignore[misc, unused-ignore]
            chain_id = number
            vm_configuration: Any = ((0, SandboxVM),)

            def create_header_from_parent(self, parent_header: Any, **fields: Any) -> Any:
                fields["gas_limit"] = parent_header.gas_limit
                return super().create_header_from_parent(parent_header, **fields)

        self._view: Any = None
        database = AtomicDB(store)  # type: ignore[arg-type]
        if SchemaV1.make_canonical_head_hash_lookup_key() in store:
            self._chain: Any = SandboxChain(database)
            return
        genesis = {
            "coinbase": bytes(20),
            "difficulty": POST_MERGE_DIFFICULTY,
            "extra_data": b"bursar sandbox",
            "gas_limit": GAS_LIMIT,
            "mix_hash": POST_MERGE_MIX_HASH,
            "nonce": POST_MERGE_NONCE,
            "receipt_root": BLANK_ROOT_HASH,
            "timestamp": genesis_time,
            "transaction_root": BLANK_ROOT_HASH,
        }
        state = {
            address: {"balance": balance, "nonce": 0, "code": b"", "storage": {}} for address, balance in alloc.items()
        }
        self._chain = SandboxChain.from_genesis(database, genesis, state)  # type: ignore[arg-type]

    @property
    def head(self) -> Any:
        """The header of the last block."""
        return self._chain.get_canonical_head()

    @property
    def next_base_fee(self) -> int:
        """The base fee of the block that is mined next, in wei per gas."""
        return int(self._chain.header.base_fee_per_gas)

    @property
    def next_blob_fee(self) -> int:
        """What one gas of blobs costs in the block that is mined next, in wei."""
        return int(self._virtual_machine(None).state.blob_base_fee)

    def blob_fee(self, number: int) -> int:
        """What one gas of blobs cost in a block, in wei."""
        return int(self._chain.get_vm(self.header(number)).state.blob_base_fee)

    def header(self, number: int) -> Any:
        """The header at a height from 0 to the head's."""
        return self._chain.get_canonical_block_header_by_number(number)

    def block(self, number: int) -> Any:
        """The block at a height from 0 to the head's."""
        return self._chain.get_canonical_block_by_number(number)

    def number_of(self, block_hash: bytes) -> int | None:
        """The height of a block of this chain; one that was dropped has none."""
        from eth.exceptions import HeaderNotFound

        try:
            header = self._chain.get_block_header_by_hash(block_hash)
        except HeaderNotFound:
            return None
        number = int(header.block_number)
        stands = number <= self.head.block_number and self.header(number).hash == block_hash
        return number if stands else None

    def receipts(self, block: Any) -> Sequence[Any]:
        """The receipts of a block, in order."""
        return self._chain.chaindb.get_receipts(block.header, block.receipt_builder)  # type: ignore[no-any-return]

    def find(self, tx_hash: bytes) -> tuple[int, int] | None:
        """Height and position of a mined transaction."""
        from eth.exceptions import TransactionNotFound

        try:
            number, index = self._chain.chaindb.get_transaction_index(tx_hash)
        except TransactionNotFound:
            return None
        if number > self.head.block_number:
            return None
        transactions = self.block(number).transactions
        stands = index < len(transactions) and transactions[index].hash == tx_hash
        return (int(number), int(index)) if stands else None

    def _virtual_machine(self, number: int | None) -> Any:
        """The machine that would execute the block after ``number`` (``None``: after the head)."""
        if number is None or number == self.head.block_number:
            return self._chain.get_vm(self._chain.header)
        return self._chain.get_vm(self._chain.create_header_from_parent(self.header(number)))

    def state(self, number: int | None = None) -> Any:
        """The state after block ``number``, the head's when ``None``."""
        return self._virtual_machine(number).state

    def balance(self, address: bytes) -> int:
        """The balance after the last block, in wei."""
        return int(self._head_view().get_balance(address))

    def nonce(self, address: bytes) -> int:
        """The next nonce after the last block."""
        return int(self._head_view().get_nonce(address))

    def _head_view(self) -> Any:
        """The head's state, kept for reading only until the next block is sealed."""
        if self._view is None:
            self._view = self.state()
        return self._view

    def state_with(self, raws: Sequence[bytes]) -> Any:
        """The head's state with ``raws`` executed on it; those that cannot be are left out. Nothing is kept."""
        from eth.validation import ValidationError  # type: ignore[attr-defined]

        machine = self._virtual_machine(None)
        for raw in raws:
            transaction = machine.get_transaction_builder().decode(raw)
            try:
                machine.state.apply_transaction(transaction)
            except ValidationError:
                continue
            machine.state.lock_changes()
        return machine.state

    def begin(self, *, timestamp: int) -> None:
        """Start the next block; its time is at least a second after its parent's."""
        self._chain.set_header_timestamp(max(timestamp, self.head.timestamp + 1))

    def include(self, raw: bytes) -> int | None:
        """Execute a transaction in the block begun and give the gas it used; ``None`` if the block cannot hold it."""
        from eth.validation import ValidationError  # type: ignore[attr-defined]

        transaction = self._chain.get_vm().get_transaction_builder().decode(raw)
        before = self._chain.header.gas_used
        try:
            block, _, _ = self._chain.apply_transaction(transaction)
        except ValidationError:
            return None
        machine = self._chain.get_vm()
        self._chain.header = machine.increment_blob_gas_used(self._chain.header, transaction)
        return int(block.header.gas_used - before)

    def seal(self) -> Any:
        """Close the block begun and give it."""
        block = self._chain.mine_block()
        self._view = None
        return block

    def rewind(self, number: int) -> None:
        """Make the block at a height the head again; those above it and their transactions are forgotten."""
        from eth.db.schema import SchemaV1

        # the library overwrites what is above when new blocks come; until then nobody looks there
        header = self.header(number)
        self._chain.chaindb.db[SchemaV1.make_canonical_head_hash_lookup_key()] = header.hash
        self._chain.header = self._chain.create_header_from_parent(header)
        self._view = None

    def call(self, message: Message, *, number: int | None = None) -> bytes:
        """The output of a call on the state after ``number``; :class:`RpcError` when it fails."""
        return bytes(self._result(message, self._free_machine(number)).output)

    def _free_machine(self, number: int | None) -> Any:
        header = self._virtual_machine(number).get_header()
        return self._chain.get_vm(header.copy(base_fee_per_gas=0))

    def _result(self, message: Message, machine: Any, *, gas: int | None = None) -> Any:
        """The computation of a call that succeeds; :class:`RpcError` when it fails."""
        from eth.exceptions import VMError

        computation = self._execute(message, machine, gas=gas)
        try:
            computation.raise_if_error()
        except VMError as error:
            raise _execution_error(error, computation) from error
        return computation

    def _execute(self, message: Message, machine: Any, *, gas: int | None = None) -> Any:
        """Execute ``message`` as a transaction that pays nothing; the machine is used up."""
        from eth.validation import ValidationError  # type: ignore[attr-defined]
        from eth.vm.spoof import SpoofTransaction

        state = machine.state
        if message.value > state.get_balance(message.sender):
            raise RpcError("insufficient funds for transfer")
        fields = {
            "chain_id": self._chain.chain_id,
            "nonce": state.get_nonce(message.sender),
            "max_priority_fee_per_gas": 0,
            "max_fee_per_gas": 0,
            "gas": min(gas or message.gas or GAS_LIMIT, GAS_LIMIT),
            "to": message.to or b"",
            "value": message.value,
            "data": message.data,
            "access_list": message.access_list,
        }
        builder = machine.get_transaction_builder()
        if message.authorizations:
            from eth.vm.forks.prague.transactions import Authorization

            held = [Authorization(*one) for one in message.authorizations]
            unsigned = builder.new_unsigned_set_code_transaction(**fields, authorization_list=held)
        elif message.blob_hashes:
            blobs = {"max_fee_per_blob_gas": int(state.blob_base_fee), "blob_versioned_hashes": message.blob_hashes}
            unsigned = builder.new_unsigned_blob_transaction(**fields, **blobs)
        else:
            unsigned = builder.new_unsigned_dynamic_fee_transaction(**fields)
        transaction = SpoofTransaction(unsigned, from_=message.sender)
        if transaction.gas < transaction.intrinsic_gas:
            raise RpcError(f"intrinsic gas too low: have {transaction.gas}, want {transaction.intrinsic_gas}")
        try:
            return state.apply_transaction(transaction)
        except ValidationError as error:
            raise RpcError(str(error)) from error

    def trace_call(self, message: Message, *, logs: bool, number: int | None = None) -> dict[str, Any]:
        """The calls inside a call on the state after ``number``, whether it succeeds or not."""
        computation = self._execute(message, self._free_machine(number))
        high = min(message.gas or GAS_LIMIT, GAS_LIMIT)
        used = high - computation.get_gas_remaining()
        used += computation.data_floor_gas - min(computation.get_gas_refund(), used // _REFUNDED_PART)
        return call_frame(computation, logs=logs, gas=high, gas_used=used)

    def trace_block(self, number: int, *, logs: bool) -> list[dict[str, Any]]:
        """The calls inside each transaction of a block, which is executed once more."""
        block = self.block(number)
        if not number or not block.transactions:
            return []
        before = self.header(number - 1)
        machine = self._chain.get_vm(block.header.copy(state_root=before.state_root, gas_used=0, blob_gas_used=0))
        state = machine.state
        frames: list[dict[str, Any]] = []
        so_far = 0
        for transaction, receipt in zip(block.transactions, self.receipts(block), strict=True):
            state.lock_changes()
            computation = state.apply_transaction(transaction)
            used = receipt.gas_used - so_far
            frames.append(call_frame(computation, logs=logs, gas=transaction.gas, gas_used=used))
            so_far = receipt.gas_used
        return frames

    def touched(self, message: Message, *, number: int | None = None) -> tuple[dict[bytes, set[int]], int, str | None]:
        """What a call touches beyond what is warm anyway, the gas it uses then, and why it fails (``None``: not).

        The list is taken up until the next run touches nothing more, a few times at most.
        """
        listed: dict[bytes, set[int]] = {}
        for attempt in range(_ATTEMPTS):
            trial = replace(message, access_list=tuple((one, tuple(slots)) for one, slots in listed.items()))
            machine = self._free_machine(number)
            machine.state.touched = {}
            high = min(message.gas or GAS_LIMIT, GAS_LIMIT)
            computation = self._execute(trial, machine, gas=high)
            free = {message.sender, message.to, bytes(machine.state.coinbase), bytes(computation.msg.storage_address)}
            free |= {bytes(one) for one in computation.precompiles}
            found = {one: slots for one, slots in machine.state.touched.items() if slots or one not in free}
            if found == listed or attempt == _ATTEMPTS - 1:
                used = high - computation.get_gas_remaining()
                used += computation.data_floor_gas - min(computation.get_gas_refund(), used // _REFUNDED_PART)
                error = _execution_error(computation.error, computation) if computation.is_error else None
                return found, used, None if error is None else str(error)
            listed = found
        raise AssertionError("the last attempt returns")

    def estimate_gas(self, message: Message, *, number: int | None = None) -> int:
        """A gas limit with which ``message`` succeeds: the least, or within 1.5 % of it where calls withhold gas."""
        high = min(message.gas or GAS_LIMIT, GAS_LIMIT)
        computation = self._result(message, self._free_machine(number), gas=high)
        used = max(high - computation.get_gas_remaining(), high - computation.msg.gas)
        used += computation.data_floor_gas
        if self._succeeds(message, number, used):
            return int(used)
        low = used
        middle = min((used + _CALL_STIPEND) * 64 // 63, (low + high) // 2)
        while high - low > high * 15 // 1000:
            if self._succeeds(message, number, middle):
                high = middle
            else:
                low = middle
            middle = min((low + high) // 2, 2 * low)
        return high

    def _succeeds(self, message: Message, number: int | None, gas: int) -> bool:
        try:
            self._result(message, self._free_machine(number), gas=gas)
        except RpcError:
            return False
        return True


def _execution_error(error: Exception, computation: Any) -> RpcError:
    from eth.exceptions import InvalidInstruction, OutOfGas, Revert

    if isinstance(error, Revert):
        return reverted(bytes(computation.output))
    if isinstance(error, OutOfGas):
        return RpcError("out of gas")
    if isinstance(error, InvalidInstruction):
        return RpcError(f"invalid opcode: {error}")
    return RpcError(f"{type(error).__name__}: {error}")
