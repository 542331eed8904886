"""SignTx step by step: inputs, outputs, totals, previous transactions, signatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trezorlib import messages
from trezorlib.messages import InputScriptType, OutputScriptType

from bursar.bitcoin import script as bitcoin_script
from bursar.bitcoin.parts import OutPoint, Txid, TxIn, TxOut
from bursar.bitcoin.sighash import SighashCache
from bursar.bitcoin.transaction import Transaction
from bursar.bitcoin.units import Sats
from bursar.bitcoin.wire import compact_size, sized
from bursar.crypto.hashes import hash160, sha256
from bursar_devices.trezor import lying, scripts
from bursar_devices.trezor.bitcoin_keys import check_path, forbidden_path, path_warning
from bursar_devices.trezor.coins import Coin, coin_named, path_fits, path_known
from bursar_devices.trezor.spending.change import ChangeDetector
from bursar_devices.trezor.spending.layout import Layout
from bursar_devices.trezor.spending.rules import changed
from bursar_devices.trezor.spending.stream import Stream, input_bytes
from bursar_devices.trezor.spending.weight import Weight
from bursar_devices.trezor.workflow import FailError, Workflow, data_error, process_error, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.keys.bip32 import ExtendedPrivateKey
    from bursar_devices.trezor.board import Board

MAX_SILENT_CHANGE = 2
SEQUENCE_FINAL = 0xFFFFFFFF
_MAX_INPUTS = 512  # on a Trezor One
_UINT64 = 1 << 64


@dataclass(frozen=True, slots=True)
class Input:
    """An input as it was when first streamed, and the script it spends."""

    told: messages.TxInputType
    script: bytes

    @property
    def external(self) -> bool:
        return self.told.script_type == InputScriptType.EXTERNAL

    @property
    def segwit(self) -> bool:
        return self.told.script_type in scripts.SEGWIT

    def same(self, again: messages.TxInputType) -> bool:
        return bool(self.told == again)


def sign_tx(board: Board, message: messages.SignTx) -> Workflow[messages.TxRequest]:
    board.require_initialized()
    coin = coin_named(message.coin_name, legacy=board.legacy)
    _check_request(board, message)
    root = yield from board.root()
    return (yield from Signing(board, message, coin, root).run())


def _check_request(board: Board, message: messages.SignTx) -> None:
    if board.legacy:
        if not message.inputs_count:
            raise data_error("Transaction must have at least one input")
        if not message.outputs_count:
            raise data_error("Transaction must have at least one output")
        if message.inputs_count > _MAX_INPUTS:
            raise data_error("Too many inputs.")
    if message.expiry is not None and (board.legacy or message.expiry):
        raise data_error("Expiry not enabled on this coin.")
    if message.timestamp is not None and (board.legacy or message.timestamp):
        raise data_error("Timestamp not enabled on this coin.")
    if message.version_group_id is not None:
        raise data_error("Version group ID not enabled on this coin.")
    if message.branch_id is not None:
        raise data_error("Branch ID not enabled on this coin.")


class Signing:
    """One transaction being signed."""

    def __init__(self, board: Board, message: messages.SignTx, coin: Coin, root: ExtendedPrivateKey) -> None:
        self.board = board
        self.legacy = board.legacy
        self.coin = coin
        self.root = root
        self.version = 1 if message.version is None else message.version
        self.lock_time = message.lock_time or 0
        self.inputs_count = message.inputs_count
        self.outputs_count = message.outputs_count
        self.serialize = message.serialize is not False
        self.stream = Stream(board)
        self.layout = Layout(board, coin, message.amount_unit)
        self.change = ChangeDetector(self.legacy)
        self.weight = Weight()
        self.inputs: list[Input] = []
        self.outputs: list[TxOut] = []
        self.total_in = self.total_out = self.change_out = self.change_count = 0
        self.unverified = False
        self.foreign_path_confirmed = False
        self.keys: dict[tuple[int, ...], ExtendedPrivateKey] = {}

    def run(self) -> Workflow[messages.TxRequest]:
        for index in range(self.inputs_count):
            yield from self._load_input(index)
        for index in range(self.outputs_count):
            yield from self._load_output(index)
        yield from self._confirm()
        if not self.taproot_only:
            yield from self._check_previous()
        yield from self._sign()
        return self.stream.finished()

    @property
    def taproot_only(self) -> bool:
        """Whether no signature could be misused with a lie about amounts."""
        kinds = (InputScriptType.SPENDTAPROOT, InputScriptType.EXTERNAL)
        return all(entry.told.script_type in kinds for entry in self.inputs)

    @property
    def segwit(self) -> bool:
        return any(entry.segwit for entry in self.inputs)

    @property
    def lock_time_disabled(self) -> bool:
        return all(entry.told.sequence == SEQUENCE_FINAL for entry in self.inputs)

    # Keys

    def key(self, path: Sequence[int]) -> ExtendedPrivateKey:
        """The key at a path; its account is derived once."""
        account = tuple(path[:-1])
        parent = self.keys.get(account)
        if parent is None:
            parent = self.keys[account] = self.root.derive(account)
        return parent.child(path[-1]) if path else parent

    def script_of_input(self, txi: messages.TxInputType) -> bytes:
        if txi.script_type == InputScriptType.EXTERNAL:
            return txi.script_pubkey or b""
        key = self.key(txi.address_n).public_key
        if txi.multisig is not None and not self.legacy and key not in scripts.multisig_keys(txi.multisig):
            raise data_error("Pubkey not found in multisig script")
        return scripts.output_script(txi.script_type, key, txi.multisig)

    def _allow(self, path: Sequence[int]) -> None:
        if self.board.strict and not path_known(self.coin, path, legacy=self.legacy):
            raise forbidden_path()

    # Inputs and outputs, the first time

    def _add(self, total: int, amount: int) -> int:
        if self.legacy and total + amount >= _UINT64:
            raise data_error("Value overflow")
        return total + amount

    def _load_input(self, index: int) -> Workflow[None]:
        txi = yield from self.stream.input(index)
        if txi.script_type == InputScriptType.EXTERNAL:
            if self.board.strict:
                raise process_error("Unverifiable external input.")
            self.unverified = True
        else:
            self._allow(txi.address_n)
            multisig = txi.multisig is not None
            if not path_fits(self.coin, txi.address_n, txi.script_type, multisig=multisig, legacy=self.legacy) and not (
                self.legacy and self.foreign_path_confirmed
            ):
                yield from show(path_warning(self.board, txi.address_n))
                self.foreign_path_confirmed = True
        if txi.amount is None:
            raise data_error("Expected input with amount" if self.legacy else "Failed to decode message")
        self.total_in = self._add(self.total_in, txi.amount)
        self.change.add_input(txi)
        self.weight.add_input(txi)
        self.inputs.append(Input(txi, self.script_of_input(txi)))
        if txi.orig_hash is not None:
            raise process_error("Replacement transactions are not simulated.")

    def output_script(self, txo: messages.TxOutputType) -> bytes:
        if txo.script_type == OutputScriptType.PAYTOOPRETURN:
            return b"\x6a" + bitcoin_script.push(txo.op_return_data or b"")
        if txo.address_n:
            kind = _owner_kind(txo)
            self._allow(txo.address_n)
            key = self.key(txo.address_n).public_key
            script = scripts.output_script(kind, key, txo.multisig)
            if txo.multisig is not None and key not in scripts.multisig_keys(txo.multisig):
                raise (
                    process_error("Failed to compile output")
                    if self.legacy
                    else data_error("Pubkey not found in multisig script")
                )
            return script
        found = scripts.script_of(txo.address or "", self.coin)
        if found is None:
            raise process_error("Failed to compile output") if self.legacy else data_error("Invalid address")
        return found

    def _load_output(self, index: int) -> Workflow[None]:
        txo = yield from self.stream.output(index)
        is_change = self.change.is_change(txo)
        script = self.output_script(txo) if not self.legacy else b""
        self.total_out = self._add(self.total_out, txo.amount)
        if is_change:
            self.change_out += txo.amount
            self.change_count += 1
        if txo.address_n:
            kind = _owner_kind(txo)
            yield from check_path(
                self.board,
                self.coin,
                txo.address_n,
                kind,
                multisig=txo.multisig is not None,
                warn=not (self.legacy and self.foreign_path_confirmed),
            )
        if self.legacy:
            script = self.output_script(txo)
        if not is_change:
            yield from self._confirm_output(txo, script)
        self.weight.add_output(script)
        self.outputs.append(_coin(txo.amount, script))

    def _confirm_output(self, txo: messages.TxOutputType, script: bytes) -> Workflow[None]:
        if txo.script_type == OutputScriptType.PAYTOOPRETURN:
            yield from show(*self.layout.op_return(txo.op_return_data or b""))
        else:
            address = txo.address or scripts.address_of(script, self.coin)
            yield from show(*self.layout.output(address, txo.amount, txo.address_n))

    def _confirm(self) -> Workflow[None]:
        layout = self.layout
        if self.unverified:
            yield from show(*layout.unverified_inputs())
        if not self.legacy and self.change.wallet.value is None and self.board.version >= (2, 6, 3):
            yield from show(*layout.several_accounts())
        if self.total_out > self.total_in:
            raise FailError(messages.FailureType.NotEnoughFunds, "Not enough funds")
        fee = self.total_in - self.total_out
        weight = self.weight.total
        threshold = weight * self.coin.max_fee_kb // 4000
        if fee > threshold:
            if not self.legacy and fee > 10 * threshold and self.board.strict:
                raise data_error("The fee is unexpectedly large")
            yield from show(*layout.high_fee(fee))
        if self.change_count > MAX_SILENT_CHANGE:
            yield from show(*layout.many_changes(self.change_count))
        if self.lock_time:
            yield from show(*layout.lock_time(self.lock_time, disabled=self.lock_time_disabled))
        yield from show(*layout.total(self.total_in - self.change_out, fee, weight))

    # The coins' own transactions

    def _check_previous(self) -> Workflow[None]:
        intact = True
        for index, entry in enumerate(self.inputs):
            txi = yield from self.stream.input(index)
            intact = intact and entry.same(txi)
            if txi.amount is None:
                raise data_error("Expected input with amount")
            script = self.script_of_input(txi)
            yield from self.stream.previous(txi.prev_hash, txi.prev_index, txi.amount, script)
        if not intact:
            raise changed(legacy=self.legacy, data=True)

    # Signatures

    def _sign(self) -> Workflow[None]:
        tx = Transaction(
            self.version & 0xFFFFFFFF,
            [
                TxIn(OutPoint(Txid(entry.told.prev_hash[::-1]), entry.told.prev_index), b"", entry.told.sequence or 0)
                for entry in self.inputs
            ],
            self.outputs,
            self.lock_time,
        )
        digests = SighashCache(tx, [_coin(entry.told.amount or 0, entry.script) for entry in self.inputs])
        if self.serialize and not self.legacy:
            self.stream.write(self._head(0))
        for index, entry in enumerate(self.inputs):
            if not entry.external and not entry.segwit:
                yield from self._sign_legacy(index, digests)
            elif self.serialize:
                yield from self._write_input(index)
        if self.serialize:
            if not self.legacy:
                self.stream.write(compact_size(self.outputs_count))
            for index in range(self.outputs_count):
                yield from self._write_output(index)
        if self.segwit:
            for index in range(self.inputs_count):
                yield from self._sign_segwit(index, digests)
        if self.serialize:
            self.stream.write(self.lock_time.to_bytes(4, "little"))

    def _head(self, index: int) -> bytes:
        """What stands before the first input; a Trezor One sends it along with that, later models before."""
        if index:
            return b""
        marker = b"\x00\x01" if self.segwit else b""
        return self.version.to_bytes(4, "little") + marker + compact_size(self.inputs_count)

    def _write_signed(self, index: int, txi: messages.TxInputType, script_sig: bytes) -> None:
        self.stream.write((self._head(index) if self.legacy else b"") + input_bytes(txi, script_sig))

    def _sign_legacy(self, index: int, digests: SighashCache) -> Workflow[None]:
        """Everything is streamed again, as it is hashed for this input alone."""
        intact = True
        signed = self.inputs[index].told
        for position, entry in enumerate(self.inputs):
            txi = yield from self.stream.input(position)
            intact = intact and entry.same(txi)
            if position == index:
                self.change.check_input(txi)
                signed = txi
        if not intact and self.legacy:
            raise changed(legacy=True, data=True)
        for position, output in enumerate(self.outputs):
            txo = yield from self.stream.output(position)
            again = self.output_script(txo)
            intact = intact and (output.value, output.script) == (txo.amount, again)
        if not intact:
            raise changed(legacy=self.legacy)
        key = self.key(signed.address_n)
        code = scripts.inner_script(key.public_key, signed.multisig)
        signature = self._ecdsa(key, digests.legacy(index, code))
        if self.serialize:
            self._write_signed(index, signed, _script_sig(signed, key.public_key, signature))
        self.stream.sign(index, signature)

    def _ecdsa(self, key: ExtendedPrivateKey, digest: bytes) -> bytes:
        return lying.ecdsa_der(self.board.lies, key, digest)

    def _write_input(self, index: int) -> Workflow[None]:
        txi = yield from self.stream.input(index)
        if self.inputs[index].external != (txi.script_type == InputScriptType.EXTERNAL):
            raise changed(legacy=self.legacy, data=True)
        script_sig = txi.script_sig or b""
        if txi.script_type != InputScriptType.EXTERNAL:
            if txi.script_type not in scripts.SEGWIT:
                raise changed(legacy=self.legacy, data=True)
            if not self.legacy or txi.script_type == InputScriptType.SPENDP2SHWITNESS:
                self.change.check_input(txi)
            script_sig = self._nested_script_sig(txi)
        self._write_signed(index, txi, script_sig)

    def _nested_script_sig(self, txi: messages.TxInputType) -> bytes:
        if txi.script_type != InputScriptType.SPENDP2SHWITNESS:
            return b""
        if txi.multisig is not None:
            return bitcoin_script.push(bitcoin_script.p2wsh(sha256(scripts.multisig_script(txi.multisig))))
        return bitcoin_script.push(bitcoin_script.p2wpkh(hash160(self.key(txi.address_n).public_key)))

    def _write_output(self, index: int) -> Workflow[None]:
        txo = yield from self.stream.output(index)
        script = self.output_script(txo)
        amount = lying.amount(self.board.lies, txo.amount)
        head = compact_size(self.outputs_count) if index == 0 and self.legacy else b""
        self.stream.write(head + amount.to_bytes(8, "little") + sized(script))

    def _sign_segwit(self, index: int, digests: SighashCache) -> Workflow[None]:
        entry = self.inputs[index]
        if not entry.segwit and not self.legacy:
            if self.serialize:
                self.stream.write(b"\x00")
            return
        if entry.external and not self.serialize:
            return
        txi = yield from self.stream.input(index)
        if entry.external != (txi.script_type == InputScriptType.EXTERNAL):
            raise changed(legacy=self.legacy, data=True)
        if txi.script_type not in scripts.SEGWIT:
            if not self.legacy:
                raise changed(legacy=False)
            if self.serialize:
                self.stream.write(txi.witness or b"\x00" if entry.external else b"\x00")
            return
        if txi.script_type != InputScriptType.SPENDTAPROOT and self.taproot_only:
            raise changed(legacy=self.legacy)
        self.change.check_input(txi)
        self._allow(txi.address_n)
        if not self.foreign_path_confirmed and not path_fits(
            self.coin, txi.address_n, txi.script_type, multisig=txi.multisig is not None, legacy=self.legacy
        ):
            raise changed(legacy=self.legacy)
        key = self.key(txi.address_n)
        if txi.script_type == InputScriptType.SPENDTAPROOT:
            signature = lying.schnorr(self.board.lies, key, digests.taproot(index))
            witness = b"\x01" + sized(signature)
        else:
            code = scripts.inner_script(key.public_key, txi.multisig)
            signature = self._ecdsa(key, digests.segwit_v0(index, code, _amount(txi)))
            witness = _witness(txi, key.public_key, signature)
        if self.serialize:
            self.stream.write(witness)
        self.stream.sign(index, signature)


def _owner_kind(txo: messages.TxOutputType) -> InputScriptType:
    return scripts.CHANGE_TYPES[txo.script_type or OutputScriptType.PAYTOADDRESS]


def _coin(amount: int, script: bytes) -> TxOut:
    return TxOut(int.__new__(Sats, amount), script)  # the device sets no limit to an amount


def _amount(txi: messages.TxInputType) -> int:
    if txi.amount is None:
        raise data_error("Segwit input without amount")
    return txi.amount


def _signatures(txi: messages.TxInputType, key: bytes, signature: bytes) -> list[bytes]:
    """The multisig's known signatures with ours in its place, each with its hash type."""
    assert txi.multisig is not None
    keys = scripts.multisig_keys(txi.multisig)
    if key not in keys:
        raise data_error("Pubkey not found in multisig script")
    known = list(txi.multisig.signatures) + [b""] * len(keys)
    known[keys.index(key)] = signature
    return [one + b"\x01" for one in known[: len(keys)] if one]


def _script_sig(txi: messages.TxInputType, key: bytes, signature: bytes) -> bytes:
    if txi.multisig is None:
        return bitcoin_script.push(signature + b"\x01") + bitcoin_script.push(key)
    pushed = b"".join(bitcoin_script.push(one) for one in _signatures(txi, key, signature))
    return b"\x00" + pushed + bitcoin_script.push(scripts.multisig_script(txi.multisig))


def _witness(txi: messages.TxInputType, key: bytes, signature: bytes) -> bytes:
    if txi.multisig is None:
        return b"\x02" + sized(signature + b"\x01") + sized(key)
    items = [b"", *_signatures(txi, key, signature), scripts.multisig_script(txi.multisig)]
    return compact_size(len(items)) + b"".join(sized(item) for item in items)
