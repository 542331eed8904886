"""SignTx: inputs and outputs looked at and shown, totals, previous transactions; then the signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trezorlib import messages
from trezorlib.messages import InputScriptType, OutputScriptType

from bursar_devices.trezor import locks, scripts
from bursar_devices.trezor.bitcoin_keys import check_path, path_warning
from bursar_devices.trezor.coins import coin_named, path_fits
from bursar_devices.trezor.spending.change import ChangeDetector
from bursar_devices.trezor.spending.draft import Draft, Input, Owner, coin, owner_kind
from bursar_devices.trezor.spending.layout import Layout
from bursar_devices.trezor.spending.originals import Replacement
from bursar_devices.trezor.spending.proofs import check_proof
from bursar_devices.trezor.spending.rules import changed
from bursar_devices.trezor.spending.signatures import Signatures
from bursar_devices.trezor.spending.stream import Stream
from bursar_devices.trezor.spending.weight import Weight
from bursar_devices.trezor.workflow import FailError, Workflow, data_error, processing_error, show

if TYPE_CHECKING:
    from bursar.keys.bip32 import ExtendedPrivateKey
    from bursar_devices.trezor.board import Board
    from bursar_devices.trezor.coins import Coin

MAX_SILENT_CHANGE = 2
_MAX_INPUTS = 512  # on a Trezor One
_UINT64 = 1 << 64


def sign_tx(board: Board, message: messages.SignTx) -> Workflow[messages.TxRequest]:
    board.require_initialized()
    if board.legacy:
        _check_counts(message)
        yield from locks.unlock(board)
    coin_of = coin_named(message.coin_name, legacy=board.legacy)
    root = yield from board.root()
    _check_request(board, message)
    return (yield from Signing(board, message, coin_of, root).run())


def _check_counts(message: messages.SignTx) -> None:
    if not message.inputs_count:
        raise data_error("Transaction must have at least one input")
    if not message.outputs_count:
        raise data_error("Transaction must have at least one output")


def _check_request(board: Board, message: messages.SignTx) -> None:
    if message.expiry is not None and (board.legacy or message.expiry):
        raise data_error("Expiry not enabled on this coin.")
    if message.timestamp is not None and (board.legacy or message.timestamp):
        raise data_error("Timestamp not enabled on this coin.")
    if board.legacy and message.inputs_count > _MAX_INPUTS:
        raise data_error("Too many inputs.")
    if message.version_group_id is not None:
        raise data_error("Version group ID not enabled on this coin.")
    if message.branch_id is not None:
        raise data_error("Branch ID not enabled on this coin.")


class Signing:
    """One transaction on its way to its signatures."""

    def __init__(self, board: Board, message: messages.SignTx, coin_of: Coin, root: ExtendedPrivateKey) -> None:
        self.board = board
        self.legacy = board.legacy
        self.coin = coin_of
        self.stream = Stream(board)
        self.layout = Layout(board, coin_of, message.amount_unit)
        self.owner = Owner(board, coin_of, root)
        self.draft = Draft(
            1 if message.version is None else message.version,
            message.lock_time or 0,
            message.inputs_count,
            message.outputs_count,
            ChangeDetector(self.legacy),
        )
        self.replacement = Replacement(self.stream, self.owner, self.layout, legacy=self.legacy)
        self.weight = Weight(self.legacy)
        self.serialize = message.serialize is not False
        self.change_count = 0
        self.unverified = False
        self.foreign_path_confirmed = False

    def run(self) -> Workflow[messages.TxRequest]:
        draft = self.draft
        for index in range(draft.inputs_count):
            yield from self._load_input(index)
        yield from self.replacement.inputs_done(replaceable=draft.replaceable)
        for index in range(draft.outputs_count):
            yield from self._load_output(index)
        yield from self.replacement.outputs_done()
        yield from self._confirm()
        yield from self._check_previous()
        yield from self.replacement.verify()
        signatures = Signatures(
            self.stream, self.owner, draft, serialize=self.serialize, foreign_path_confirmed=self.foreign_path_confirmed
        )
        yield from signatures.run()
        return self.stream.finished()

    def _add(self, total: int, amount: int) -> int:
        if self.legacy and total + amount >= _UINT64:
            raise data_error("Value overflow")
        return total + amount

    # Inputs

    def _load_input(self, index: int) -> Workflow[None]:
        txi = yield from self.stream.input(index)
        draft = self.draft
        if txi.script_type != InputScriptType.EXTERNAL:
            self.owner.allow(txi.address_n)
            yield from self._warn_of_path(txi)
        script = self.owner.input_script(txi)
        if txi.amount is None:
            raise data_error("Expected input with amount" if self.legacy else "Failed to decode message")
        draft.total_in = self._add(draft.total_in, txi.amount)
        draft.change.add_input(txi)
        self.weight.add_input(txi)
        draft.inputs.append(Input(txi, script))
        if txi.script_type == InputScriptType.EXTERNAL:
            self._load_external(txi)
        if txi.orig_hash is not None:
            yield from self.replacement.add_input(txi, script)

    def _warn_of_path(self, txi: messages.TxInputType) -> Workflow[None]:
        if self.legacy and self.foreign_path_confirmed:
            return
        multisig = txi.multisig is not None
        if not path_fits(self.coin, txi.address_n, txi.script_type, multisig=multisig, legacy=self.legacy):
            yield from show(path_warning(self.board, txi.address_n))
            self.foreign_path_confirmed = True

    def _load_external(self, txi: messages.TxInputType) -> None:
        """Someone else's input: with strict safety checks it must prove itself, which none can here but by signing."""
        if txi.ownership_proof is not None:
            raise data_error("Invalid external input." if self.legacy else "Invalid external input")
        if not self.legacy and (txi.witness or txi.script_sig):
            self.draft.external_in += txi.amount or 0
            return
        if self.board.strict:
            raise processing_error("Unverifiable external input.")
        self.unverified = True

    # Outputs

    def _load_output(self, index: int) -> Workflow[None]:
        txo = yield from self.stream.output(index)
        draft = self.draft
        is_change = draft.change.is_change(txo)
        script = b"" if self.legacy else self.owner.output_script(txo)
        if self.legacy and self.replacement and txo.orig_hash is None and not is_change:
            raise processing_error("Adding new external outputs in replacement transactions is not supported.")
        draft.total_out = self._add(draft.total_out, txo.amount)
        if is_change:
            draft.change_out += txo.amount
            self.change_count += 1
        if self.legacy:
            yield from self._check_output_path(txo)
            script = self.owner.output_script(txo)
            if not is_change and not self.replacement:
                yield from self._confirm_output(txo, script)
        before = None
        if txo.orig_hash is not None:
            before = yield from self.replacement.add_output(txo, script, is_change=is_change)
        if not self.legacy:
            yield from self._check_output_path(txo)
        if before is not None and not is_change:
            yield from self._confirm_modified(txo, script, before)
        if not self.legacy and not is_change:
            yield from self._confirm_core_output(txo, script)
        self.weight.add_output(script)
        draft.outputs.append(coin(txo.amount, script))

    def _check_output_path(self, txo: messages.TxOutputType) -> Workflow[None]:
        if not txo.address_n:
            return
        warn = not (self.legacy and self.foreign_path_confirmed)
        multisig = txo.multisig is not None
        yield from check_path(self.board, self.coin, txo.address_n, owner_kind(txo), multisig=multisig, warn=warn)

    def _confirm_core_output(self, txo: messages.TxOutputType, script: bytes) -> Workflow[None]:
        if not self.replacement:
            yield from self._confirm_output(txo, script)
        elif txo.script_type == OutputScriptType.PAYTOOPRETURN and txo.orig_hash is None:
            raise processing_error("Adding new OP_RETURN outputs in replacement transactions is not supported.")

    def _confirm_output(self, txo: messages.TxOutputType, script: bytes) -> Workflow[None]:
        if txo.script_type == OutputScriptType.PAYTOOPRETURN:
            yield from show(*self.layout.op_return(txo.op_return_data or b""))
        else:
            address = txo.address or scripts.address_of(script, self.coin)
            yield from show(*self.layout.output(address, txo.amount, txo.address_n))

    def _confirm_modified(self, txo: messages.TxOutputType, script: bytes, before: int) -> Workflow[None]:
        if txo.amount > before:
            raise processing_error("Increasing original output amounts is not supported.")
        if txo.amount < before:
            address = txo.address or scripts.address_of(script, self.coin)
            yield from show(*self.layout.modified_output(address, before, txo.amount))

    # Totals

    def _confirm(self) -> Workflow[None]:
        draft, layout = self.draft, self.layout
        if self.unverified:
            yield from show(*layout.unverified_inputs())
        if not self.legacy and draft.change.wallet.value is None and self.board.version >= (2, 6, 3):
            yield from show(*layout.several_accounts())
        if draft.total_out > draft.total_in:
            raise FailError(messages.FailureType.NotEnoughFunds, "Not enough funds")
        fee = draft.total_in - draft.total_out
        weight = self.weight.total
        threshold = weight * self.coin.max_fee_kb // 4000
        if fee > threshold:
            if not self.legacy and fee > 10 * threshold and self.board.strict:
                raise data_error("The fee is unexpectedly large")
            yield from show(*layout.high_fee(fee))
        if self.change_count > MAX_SILENT_CHANGE:
            yield from show(*layout.many_changes(self.change_count))
        if self.replacement:
            yield from self._confirm_replacement(fee, weight)
        else:
            yield from self._confirm_payment(fee, weight)

    def _confirm_replacement(self, fee: int, weight: int) -> Workflow[None]:
        self.replacement.check_amounts(self.draft, fee)
        before = self.replacement.total_in - self.replacement.total_out
        if fee != before or not self.legacy:
            yield from show(*self.layout.modified_fee(before, fee, weight))

    def _confirm_payment(self, fee: int, weight: int) -> Workflow[None]:
        draft = self.draft
        if draft.lock_time:
            yield from show(*self.layout.lock_time(draft.lock_time, disabled=draft.lock_time_disabled))
        total = draft.total_in - draft.change_out
        if draft.external_in:
            yield from show(*self.layout.joint_total(total - draft.external_in, total))
        else:
            yield from show(*self.layout.total(total, fee, weight))

    # The coins' own transactions

    def _check_previous(self) -> Workflow[None]:
        draft = self.draft
        presigned = [index for index, entry in enumerate(draft.inputs) if self._is_presigned(entry)]
        wanted = presigned if draft.taproot_only else range(draft.inputs_count)
        digests = draft.digests() if presigned else None
        intact = True
        for index in wanted:
            entry = draft.inputs[index]
            txi = yield from self.stream.input(index)
            intact = intact and entry.same(txi)
            if txi.amount is None:
                raise data_error("Expected input with amount")
            script = self.owner.input_script(txi)
            if not draft.taproot_only:
                yield from self.stream.previous(txi.prev_hash, txi.prev_index, txi.amount, script)
            if index in presigned and digests is not None:
                check_proof(script, txi.script_sig or b"", txi.witness or b"", digests, index, txi.amount)
        if not intact:
            raise changed(legacy=self.legacy, data=True)

    def _is_presigned(self, entry: Input) -> bool:
        return not self.legacy and entry.external and bool(entry.told.witness or entry.told.script_sig)
