"""The transaction as the host streams it: one TxRequest, one TxAck at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trezorlib import messages
from trezorlib.messages import RequestType

from bursar.bitcoin.wire import compact_size, sized
from bursar.crypto.hashes import sha256d
from bursar_devices.trezor.spending import rules
from bursar_devices.trezor.workflow import Exchange, Workflow, data_error, processing_error

if TYPE_CHECKING:
    from bursar_devices.trezor.board import Board


class Stream:
    """Asks for parts, and sends along what is signed and serialized so far."""

    def __init__(self, board: Board) -> None:
        self.legacy = board.legacy
        self._pending = bytearray()
        self._has_pending = False
        self._signature: tuple[int, bytes] | None = None

    def write(self, data: bytes) -> None:
        """Bytes of the finished transaction, to go with the next request."""
        self._pending += data
        self._has_pending = True

    def sign(self, index: int, signature: bytes) -> None:
        """The signature of an input, to go with the next request."""
        self._signature = index, signature

    def _request(self, kind: RequestType, details: messages.TxRequestDetailsType | None) -> messages.TxRequest:
        serialized = None
        if self._has_pending or self._signature is not None or not self.legacy:
            index, signature = self._signature or (None, None)
            written = bytes(self._pending) if self._has_pending or not self.legacy else None
            serialized = messages.TxRequestSerializedType(
                signature_index=index, signature=signature, serialized_tx=written
            )
        self._pending.clear()
        self._has_pending = False
        self._signature = None
        return messages.TxRequest(request_type=kind, details=details, serialized=serialized)

    def _ask(self, kind: RequestType, index: int | None, tx_hash: bytes | None) -> Workflow[messages.TransactionType]:
        details = messages.TxRequestDetailsType(request_index=index, tx_hash=tx_hash)
        ack = yield Exchange(self._request(kind, details), (messages.TxAck,))
        if ack.tx is None:
            raise data_error("No transaction provided")
        tx: messages.TransactionType = ack.tx
        return tx

    def finished(self) -> messages.TxRequest:
        """The last message: no more is asked for."""
        details = None if self.legacy else messages.TxRequestDetailsType()
        return self._request(RequestType.TXFINISHED, details)

    def input(self, index: int, original: bytes | None = None) -> Workflow[messages.TxInputType]:
        kind = RequestType.TXINPUT if original is None else RequestType.TXORIGINPUT
        tx = yield from self._ask(kind, index, original)
        if not tx.inputs:
            raise data_error("Provided prev_hash is invalid." if self.legacy else "Failed to decode message")
        return rules.check_input(tx.inputs[0], legacy=self.legacy)

    def output(self, index: int, original: bytes | None = None) -> Workflow[messages.TxOutputType]:
        kind = RequestType.TXOUTPUT if original is None else RequestType.TXORIGOUTPUT
        tx = yield from self._ask(kind, index, original)
        if not tx.outputs:
            raise data_error("Missing address" if self.legacy else "Failed to decode message")
        return rules.check_output(tx.outputs[0], legacy=self.legacy)

    def meta(self, tx_hash: bytes) -> Workflow[messages.TransactionType]:
        """The counts and numbers of another transaction."""
        tx = yield from self._ask(RequestType.TXMETA, None, tx_hash)
        if tx.extra_data_len:
            raise data_error("Extra data not enabled on this coin.")
        if tx.expiry is not None and (self.legacy or tx.expiry):
            raise data_error("Expiry not enabled on this coin.")
        if tx.timestamp is not None and (self.legacy or tx.timestamp):
            raise data_error("Timestamp not enabled on this coin.")
        if tx.version_group_id is not None:
            raise data_error("Version group ID not enabled on this coin.")
        if tx.branch_id is not None:
            raise data_error("Branch ID not enabled on this coin.")
        return tx

    def previous(self, tx_hash: bytes, spent: int, amount: int, script: bytes) -> Workflow[None]:
        """Check one input against the transaction that made its coin."""
        meta = yield from self.meta(tx_hash)
        outputs_count = meta.outputs_cnt or 0
        if outputs_count <= spent:
            text = "Not enough outputs in previous transaction."
            raise data_error(text) if self.legacy else processing_error(text)
        body = (meta.version or 0).to_bytes(4, "little") + compact_size(meta.inputs_cnt or 0)
        for index in range(meta.inputs_cnt or 0):
            tx = yield from self._ask(RequestType.TXINPUT, index, tx_hash)
            if not tx.inputs:
                raise data_error("Provided prev_hash is invalid.")
            txi = rules.check_previous_input(tx.inputs[0])
            body += input_bytes(txi, txi.script_sig or b"")
        body += compact_size(outputs_count)
        coin = None
        for index in range(outputs_count):
            tx = yield from self._ask(RequestType.TXOUTPUT, index, tx_hash)
            if not tx.bin_outputs:
                raise data_error("Input does not match scriptPubKey")
            found = tx.bin_outputs[0]
            body += found.amount.to_bytes(8, "little") + sized(found.script_pubkey)
            if index == spent:
                coin = found
                if self.legacy:
                    _compare(coin, amount, script)
        if sha256d(body + (meta.lock_time or 0).to_bytes(4, "little")) != tx_hash[::-1]:
            if self.legacy:
                raise data_error("Encountered invalid prevhash")
            raise processing_error("Encountered invalid prev_hash")
        if not self.legacy and coin is not None:
            _compare(coin, amount, script)


def input_bytes(txi: messages.TxInputType, script_sig: bytes) -> bytes:
    """The input as it stands in a transaction."""
    outpoint = txi.prev_hash[::-1] + txi.prev_index.to_bytes(4, "little")
    return outpoint + sized(script_sig) + (txi.sequence or 0).to_bytes(4, "little")


def _compare(found: messages.TxOutputBinType, amount: int, script: bytes) -> None:
    if found.amount != amount:
        raise data_error("Invalid amount specified")
    if found.script_pubkey != script:
        raise data_error("Input does not match scriptPubKey")
