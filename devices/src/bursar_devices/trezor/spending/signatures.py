"""The second half of SignTx: everything streamed again, signed, and put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trezorlib.messages import InputScriptType

from bursar.bitcoin import script as bitcoin_script
from bursar.bitcoin.wire import compact_size, sized
from bursar.crypto.hashes import hash160, sha256, sha256d
from bursar_devices.trezor import lying, scripts
from bursar_devices.trezor.coins import path_fits
from bursar_devices.trezor.spending.rules import changed
from bursar_devices.trezor.spending.stream import input_bytes
from bursar_devices.trezor.workflow import Workflow, data_error

if TYPE_CHECKING:
    from trezorlib import messages

    from bursar.keys.bip32 import ExtendedPrivateKey
    from bursar_devices.trezor.spending.draft import Draft, Owner
    from bursar_devices.trezor.spending.stream import Stream

_EMPTY_WITNESS = b"\x00"


class Signatures:
    """Signs a draft the human has agreed to."""

    def __init__(
        self, stream: Stream, owner: Owner, draft: Draft, *, serialize: bool, foreign_path_confirmed: bool
    ) -> None:
        self.stream = stream
        self.owner = owner
        self.draft = draft
        self.serialize = serialize
        self.foreign_path_confirmed = foreign_path_confirmed
        self.legacy = owner.board.legacy
        self._lies = owner.board.lies
        self._digests = draft.digests()

    def run(self) -> Workflow[None]:
        draft = self.draft
        if self.serialize and not self.legacy:
            self.stream.write(self._head(0))
        for index, entry in enumerate(draft.inputs):
            if not entry.external and not entry.segwit:
                yield from self._sign_legacy(index)
            elif self.serialize:
                yield from self._write_input(index)
        if self.serialize:
            if not self.legacy:
                self.stream.write(compact_size(draft.outputs_count))
            for index in range(draft.outputs_count):
                yield from self._write_output(index)
        if draft.segwit:
            for index in range(draft.inputs_count):
                yield from self._sign_segwit(index)
        if self.serialize:
            self.stream.write(draft.lock_time.to_bytes(4, "little"))

    def _head(self, index: int) -> bytes:
        """What stands before the first input; a Trezor One sends it along with that, later models before."""
        if index:
            return b""
        marker = b"\x00\x01" if self.draft.segwit else b""
        return self.draft.version.to_bytes(4, "little") + marker + compact_size(self.draft.inputs_count)

    # Legacy inputs, and all inputs and outputs as they stand in the transaction

    def _sign_legacy(self, index: int) -> Workflow[None]:
        """Everything is streamed again, as it is hashed for this input alone."""
        draft = self.draft
        intact = True
        signed = draft.inputs[index].told
        for position, entry in enumerate(draft.inputs):
            txi = yield from self.stream.input(position)
            intact = intact and entry.same(txi)
            if position == index:
                draft.change.check_input(txi)
                self.owner.allow(txi.address_n)
                signed = txi
        if not intact and self.legacy:
            raise changed(legacy=True, data=True)
        for position, output in enumerate(draft.outputs):
            txo = yield from self.stream.output(position)
            again = self.owner.output_script(txo)
            intact = intact and (output.value, output.script) == (txo.amount, again)
        if not intact:
            raise changed(legacy=self.legacy)
        key = self.owner.key(signed.address_n)
        code = scripts.inner_script(key.public_key, signed.multisig)
        signature = lying.ecdsa_der(self._lies, key, self._digests.legacy(index, code))
        if self.serialize:
            self._write_signed(index, signed, _script_sig(signed, key.public_key, signature))
        self.stream.sign(index, signature)

    def _write_signed(self, index: int, txi: messages.TxInputType, script_sig: bytes) -> None:
        self.stream.write((self._head(index) if self.legacy else b"") + input_bytes(txi, script_sig))

    def _write_input(self, index: int) -> Workflow[None]:
        txi = yield from self.stream.input(index)
        if self.draft.inputs[index].external != (txi.script_type == InputScriptType.EXTERNAL):
            raise changed(legacy=self.legacy, data=True)
        script_sig = txi.script_sig or b""
        if txi.script_type != InputScriptType.EXTERNAL:
            if txi.script_type not in scripts.SEGWIT:
                raise changed(legacy=self.legacy, data=True)
            if not self.legacy or (txi.script_type == InputScriptType.SPENDP2SHWITNESS and txi.multisig is None):
                self.draft.change.check_input(txi)
            script_sig = self._nested_script_sig(txi)
        self._write_signed(index, txi, script_sig)

    def _nested_script_sig(self, txi: messages.TxInputType) -> bytes:
        if txi.script_type != InputScriptType.SPENDP2SHWITNESS:
            return b""
        if txi.multisig is not None:
            return bitcoin_script.push(bitcoin_script.p2wsh(sha256(scripts.multisig_script(txi.multisig))))
        self.owner.allow(txi.address_n)
        key = self.owner.key(txi.address_n).public_key
        return bitcoin_script.push(bitcoin_script.p2wpkh(hash160(key)))

    def _write_output(self, index: int) -> Workflow[None]:
        txo = yield from self.stream.output(index)
        script = self.owner.output_script(txo)
        amount = lying.amount(self._lies, txo.amount)
        head = compact_size(self.draft.outputs_count) if index == 0 and self.legacy else b""
        self.stream.write(head + amount.to_bytes(8, "little") + sized(script))

    # Witnesses

    def _sign_segwit(self, index: int) -> Workflow[None]:
        entry = self.draft.inputs[index]
        if not self.legacy and (not entry.segwit or entry.external) and not (entry.told.witness and entry.external):
            if self.serialize:
                self.stream.write(_EMPTY_WITNESS)
            return
        if entry.external and not self.serialize:
            return
        txi = yield from self.stream.input(index)
        if entry.external != (txi.script_type == InputScriptType.EXTERNAL):
            raise changed(legacy=self.legacy, data=True)
        if txi.script_type not in scripts.SEGWIT:
            if not self.legacy and not entry.external:
                raise changed(legacy=False)
            if self.serialize:
                self.stream.write(txi.witness or _EMPTY_WITNESS if entry.external else _EMPTY_WITNESS)
            return
        if txi.script_type != InputScriptType.SPENDTAPROOT and self.draft.taproot_only:
            raise changed(legacy=self.legacy)
        self._check_path(txi)
        self.draft.change.check_input(txi)
        key = self.owner.key(txi.address_n)
        if txi.script_type == InputScriptType.SPENDTAPROOT:
            signature = lying.schnorr(self._lies, key, self._digests.taproot(index))
            witness = b"\x01" + sized(signature)
        else:
            signature = lying.ecdsa_der(self._lies, key, self._digest_v0(index, txi, key))
            witness = _witness(txi, key.public_key, signature)
        if self.serialize:
            self.stream.write(witness)
        self.stream.sign(index, signature)

    def _check_path(self, txi: messages.TxInputType) -> None:
        self.owner.allow(txi.address_n)
        multisig = txi.multisig is not None
        usual = path_fits(self.owner.coin, txi.address_n, txi.script_type, multisig=multisig, legacy=self.legacy)
        if not usual and not self.foreign_path_confirmed:
            raise changed(legacy=self.legacy)

    def _digest_v0(self, index: int, txi: messages.TxInputType, key: ExtendedPrivateKey) -> bytes:
        """BIP-143 over the totals agreed and the input as it is streamed now: a lie makes the signature worthless."""
        if txi.amount is None:
            raise data_error("Segwit input without amount")
        code = scripts.inner_script(key.public_key, txi.multisig)
        told = self.draft.inputs[index].told
        if (txi.prev_hash, txi.prev_index, txi.sequence) == (told.prev_hash, told.prev_index, told.sequence):
            return self._digests.segwit_v0(index, code, txi.amount)
        draft = self.draft
        prevouts = sha256d(b"".join(_outpoint(entry.told) for entry in draft.inputs))
        sequences = sha256d(b"".join(_sequence(entry.told) for entry in draft.inputs))
        outputs = sha256d(b"".join(output.serialize() for output in draft.outputs))
        head = draft.version.to_bytes(4, "little") + prevouts + sequences + _outpoint(txi) + sized(code)
        tail = txi.amount.to_bytes(8, "little") + _sequence(txi) + outputs
        return sha256d(head + tail + draft.lock_time.to_bytes(4, "little") + b"\x01\x00\x00\x00")


def _outpoint(txi: messages.TxInputType) -> bytes:
    return txi.prev_hash[::-1] + txi.prev_index.to_bytes(4, "little")


def _sequence(txi: messages.TxInputType) -> bytes:
    return (txi.sequence or 0).to_bytes(4, "little")


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
