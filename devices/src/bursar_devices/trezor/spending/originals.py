"""A transaction that replaces one already signed: the original is streamed too, and only its fee may grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trezorlib.messages import InputScriptType

from bursar.bitcoin.wire import compact_size, sized
from bursar.crypto.hashes import sha256d
from bursar_devices.trezor.spending.change import ChangeDetector
from bursar_devices.trezor.spending.draft import Draft, Input, coin
from bursar_devices.trezor.spending.proofs import check_proof
from bursar_devices.trezor.spending.rules import changed
from bursar_devices.trezor.spending.stream import input_bytes
from bursar_devices.trezor.workflow import FailError, Workflow, data_error, processing_error, show

if TYPE_CHECKING:
    from trezorlib import messages

    from bursar_devices.trezor.spending.draft import Owner
    from bursar_devices.trezor.spending.layout import Layout
    from bursar_devices.trezor.spending.stream import Stream


def _signed_fields(txi: messages.TxInputType) -> tuple[object, ...]:
    return txi.prev_hash, txi.prev_index, txi.amount, txi.sequence


class Original(Draft):
    """The replaced transaction, and how far it has been streamed."""

    def __init__(self, meta: messages.TransactionType, tx_hash: bytes, *, legacy: bool) -> None:
        super().__init__(
            meta.version or 0, meta.lock_time or 0, meta.inputs_cnt or 0, meta.outputs_cnt or 0, ChangeDetector(legacy)
        )
        self.tx_hash = tx_hash
        self.next_output = 0
        self._body = bytearray()

    def add_input(self, txi: messages.TxInputType, script: bytes) -> None:
        self.inputs.append(Input(txi, script))
        self.change.add_input(txi)
        self.total_in += txi.amount or 0
        self._body += input_bytes(txi, txi.script_sig or b"")

    def add_output(self, txo: messages.TxOutputType, script: bytes) -> None:
        self.outputs.append(coin(txo.amount, script))
        self.total_out += txo.amount

    def check_txid(self) -> None:
        """Refuse unless what was streamed hashes to the original's id."""
        body = self.version.to_bytes(4, "little") + compact_size(self.inputs_count) + self._body
        body += compact_size(self.outputs_count)
        body += b"".join(output.value.to_bytes(8, "little") + sized(output.script) for output in self.outputs)
        if sha256d(bytes(body) + self.lock_time.to_bytes(4, "little")) != self.tx_hash[::-1]:
            raise processing_error("Invalid original TXID.")


class Replacement:
    """The originals of one request: a Trezor One takes one, later models several."""

    def __init__(self, stream: Stream, owner: Owner, layout: Layout, *, legacy: bool) -> None:
        self._stream = stream
        self._owner = owner
        self._layout = layout
        self._legacy = legacy
        self.originals: list[Original] = []

    def __bool__(self) -> bool:
        return bool(self.originals)

    def _data(self, text: str) -> FailError:
        """What is a DataError on a Trezor One and a ProcessError later."""
        return data_error(text) if self._legacy else processing_error(text)

    @property
    def total_in(self) -> int:
        return sum(original.total_in for original in self.originals)

    @property
    def total_out(self) -> int:
        return sum(original.total_out for original in self.originals)

    @property
    def change_out(self) -> int:
        return sum(original.change_out for original in self.originals)

    @property
    def external_in(self) -> int:
        return sum(original.external_in for original in self.originals)

    def _known(self, tx_hash: bytes) -> Original | None:
        return next((original for original in self.originals if original.tx_hash == tx_hash), None)

    def add_input(self, txi: messages.TxInputType, script: bytes) -> Workflow[None]:
        """Stream the original of an input that claims to have one."""
        tx_hash = txi.orig_hash or b""
        original = self._known(tx_hash)
        if original is None:
            if self._legacy and self.originals:
                raise processing_error("Only one original transaction is allowed.")
            meta = yield from self._stream.meta(tx_hash)
            original = Original(meta, tx_hash, legacy=self._legacy)
            self.originals.append(original)
        if (txi.orig_index or 0) >= original.inputs_count:
            raise self._data("Not enough inputs in original transaction.")
        if len(original.inputs) != txi.orig_index:
            raise self._data("Rearranging or removal of original inputs is not supported.")
        before = yield from self._stream.input(txi.orig_index, tx_hash)
        if (
            (before.prev_hash, before.prev_index, before.amount) != (txi.prev_hash, txi.prev_index, txi.amount)
            or before.script_type != txi.script_type
            or self._owner.input_script(before) != script
        ):
            raise processing_error("Original input does not match current input.")
        original.add_input(before, script)

    def inputs_done(self, *, replaceable: bool) -> Workflow[None]:
        """All inputs are in: none of an original's may be missing."""
        for original in self.originals:
            if len(original.inputs) != original.inputs_count:
                raise self._data("Removal of original inputs is not supported.")
        final = not replaceable and any(original.replaceable for original in self.originals)
        for original in self.originals:
            yield from show(*self._layout.replacement(original.tx_hash, final=final))

    def add_output(self, txo: messages.TxOutputType, script: bytes, *, is_change: bool) -> Workflow[int | None]:
        """Stream the original of an output; its amount where it was a payment."""
        original = self._known(txo.orig_hash or b"")
        if original is None:
            raise processing_error("Unknown original transaction.")
        wanted = txo.orig_index or 0
        if wanted >= original.outputs_count:
            raise processing_error("Not enough outputs in original transaction.")
        if original.next_output > wanted:
            raise processing_error("Rearranging of original outputs is not supported.")
        yield from self._skip_removed(original, wanted)
        before = yield from self._stream.output(wanted, original.tx_hash)
        old_script = self._owner.output_script(before)
        original.next_output += 1
        was_change = original.change.is_change(before)
        if old_script != script:
            raise processing_error("Not an original output.")
        if is_change and not was_change:
            raise self._data("Original output is missing change-output parameters.")
        original.add_output(before, old_script)
        if was_change:
            original.change_out += before.amount
            return None
        return before.amount

    def _skip_removed(self, original: Original, until: int) -> Workflow[None]:
        """Only change may have gone."""
        while original.next_output < until:
            txo = yield from self._stream.output(original.next_output, original.tx_hash)
            original.add_output(txo, self._owner.output_script(txo))
            original.next_output += 1
            if not original.change.is_change(txo):
                raise self._data("Removal of original external outputs is not supported.")
            original.change_out += txo.amount

    def outputs_done(self) -> Workflow[None]:
        for original in self.originals:
            yield from self._skip_removed(original, original.outputs_count)
            original.check_txid()

    def check_amounts(self, draft: Draft, fee: int) -> None:
        """Refuse what pays more than the originals did, but for the fee."""
        before = self.total_in - self.total_out
        if before < 0:
            raise processing_error("Negative fees not supported in transaction replacement.")
        if self._legacy:
            if draft.external_in != self.external_in:
                raise processing_error("Adding external inputs is not supported.")
            paid = draft.total_out - draft.change_out - draft.external_in
            if paid > self.total_out - self.change_out - self.external_in:
                raise processing_error("Invalid replacement transaction.")
        else:
            spending = draft.total_in - draft.change_out - draft.external_in
            if spending - (self.total_in - self.change_out - self.external_in) > fee - before:
                raise processing_error("Invalid replacement transaction.")
        lock_time = 0 if draft.lock_time_disabled else draft.lock_time
        if any(lock_time != (0 if one.lock_time_disabled else one.lock_time) for one in self.originals):
            raise processing_error(
                "Original transactions must have same effective nLockTime as replacement transaction."
            )

    def verify(self) -> Workflow[None]:
        """Stream every original's inputs once more and check its signatures."""
        for original in self.originals:
            digests = original.digests()
            intact = True
            for index, entry in enumerate(original.inputs):
                if entry.segwit or entry.external:
                    txi = yield from self._stream.input(index, original.tx_hash)
                    intact = intact and entry.same(txi)
                else:
                    txi = yield from self._restream(original, index)
                if txi.script_type != InputScriptType.EXTERNAL or not self._legacy:
                    if entry.segwit and _signed_fields(txi) != _signed_fields(entry.told):
                        raise data_error("Invalid signature.")
                    proof = (txi.script_sig or b"", txi.witness or b"")
                    check_proof(entry.script, *proof, digests, index, txi.amount or 0, multisig=not self._legacy)
            if not intact:
                raise changed(legacy=self._legacy, data=True)

    def _restream(self, original: Original, index: int) -> Workflow[messages.TxInputType]:
        """A legacy input's signature hash takes the whole transaction."""
        intact = True
        signed = original.inputs[index].told
        if not self._legacy:
            signed = yield from self._stream.input(index, original.tx_hash)
        for position, entry in enumerate(original.inputs):
            txi = yield from self._stream.input(position, original.tx_hash)
            intact = intact and entry.same(txi)
            if position == index:
                signed = txi
        if not intact:
            raise changed(legacy=self._legacy, data=True)
        for position, output in enumerate(original.outputs):
            txo = yield from self._stream.output(position, original.tx_hash)
            intact = intact and (output.value, output.script) == (txo.amount, self._owner.output_script(txo))
        if not intact:
            raise changed(legacy=self._legacy)
        return signed
