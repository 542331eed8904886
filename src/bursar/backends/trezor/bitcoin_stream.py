"""Answers a Trezor's requests while it signs: parts of the transaction and of previous ones, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bursar.errors import SignerMisbehavedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar.backends.trezor.bitcoin_replacement import Original
    from bursar.backends.trezor.bitcoin_request import SigningRequest
    from bursar.bitcoin.transaction import Transaction

_SPARE: Final = 64


class Stream:
    """The acknowledgement for each ``TxRequest``; ``SignerMisbehavedError`` for one that no honest device sends."""

    __slots__ = ("_answers", "_inputs", "_left", "_messages", "_original", "_outputs", "_previous")

    def __init__(self, messages: Any, request: SigningRequest) -> None:
        kind = messages.RequestType
        self._messages = messages
        self._inputs = [messages.TxAckInput(tx=messages.TxAckInputWrapper(input=one)) for one in request.inputs]
        self._outputs = [messages.TxAckOutput(tx=messages.TxAckOutputWrapper(output=one)) for one in request.outputs]
        self._previous = request.previous
        self._original = request.original
        self._left = most_requests(request)
        self._answers: dict[
            int, tuple[Callable[[int | None], Any] | None, Callable[[Transaction, int | None], Any]]
        ] = {
            kind.TXINPUT: (self._input, self._previous_input),
            kind.TXOUTPUT: (self._output, self._previous_output),
            kind.TXMETA: (None, self._previous_meta),
        }

    def answer(self, request: Any) -> Any:
        """The message the device asks for next."""
        self._left -= 1
        if self._left < 0:
            raise misbehaved("it asks without end")
        details = request.details
        if details is None:
            raise self._absent(request.request_type)
        index = details.request_index
        tx_hash = details.tx_hash
        original = self._original
        if original is not None and tx_hash == original.txid:
            return self._of_original(original, request.request_type, index)
        known = self._answers.get(request.request_type)
        if known is None:
            raise self._absent(request.request_type)
        if not tx_hash:
            if known[0] is None:
                raise misbehaved("it asks for a previous transaction without naming one")
            return known[0](index)
        before = self._previous.get(tx_hash)
        if before is None:
            raise misbehaved(f"it asks for the transaction {tx_hash.hex()[:80]}, which this one does not spend from")
        return known[1](before, index)

    @staticmethod
    def _absent(kind: object) -> SignerMisbehavedError:
        return misbehaved(f"it asks for something that is not there ({kind!r})")

    def _of_original(self, original: Original, kind: Any, index: int | None) -> Any:
        """A part of the transaction that is replaced."""
        messages = self._messages
        if kind == messages.RequestType.TXMETA:
            return self._previous_meta(original.tx, None)
        parts = {
            messages.RequestType.TXORIGINPUT: original.inputs,
            messages.RequestType.TXORIGOUTPUT: original.outputs,
        }.get(kind)
        if parts is None or index is None or index >= len(parts):
            raise misbehaved(f"it asks for part {index} of the replaced transaction that is not there ({kind!r})")
        if parts is original.inputs:
            return messages.TxAckInput(tx=messages.TxAckInputWrapper(input=parts[index]))
        return messages.TxAckOutput(tx=messages.TxAckOutputWrapper(output=parts[index]))

    def _input(self, index: int | None) -> Any:
        if index is None or index >= len(self._inputs):
            raise misbehaved(f"it asks for input {index} of {len(self._inputs)}")
        return self._inputs[index]

    def _output(self, index: int | None) -> Any:
        if index is None or index >= len(self._outputs):
            raise misbehaved(f"it asks for output {index} of {len(self._outputs)}")
        return self._outputs[index]

    def _previous_meta(self, before: Transaction, _: int | None) -> Any:
        messages = self._messages
        return messages.TxAckPrevMeta(
            tx=messages.PrevTx(
                version=before.version,
                lock_time=before.locktime,
                inputs_count=len(before.inputs),
                outputs_count=len(before.outputs),
            )
        )

    def _previous_input(self, before: Transaction, index: int | None) -> Any:
        if index is None or index >= len(before.inputs):
            raise misbehaved(f"it asks for input {index} of {len(before.inputs)} of a previous transaction")
        (txid, vout), script_sig, sequence, _ = before.inputs[index]
        messages = self._messages
        part = messages.PrevInput(prev_hash=txid[::-1], prev_index=vout, script_sig=script_sig, sequence=sequence)
        return messages.TxAckPrevInput(tx=messages.TxAckPrevInputWrapper(input=part))

    def _previous_output(self, before: Transaction, index: int | None) -> Any:
        if index is None or index >= len(before.outputs):
            raise misbehaved(f"it asks for output {index} of {len(before.outputs)} of a previous transaction")
        value, script = before.outputs[index]
        messages = self._messages
        part = messages.PrevOutput(amount=value, script_pubkey=script)
        return messages.TxAckPrevOutput(tx=messages.TxAckPrevOutputWrapper(output=part))


def most_requests(request: SigningRequest) -> int:
    """More requests than any firmware needs: every part up to six times, and all of them again for each legacy input.

    Each previous transaction is streamed once for every input that spends from it.
    """
    parts = len(request.inputs) + len(request.outputs)
    again = sum(1 for own in request.own if own is not None and own.legacy)
    counted = {key: 1 + len(before.inputs) + len(before.outputs) for key, before in request.previous.items()}
    previous = sum(counted.get(one.prev_hash, 0) for one in request.inputs)
    old = request.original
    replaced = 0 if old is None else (4 + len(old.inputs)) * (len(old.inputs) + len(old.outputs))
    return _SPARE + 6 * parts + again * parts + 2 * previous + replaced


def misbehaved(reason: str) -> SignerMisbehavedError:
    """The error for a device that does not keep to the protocol."""
    return SignerMisbehavedError(f"the trezor misbehaved while signing: {reason}; do not trust it until you know why")
